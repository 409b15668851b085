"""Answers that a worker has given and not sent yet, in memory that it shares with the client of a lane.

So they can gather while more calls wait, and none is lost with a worker that dies meanwhile: the client takes what it
has not received by the socket from here.

The memory's numbers count bytes of the stream of answers from its first: SENT of them are in the socket, WRITTEN of
them are there or lie here. Each is written by a single store, so that a process which is killed leaves them whole.
"""

from __future__ import annotations

import mmap

SENT, WRITTEN = range(2)
_HEADER = 16


class Answers:
    """The worker's side; not for two threads at once."""

    def __init__(self, memory: mmap.mmap, offset: int) -> None:
        self._area = memoryview(memory)[offset + _HEADER :]
        self._numbers = memoryview(memory)[offset : offset + _HEADER].cast("Q")
        self._length = 0
        self._total = 0

    def add(self, frame: bytes) -> bool:
        """Keep it here; False when there is no room."""
        start = self._length
        end = start + len(frame)
        if end > len(self._area):
            return False
        self._area[start:end] = frame
        self._length = end
        self._total += len(frame)
        self._numbers[WRITTEN] = self._total
        return True

    def unsent(self) -> memoryview:
        return self._area[: self._length]

    def sent(self, further: int = 0) -> None:
        """All that was here is in the socket, and so many bytes that were not here, behind it."""
        self._total += further
        self._numbers[WRITTEN] = self._total
        self._numbers[SENT] = self._total
        self._length = 0

    def close(self) -> None:
        self._area.release()
        self._numbers.release()


def left_over(memory: mmap.mmap, offset: int, received: int) -> bytes:
    """The client's side, after the worker's death: what follows the bytes that came by the socket."""
    with memoryview(memory) as whole, whole[offset : offset + _HEADER] as header, header.cast("Q") as numbers:
        sent, written = numbers[SENT], numbers[WRITTEN]
        if not sent <= received <= written:  # it was killed while it sent a frame that had no room here
            return b""
        start = offset + _HEADER - sent
        return bytes(whole[start + received : start + written])
