"""A worker's end of its lanes: calls that come straight from drivers. See docs/lanes.md and lane.py.

The lanes are read by whichever thread reads the hub's socket. Whether a call may end by its lane is decided here: only
if this worker has not said a word to the hub since it began.
"""

from __future__ import annotations

import collections
import contextlib
import mmap
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from shoal.answers import Answers
from shoal.exceptions import ClusterError
from shoal.lane import ANSWERS, COUNT, PAGE
from shoal.link import Link
from shoal.runs import Kind, Run
from shoal.wire import READ, Decoder, Message, check_peer, encode

BACKLOG = 64
HOLD_BACK = 0.002
"""Seconds that the ends of quick calls may gather while more calls wait here; behind one that runs long, `Link.hold`
sees to them."""
AT_ONCE = 64
"""Ends that are sent together at most, so that the client can push more meanwhile."""


class IncomingLane:
    """One driver's lane."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.client = 0
        self.received = 0
        """Calls that came on it, for those from the hub which have to come after them."""
        self.ended = False
        self.stash: collections.deque[tuple[int, Run]] = collections.deque()
        """Calls that come after some from the hub which are not here yet."""
        self._page: mmap.mmap | None = None
        self._decoder = Decoder()
        self._answers: Answers | None = None
        self._unsent = 0
        self._sent_at = 0.0
        self._send_lock = threading.Lock()

    def receive(self) -> list[Message] | None:
        """One read's messages, None when there was nothing to read; `ended` when the client has gone."""
        try:
            if self._page is None:
                data, fds, _, _ = socket.recv_fds(self.sock, READ, 1, socket.MSG_DONTWAIT)
                if fds:
                    self._page = mmap.mmap(fds[0], PAGE)
                    self._answers = Answers(self._page, ANSWERS)
                    os.close(fds[0])
            else:
                data = self.sock.recv(READ, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        if not data:
            self.ended = True
            return None
        return self._decoder.feed(data)

    def begin(self, number: int) -> None:
        """Note that a call has begun, where the client can see it after our death."""
        if self._page is not None:
            COUNT.pack_into(self._page, 0, number)

    def say(self, message: Message) -> None:
        """Sent with the next flush, and not lost should this process die before."""
        frame = encode([message])
        with self._send_lock:
            if self._answers is None or self.ended:
                return
            if not self._answers.add(frame):
                self._send()
                if not self._answers.add(frame):
                    self._send(frame)
            self._unsent += 1

    def flush(self, now: float = 0.0) -> None:
        with self._send_lock:
            self._sent_at = now
            if self._unsent and not self.ended:
                self._send()

    def _send(self, frame: bytes = b"") -> None:
        assert self._answers is not None
        self._unsent = 0
        # A client reads always: its attendant does while nobody waits. Should it be gone, so is its work.
        with contextlib.suppress(OSError):
            self.sock.sendall(frame or self._answers.unsent())
        self._answers.sent(len(frame))

    def is_due(self, now: float) -> bool:
        return self._unsent >= AT_ONCE or now - self._sent_at > HOLD_BACK

    def close(self) -> None:
        with self._send_lock:
            self.ended = True
            self.sock.close()
            if self._answers is not None:
                self._answers.close()
        if self._page is not None:
            self._page.close()


class Incoming:
    """All lanes to this worker. `take(run)` is given each call whose turn it is."""

    def __init__(
        self, path: Path, link: Link, lock: threading.RLock, kinds: Mapping[bytes, Kind], take: Callable[[Run], None]
    ) -> None:
        self._link = link
        self._kinds = kinds
        self._lock = lock
        self._take = take
        self._lanes: dict[int, IncomingLane] = {}
        self._unnamed: list[IncomingLane] = []
        """Lanes on which the client's first word, who it is, has not been read."""
        self._received: collections.Counter[int] = collections.Counter()
        self._running: dict[bytes, Run] = {}
        self._adopted: set[bytes] = set()
        """Calls that run and that the hub knows of."""
        self._cancelled: set[bytes] = set()
        """Calls that wait and shall not begin."""
        self._unreported: set[bytes] = set()
        """Calls that have begun and whose end has not been sent: until it is, their lease is not closed."""
        self._closed = 0
        self._closing = 0
        self._ended = 0
        self._seen = 0
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(BACKLOG)
        self._listener.setblocking(False)
        link.add_source(self._listener.fileno(), self._accept)
        link.before_word = self.adopt_running
        link.held_back = self._send_held_back

    # what comes

    def _accept(self) -> bool:
        """False when nobody has connected."""
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return False
        try:
            check_peer(sock)
        except ClusterError:
            sock.close()
            return False
        lane = IncomingLane(sock)
        self._unnamed.append(lane)
        self._link.add_source(lane.fd, lambda: self._read(lane))
        return True

    def _read(self, lane: IncomingLane) -> bool:
        """False when there was nothing: a read may well end within a message, and the rest be there."""
        messages = lane.receive()
        for message in messages or ():
            tag = message[0]
            if tag == "run":
                self._take_run(lane, message)
            elif tag == "client":
                lane.client = message[1]
                self._lanes[lane.client] = lane
                self._unnamed.remove(lane)
            else:
                self._link.dispatch(message)
        if lane.ended:
            self._link.drop_source(lane.fd)
            if self._lanes.get(lane.client) is lane:
                del self._lanes[lane.client]
            if lane in self._unnamed:
                self._unnamed.remove(lane)
            lane.close()
        return messages is not None

    def _read_new(self) -> None:
        """Learn of all clients that have connected. One may have been accepted, and have nothing read of it yet."""
        while self._accept():
            pass
        for lane in list(self._unnamed):
            self._read(lane)

    def read_all(self) -> None:
        """Take what lies on all lanes; called by the thread that reads."""
        self._read_new()
        for lane in list(self._lanes.values()):
            while not lane.ended and self._read(lane):
                pass

    def _take_run(self, lane: IncomingLane, message: Message) -> None:
        lane.received += 1
        lease, after = message[1], message[2]
        run = Run._make((*message[3:], 0, lane.received, 0, lane))
        if lease and lease <= self._closed:
            lane.say(("returned", (run.task,)))
            lane.flush()
        elif lane.stash or self._received[lane.client] < after:
            lane.stash.append((after, run))
        else:
            self._take(run)

    def from_hub(self, client: int, before: int) -> None:
        """A call from the hub is here: first come so many calls of the lane, and after it some that waited for it."""
        if before:
            if client not in self._lanes:
                self._read_new()
            lane = self._lanes.get(client)
            while lane is not None and lane.received < before and not lane.ended:
                self._read(lane)  # the client wrote them before it told the hub

    def received_from_hub(self, client: int) -> None:
        self._received[client] += 1
        lane = self._lanes.get(client)
        if lane is not None:
            while lane.stash and lane.stash[0][0] <= self._received[client]:
                self._take(lane.stash.popleft()[1])

    # what goes

    def begin(self, run: Run) -> None:
        """The call leaves the queue; the lock is held."""
        assert run.lane is not None
        run.lane.begin(run.number)
        self._running[run.task] = run
        self._unreported.add(run.task)

    def adopt_running(self) -> None:
        """Before a word to the hub: it is told of the calls that run here, and they end its way."""
        if self._running:
            with self._lock:
                runs = [run for task, run in self._running.items() if task not in self._adopted]
                for run in runs:
                    self._adopt(run)

    def _adopt(self, run: Run) -> None:
        self._adopted.add(run.task)
        self._link.report(("adopt", run.task, run.kind, run.environment[0], run.cell, self._kinds[run.kind]))

    def end(self, run: Run, lean: bool) -> bool:
        """It is over: whether its end may go by its lane. If not, the hub knows of it now."""
        with self._lock:
            if run.task not in self._adopted and not lean:
                self._adopt(run)
            lean = run.task not in self._adopted
            self._adopted.discard(run.task)
            del self._running[run.task]
        return lean

    def specify(self, run: Run) -> None:
        """What it made is large, and can be lost: the hub is to know what it was called with, should it run again."""
        call = run.task, run.payload, run.slots, run.deps, run.values, run.environment
        self._link.report(("spec", *call))

    def answer(self, run: Run, message: Message, at_once: bool) -> None:
        """Send the end of a call by its lane."""
        lane = run.lane
        assert lane is not None
        lane.say(message)
        self._ended += 1
        now = time.monotonic()
        if at_once or lane.is_due(now):
            lane.flush(now)
        else:
            self._link.hold()  # should the next call take its time

    def _send_held_back(self) -> bool:
        """For the attendant; False when no call has ended since its last time."""
        ended = self._ended
        self._flush()
        seen, self._seen = self._seen, ended
        return seen != ended

    def _flush(self) -> None:
        now = time.monotonic()
        for lane in tuple(self._lanes.values()):
            lane.flush(now)

    # cancel

    def cancel(self, task: bytes, queue: Iterable[Run]) -> bool:
        """The hub has cancelled it, and so it knows of it: it is not told again. True when it has not begun."""
        if task in self._running:
            self._adopted.add(task)
            return False
        stashed = (run for lane in self._lanes.values() for _, run in lane.stash)
        waits = any(run.task == task and run.lane is not None for run in (*queue, *stashed))
        if waits:
            self._cancelled.add(task)
        return waits

    def is_cancelled(self, run: Run) -> bool:
        """Whether one that has just begun is over already."""
        if run.task not in self._cancelled:
            return False
        self._cancelled.remove(run.task)
        self._adopted.add(run.task)
        return True

    # leases

    def close_lease(self, lease: int, queue: collections.deque[Run]) -> None:
        """Give back what is not begun, and from now on what still comes; say `closed` when nothing runs on it."""
        self._closed = max(self._closed, lease)
        with self._lock:
            back = [run for run in queue if run.lane is not None]
            for run in back:
                queue.remove(run)
                self._cancelled.discard(run.task)
            self._closing = lease
            self._say_closed()
        for lane in {run.lane for run in back if run.lane is not None}:
            lane.say(("returned", tuple(run.task for run in back if run.lane is lane)))
        self._flush()

    def reported(self, run: Run) -> None:
        """The end of a call is on its way."""
        with self._lock:
            self._unreported.discard(run.task)
            self._say_closed()

    def _say_closed(self) -> None:
        if self._closing and not self._unreported:
            self._flush()
            self._link.report(("closed", self._closing))
            self._closing = 0
            self._link.kick()
