"""Classes of others that pickle well and come back wrong, and how they travel instead.

Follows Ray's ray/util/serialization_addons.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Way = tuple[str, Callable[[Any], Any], Callable[[Any], Any]]
"""A class, what is sent of an instance, and what makes one of that."""


def _state_of(state: Any) -> Any:
    return state._state


def _state(values: Any) -> Any:
    """Starlette's (an application of FastAPI has one): looks every attribute up in one that is not there yet."""
    from starlette.datastructures import State  # type: ignore[import-not-found,unused-ignore]

    return State(values)


ADDONS: dict[str, Way] = {"starlette.datastructures": ("State", _state_of, _state)}
"""By the module that defines the class."""
