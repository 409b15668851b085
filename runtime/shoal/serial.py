"""Values to bytes and back: pickle 5 with out-of-band buffers, cloudpickle where plain pickle cannot.

A packed value is ``(stream, buffers, contained)``: the pickle stream, the buffers that it leaves out (NumPy, pandas,
Arrow and polars all use them), and the ids of the refs and actor handles inside, which whoever keeps the value must
keep alive.
"""

from __future__ import annotations

import os
import pickle
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from io import BytesIO
from typing import Any, NamedTuple

from shoal.addons import ADDONS
from shoal.exceptions import ForeignRefError, SerializationError, ShoalTypeError

_ATOMS = frozenset({type(None), bool, int, float, str, bytes, complex})
NONE = pickle.dumps(None, 5)
NO_ARGUMENTS = pickle.dumps(((), {}), 5)


class Packed(NamedTuple):
    """A value ready to travel."""

    stream: bytes
    buffers: Sequence[memoryview | bytes]
    contained: tuple[bytes, ...]

    @property
    def size(self) -> int:
        return len(self.stream) + sum(len(b) for b in self.buffers)


class _Contained(threading.local):
    """The ids met while this thread pickles; None outside `pack`."""

    ids: list[bytes] | None = None


_contained = _Contained()


def note_contained(object_id: bytes) -> bool:
    """Called by the reducers of refs and handles. False outside `pack`: nobody would keep the object alive."""
    if _contained.ids is None:
        return False
    _contained.ids.append(object_id)
    return True


def pack(
    value: Any, what: str = "the value", pickler: Callable[..., Any] | None = None, in_band: bool = False
) -> Packed:
    """Pickle a value; raises SerializationError that says what cannot be pickled and why.

    `pickler` makes the pickler: called like `cloudpickle.Pickler`, which it is by default. `in_band` leaves no buffers
    out of the stream.
    """
    if type(value) in _ATOMS:
        return Packed(pickle.dumps(value, 5), (), ())
    import cloudpickle

    for name in ADDONS:
        if sys.modules.get(name) is not _learned.get(name):
            _learn(name)
    outer, _contained.ids = _contained.ids, []
    buffers: list[pickle.PickleBuffer] = []
    try:
        file = BytesIO()
        make = pickler or cloudpickle.Pickler
        make(file, 5, buffer_callback=None if in_band else buffers.append).dump(value)
        ids = tuple(dict.fromkeys(_contained.ids))
        return Packed(file.getvalue(), [_raw(b) for b in buffers], ids)
    except (KeyboardInterrupt, MemoryError, ForeignRefError):
        raise
    except Exception as error:
        from shoal.unpicklable import explain

        raise SerializationError(explain(value, what, error, lambda part: _size(part) is not None)) from error
    finally:
        _contained.ids = outer


_learned: dict[str, Any] = {}
"""Modules of ADDONS that were seen to."""


def _learn(name: str) -> None:
    """A module has been loaded: see to the class in it that needs it, unless somebody has."""
    import cloudpickle

    cls, serializer, deserializer = ADDONS[name]
    found = getattr(sys.modules.get(name), cls, None)
    if found is not None and found not in cloudpickle.Pickler.dispatch_table:
        register(found, serializer, deserializer)
    _learned[name] = sys.modules.get(name)


def _size(value: Any) -> int | None:
    """Bytes of a pickled value; None where it cannot be pickled."""
    import cloudpickle

    buffers: list[pickle.PickleBuffer] = []
    outer, _contained.ids = _contained.ids, []
    try:
        return len(cloudpickle.dumps(value, 5, buffers.append)) + sum(memoryview(b).nbytes for b in buffers)
    except Exception:
        return None
    finally:
        _contained.ids = outer


def largest_parts(target: Any) -> str:
    """What makes a function or class large to send."""
    from shoal.unpicklable import largest

    return largest(target, lambda part: _size(part) or 0)


def register(cls: type, serializer: Callable[[Any], Any], deserializer: Callable[[Any], Any]) -> None:
    """Pickle instances of exactly `cls` as ``deserializer(serializer(instance))``, from now on.

    Both travel with each value, and are registered wherever one arrives: a task that returns its argument needs them.
    """
    import cloudpickle

    if not isinstance(cls, type):
        raise ShoalTypeError(f"a serializer is registered for a class, not {cls!r}")
    if not callable(serializer) or not callable(deserializer):
        raise ShoalTypeError("serializer and deserializer are functions of one argument")
    here = os.getpid()
    cloudpickle.Pickler.dispatch_table[cls] = lambda value: (
        _arrive,
        (here, cls, serializer, deserializer, serializer(value)),
    )


def _arrive(
    sender: int, cls: type, serializer: Callable[[Any], Any], deserializer: Callable[[Any], Any], state: Any
) -> Any:
    import cloudpickle

    if sender != os.getpid() and cls not in cloudpickle.Pickler.dispatch_table:
        register(cls, serializer, deserializer)
    return deserializer(state)


def deregister(cls: type) -> None:
    """Pickle the class as before; harmless where nothing is registered."""
    import cloudpickle

    cloudpickle.Pickler.dispatch_table.pop(cls, None)


def _raw(buffer: pickle.PickleBuffer) -> memoryview:
    try:
        return buffer.raw()
    except BufferError:  # not contiguous: a copy in C order is
        return memoryview(bytes(buffer))


def unpack(stream: bytes | memoryview, buffers: Iterable[Any] = ()) -> Any:
    return pickle.loads(stream, buffers=buffers)


def pack_call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Packed:
    """Arguments, as a function is called with them."""
    plain = pack_plain_call(args, kwargs)
    return Packed(plain, (), ()) if plain is not None else pack((args, kwargs), "an argument")


def pack_plain_call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes | None:
    """The stream of a call with a few plain values, which most calls are; None where one is anything else.

    It skips cloudpickle: 1 µs instead of 10.
    """
    atoms = _ATOMS
    for value in args:
        if type(value) not in atoms:
            return None
    for value in kwargs.values():
        if type(value) not in atoms:
            return None
    return pickle.dumps((args, kwargs), 5) if args or kwargs else NO_ARGUMENTS
