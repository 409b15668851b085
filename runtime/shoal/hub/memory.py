"""The books of shared memory: who wrote which segment, how much is granted, which blocks are in use.

The hub keeps a descriptor of each segment, so that it outlives its writer: when that is dead, the segment goes with the
last object in it. Objects that were written to disk instead lie in a file each, ``("d", path, table, stream)``.
"""

from __future__ import annotations

import mmap
import os
import pickle
import select
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shoal import shm
from shoal.allocator import Backing
from shoal.exceptions import ClusterError
from shoal.scheduler.events import NOTHING, Made
from shoal.wire import check_peer

SOCKET = "store.sock"


PAGE = mmap.PAGESIZE


def size_of(place: tuple[Any, ...]) -> int:
    """Bytes of a value in shared memory or on disk; 0 for one that travels in messages."""
    if place[0] not in ("s", "d"):
        return 0
    return max((offset + length for offset, length in place[-2]), default=0)


def bytes_of(place: tuple[Any, ...]) -> int:
    """Bytes of a value, wherever it is."""
    return size_of(place) if place[0] in ("s", "d") else len(place[1]) + sum(map(len, place[2]))


def made(place: tuple[Any, ...]) -> Made:
    """What the scheduler is to know of a value."""
    if place[0] in ("s", "d"):
        return Made(size_of(place), True)
    return Made(bytes_of(place), False) if place[0] in ("i", "e") else NOTHING


def remove_file(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass  # somebody else has


@dataclass
class _Segment:
    fd: int
    owner: int
    granted: int = 0
    blocks: int = 0
    orphan: bool = False


class Memory:
    """Answers on the store's socket; `tell(owner, message)` reaches a process, `tell_all` everybody."""

    def __init__(
        self,
        folder: Path,
        capacity: int,
        epoll: select.epoll,
        tell: Callable[[int, tuple[Any, ...]], None],
        tell_all: Callable[[tuple[Any, ...]], None],
    ) -> None:
        self.capacity = -(-capacity // PAGE) * PAGE
        self.granted = 0
        self.used = 0
        self._epoll = epoll
        self._tell = tell
        self._tell_all = tell_all
        self.spilled = 0
        self._segments: dict[int, _Segment] = {}
        self._last = 0
        self._sizes: dict[tuple[int, int], int] = {}
        self._callers: dict[int, tuple[socket.socket, int | None]] = {}
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(str(folder / SOCKET))
        self._listener.listen(128)
        self._listener.setblocking(False)
        epoll.register(self._listener.fileno(), select.EPOLLIN)

    # the books

    def writer(self, place: tuple[Any, ...]) -> int | None:
        """Who wrote an object in shared memory; None of one that lies elsewhere."""
        segment = self._segments.get(place[1]) if place[0] == "s" else None
        return None if segment is None else segment.owner

    def written(self, place: tuple[Any, ...]) -> None:
        """An object lies there now."""
        if place[0] == "d":
            self.spilled += size_of(place)
        elif place[0] == "s":
            _, number, start, _, _ = place
            segment = self._segments.get(number)
            if segment is not None:
                size = size_of(place)
                segment.blocks += 1
                self._sizes[number, start] = size
                self.used += size

    def freed(self, place: tuple[Any, ...]) -> None:
        if place[0] == "d":
            self.spilled -= size_of(place)
            remove_file(place[1])  # whoever has mapped it keeps it
        if place[0] != "s":
            return
        number, start = place[1], place[2]
        segment = self._segments.get(number)
        if segment is None:
            return
        segment.blocks -= 1
        self.used -= self._sizes.pop((number, start), 0)
        if not segment.orphan:
            self._tell(segment.owner, ("free", number, start))
        elif not segment.blocks:
            self._drop(number)
        else:
            self._trim(number, segment)

    def left(self, owner: int) -> None:
        """A process is gone: its segments stay until nobody needs what is in them."""
        for number, segment in list(self._segments.items()):
            if segment.owner == owner:
                segment.orphan = True
                if not segment.blocks:
                    self._drop(number)
                else:
                    self._trim(number, segment)

    def _trim(self, number: int, segment: _Segment) -> None:
        """Nobody writes there any more: memory is needed only for the blocks in use."""
        backing = Backing(PAGE)
        for (other, start), size in self._sizes.items():
            if other == number:
                for gap in backing.missing(start, start + size):
                    backing.add(*gap)
        for first, last in backing.missing(0, os.fstat(segment.fd).st_size):
            shm.punch(segment.fd, first, last - first)
        self.granted += backing.size - segment.granted
        segment.granted = backing.size

    # memory that lies idle

    def idle(self) -> dict[int, int]:
        """By process, the memory that it was granted and uses for no object that the hub knows of."""
        found: dict[int, int] = {}
        used: dict[int, int] = {}
        for (number, _), size in self._sizes.items():
            used[number] = used.get(number, 0) + size
        for number, segment in self._segments.items():
            if not segment.orphan:
                idle = segment.granted - used.get(number, 0)
                found[segment.owner] = found.get(segment.owner, 0) + max(0, idle)
        return found

    def given_back(self, owner: int, number: int, size: int) -> None:
        """A process does without that much of what it was granted."""
        segment = self._segments.get(number)
        if segment is not None and segment.owner == owner:
            size = min(size, segment.granted)
            segment.granted -= size
            self.granted -= size

    def _drop(self, number: int) -> None:
        segment = self._segments.pop(number)
        self.granted -= segment.granted
        os.close(segment.fd)
        self._tell_all(("segment_gone", number))

    # the socket

    def handles(self, fd: int) -> bool:
        return fd == self._listener.fileno() or fd in self._callers

    def serve(self, fd: int) -> None:
        if fd == self._listener.fileno():
            self._accept()
            return
        caller, owner = self._callers[fd]
        try:
            data, fds, _, _ = socket.recv_fds(caller, 4096, 1)
        except BlockingIOError:
            return
        except OSError:
            data, fds = b"", []
        try:
            what, *args = pickle.loads(data) if data else ("gone",)
        except Exception:  # rubbish: this caller's fault is its own end only
            what, args = "gone", []
        if what == "gone":
            for stray in fds:
                os.close(stray)
            self._epoll.unregister(fd)
            caller.close()
            del self._callers[fd]
            return
        answer: Any = None
        out: list[int] = []
        if what == "owner":
            self._callers[fd] = (caller, args[0])
        elif what == "create" and owner is not None:
            self._last += 1
            self._segments[self._last] = _Segment(fds.pop(), owner)
            answer = self._last
        elif what == "grant":
            answer = self._grant(*args)
        elif what == "open":
            segment = self._segments.get(args[0])
            out = [segment.fd] if segment is not None else []
        elif what == "capacity":
            answer = self.capacity
        for stray in fds:
            os.close(stray)
        try:
            socket.send_fds(caller, [pickle.dumps(answer)], out)
        except OSError:
            pass  # gone meanwhile: the next read says so

    def _accept(self) -> None:
        try:
            caller, _ = self._listener.accept()
        except OSError:
            return
        try:
            check_peer(caller)
        except ClusterError:
            caller.close()
            return
        caller.setblocking(False)
        self._callers[caller.fileno()] = (caller, None)
        self._epoll.register(caller.fileno(), select.EPOLLIN)

    def _grant(self, number: int, size: int) -> str | None:
        segment = self._segments.get(number)
        if segment is None:
            return "the segment is gone"
        if self.granted + size > self.capacity:
            return (
                f"the object store is full: {self.used / 2**20:,.0f} of {self.capacity / 2**20:,.0f} MiB hold objects, "
                f"and {size / 2**20:,.0f} MiB more are needed: drop refs you no longer need (del), "
                "or start with shoal.init(object_store_memory=…)"
            )
        segment.granted += size
        self.granted += size
        return None
