"""How many items of a stream its consumer has taken, in the worker that makes them: who is too far ahead waits."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable


class Backpressure:
    """`wait(ready)` waits in this thread until `ready()`, reading messages meanwhile."""

    def __init__(self, wait: Callable[[Callable[[], bool]], object]) -> None:
        self._wait = wait
        self._lock = threading.Lock()
        self._taken: dict[bytes, int] = {}
        self._wakers: dict[bytes, Callable[[], object]] = {}

    def open(self, task: bytes) -> None:
        self._taken[task] = 0

    def close(self, task: bytes) -> None:
        """From now on it never waits."""
        with self._lock:
            self._taken.pop(task, None)
            wake = self._wakers.pop(task, None)
        if wake is not None:
            wake()

    def taken(self, task: bytes, count: int) -> None:
        """So many items have been taken, in all. A message of the hub's."""
        with self._lock:
            if task in self._taken:
                self._taken[task] = max(count, self._taken[task])
            wake = self._wakers.pop(task, None)
        if wake is not None:
            wake()

    def _goes_on(self, task: bytes, made: int, ahead: int) -> bool:
        return made - self._taken.get(task, made) < ahead

    def wait(self, task: bytes, made: int, ahead: int) -> None:
        """Until fewer than `ahead` of the `made` items are untaken."""
        if not self._goes_on(task, made, ahead):
            self._wait(lambda: self._goes_on(task, made, ahead))

    async def wait_async(self, task: bytes, made: int, ahead: int) -> None:
        import asyncio

        loop = asyncio.get_running_loop()
        woken = asyncio.Event()
        while True:
            woken.clear()
            with self._lock:
                if self._goes_on(task, made, ahead):
                    return
                self._wakers[task] = functools.partial(loop.call_soon_threadsafe, woken.set)
            await woken.wait()
