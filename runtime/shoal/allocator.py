"""Which part of a segment is taken: first fit from the low end, neighbours merged. Pure: only numbers."""

from __future__ import annotations

from bisect import bisect_left, insort

ALIGN = 64
"""Blocks begin at multiples of a cache line, which is also what Arrow and NumPy like."""


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
        self.high = 0
        """Bytes from the start that were ever taken: what has to be backed by memory."""
        self._free: list[tuple[int, int]] = [(0, capacity)]
        self._taken: dict[int, int] = {}
        self._last = (0, 0)

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
                self._last = (start, self.high)
                self.used += size
                self.high = max(self.high, start + size)
                return start
        return None

    def undo(self) -> None:
        """Give back the block taken last, as if it had never been taken."""
        start, high = self._last
        self.give(start)
        self.high = high

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
