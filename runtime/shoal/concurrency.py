"""An actor that runs several calls at once: groups of threads, or of coroutines on an event loop each.

Each group has its own limit and its own order: calls start in the order of their arrival. A group that is blocked
blocks no other.
"""

from __future__ import annotations

import asyncio
import collections
import functools
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from shoal.runs import Concurrency, Run


class Group(Protocol):
    def submit(self, run: Run) -> None: ...

    def cancel(self, task: bytes) -> None: ...


class ThreadGroup:
    """At most `limit` threads, which stay: their thread-locals do."""

    def __init__(
        self, name: str, limit: int, execute: Callable[[Run], None], heard: Callable[[bytes], None]
    ) -> None:
        self._execute = execute
        self._heard = heard
        self._pool = ThreadPoolExecutor(limit, f"shoal-{name or 'calls'}")

    def submit(self, run: Run) -> None:
        self._pool.submit(self._execute, run)

    def cancel(self, task: bytes) -> None:
        """A thread cannot be interrupted: that it was cancelled is told by `is_cancelled`, and to the caller."""
        self._heard(task)


class LoopGroup:
    """At most `limit` coroutines on one event loop in one thread."""

    def __init__(
        self,
        name: str,
        limit: int,
        execute: Callable[[Run], Coroutine[Any, Any, None]],
        heard: Callable[[bytes], None],
        left: Callable[[SystemExit], None],
    ) -> None:
        self._heard = heard
        self._left = left
        self.loop = asyncio.new_event_loop()
        self._limit = limit
        self._execute = execute
        self._waiting: collections.deque[Run] = collections.deque()
        self._running: dict[bytes, asyncio.Task[None]] = {}
        threading.Thread(target=self._run, name=f"shoal-{name or 'asyncio'}", daemon=True).start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        while True:
            try:
                self.loop.run_forever()
            except SystemExit as leaving:  # asyncio lets it out of the loop; whoever awaits the task has it as well
                self._left(leaving)
            else:
                return

    def submit(self, run: Run) -> None:
        self.loop.call_soon_threadsafe(self._arrived, run)

    def cancel(self, task: bytes) -> None:
        self.loop.call_soon_threadsafe(self._cancel, task)

    # on the loop

    def _arrived(self, run: Run) -> None:
        self._waiting.append(run)
        self._start()

    def _start(self) -> None:
        while self._waiting and len(self._running) < self._limit:
            run = self._waiting.popleft()
            call = self._running[run.task] = self.loop.create_task(self._execute(run))
            call.add_done_callback(functools.partial(self._done, run.task))

    def _done(self, task: bytes, call: asyncio.Task[None]) -> None:
        del self._running[task]
        self._start()

    def _cancel(self, task: bytes) -> None:
        call = self._running.get(task)
        if call is not None:
            self._heard(task)  # in this thread, which is between its coroutines: what they do from now on is later
            call.cancel()


class Groups:
    """All groups of the actor, by name.

    `heard(task)` is called when a call's code is told of its cancel, `left(exception)` when a task that a call's code
    has started ends in SystemExit.
    """

    def __init__(
        self,
        concurrency: Concurrency,
        execute: Callable[[Run], None],
        execute_async: Callable[[Run], Coroutine[Any, Any, None]],
        heard: Callable[[bytes], None],
        left: Callable[[SystemExit], None],
    ) -> None:
        self._groups: dict[str, Group] = {}
        for name, limit in concurrency.groups:
            if concurrency.asynchronous:
                self._groups[name] = LoopGroup(name, limit, execute_async, heard, left)
            else:
                self._groups[name] = ThreadGroup(name, limit, execute, heard)
        default = self._groups[""]
        if isinstance(default, LoopGroup):  # what the constructor makes for the loop is to find it
            asyncio.set_event_loop(default.loop)

    def has(self, name: str) -> bool:
        return name in self._groups

    def submit(self, name: str, run: Run) -> None:
        self._groups[name].submit(run)

    def cancel(self, task: bytes) -> None:
        """Cancel a call that has started, wherever it runs."""
        for group in self._groups.values():
            group.cancel(task)
