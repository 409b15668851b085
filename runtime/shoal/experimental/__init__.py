"""What Ray keeps under `ray.experimental`, at the same paths. Loads at first use."""

from __future__ import annotations

import importlib
from typing import Any


def __getattr__(name: str) -> Any:
    try:
        return importlib.import_module(f"shoal.experimental.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"shoal.experimental.{name}":
            raise
        raise AttributeError(f"module 'shoal.experimental' has no attribute {name!r}") from None
