"""Who waits for refs that have no thread of their own: the executor's and the pool's futures.

The engine tells of a ready object in the thread that reads its socket, where nothing may wait. So what is to be done
with it is done here, in a thread that lives as long as there is something to wait for, and a moment longer.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from shoal import current
from shoal.refs import ObjectRef

LINGER = 1.0
"""Seconds an idle thread stays for the next ref; also how often a dead cluster is looked for."""

Call = Callable[[ObjectRef[Any]], None]


class Completions:
    """Calls back for each watched ref when it is ready, failed, or lost with its cluster; one at a time."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._ready: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._watched: dict[int, tuple[ObjectRef[Any], Call]] = {}
        self._count = 0
        self._thread: threading.Thread | None = None

    def watch(self, ref: ObjectRef[Any], call: Call) -> None:
        """Have `call(ref)` made once there is a value or an error to get."""
        with self._lock:
            self._count += 1
            number = self._count
            self._watched[number] = (ref, call)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
        engine = ref._engine
        if engine.alive:
            engine.when_ready(ref.binary(), lambda: self._ready.put(number))
        else:
            self._ready.put(number)

    def refs(self) -> list[ObjectRef[Any]]:
        """Those that are not ready yet."""
        with self._lock:
            return [ref for ref, _ in self._watched.values()]

    def close(self) -> None:
        """Let the thread end as soon as nothing is watched, without lingering."""
        self._ready.put(None)
        with self._lock:
            thread = self._thread if not self._watched else None
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _run(self) -> None:
        idle_since = 0.0
        closing = False
        while True:
            try:
                number = self._next()
                closing = closing or number is None
                numbers = [] if number is None else [number]
            except queue.Empty:
                numbers = self._lost()
            for number in numbers:
                self._settle(number)
            if numbers:
                idle_since = 0.0
                continue
            with self._lock:
                now = time.monotonic()
                if not self._watched:
                    idle_since = idle_since or now
                    if closing or now - idle_since >= LINGER:
                        self._thread = None
                        return

    def _next(self) -> int | None:
        """The number of a ref that is ready. While some are not, a task that waits for them needs no CPU."""
        engine = current.peek()
        with contextlib.suppress(queue.Empty):
            return self._ready.get_nowait()
        if not self._watched or engine is None:
            return self._ready.get(timeout=LINGER)
        with engine.blocking(lambda: not self._ready.empty()):
            return self._ready.get(timeout=LINGER)

    def _settle(self, number: int) -> None:
        with self._lock:
            found = self._watched.pop(number, None)
        if found is not None:
            ref, call = found
            call(ref)

    def _lost(self) -> list[int]:
        """Those whose cluster has gone: no message will come for them."""
        with self._lock:
            return [n for n, (ref, _) in self._watched.items() if not ref._engine.alive]
