"""The calls that run in a worker now: which of them wait for others, and which somebody has cancelled.

While all of them wait (in `get`, `wait`, `await`), the worker's CPU is given to others.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager


class Calls:
    """`given(back)` tells the hub that the CPU is given back, or wanted again.

    Invariant: the CPU is given back just when there are calls and each has a thread or coroutine that waits.
    """

    def __init__(
        self,
        current: Callable[[], bytes | None],
        given: Callable[[bool], None],
        shield: AbstractContextManager[None],
        lock: threading.RLock,
    ) -> None:
        self._current = current
        self._given = given
        self._shield = shield
        self._lock = lock  # the worker's: what is told under it takes that one too
        self._waits: dict[bytes, int] = {}
        self._waiting = 0
        self._idle = False
        self._cancelled: set[bytes] = set()
        self._awaited: list[Callable[[], bool]] = []

    def begin(self, task: bytes) -> None:
        with self._lock:
            self._waits[task] = 0
            if self._idle:
                self._tell()

    def end(self, task: bytes) -> None:
        with self._lock:
            self._cancelled.discard(task)
            if self._waits.pop(task, 0):  # a thread that waits longer than its call runs counts no more
                self._waiting -= 1
            if self._waiting or self._idle:
                self._tell()

    def cancel(self, task: bytes) -> None:
        with self._lock:
            if task in self._waits:
                self._cancelled.add(task)

    def is_cancelled(self, task: bytes) -> bool:
        return task in self._cancelled

    @contextlib.contextmanager
    def blocking(self, ready: Callable[[], bool]) -> Iterator[None]:
        """Around a wait inside a call; `ready` says whether it is over."""
        task = self._current()
        with self._lock:
            self._awaited.append(ready)
        counted = task is not None and self._change(task, 1)
        try:
            yield
        finally:
            with self._lock:
                self._awaited.remove(ready)
            if counted and task is not None:
                self._change(task, -1)

    def are_stuck(self) -> bool:
        """Whether whoever waits here still has to."""
        with self._lock:
            return bool(self._awaited) and not any(ready() for ready in self._awaited)

    def _change(self, task: bytes, by: int) -> bool:
        with self._shield, self._lock:
            before = self._waits.get(task)
            if before is None:
                return False
            self._waits[task] = before + by
            if before == 0 or before + by == 0:
                self._waiting += by
                self._tell()
            return True

    def _tell(self) -> None:
        idle = 0 < len(self._waits) == self._waiting
        if idle != self._idle:
            self._idle = idle
            self._given(idle)


