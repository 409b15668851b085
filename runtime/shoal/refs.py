"""What people hold of an object: `ObjectRef`."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from shoal import current
from shoal.exceptions import SerializationError, ShoalTypeError
from shoal.ids import task_of
from shoal.serial import note_contained

if TYPE_CHECKING:
    import asyncio
    import concurrent.futures

    from shoal.engines.base import Engine

T = TypeVar("T")


class ObjectRef(Generic[T]):
    """A value that is, or will be, on the cluster; `shoal.get(ref)` fetches it.

    Two refs are equal when they mean the same object. While one is reachable anywhere the object is kept. Follows
    https://docs.ray.io/en/latest/ray-core/objects.html
    """

    __module__ = "shoal"
    __slots__ = ("_id", "_engine", "__weakref__")
    _id: bytes
    _engine: Engine

    def __init__(self) -> None:
        raise ShoalTypeError("refs are made by .remote() and shoal.put()")

    @classmethod
    def _made(cls, object_id: bytes, engine: Engine) -> ObjectRef[Any]:
        """For engines: a ref whose count was taken already."""
        self = cls.__new__(cls)
        self._id = object_id
        self._engine = engine
        return self

    def __del__(self) -> None:
        try:
            self._engine.counts.drop(self._id)
        except AttributeError:  # never came to be
            pass

    def hex(self) -> str:
        return self._id.hex()

    def binary(self) -> bytes:
        return self._id

    def task_id(self) -> bytes:
        """The id of the task that makes the value."""
        return task_of(self._id)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObjectRef) and other._id == self._id

    def __hash__(self) -> int:
        return hash(self._id)

    def __repr__(self) -> str:
        return f"ObjectRef({self._id.hex()})"

    def __reduce__(self) -> tuple[Callable[[bytes], ObjectRef[Any]], tuple[bytes]]:
        if not note_contained(self._id):
            raise SerializationError(
                "an ObjectRef can only travel inside arguments, return values and shoal.put(): "
                "pickled by hand, nobody would keep its object alive"
            )
        return _rebuild, (self._id,)

    def __copy__(self) -> ObjectRef[T]:
        return self

    def __deepcopy__(self, memo: object) -> ObjectRef[T]:
        return self

    # waiting without blocking

    def future(self) -> concurrent.futures.Future[T]:
        """A `concurrent.futures.Future` of the value; cancelling it does not cancel the task."""
        import concurrent.futures

        future: concurrent.futures.Future[T] = concurrent.futures.Future()
        kept = self  # the value is to come though nobody else holds the ref

        def settle() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(kept._engine.get([kept._id], 0.0)[0])
            except BaseException as error:
                future.set_exception(error)

        self._engine.when_ready(self._id, settle)
        return future

    def as_future(self) -> asyncio.Future[T]:
        import asyncio

        return asyncio.wrap_future(self.future())

    def __await__(self) -> Generator[Any, None, T]:
        return self._wait().__await__()

    async def _wait(self) -> T:
        import asyncio

        future = self.future()
        # Jupyter's interrupt does not wake an event loop: the tick lets it through.
        while not future.done():
            await asyncio.sleep(0.02)
        return future.result()


def _rebuild(object_id: bytes) -> ObjectRef[Any]:
    engine = current.engine()
    engine.counts.add(object_id)
    return ObjectRef._made(object_id, engine)
