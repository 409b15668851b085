"""How many refs this process holds to each object; the hub is told only of the first and of the last."""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable


class RefCounts:
    """Counts by object id.

    `drop` may run in a finaliser, inside any lock: it only appends to a deque; `settle` does the rest later.
    """

    def __init__(self, first: Callable[[bytes], None], last: Callable[[bytes], None]) -> None:
        self._first = first
        self._last = last
        self._counts: dict[bytes, int] = {}
        self._pinned: set[bytes] = set()
        self._lock = threading.Lock()
        self._dropped: collections.deque[bytes] = collections.deque()
        self.drop = self._dropped.append

    def __len__(self) -> int:
        return len(self._counts)

    def __contains__(self, object_id: bytes) -> bool:
        return object_id in self._counts

    def has_dropped(self) -> bool:
        return bool(self._dropped)

    def add_made(self, object_id: bytes) -> None:
        """The first ref to an object made just now: nobody else can count it yet, so this needs no lock."""
        self._counts[object_id] = 1

    def add_new(self, object_id: bytes) -> None:
        """A ref to an object made here, which the hub takes as held already."""
        with self._lock:
            self._counts[object_id] = self._counts.get(object_id, 0) + 1

    def add(self, object_id: bytes) -> None:
        with self._lock:
            count = self._counts.get(object_id, 0)
            self._counts[object_id] = count + 1
            if not count:
                self._first(object_id)

    def pin(self, object_id: bytes) -> None:
        """Count one ref for good."""
        if object_id not in self._pinned:
            self._pinned.add(object_id)
            self.add(object_id)

    def settle(self) -> None:
        """Work off what finalisers dropped."""
        dropped = self._dropped
        if not dropped:
            return
        with self._lock:
            while dropped:
                object_id = dropped.popleft()
                count = self._counts.get(object_id, 0) - 1
                if count > 0:
                    self._counts[object_id] = count
                elif count == 0:
                    del self._counts[object_id]
                    self._last(object_id)
