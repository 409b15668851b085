"""Which of its calls a worker has begun: kept in memory that it shares with the hub, so that its death can be judged.

The hub numbers what it sends to a worker. Where calls run one by one they begin in that order, and the last one's
number says it all; those that run at once have a place each while they run.
"""

from __future__ import annotations

import mmap
import os
import struct

SIZE = 4 * mmap.PAGESIZE
_LAST = struct.Struct("<QQ")
"""The number begun last; how many run for which there was no place."""
_PLACE = struct.Struct("<Q")
PLACES = (SIZE - _LAST.size) // _PLACE.size


def new_page() -> int:
    """A descriptor of such memory."""
    fd = os.memfd_create("shoal-begun", os.MFD_CLOEXEC)
    os.ftruncate(fd, SIZE)
    return fd


class Begun:
    """The worker's side. `fd` is not needed any more afterwards."""

    def __init__(self, fd: int) -> None:
        self._page = mmap.mmap(fd, SIZE)
        self._last = self._more = 0
        self._free = list(range(PLACES))
        self._places: dict[int, int] = {}

    def begin(self, number: int) -> None:
        """One of those that run one by one."""
        self._last = number
        self._write()

    def open(self, number: int) -> None:
        """One that runs beside others; a lock is held."""
        if self._free:
            place = self._places[number] = self._free.pop()
            _PLACE.pack_into(self._page, _LAST.size + place * _PLACE.size, number)
        else:
            self._more += 1
            self._write()

    def close(self, number: int) -> None:
        """Its end has been sent; a lock is held."""
        place = self._places.pop(number, None)
        if place is not None:
            _PLACE.pack_into(self._page, _LAST.size + place * _PLACE.size, 0)
            self._free.append(place)
        else:
            self._more -= 1
            self._write()

    def _write(self) -> None:
        _LAST.pack_into(self._page, 0, self._last, self._more)


class BegunOf:
    """The hub's side: what a dead worker had begun."""

    def __init__(self, fd: int) -> None:
        with mmap.mmap(fd, SIZE, prot=mmap.PROT_READ) as page:
            self._last, self._more = _LAST.unpack_from(page)
            places = struct.unpack_from(f"<{PLACES}Q", page, _LAST.size)
        self._open = frozenset(places) - {0}

    def __contains__(self, number: object) -> bool:
        return self._more > 0 or number in self._open or (isinstance(number, int) and number <= self._last)
