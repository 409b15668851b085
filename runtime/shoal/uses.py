"""Which objects this process looks at: while it does, their memory stays where it is."""

from __future__ import annotations

import collections
import contextlib
import threading
from collections.abc import Callable, Iterator


class Uses:
    """Counts by object id. `drop` may run in a finaliser, inside any lock: it only appends to a deque."""

    def __init__(self) -> None:
        self._counts: dict[bytes, int] = {}
        self._lock = threading.Lock()
        self._dropped: collections.deque[bytes] = collections.deque()
        self.drop = self._dropped.append

    def add(self, object_id: bytes) -> None:
        with self._lock:
            self._settle()
            self._counts[object_id] = self._counts.get(object_id, 0) + 1

    @contextlib.contextmanager
    def during(self, object_id: bytes) -> Iterator[None]:
        self.add(object_id)
        try:
            yield
        finally:
            self.drop(object_id)

    def unless_used(self, object_id: bytes, do: Callable[[], None]) -> bool:
        """Do something while nobody can begin to use the object; False where somebody does already."""
        with self._lock:
            self._settle()
            if object_id in self._counts:
                return False
            do()
            return True

    def _settle(self) -> None:
        dropped = self._dropped
        while dropped:
            object_id = dropped.popleft()
            count = self._counts[object_id] - 1
            if count:
                self._counts[object_id] = count
            else:
                del self._counts[object_id]
