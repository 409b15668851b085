"""Objects in shared memory: large values are written once and read by every process without a copy.

Each process writes into segments of its own, so a put asks nobody; only new memory has to be granted by the hub, which
keeps an open descriptor of each segment. A freed block goes back to its segment and is used again with its pages
already faulted in.

A stored value's place is told by a tuple ``("s", segment, start, table, stream)``: `table` lists the (offset, length)
of the buffers from `start`; where the pickle stream is large as well, `stream` is None and the last entry is it.
"""

from __future__ import annotations

import mmap
import os
import threading
import weakref
from collections.abc import Callable
from typing import Any, Protocol

from shoal import shm
from shoal.allocator import ALIGN, Allocator
from shoal.exceptions import ObjectStoreFullError
from shoal.serial import Packed, unpack

LARGE = 100_000
"""Bytes from which a value goes to shared memory instead of a message."""
GRANT = 32 << 20
"""Bytes of memory asked for at a time, at least."""
FRESH = 1 << 20
"""Bytes of new memory that are not worth a question to the hub, while they are granted already."""
PAGE = mmap.PAGESIZE

Place = tuple[Any, ...]


class Segments(Protocol):
    """The hub's side, as the store sees it."""

    def create(self, length: int) -> tuple[int, int]:
        """A new segment of at most `length` bytes of ours: its number and descriptor."""

    def grant(self, segment: int, size: int) -> str | None:
        """Ask for memory; None when granted, else why not."""

    def open(self, segment: int) -> int:
        """A descriptor of somebody's segment."""

    def capacity(self) -> int:
        """Bytes of the whole store."""


class _Own:
    """A segment that this process writes."""

    def __init__(self, number: int, fd: int, length: int) -> None:
        self.number = number
        self.fd = fd
        self.mapping = shm.Mapping(fd, mmap.ACCESS_WRITE)
        self.allocator = Allocator(length)
        self.granted = 0
        self.backed = 0


class Store:
    """This process's view of the object store."""

    def __init__(
        self,
        segments: Segments,
        hold: Callable[[bytes], None],
        drop: Callable[[bytes], None],
        reclaim: Callable[[], None],
    ) -> None:
        self._segments = segments
        self._reclaim = reclaim
        self._hold = hold
        self._drop = drop
        self._own: dict[int, _Own] = {}
        self._maps: dict[int, shm.Mapping] = {}
        self._fds: dict[int, int] = {}
        self._lock = threading.Lock()

    def put(self, packed: Packed) -> Place:
        """Write a value; raises ObjectStoreFullError where there is no room."""
        parts: list[Any] = list(packed.buffers)
        stream: bytes | None = packed.stream
        if len(packed.stream) >= LARGE:
            parts.append(packed.stream)
            stream = None
        table: list[tuple[int, int]] = []
        at = 0
        for part in parts:
            size = part.nbytes if isinstance(part, memoryview) else len(part)
            table.append((at, size))
            at += -(-size // ALIGN) * ALIGN
        own, start = self._reserve(max(at, 1))
        view = own.mapping.view(start, max(at, 1))
        for (offset, size), part in zip(table, parts, strict=True):
            if size:
                view[offset : offset + size] = memoryview(part).cast("B") if size else part
        view.release()
        return ("s", own.number, start, tuple(table), stream)

    def _reserve(self, size: int) -> tuple[_Own, int]:
        """A block with memory behind it. Faulting in new pages takes ten times as long as writing to used ones, so
        before that is done, what was dropped here and is not yet known to be free is asked for."""
        with self._lock:
            own, start = self._take(size)
            high = own.allocator.high
            if high - own.backed <= FRESH and high <= own.granted:
                self._back(own)
                return own, start
            own.allocator.undo()
        self._reclaim()
        with self._lock:
            own, start = self._take(size)
            self._back(own)
            return own, start

    def _take(self, size: int) -> tuple[_Own, int]:
        for own in self._own.values():
            start = own.allocator.take(size)
            if start is not None:
                return own, start
        capacity = self._segments.capacity()
        if size > capacity:
            raise ObjectStoreFullError(
                f"a value of {size / 2**20:,.0f} MiB is larger than the object store "
                f"({capacity / 2**20:,.0f} MiB): start with shoal.init(object_store_memory=…)"
            )
        number, fd = self._segments.create(capacity)
        own = self._own[number] = _Own(number, fd, capacity)
        start = own.allocator.take(size)
        assert start is not None, "a fresh segment has room for what fits the store"
        return own, start

    def _back(self, own: _Own) -> None:
        """Have memory behind all that was ever taken; undo the last block where there is none."""
        high = -(-own.allocator.high // PAGE) * PAGE
        if high <= own.backed:
            return
        if high > own.granted:
            wanted = max(high - own.granted, GRANT)
            refusal = self._segments.grant(own.number, wanted)
            if refusal is not None and wanted > high - own.granted:
                wanted = high - own.granted
                refusal = self._segments.grant(own.number, wanted)
            if refusal is not None:
                own.allocator.undo()
                raise ObjectStoreFullError(refusal)
            own.granted += wanted
        try:
            shm.reserve(own.fd, own.backed, high - own.backed)
        except OSError as error:
            own.allocator.undo()
            raise ObjectStoreFullError(f"this machine has no memory left for shared objects: {error}") from None
        own.backed = high

    def free(self, segment: int, start: int) -> None:
        """A block of ours that nobody reads any more."""
        with self._lock:
            own = self._own.get(segment)
            if own is not None:
                own.allocator.give(start)

    def load(self, object_id: bytes, place: Place, writable: bool = False) -> Any:
        """The value, its buffers views of shared memory: read-only, or copy-on-write where `writable`.

        The object is held until the last view of it is gone, wherever that came to be.
        """
        _, segment, start, table, stream = place
        export = self._private(segment, start, table) if writable else self._mapping(segment).exporter
        buffers: list[Any] = []
        for offset, size in table:
            if not size:
                buffers.append(b"")
                continue
            exporter = export(start + offset, size)
            self._hold(object_id)
            weakref.finalize(exporter, self._drop, object_id).atexit = False
            buffers.append(exporter)
        if stream is None:
            stream = memoryview(buffers.pop())
        return unpack(stream, buffers)

    def _private(
        self, segment: int, start: int, table: tuple[tuple[int, int], ...]
    ) -> Callable[[int, int], Any]:
        """Exports from a copy-on-write map of just this block: pages nobody writes are never copied.

        It needs the object as much as a read-only view does: pages not yet written show the block itself.
        """
        import numpy

        first = start // PAGE * PAGE
        end = start + max((offset + size for offset, size in table), default=1)
        private = mmap.mmap(self._fd(segment), end - first, access=mmap.ACCESS_COPY, offset=first)
        return lambda at, size: numpy.frombuffer(private, numpy.uint8, size, at - first)

    def _fd(self, segment: int) -> int:
        own = self._own.get(segment)
        if own is not None:
            return own.fd
        if segment not in self._fds:
            self._fds[segment] = self._segments.open(segment)
        return self._fds[segment]

    def _mapping(self, segment: int) -> shm.Mapping:
        with self._lock:
            if segment not in self._maps:
                self._maps[segment] = shm.Mapping(self._fd(segment), mmap.ACCESS_READ)
            return self._maps[segment]

    def forget(self, segment: int) -> None:
        """The segment is gone from the hub: its memory goes with the last view of it."""
        with self._lock:
            mapping = self._maps.pop(segment, None)
            fd = self._fds.pop(segment, None)
        if mapping is not None:
            mapping.close()
        if fd is not None:
            os.close(fd)

    def close(self) -> None:
        with self._lock:
            for own in self._own.values():
                own.mapping.close()
                os.close(own.fd)
            for mapping in self._maps.values():
                mapping.close()
            for fd in self._fds.values():
                os.close(fd)
            self._own.clear()
            self._maps.clear()
            self._fds.clear()
