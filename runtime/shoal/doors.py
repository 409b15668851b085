"""Packages whose names load at first use: a worker needs a part of them only, and starts the sooner."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def opened(package: str, where: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a package: names of `where` from the module beside them, others are submodules."""
    module = sys.modules[package]
    names = vars(module)

    def find(name: str) -> Any:
        if name in where:
            value = names[name] = getattr(importlib.import_module(where[name]), name)
            return value
        try:
            return importlib.import_module(f"{package}.{name}")
        except ModuleNotFoundError as error:
            if error.name == f"ray.{name}":  # one of Ray's libraries: it says what to do instead
                raise AttributeError(str(error)) from None
            if error.name != f"{package}.{name}":
                raise
            raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name, obj=module) from None

    def listed() -> list[str]:
        return sorted({*names, *names["__all__"]})

    return find, listed
