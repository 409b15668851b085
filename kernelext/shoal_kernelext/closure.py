"""What a function or class brings along to a worker: each captured name with its size, or why it cannot."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, NamedTuple

from shoal import tables
from shoal.actors import ActorClass, ActorHandle
from shoal.exceptions import SerializationError
from shoal.functions import LARGE_FUNCTION, RemoteFunction
from shoal.reasons import counted, sized
from shoal.refs import ObjectRef
from shoal.serial import pack
from shoal.store import LARGE
from shoal_kernelext.parcel import global_names

_DEEP = 4
"""Functions of the notebook that call each other are followed so far."""


class Captured(NamedTuple):
    name: str
    """With the way to it, where a function that is captured brings it."""
    kind: str
    value: Any


class Closure:
    """The captured names of a function or class, as a table."""

    def __init__(self, target: Any) -> None:
        self.target = _plain(target)
        self.name = getattr(self.target, "__qualname__", repr(self.target)).rpartition("<locals>.")[2]
        self.captured = list(_unlike(captured(self.target)))
        self._rows = [_row(one) for one in self.captured]
        self._rows.sort(key=lambda row: (not row[4], -row[0]))

    _HEAD = ("name", "captured as", "type", "size", "how it travels")
    _RIGHT = (3,)

    @property
    def problems(self) -> list[str]:
        """What cannot be pickled, each with the reason."""
        return [f"{name}: {told}" for _, name, _, _, failed, told in self._rows if failed]

    def summary(self) -> str:
        told = f"{self.name} captures {counted(len(self._rows), 'name') if self._rows else 'nothing'}"
        if self.problems:
            return f"{told}; it cannot be sent to a worker, for {counted(len(self.problems), 'name')} cannot be pickled"
        try:
            size = pack(self.target, self.name, in_band=True).size
        except SerializationError as error:
            return f"{told}; it cannot be sent to a worker: {error}"
        told += f"; its definition takes {sized(size)}, goes to the cluster once and to each worker that runs it"
        return f"{told}: too large, see below" if size > LARGE_FUNCTION else told

    def _cells(self) -> list[tuple[str, ...]]:
        return [
            (name, kind, cls, "" if failed or size < 0 else sized(size), told)
            for size, name, kind, cls, failed, told in self._rows
        ]

    def __repr__(self) -> str:
        if not self._rows:
            return self.summary()
        return f"{self.summary()}\n{tables.as_text(self._HEAD, self._cells(), self._RIGHT)}"

    def _repr_html_(self) -> str | None:
        if not self._rows:
            return None
        return tables.as_html(self._HEAD, self._cells(), self._RIGHT, caption=self.summary())


def _plain(target: Any) -> Any:
    if isinstance(target, (RemoteFunction, ActorClass)):
        return target.__wrapped__  # type: ignore[union-attr]
    return getattr(target, "__func__", target)


def is_known(target: Any) -> bool:
    """Whether it is something that captures."""
    return isinstance(_plain(target), (FunctionType, type))


def captured(target: Any, way: str = "", depth: int = _DEEP) -> Iterator[Captured]:
    """What a function or class captures, and what the notebook's own functions among that do."""
    if isinstance(target, type):
        for base in target.__bases__:
            if base is not object:
                yield Captured(f"{way}{base.__name__}", "base class", base)
        for name, member in list(vars(target).items()):
            inner = getattr(member, "__func__", getattr(member, "fget", member))
            if isinstance(inner, FunctionType):
                yield from captured(inner, f"{way}{name}() → ", depth)
            elif not name.startswith("__") and not callable(inner):
                yield Captured(f"{way}{name}", "attribute", inner)
        return
    for found in _of_function(target, way):
        yield found
        own = _plain(found.value)
        if depth and isinstance(own, (FunctionType, type)) and not _by_name(own) and own is not target:
            yield from captured(own, f"{found.name} → ", depth - 1)


def _of_function(function: FunctionType, way: str) -> Iterator[Captured]:
    code = function.__code__
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield Captured(f"{way}{name}", "closure", cell.cell_contents)
        except ValueError:  # not assigned yet
            pass
    for name in dict.fromkeys(global_names(code)):
        if name in function.__globals__:
            yield Captured(f"{way}{name}", "global", function.__globals__[name])
    arguments = code.co_varnames[: code.co_argcount]
    defaults = function.__defaults__ or ()
    for name, value in zip(arguments[len(arguments) - len(defaults) :], defaults, strict=True):
        yield Captured(f"{way}{name}", "default", value)
    for name, value in (function.__kwdefaults__ or {}).items():
        yield Captured(f"{way}{name}", "default", value)


def _unlike(found: Iterator[Captured]) -> Iterator[Captured]:
    """Each object once: by the first way to it."""
    seen: set[int] = set()
    kept = []
    for one in found:
        if id(one.value) not in seen:
            seen.add(id(one.value))
            kept.append(one)
            yield one


def _by_name(value: Any) -> bool:
    """Whether only its name travels: the worker imports it."""
    if isinstance(value, (ModuleType, BuiltinFunctionType)):
        return True
    if not isinstance(value, (FunctionType, type)):
        return False
    module = sys.modules.get(value.__module__)
    if value.__module__ == "__main__" or module is None:
        return False
    found: Any = module
    for part in value.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is value


def _row(one: Captured) -> tuple[int, str, str, str, bool, str]:
    """Size (-1: none worth telling), name, kind, type, whether it fails, how it travels."""
    value, cls = one.value, type(one.value).__name__
    if _by_name(value):
        what = "module" if isinstance(value, ModuleType) else f"{value.__module__}.{value.__qualname__}"
        return -1, one.name, one.kind, what, False, "by name: the worker imports it"
    if isinstance(value, (ObjectRef, ActorHandle)):
        return -1, one.name, one.kind, cls, False, "as a ref: what it stands for stays while the definition lives"
    try:
        size = pack(value, one.name).size
    except SerializationError as error:
        return 0, one.name, one.kind, cls, True, str(error)
    if size >= LARGE:
        told = "in the definition, again to each worker: large; shoal.put() it once, and pass the ref as an argument"
    else:
        told = "in the definition"
    return size, one.name, one.kind, cls, False, told
