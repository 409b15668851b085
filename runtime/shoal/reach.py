"""What can be reached from a value: by which way of attributes, keys and items."""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Iterator
from types import BuiltinFunctionType, CodeType, FrameType, FunctionType, MethodType, ModuleType
from typing import Any

DEPTH = 8
LIMIT = 50_000
"""Objects that are looked at from one start, at most."""

_LEAVES = (type(None), bool, int, float, complex, str, bytes, bytearray, ModuleType, BuiltinFunctionType, CodeType)
_SHOWN = 80
"""Characters of a key that are told."""


def paths(start: Any, found: Callable[[Any], bool], leaf: Callable[[Any], bool]) -> Iterator[str]:
    """The ways from a value to those that are `found`, the short ones first: "" is the value itself.

    Nothing is looked for behind a `leaf`, nor in modules and the globals of functions.

    >>> class A: pass
    >>> a, target = A(), object()
    >>> a.rows = {"one": [1, target]}
    >>> list(paths(a, lambda value: value is target, lambda value: False))
    [".rows['one'][1]"]
    """
    seen = {id(start)}
    queue: deque[tuple[Any, str, int]] = deque([(start, "", 0)])
    while queue:
        value, way, depth = queue.popleft()
        if found(value):
            yield way
        if depth == DEPTH or isinstance(value, _LEAVES) or leaf(value):
            continue
        for step, child in _children(value):
            if isinstance(child, _LEAVES) or id(child) in seen:
                continue
            if len(seen) >= LIMIT:
                return
            seen.add(id(child))
            queue.append((child, way + step, depth + 1))


def _children(value: Any) -> Iterator[tuple[str, Any]]:
    cls = type(value)
    if isinstance(value, dict):
        for key, child in list(value.items()):
            yield f"[{repr(key)[:_SHOWN]}]", child
            if not isinstance(key, _LEAVES):
                yield ".keys()", key
    elif isinstance(value, (list, tuple, deque)):
        for number, child in enumerate(list(value)):
            yield f"[{number}]", child
    elif isinstance(value, (set, frozenset)):
        for child in list(value):
            yield "{…}", child
    elif isinstance(value, FunctionType):
        for name, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=False):
            try:
                yield f" (its closure's {name})", cell.cell_contents
            except ValueError:  # empty yet
                pass
        for child in (*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()):
            yield " (a default argument)", child
        yield from _attributes(value)
    elif isinstance(value, MethodType):
        yield ".__self__", value.__self__
        yield ".__func__", value.__func__
    elif isinstance(value, type):
        if value.__module__ == "__main__":
            for name, child in list(vars(value).items()):
                yield f".{name}", child
    elif isinstance(value, memoryview):
        yield "", value.obj
    elif isinstance(value, FrameType):
        return
    elif hasattr(cls, "__array_interface__") or cls.__name__ == "ndarray":
        yield "", getattr(value, "base", None)
        if getattr(getattr(value, "dtype", None), "hasobject", False):
            for child in gc.get_referents(value) or value.ravel()[:1000].tolist():
                yield "[…]", child
    else:
        yield from _attributes(value)
        own = getattr(value, "__dict__", None)
        for child in gc.get_referents(value):
            if child is not own and not isinstance(child, type):
                yield "", child


def _attributes(value: Any) -> Iterator[tuple[str, Any]]:
    own = getattr(value, "__dict__", None)
    if isinstance(own, dict):
        for name, child in list(own.items()):
            yield f".{name}", child
