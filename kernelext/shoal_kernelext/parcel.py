"""One value on its way between the notebook and a worker, pickled on its own.

Functions made in the notebook travel without their globals: those are the names of the notebook, each of which
travels by itself, and a function that arrives belongs to the namespace it arrives in. So a function sees what its
cell sees, at either end, and what it needs is known before it is called.
"""

from __future__ import annotations

import dis
import pickle
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import CellType, CodeType, FunctionType
from typing import Any

from shoal import current
from shoal.refs import ObjectRef
from shoal.serial import note_contained, pack, unpack

Namespace = dict[str, Any]

LARGE = 100_000
"""Bytes from which on a value goes to the object store."""


@dataclass
class Site:
    """One end of the way: whose functions travel, and what both ends have already."""

    namespace: Namespace
    shared: Mapping[str, Any] = field(default_factory=dict)
    """By name, the objects both ends have: inside other values they travel as that name."""
    codes: list[CodeType] = field(default_factory=list)
    """The code of the functions packed here: what they need is in it."""


class Parcel:
    """A pickled value: its stream, the buffers left out of it, and the refs inside."""

    __slots__ = ("stream", "buffers", "contained", "_held")

    def __init__(self, stream: Any, buffers: tuple[Any, ...], contained: tuple[bytes, ...]) -> None:
        self.stream = stream
        self.buffers = buffers
        self.contained = contained
        self._held: list[ObjectRef[Any]] = []
        """The refs inside, where it was packed: the value may be gone before anybody else holds them."""

    @classmethod
    def packed(cls, value: Any, what: str, site: Site) -> Parcel:
        """Pickle `value`; raises SerializationError that names `what` and says why."""
        stream, buffers, contained = pack(value, what, _pickler(site))
        parcel = cls(stream, tuple(buffers), contained)
        here = current.peek() if contained else None
        if here is not None:
            for object_id in contained:
                here.counts.add(object_id)
                parcel._held.append(ObjectRef._made(object_id, here))
        return parcel

    def opened(self, site: Site) -> Any:
        """The value, its functions at home in the site's namespace; its arrays can be written to."""
        token = _opening.set(site)
        try:
            return unpack(self.stream, [_writable(buffer) for buffer in self.buffers])
        finally:
            _opening.reset(token)

    @property
    def size(self) -> int:
        """Bytes, the buffers included."""
        return memoryview(self.stream).nbytes + sum(memoryview(b).nbytes for b in self.buffers)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        for object_id in self.contained:
            note_contained(object_id)
        stream = pickle.PickleBuffer(self.stream) if len(self.stream) >= LARGE else self.stream
        return Parcel, (stream, tuple(map(pickle.PickleBuffer, self.buffers)), self.contained)


def same(one: Parcel, other: Parcel) -> bool:
    """Whether two parcels hold the same bytes."""
    if len(one.buffers) != len(other.buffers) or not _same_bytes(one.stream, other.stream):
        return False
    return all(map(_same_bytes, one.buffers, other.buffers))


def global_names(code: CodeType, *, nested: bool = True) -> Iterator[str]:
    """The global names that a code object, and unless told otherwise the code nested in it, reads or deletes.

    Functions that set one by ``global`` are counted: they mostly read it too.
    """
    for instruction in dis.get_instructions(code):
        name = instruction.opname
        if name.endswith(("_NAME", "_GLOBAL", "_GLOBALS")) and name not in _NOT_READ:
            yield instruction.argval
    for constant in code.co_consts if nested else ():
        if isinstance(constant, CodeType):
            yield from global_names(constant)


_NOT_READ = frozenset({"IMPORT_NAME", "STORE_NAME"})

_opening: ContextVar[Site] = ContextVar("shoal_opening")


def _pickler(site: Site) -> Callable[..., Any]:
    """Makes picklers that know the functions of the site and what is shared."""
    names = {id(value): name for name, value in site.shared.items()}
    cells: set[int] = set()

    def make(file: Any, protocol: int, *, buffer_callback: Any) -> Any:
        import cloudpickle

        pickler = cloudpickle.Pickler(file, protocol, buffer_callback=buffer_callback)
        usual = pickler.reducer_override

        def reduce(value: Any) -> Any:
            if (name := names.get(id(value))) is not None:
                return _shared, (name,)
            if type(value) is FunctionType and value.__globals__ is site.namespace:
                site.codes.append(value.__code__)
                cells.update(map(id, value.__closure__ or ()))
                return _reduced_function(value)
            if type(value) is CellType and id(value) in cells:
                return CellType, ()  # what is in it travels with the function: it may hold the function itself
            reduced = usual(value)
            return _with_slots(value, reduced) if isinstance(value, type) and "__slots__" in vars(value) else reduced

        pickler.reducer_override = reduce
        return _Once(pickler)

    return make


class _Once:
    """A pickler with a reducer of ours, for one value: `reduce` and it hold each other, and it holds all it pickled."""

    def __init__(self, pickler: Any) -> None:
        self._pickler = pickler

    def dump(self, value: Any) -> None:
        try:
            self._pickler.dump(value)
        finally:
            del self._pickler.reducer_override


def _with_slots(value: type, reduced: Any) -> Any:
    """What cloudpickle makes of a class, with its slots: it leaves them out when it makes the class anew.

    Instances would come with a ``__dict__`` that the class does not have at home.
    """
    match reduced:
        case (make, (kind, name, bases, {} as members, *rest), *state):
            return make, (kind, name, bases, {**members, "__slots__": vars(value)["__slots__"]}, *rest), *state
    return reduced


def _reduced_function(function: FunctionType) -> tuple[Any, ...]:
    contents = []
    for cell in function.__closure__ or ():
        try:
            contents.append((cell, cell.cell_contents))
        except ValueError:  # empty
            pass
    state = {
        "__name__": function.__name__,
        "__qualname__": function.__qualname__,
        "__module__": function.__module__,
        "__doc__": function.__doc__,
        "__defaults__": function.__defaults__,
        "__kwdefaults__": function.__kwdefaults__,
        "__annotations__": function.__annotations__,
    }
    made_of = (function.__code__, function.__closure__)
    return _function, made_of, (state, function.__dict__, contents), None, None, _fill_function


def _function(code: CodeType, closure: tuple[CellType, ...] | None) -> FunctionType:
    return FunctionType(code, _opening.get().namespace, closure=closure)


def _fill_function(function: FunctionType, filling: tuple[dict[str, Any], dict[str, Any], Any]) -> None:
    state, attributes, contents = filling
    for name, value in state.items():
        setattr(function, name, value)
    function.__dict__.update(attributes)
    for cell, value in contents:
        cell.cell_contents = value


def _shared(name: str) -> Any:
    return _opening.get().shared[name]


def _writable(buffer: Any) -> Any:
    """The buffer itself where it may be written to; small values arrive in read-only ones."""
    return bytearray(buffer) if memoryview(buffer).readonly else buffer


def _same_bytes(one: Any, other: Any) -> bool:
    if isinstance(one, bytes) and isinstance(other, bytes):
        return one == other
    if memoryview(one).nbytes != memoryview(other).nbytes:
        return False
    if not memoryview(one).nbytes:
        return True
    import numpy  # a comparison of memoryviews goes element by element

    left, right = numpy.frombuffer(one, numpy.uint8), numpy.frombuffer(other, numpy.uint8)
    step = 1 << 20  # so that what numpy puts down in between stays in the cache
    return all(
        bool((left[at : at + step] == right[at : at + step]).all())
        for at in range(0, left.size, step)
    )
