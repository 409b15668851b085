"""A process's line to the hub for memory: new segments, more of it, descriptors of other processes' segments.

A socket of its own, opened at first use, for descriptors ride along (SCM_RIGHTS) and each call waits for its answer.
Calls are rare: one a segment, and one each time a segment grows by `store.GRANT`.
"""

from __future__ import annotations

import pickle
import socket
import threading
from pathlib import Path
from typing import Any

from shoal.exceptions import ClusterDiedError, ObjectLostError
from shoal.shield import Shield
from shoal.shm import create
from shoal.wire import check_peer

HELLO_SEGMENTS = b"M"


class HubSegments:
    """`shoal.store.Segments` over a socket to the hub."""

    def __init__(self, folder: Path, owner: int, shield: Shield) -> None:
        self._folder = folder
        self._owner = owner
        self._shield = shield
        self._lock = threading.Lock()
        self._sock: socket.socket | None = None

    def _call(self, *call: Any, fd: int | None = None) -> tuple[Any, list[int]]:
        with self._shield, self._lock:
            try:
                if self._sock is None:
                    self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                    self._sock.connect(str(self._folder / "store.sock"))
                    check_peer(self._sock)
                    self._sock.send(pickle.dumps(("owner", self._owner)))
                    self._sock.recv(4096)
                socket.send_fds(self._sock, [pickle.dumps(call)], [] if fd is None else [fd])
                data, fds, _, _ = socket.recv_fds(self._sock, 1 << 16, 1)
            except OSError as error:
                raise ClusterDiedError(f"the object store does not answer: {error}") from None
        if not data:
            raise ClusterDiedError("the object store does not answer: the hub is gone")
        return pickle.loads(data), fds

    def create(self, length: int) -> tuple[int, int]:
        fd = create(length)
        number, _ = self._call("create", fd=fd)
        return int(number), fd

    def grant(self, segment: int, size: int) -> str | None:
        answer, _ = self._call("grant", segment, size)
        return None if answer is None else str(answer)

    def open(self, segment: int) -> int:
        _, fds = self._call("open", segment)
        if not fds:
            raise ObjectLostError("the memory of the object is gone with its cluster")
        return fds[0]

    def capacity(self) -> int:
        answer, _ = self._call("capacity")
        return int(answer)

    def close(self) -> None:
        if self._sock is not None:
            self._sock.close()
            self._sock = None
