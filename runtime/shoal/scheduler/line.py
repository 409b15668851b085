"""The order in which tasks of one queue get their turn: first what blocked tasks wait for, and of it the deepest.

A task that waits keeps its process. First come, first served would open a tree of tasks level by level, with a process
for each node of it; this way a tree needs about as many processes as it has levels, times the CPUs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator


class Line:
    """Ids of tasks by depth, in the order of their coming within one. A task may stand in it twice.

    >>> line = Line()
    >>> for task, depth in ((b"a", 0), (b"b", 0), (b"c", 2), (b"d", 1), (b"e", 2)):
    ...     line.append(task, depth)
    >>> [line.popleft() for _ in range(len(line))]
    [b'c', b'e', b'd', b'a', b'b']
    """

    __slots__ = ("_rows", "_top")

    def __init__(self) -> None:
        self._rows: dict[int, deque[bytes]] = {}
        self._top: deque[bytes] = deque()
        """The row whose turn it is. Invariant: no row is empty."""

    def append(self, task: bytes, depth: int = 0) -> None:
        self._row(depth).append(task)

    def appendleft(self, task: bytes, depth: int = 0) -> None:
        self._row(depth).appendleft(task)

    def _row(self, depth: int) -> deque[bytes]:
        row = self._rows.get(depth)
        if row is None:
            row = self._rows[depth] = deque()
            self._top = self._rows[max(self._rows)]
        return row

    @property
    def head(self) -> bytes:
        return self._top[0]

    def popleft(self) -> bytes:
        task = self._top.popleft()
        if not self._top:
            del self._rows[max(self._rows)]
            if self._rows:
                self._top = self._rows[max(self._rows)]
        return task

    def __bool__(self) -> bool:
        return bool(self._rows)

    def __len__(self) -> int:
        return sum(map(len, self._rows.values()))

    def __iter__(self) -> Iterator[bytes]:
        for depth in sorted(self._rows, reverse=True):
            yield from self._rows[depth]
