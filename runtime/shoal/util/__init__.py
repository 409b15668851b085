"""What is built on shoal's core, under Ray's names; every part loads at first use."""

from __future__ import annotations

import importlib
from typing import Any


def __getattr__(name: str) -> Any:
    try:
        return importlib.import_module(f"shoal.util.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"shoal.util.{name}":
            raise
        raise AttributeError(f"module 'shoal.util' has no attribute {name!r}") from None
