"""What can be said of a value without fetching it: found where it is, told where only its ref is."""

from __future__ import annotations

import reprlib
from collections.abc import Sized
from typing import Any, NamedTuple

_PREVIEW = 60
"""Characters of a preview."""


class Facts(NamedTuple):
    """What is known of a value; a text that is empty is not known."""

    kind: str = ""
    """Its type's name, with that of its elements."""
    shape: str = ""
    preview: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, [self.kind, self.shape]))


def facts(value: Any) -> Facts:
    """Look at a value, cheaply and whatever it is.

    >>> facts([1, 2, 3])
    Facts(kind='list', shape='of 3', preview='[1, 2, 3]')
    """
    kind = type(value).__name__
    try:
        element = getattr(value, "dtype", None)
        return Facts(kind if element is None else f"{kind} of {element}", _shape(value), _preview(value))
    except Exception:  # somebody's __len__ or __repr__
        return Facts(kind)


def _shape(value: Any) -> str:
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and all(isinstance(n, int) for n in shape):
        return " × ".join(f"{n:,}" for n in shape)
    return f"of {len(value):,}" if isinstance(value, Sized) and not isinstance(value, type) else ""


def _preview(value: Any) -> str:
    if not isinstance(value, (type(None), bool, int, float, complex, str, bytes, list, tuple, dict, set, frozenset)):
        return ""  # the repr of anything else may cost much, or say little
    text = _short.repr(value)
    return text if len(text) <= _PREVIEW else text[: _PREVIEW - 1] + "…"


class _Short(reprlib.Repr):
    """Of a few parts only, and of a few levels."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother = 2, _PREVIEW, _PREVIEW

    def repr_instance(self, x: object, level: int) -> str:
        return f"<{type(x).__name__}>"


_short = _Short()
