"""What people hold of an object: `ObjectRef`."""

from __future__ import annotations

import contextlib
import os
import threading
import warnings
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from shoal import context, current
from shoal.exceptions import ForeignRefError, SerializationError, ShoalValueError
from shoal.ids import NIL, SIZE, JobID, TaskID, maker_of, task_of
from shoal.serial import note_contained

if TYPE_CHECKING:
    import asyncio
    import concurrent.futures

    from shoal.engines.base import Engine

T = TypeVar("T")
_new = object.__new__

TICK = 0.02
"""Seconds after which an event loop in the main thread looks for interrupts."""


class ObjectRef(Generic[T]):
    """A value that is, or will be, on the cluster; `shoal.get(ref)` fetches it.

    Two refs are equal when they mean the same object. While one is reachable anywhere the object is kept. Follows
    https://docs.ray.io/en/latest/ray-core/objects.html
    """

    __module__ = "shoal"
    __slots__ = ("_id", "_engine", "__weakref__")
    _id: bytes
    _engine: Engine
    holds = True
    """Whether it keeps its object."""

    def __init__(self, object_id: bytes) -> None:
        """A ref to an object by its id, as `binary()` tells it; `.remote()` and `shoal.put()` make new objects."""
        if not isinstance(object_id, bytes) or len(object_id) != SIZE:
            raise ShoalValueError(f"an object's id is {SIZE} bytes, as ref.binary() tells it, not {object_id!r}")
        self._id = object_id
        here = current.peek()
        if here is not None and object_id != NIL:
            here.counts.add(object_id)
            self._engine = here

    @staticmethod
    def _made(object_id: bytes, engine: Engine) -> ObjectRef[Any]:
        """For engines: a ref whose count was taken already."""
        ref: ObjectRef[Any] = _new(ObjectRef)
        ref._id = object_id
        ref._engine = engine
        return ref

    def __del__(self) -> None:
        try:
            self._engine.counts.drop(self._id)
        except AttributeError:  # never came to be
            pass

    # what it is

    @classmethod
    def from_binary(cls, object_id: bytes) -> ObjectRef[Any]:
        return cls(object_id)

    @classmethod
    def from_hex(cls, text: str) -> ObjectRef[Any]:
        return cls(bytes.fromhex(text))

    @classmethod
    def from_random(cls) -> ObjectRef[Any]:
        """A ref that stands for no object, unlike any other."""
        return cls(os.urandom(SIZE))

    @classmethod
    def nil(cls) -> ObjectRef[Any]:
        return cls(NIL)

    @staticmethod
    def size() -> int:
        """Bytes of an id."""
        return SIZE

    def is_nil(self) -> bool:
        return self._id == NIL

    def hex(self) -> str:
        return self._id.hex()

    def binary(self) -> bytes:
        return self._id

    def task_id(self) -> TaskID:
        """The id of the task that makes the value."""
        return TaskID(task_of(self._id))

    def job_id(self) -> JobID:
        """The id of the program that it belongs to, for which this process works; nil for a ref of no cluster."""
        here = getattr(self, "_engine", None)
        if here is None:
            return JobID.nil()
        return JobID.from_hex(here.query("context", getattr(here, "client", 0), context.get_task())["job"])

    def owner_address(self) -> bytes:
        """Who made it owns it."""
        return maker_of(self._id)

    def call_site(self) -> str:
        """Where it was made; not recorded, so always empty."""
        return ""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObjectRef) and other._id == self._id

    def __hash__(self) -> int:
        return hash(self._id)

    def __repr__(self) -> str:
        return f"ObjectRef({self._id.hex()})"

    def __reduce__(self) -> tuple[Callable[..., ObjectRef[Any]], tuple[bytes]]:
        if getattr(self, "_engine", None) is None:  # it stands for nothing
            return ObjectRef, (self._id,)
        check_not_foreign(self._engine)
        if not note_contained(self._id):
            _pin(self)
        return _rebuild, (self._id,)

    def check(self) -> None:
        """Raise ValueError where it stands for nothing: its cluster was shut down, or it is nil."""
        here = getattr(self, "_engine", None)
        if here is None:
            raise ShoalValueError("a nil ref stands for no object: refs are made by .remote() and shoal.put()")
        check_not_foreign(here)

    def __copy__(self) -> ObjectRef[T]:
        return self

    def __deepcopy__(self, memo: object) -> ObjectRef[T]:
        return self

    # waiting without blocking

    def future(self) -> concurrent.futures.Future[T]:
        """A `concurrent.futures.Future` of the value; cancelling it does not cancel the task."""
        from shoal.futures import RefFuture

        return RefFuture(self)

    def as_future(self) -> asyncio.Future[T]:
        import asyncio

        return asyncio.wrap_future(self.future())

    def __await__(self) -> Generator[Any, None, T]:
        return self._wait().__await__()

    async def _wait(self) -> T:
        await ready_async(self._engine, self._id)
        value: T = self._engine.get([self._id], 0.0)[0]
        return value


def is_foreign(engine: Engine | None) -> bool:
    """Whether its cluster was left, and this process is in another or in none."""
    return engine is not None and not engine.alive and engine is not current.peek()


def check_not_foreign(engine: Engine) -> None:
    """Raise ForeignRefError where the refs of that engine stand for nothing any more."""
    if is_foreign(engine):
        raise ForeignRefError(
            "An application is trying to access a Ray object whose owner is unknown. Ray objects whose owner is "
            "unknown are those of a cluster that was shut down: make them anew"
        )


ObjectID = ObjectRef
"""The older name."""


async def ready_async(engine: Engine, object_id: bytes) -> None:
    """Wait on this event loop until the object is ready or has failed, or its cluster is gone."""
    import asyncio

    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def settle() -> None:
        if not ready.done():
            ready.set_result(None)

    def wake() -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle)

    engine.when_ready(object_id, wake)
    with engine.blocking(ready.done):
        # Jupyter's interrupt does not wake an event loop: the tick lets it through.
        while threading.current_thread() is threading.main_thread() and not ready.done():
            await asyncio.wait((ready,), timeout=TICK)
        await ready


class _Said:
    pinned: bool = False


_said = _Said()


def _pin(ref: ObjectRef[Any]) -> None:
    """Nobody knows who will read a ref that was pickled by hand, so its object lives as long as we do."""
    if "0" in (os.environ.get("SHOAL_PICKLE_REFS"), os.environ.get("RAY_allow_out_of_band_object_ref_serialization")):
        raise SerializationError(
            "an ObjectRef can only travel inside arguments, return values and shoal.put(): "
            "pickled by hand, nobody would keep its object alive (SHOAL_PICKLE_REFS=0 forbids it)"
        )
    ref._engine.counts.pin(ref._id)
    if not _said.pinned:
        _said.pinned = True
        warnings.warn(
            "an ObjectRef was pickled by hand: nobody knows who will read it, so its object stays until this process "
            "leaves the cluster; pass refs as arguments, in return values or in shoal.put() instead",
            ResourceWarning,
            stacklevel=3,
        )


def _rebuild(object_id: bytes) -> ObjectRef[Any]:
    engine = current.engine()
    engine.counts.add(object_id)
    return ObjectRef._made(object_id, engine)
