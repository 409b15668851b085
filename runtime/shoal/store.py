"""Objects in shared memory: large values are written once and read by every process without a copy.

Each process writes into segments of its own, so a put asks nobody; only new memory has to be granted by the hub, which
keeps an open descriptor of each segment. A freed block goes back to its segment and is used again with its pages
already faulted in.

A stored value's place is told by a tuple ``("s", segment, start, table, stream)``: `table` lists the (offset, length)
of the buffers from `start`; where the pickle stream is large as well, `stream` is None and the last entry is it. One on
disk lies at ``("d", path, table, stream)`` (see `spill`).
"""

from __future__ import annotations

import mmap
import os
import threading
import weakref
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from shoal import shm, spill
from shoal.allocator import ALIGN, Allocator, Backing, Range
from shoal.exceptions import ObjectStoreFullError
from shoal.serial import Packed, unpack
from shoal.uses import Uses

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
        self.backing = Backing(PAGE)
        self.granted = 0


def _exporter(mapped: mmap.mmap, base: int) -> Callable[[int, int], Any]:
    import numpy

    return lambda at, size: numpy.frombuffer(mapped, numpy.uint8, size, base + at)


def _total(ranges: list[Range]) -> int:
    return sum(last - first for first, last in ranges)


class _NoRoom(Exception):
    """The hub grants no memory for a block."""


class Store:
    """This process's view of the object store.

    `make_room(size)` has the hub find memory for one of us, and returns None, or else the file that takes the value's
    place; `spare(pages)` tells it of memory that this process does without.
    """

    def __init__(
        self,
        segments: Segments,
        hold: Callable[[bytes], None],
        drop: Callable[[bytes], None],
        reclaim: Callable[[], None],
        make_room: Callable[[int], str | None],
        spare: Callable[[tuple[tuple[int, int], ...]], None],
    ) -> None:
        self._segments = segments
        self._reclaim = reclaim
        self._make_room = make_room
        self._spare = spare
        self._hold = hold
        self._drop = drop
        self._own: dict[int, _Own] = {}
        self._maps: dict[int, shm.Mapping] = {}
        self._fds: dict[int, int] = {}
        self._lock = threading.Lock()
        self.uses = Uses()
        self._views: dict[int, bytes] = {}
        """Objects by the ids of what exports their memory: for those who ask what a value is a view of."""

    def put(self, packed: Packed) -> Place:
        """Write a value; raises ObjectStoreFullError or OutOfDiskError where there is no room."""
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
        block = self._reserve(max(at, 1))
        if isinstance(block, str):
            spill.write(block, table, parts)
            return ("d", block, tuple(table), stream)
        own, start = block
        view = own.mapping.view(start, max(at, 1))
        for (offset, size), part in zip(table, parts, strict=True):
            if size:
                view[offset : offset + size] = memoryview(part).cast("B")
        view.release()
        return ("s", own.number, start, tuple(table), stream)

    def _reserve(self, size: int) -> tuple[_Own, int] | str:
        """A block with memory behind it, or the file to use instead.

        Faulting in new pages takes ten times as long as writing to used ones, so before that is done, what was dropped
        here and is not yet known to be free is asked for.
        """
        if size > self._segments.capacity():  # the hub finds no room for it, and it need not be looked for here
            file = self._make_room(size)
            assert file is not None, "there is never room for more than the store has"
            return file
        with self._lock:
            own, start = self._take(size)
            new = _total(own.backing.missing(start, start + size))
            if new <= FRESH and own.backing.size + new <= own.granted:
                self._back(own, start, size)
                return own, start
            own.allocator.give(start)
        self._reclaim()
        while True:
            with self._lock:
                own, start = self._take(size)
                try:
                    self._back(own, start, size)
                    return own, start
                except _NoRoom:
                    pass
            # What is free here, but not in one piece, is memory for new pages elsewhere.
            self.spare(size + 2 * PAGE)
            with self._lock:
                own, start = self._take(size)
                short = own.backing.size + _total(own.backing.missing(start, start + size)) - own.granted
                own.allocator.give(start)
            file = self._make_room(short)
            if file is not None:
                return file

    def _take(self, size: int) -> tuple[_Own, int]:
        for own in self._own.values():
            start = own.allocator.take(size)
            if start is not None:
                return own, start
        capacity = self._segments.capacity()
        number, fd = self._segments.create(-(-capacity // PAGE) * PAGE)
        own = self._own[number] = _Own(number, fd, capacity)
        start = own.allocator.take(size)
        assert start is not None, "a fresh segment has room for what fits the store"
        return own, start

    def _back(self, own: _Own, start: int, size: int) -> None:
        """Have memory behind a block; give it back where there is none."""
        missing = own.backing.missing(start, start + size)
        short = own.backing.size + _total(missing) - own.granted
        if short > 0:
            wanted = max(short, GRANT)
            refusal = self._segments.grant(own.number, wanted)
            if refusal is not None and wanted > short:
                wanted = short
                refusal = self._segments.grant(own.number, wanted)
            if refusal is not None:
                own.allocator.give(start)
                raise _NoRoom
            own.granted += wanted
        for first, last in missing:
            try:
                shm.reserve(own.fd, first, last - first)
            except OSError as error:
                own.allocator.give(start)
                raise ObjectStoreFullError(f"this machine has no memory left for shared objects: {error}") from None
            own.backing.add(first, last)

    def spare(self, wanted: int) -> None:
        """Do without so much of the memory that lies idle here, or all of it, and tell of that."""
        spared: list[tuple[int, int]] = []
        with self._lock:
            for own in self._own.values():
                given = own.granted - own.backing.size  # granted and never used
                for first, last in reversed(own.backing.spare(own.allocator.free())):
                    if given >= wanted:
                        break
                    first = max(first, last - -(-(wanted - given) // PAGE) * PAGE)
                    shm.punch(own.fd, first, last - first)
                    own.backing.remove(first, last)
                    given += last - first
                if given:
                    own.granted -= given
                    wanted -= given
                    spared.append((own.number, given))
        self._spare(tuple(spared))

    def free(self, segment: int, start: int) -> None:
        """A block of ours that nobody reads any more."""
        with self._lock:
            own = self._own.get(segment)
            if own is not None:
                own.allocator.give(start)

    def load(self, object_id: bytes, place: Place, writable: bool = False) -> Any:
        """The value, its buffers views of shared memory: read-only, or copy-on-write where `writable`.

        The object is held until the last view of it is gone, wherever that came to be. Raises `spill.Vanished` where
        its file is gone.
        """
        table, stream = place[-2:]
        export: Callable[[int, int], Any]
        if place[0] == "d":
            size = max((offset + length for offset, length in table), default=0)
            export = _exporter(spill.open_map(place[1], size, mmap.ACCESS_COPY if writable else mmap.ACCESS_READ), 0)
        else:
            _, segment, start, _, _ = place
            # Copy-on-write maps just the block: pages nobody writes are never copied. It needs the object as much as a
            # read-only view does, for they show the block itself.
            export = (
                self._private(segment, start, table)
                if writable
                else lambda at, size: self._mapping(segment).exporter(start + at, size)
            )
        buffers: list[Any] = []
        for offset, size in table:
            if not size:
                buffers.append(b"")
                continue
            exporter = export(offset, size)
            self._hold(object_id)
            self.uses.add(object_id)
            self._views[id(exporter)] = object_id
            weakref.finalize(exporter, self._let_go, object_id, id(exporter)).atexit = False
            buffers.append(exporter)
        if stream is None:
            stream = memoryview(buffers.pop())
        return unpack(stream, buffers)

    def object_of(self, parts: Iterable[Any]) -> bytes | None:
        """The object whose memory one of these exports; None where none does."""
        return next((self._views[id(part)] for part in parts if id(part) in self._views), None)

    def views_of(self, object_id: bytes) -> set[int]:
        """The ids of what exports an object's memory in this process."""
        return {exporter for exporter, of in list(self._views.items()) if of == object_id}

    def _let_go(self, object_id: bytes, exporter: int) -> None:
        self._views.pop(exporter, None)
        self._drop(object_id)
        self.uses.drop(object_id)

    def _private(self, segment: int, start: int, table: tuple[tuple[int, int], ...]) -> Callable[[int, int], Any]:
        first = start // PAGE * PAGE
        end = start + max((offset + size for offset, size in table), default=1)
        private = mmap.mmap(self.descriptor(segment), end - first, access=mmap.ACCESS_COPY, offset=first)
        return _exporter(private, start - first)

    def descriptor(self, segment: int) -> int:
        """A descriptor of a segment, ours or another process's; it stays open."""
        with self._lock:
            return self._fd(segment)

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
