"""A task's values one by one: what `.remote()` of a generator function returns, and this process's end of a stream.

The items' ids are known before the items are: the one after the last read is what `next`, `wait` and `await` wait for.
An item that arrives is kept until it is read or the generator is dropped; behind the last comes an end mark.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from shoal.exceptions import ShoalTypeError
from shoal.refs import ObjectRef, ready_async

if TYPE_CHECKING:
    from shoal.engines.base import Engine


class Stream(Protocol):
    """An engine's side of a stream; nothing here waits."""

    def next_id(self) -> bytes:
        """The id of the next item, or of the end mark."""

    def ended(self) -> bool:
        """Whether the end mark is next."""

    def take(self) -> ObjectRef[Any]:
        """The next item, which is ready."""

    def drop(self) -> None:
        """Nobody will read on. Called by finalisers: it must not wait or lock."""


class ObjectRefGenerator:
    """The refs of what a generator task yields, as they come; `for ref in gen` and `async for ref in gen`.

    An error of the task is the last ref. Dropping the generator frees what was not read. Follows
    https://docs.ray.io/en/latest/ray-core/ray-generator.html
    """

    __module__ = "shoal"

    def __init__(self, ref: ObjectRef[Any], engine: Engine, stream: Stream) -> None:
        self._ref = ref
        self._engine = engine
        self._stream = stream

    def __iter__(self) -> ObjectRefGenerator:
        return self

    def __next__(self) -> ObjectRef[Any]:
        """Wait for the next item; returns its ref."""
        self._engine.wait([self._stream.next_id()], 1, None)
        if self._stream.ended():
            raise StopIteration
        return self._stream.take()

    def __aiter__(self) -> ObjectRefGenerator:
        return self

    async def __anext__(self) -> ObjectRef[Any]:
        await ready_async(self._engine, self._stream.next_id())
        if self._stream.ended():
            raise StopAsyncIteration
        return self._stream.take()

    def awaits(self) -> bytes:
        """The id of what the next step waits for."""
        return self._stream.next_id()

    def completed(self) -> ObjectRef[None]:
        """A ref that is ready when the task is over; `get` of it raises what ended the task."""
        return self._ref

    @property
    def _generator_ref(self) -> ObjectRef[None]:
        """Older name of `completed()`."""
        return self._ref

    def next_ready(self) -> bool:
        """Whether there is a next item already. Returns at once."""
        return bool(self._engine.wait([self._stream.next_id()], 1, 0)) and not self._stream.ended()

    def is_finished(self) -> bool:
        """Whether all items have been read and there will be no more. Returns at once."""
        return bool(self._engine.wait([self._stream.next_id()], 1, 0)) and self._stream.ended()

    def task_id(self) -> bytes:
        return self._ref.task_id()

    def __del__(self) -> None:
        try:
            self._stream.drop()
        except AttributeError:  # never came to be
            pass

    def __repr__(self) -> str:
        return f"ObjectRefGenerator({self._ref.hex()})"

    def __reduce__(self) -> NoReturn:
        raise ShoalTypeError(
            "a generator of refs cannot be passed to a task or returned from one: pass the refs, as list(gen)"
        )


class DynamicObjectRefGenerator:
    """The refs of what a generator task with num_returns="dynamic" has yielded: iterating takes them out."""

    __module__ = "shoal"

    def __init__(self, refs: Iterable[ObjectRef[Any]]) -> None:
        self._refs = deque(refs)

    def __iter__(self) -> Iterator[ObjectRef[Any]]:
        while self._refs:
            yield self._refs.popleft()

    def __len__(self) -> int:
        return len(self._refs)
