"""`Queue`: first in, first out, between tasks, actors and drivers; it lives in an actor of its own."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Iterable
from typing import Any

from shoal import api
from shoal.exceptions import ActorDiedError, ShoalTypeError, ShoalValueError

WAITING = 1_000_000
"""Calls that may wait in a queue: the one that ends their waiting must never be held back by their number."""


class Empty(queue.Empty):
    """There is nothing in the queue, or not enough of it."""


class Full(queue.Full):
    """There is no room in the queue, or not enough of it."""


class Queue:
    """A queue that can be passed to tasks and actors, with `queue.Queue`'s methods and asynchronous ones.

    Args: `maxsize` items at most (0: no bound); `actor_options` for the actor behind it: `{"num_cpus": 1}`.

    Follows https://docs.ray.io/en/latest/ray-core/api/doc/ray.util.queue.Queue.html
    """

    def __init__(self, maxsize: int = 0, actor_options: dict[str, Any] | None = None) -> None:
        self.maxsize = maxsize
        options = {"max_concurrency": WAITING, **(actor_options or {})}
        self.actor: Any = api.remote(_QueueActor).options(**options).remote(maxsize)

    def __len__(self) -> int:
        return self.qsize()

    def qsize(self) -> int:
        """How many items there are."""
        size: int = api.get(self._live.qsize.remote())
        return size

    def size(self) -> int:
        """How many items there are."""
        return self.qsize()

    def empty(self) -> bool:
        """Whether there is nothing in it now."""
        return self.qsize() == 0

    def full(self) -> bool:
        """Whether there is no room now."""
        return 0 < self.maxsize <= self.qsize()

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Add an item; waits for room, `timeout` seconds at most. Raises Full, at once where not `block`."""
        _put(api.get(self._live.put.remote(item, _patience(block, timeout))))

    async def put_async(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """`put`, awaited."""
        _put(await self._live.put.remote(item, _patience(block, timeout)))

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Take the oldest item; waits for one, `timeout` seconds at most. Raises Empty, at once where not `block`."""
        return _got(api.get(self._live.get.remote(_patience(block, timeout))))

    async def get_async(self, block: bool = True, timeout: float | None = None) -> Any:
        """`get`, awaited."""
        return _got(await self._live.get.remote(_patience(block, timeout)))

    def put_nowait(self, item: Any) -> None:
        """Add an item; raises Full where there is no room."""
        self.put(item, block=False)

    def get_nowait(self) -> Any:
        """Take the oldest item; raises Empty where there is none."""
        return self.get(block=False)

    def put_nowait_batch(self, items: Iterable[Any]) -> None:
        """Add several items in their order; raises Full, and adds none, where there is no room for all."""
        if not isinstance(items, Iterable):
            raise ShoalTypeError(f"put_nowait_batch() takes an iterable of items, not {type(items).__name__}")
        items = list(items)
        if (there := api.get(self._live.put_batch.remote(items))) is not None:
            raise Full(f"no room for {len(items)} items: there are {there} of {self.maxsize}")

    def get_nowait_batch(self, num_items: int) -> list[Any]:
        """Take several items, oldest first; raises Empty, and takes none, where there are fewer."""
        if not isinstance(num_items, int):
            raise ShoalTypeError(f"num_items is a whole number, not {num_items!r}")
        if num_items < 0:
            raise ShoalValueError(f"num_items={num_items} is below zero")
        taken, found = api.get(self._live.get_batch.remote(num_items))
        if not taken:
            raise Empty(f"{num_items} items asked for, {found} there")
        items: list[Any] = found
        return items

    def shutdown(self, force: bool = False, grace_period_s: float = 5) -> None:
        """End the actor behind it; who waits in `put` or `get` gets ActorDiedError.

        What was asked before is done first, for `grace_period_s` seconds at most; with `force` it is not.
        """
        actor, self.actor = self.actor, None
        if actor is None:
            return
        if not force:
            api.wait([actor.qsize.remote()], timeout=grace_period_s)
        api.kill(actor)

    @property
    def _live(self) -> Any:
        if self.actor is None:
            raise ActorDiedError("the queue was shut down: make another")
        return self.actor

    def __repr__(self) -> str:
        return f"<Queue maxsize={self.maxsize} {'shut down' if self.actor is None else self.actor!r}>"


def _patience(block: bool, timeout: float | None) -> float | None:
    if not block:
        return 0
    if timeout is not None and timeout < 0:
        raise ShoalValueError(f"timeout={timeout} is below zero")
    return timeout


def _put(done: bool) -> None:
    if not done:
        raise Full("the queue is full")


def _got(found: tuple[bool, Any]) -> Any:
    taken, item = found
    if not taken:
        raise Empty("the queue is empty")
    return item


class _QueueActor:
    """Answers instead of raising: being full is no error of a task."""

    def __init__(self, maxsize: int) -> None:
        self.queue: asyncio.Queue[Any] = asyncio.Queue(maxsize)

    def qsize(self) -> int:
        return self.queue.qsize()

    async def put(self, item: Any, timeout: float | None) -> bool:
        try:
            async with asyncio.timeout(timeout):  # unlike wait_for it loses no item
                await self.queue.put(item)
        except TimeoutError:
            return False
        return True

    async def get(self, timeout: float | None) -> tuple[bool, Any]:
        try:
            async with asyncio.timeout(timeout):
                return True, await self.queue.get()
        except TimeoutError:
            return False, None

    def put_batch(self, items: list[Any]) -> int | None:
        there = self.queue.qsize()
        if self.queue.maxsize > 0 and there + len(items) > self.queue.maxsize:
            return there
        for item in items:
            self.queue.put_nowait(item)
        return None

    def get_batch(self, count: int) -> tuple[bool, Any]:
        there = self.queue.qsize()
        if count > there:
            return False, there
        return True, [self.queue.get_nowait() for _ in range(count)]
