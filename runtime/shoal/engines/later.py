"""A thread for what must not be done by the one that reads the socket: callbacks of futures, which may wait."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable


class Later:
    """Calls one after the other; the thread starts with the first."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def __call__(self, call: Callable[[], None]) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="shoal-futures", daemon=True)
                self._thread.start()
        self._calls.put(call)

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
            del call  # what it holds is not kept until the next comes

    def close(self) -> None:
        self._calls.put(None)
