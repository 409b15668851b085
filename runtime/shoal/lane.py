"""One lane: the client's end of its socket to a worker. See docs/lanes.md.

The worker listens in the cluster's folder. With the first words goes a piece of memory in which the worker notes the
number of the call that it has begun last, so that after its death it is known which had been started: both ends number
the calls as they come, and they begin in that order, if at all. Its unsent answers lie there too.

    client → worker   ("client", number)  ("kind", …)  ("function", …)  ("environment", …)
                      ("run", lease, after, task, kind, cell, environment, payload, slots, deps, values)
    worker → client   ("done", task, outcome, values, started, ended, error)
                      ("returned", tasks)    not started: the lease is closed
"""

from __future__ import annotations

import mmap
import os
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path

from shoal.answers import left_over
from shoal.attention import Attention
from shoal.calls import Call
from shoal.link import Link
from shoal.wire import READ, Decoder, Message, check_peer, encode

PAGE = 16 * mmap.PAGESIZE
"""Bytes of the memory that both ends share: the number of calls begun, and from ANSWERS on the unsent answers."""
ANSWERS = 64
COUNT = struct.Struct("<Q")


def lane_path(folder: Path, worker: int) -> Path:
    """Where a worker listens for lanes."""
    return folder / f"w{worker}"


class Lane:
    """What is pushed on it is in `pushed`, in order, until it is answered.

    All methods but `read` are called under `lock`, which all lanes of a client share.
    """

    def __init__(
        self,
        worker: int,
        folder: Path,
        client: int,
        link: Link,
        lock: threading.RLock,
        take: Callable[[Lane, list[Message]], None],
    ) -> None:
        self.worker = worker
        self.pushed: dict[bytes, Call] = {}
        self.lease = 0
        """The number of the open lease; 0 where there is none, and for an actor's lane."""
        self.total = 0
        """Calls pushed since it was opened."""
        self.answered_at = 0.0
        """When the last answer came (monotonic): what was pushed first has been running since then at most."""
        self.ended = False
        self.known: set[object] = set()
        """Kinds, functions and environments that the worker was sent on it."""
        self._link = link
        self._lock = lock
        self._take = take
        self._out: list[Message] = []
        self._pending = bytearray()
        self._when_clear: list[Callable[[], None]] = []
        self._decoder = Decoder()
        self._received = 0
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._sock.connect(str(lane_path(folder, worker)))
            self._attention = Attention(check_peer(self._sock))
            fd = os.memfd_create("shoal-lane", os.MFD_CLOEXEC)
            try:
                os.ftruncate(fd, PAGE)
                self._page = mmap.mmap(fd, PAGE)
                socket.send_fds(self._sock, [encode([("client", client)])], [fd])
            finally:
                os.close(fd)
        except BaseException:
            self._sock.close()
            raise
        self._sock.setblocking(False)
        link.add_source(self._sock.fileno(), self.read)

    # sending

    def say(self, message: Message) -> None:
        self._out.append(message)

    @property
    def unsent(self) -> int:
        return len(self._out)

    def flush(self) -> None:
        if self._out and not self.ended:
            frame = encode(self._out)
            self._out = []
            if self._pending:
                self._pending += frame
                return
            try:
                sent = self._sock.send(frame)
            except BlockingIOError:
                sent = 0
            except OSError:
                return  # its end is noticed by reading
            if sent < len(frame):
                self._pending += memoryview(frame)[sent:]
                self._link.watch_writable(self._sock.fileno(), True)

    def when_clear(self, call: Callable[[], None]) -> None:
        """Call when all that was pushed so far lies in the worker's socket."""
        self.flush()
        if self._pending and not self.ended:
            self._when_clear.append(call)
        else:
            call()

    def _send_pending(self) -> None:
        try:
            del self._pending[: self._sock.send(self._pending)]
        except BlockingIOError:
            return
        except OSError:
            self._pending.clear()
        if not self._pending:
            self._link.watch_writable(self._sock.fileno(), False)
            calls, self._when_clear = self._when_clear, []
            for call in calls:
                call()

    # reading

    def read(self) -> None:
        """Take what there is; called by the thread that reads."""
        with self._lock:
            self._read_once()

    def _read_once(self) -> bool:
        """False when there is nothing to read."""
        if self.ended:
            return False
        if self._pending:
            self._send_pending()
        try:
            data = self._sock.recv(READ, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if data:
            self._received += len(data)
            self._take(self, self._decoder.feed(data))
        else:
            self.close()
        return bool(data)

    def read_rest(self) -> None:
        """All that a dead worker has still sent or left; whoever else may hold its end sends nothing."""
        while self._read_once():
            pass
        left = left_over(self._page, ANSWERS, self._received)
        self._received += len(left)
        self._take(self, self._decoder.feed(left))

    def _begun(self) -> int:
        """The number of the call that the worker has begun last."""
        number: int = COUNT.unpack_from(self._page)[0]
        return number

    def keeps_busy(self, call: Call, seconds: float) -> bool:
        """Whether it is this that the worker is at, and neither on its way nor kept waiting for a CPU."""
        return self._begun() == call.number and self._attention.given(call.task, seconds)

    def unanswered(self) -> list[tuple[Call, bool]]:
        """What a dead worker still owed, and whether it had begun each."""
        begun = self._begun()
        return [(call, call.number <= begun) for call in self.pushed.values()]

    def close(self) -> None:
        """No more is sent or read; `pushed` stays as it is."""
        if not self.ended:
            self.ended = True
            self._link.drop_source(self._sock.fileno())
            self._sock.close()
            calls, self._when_clear = self._when_clear, []
            for call in calls:
                call()

    def forget(self) -> None:
        self.close()
        self._page.close()
