"""Which part of a segment is taken, and which has memory behind it. Pure: only numbers."""

from __future__ import annotations

from bisect import bisect_left, insort

ALIGN = 64
"""Blocks begin at multiples of a cache line, which is also what Arrow and NumPy like."""

Range = tuple[int, int]
"""From a first byte to the one behind the last."""


class Allocator:
    """Blocks of a space of `capacity` bytes.

    Invariant: free ranges are sorted, never touch or overlap, and together with the taken blocks cover the space.
    First fit from the low end keeps the used part dense, so that recycled blocks have their pages faulted in.

    >>> a = Allocator(1024)
    >>> a.take(100), a.take(64), a.take(2000)
    (0, 128, None)
    >>> a.give(0), a.take(128)
    (128, 0)
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.used = 0
        self._free: list[tuple[int, int]] = [(0, capacity)]
        self._taken: dict[int, int] = {}

    def take(self, size: int) -> int | None:
        """The offset of a new block of at least `size` bytes, or None where no free range is large enough."""
        size = max(ALIGN, -(-size // ALIGN) * ALIGN)
        for i, (start, length) in enumerate(self._free):
            if length >= size:
                if length == size:
                    del self._free[i]
                else:
                    self._free[i] = (start + size, length - size)
                self._taken[start] = size
                self.used += size
                return start
        return None

    def give(self, start: int) -> int:
        """Free the block that begins at `start`; returns its size. KeyError where there is none."""
        size = self._taken.pop(start)
        self.used -= size
        i = bisect_left(self._free, (start, 0))
        end = start + size
        if i < len(self._free) and self._free[i][0] == end:
            end += self._free.pop(i)[1]
        if i > 0 and sum(self._free[i - 1]) == start:
            start = self._free.pop(i - 1)[0]
        insort(self._free, (start, end - start))
        return size

    def free(self) -> list[Range]:
        """The free ranges, in order."""
        return [(start, start + length) for start, length in self._free]


class Backing:
    """The pages of a segment that have memory behind them.

    Invariant: the ranges begin and end at pages, are sorted, and never touch or overlap.

    >>> b = Backing(4096)
    >>> b.missing(0, 5000)
    [(0, 8192)]
    >>> b.add(0, 8192); b.missing(4096, 20_000)
    [(8192, 20480)]
    >>> b.spare([(100, 8192)])
    [(4096, 8192)]
    """

    def __init__(self, page: int) -> None:
        self.page = page
        self.size = 0
        self._ranges: list[Range] = []

    def missing(self, start: int, end: int) -> list[Range]:
        """What of these bytes has no memory yet, in whole pages."""
        start, end = start // self.page * self.page, -(-end // self.page) * self.page
        found = []
        for first, last in self._ranges:
            if last <= start:
                continue
            if first >= end:
                break
            if first > start:
                found.append((start, first))
            start = max(start, last)
        if start < end:
            found.append((start, end))
        return found

    def add(self, start: int, end: int) -> None:
        """These pages have memory from now on."""
        self.remove(start, end)
        self.size += end - start
        i = bisect_left(self._ranges, (start, end))
        if i < len(self._ranges) and self._ranges[i][0] == end:
            end = self._ranges.pop(i)[1]
        if i > 0 and self._ranges[i - 1][1] == start:
            start = self._ranges.pop(i - 1)[0]
        insort(self._ranges, (start, end))

    def remove(self, start: int, end: int) -> None:
        """These pages have none any more."""
        kept: list[Range] = []
        for first, last in self._ranges:
            if last <= start or first >= end:
                kept.append((first, last))
                continue
            self.size -= min(last, end) - max(first, start)
            if first < start:
                kept.append((first, start))
            if last > end:
                kept.append((end, last))
        self._ranges = kept

    def spare(self, free: list[Range]) -> list[Range]:
        """The pages that lie in free ranges entirely and have memory."""
        found = []
        for start, end in free:
            start, end = -(-start // self.page) * self.page, end // self.page * self.page
            for first, last in self._ranges:
                first, last = max(first, start), min(last, end)
                if first < last:
                    found.append((first, last))
        return found
