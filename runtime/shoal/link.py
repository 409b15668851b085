"""One process's end of its socket to the hub: the thread that waits reads.

A hop between threads costs as much as a whole round trip, so whoever waits for something takes over reading the socket
(leader) and the other waiters sleep until it has read for them (followers). The attendant, a background thread, reads
only while nobody waits, sends what was left in the outbox, and lets go of what finalisers dropped.
"""

from __future__ import annotations

import collections
import os
import select
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from shoal.current import FORKED
from shoal.exceptions import ClusterDiedError, ClusterError
from shoal.followers import Followers
from shoal.shield import Shield
from shoal.wire import READ, Decoder, Message, encode

BURST = 0.0005
"""Seconds: messages posted closer together than this go out together."""
HOLD = 0.005
"""Seconds that something may be held back for more to go with it: a wake-up each half a millisecond costs too much."""
FULL = 128
"""Messages in the outbox that are sent without waiting for more."""


class Link:
    """A socket shared by many threads.

    `dispatch(message)` is called for each message by whichever thread reads, one at a time. `tick()` is called by the
    attendant and before each send; it may `append` to the outbox, and `dirty()` says whether it would. While `busy()`
    the attendant looks for that by itself. `watch()` is called by the attendant alone, when all has been read that was
    there: for what is to be noticed by its not coming.
    """

    def __init__(
        self,
        sock: socket.socket,
        dispatch: Callable[[Message], None],
        *,
        shield: Shield,
        tick: Callable[[], None] = lambda: None,
        watch: Callable[[], None] = lambda: None,
        busy: Callable[[], bool] = lambda: True,
        dirty: Callable[[], bool] = lambda: False,
        on_lost: Callable[[], None] = lambda: None,
        attend_socket: bool = True,
    ) -> None:
        self._sock = sock
        self._dispatch = dispatch
        self._shield = shield
        self._tick = tick
        self._watch = watch
        self._busy = busy
        self._dirty = dirty
        self._on_lost = on_lost
        self._attend_socket = attend_socket
        self._decoder = Decoder()
        self._outbox: collections.deque[Message] = collections.deque()
        self._send_lock = threading.Lock()
        self._reader = threading.Lock()
        self._followers = Followers(shield)
        self._asleep = self._followers.asleep
        self._arms = threading.Lock()
        self._activity = 0
        self._sent_at = 0.0
        self._alone = True
        self._kicked = False
        self._closed = False
        self.lost = False
        self.reading: int | None = None
        """The thread that deals with messages now: it must not wait for others."""
        self._pid = os.getpid()
        self.last_words: Callable[[], str] = str
        """What the hub said before it died, for the error."""
        self.before_word: Callable[[], None] | None = None
        """Called before each word of work that runs here; see `report`."""
        self.held_back: Callable[[], bool] | None = None
        """Sends what waits elsewhere for more to go with it; False when there has been nothing since the last time."""
        self.holding = False
        """The attendant sees to `held_back` every HOLD seconds; see `hold`."""
        self._sources = select.epoll()
        """The hub's socket and whatever else this thread reads while it waits: see `add_source`."""
        self._sources.register(sock, select.EPOLLIN)
        self._again = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._sources.register(self._again, select.EPOLLIN)
        self._readers: dict[int, Callable[[], object]] = {
            sock.fileno(): self._read,
            self._again: lambda: os.eventfd_read(self._again),
        }
        self._kick = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._epoll = select.epoll()
        self._epoll.register(self._kick, select.EPOLLIN)
        self._armed = False
        self.asleep = False
        """The attendant sleeps without a time limit: who gives it something to attend to rouses it."""
        self._attendant = threading.Thread(target=self._attend, name="shoal-link", daemon=True)
        self._attendant.start()

    # sending

    def append(self, message: Message) -> None:
        """Add to the outbox; it goes with the next send."""
        if self.before_word is not None:
            self.before_word()
        self._outbox.append(message)
        if self.asleep:
            self.rouse()

    def report(self, message: Message) -> None:
        """`append` for what is said about work and not by it."""
        self._outbox.append(message)
        if self.asleep:
            self.rouse()

    def post(self, message: Message) -> None:
        """Send soon: at once when alone, together with others in a burst."""
        self._check()
        self.append(message)
        self.nudge()

    def nudge(self) -> None:
        """Send what was appended: at once when alone, together with others in a burst."""
        # Who waits after each message makes no burst, however quick the answers come.
        if self._alone or time.monotonic() - self._sent_at > BURST or len(self._outbox) >= FULL:
            self._alone = False
            self.flush()
        else:
            self.kick()

    def flush(self) -> None:
        with self._shield:
            self._kicked = False
            self._tick()  # outside the lock: what ticks has locks of its own
            self._send()

    def _send(self) -> None:
        with self._send_lock:
            outbox = self._outbox
            if not outbox or self._closed:
                return
            batch = []
            while outbox:  # one at a time: other threads append meanwhile
                batch.append(outbox.popleft())
            try:
                self._sock.sendall(encode(batch))
            except OSError:
                self._hear_out()
                self._lose()
            self._sent_at = time.monotonic()

    # other sockets

    def add_source(self, fd: int, read: Callable[[], object]) -> None:
        """Have `read()` called, by the thread that reads, when there is something to read at `fd`."""
        self._readers[fd] = read
        self._sources.register(fd, select.EPOLLIN)

    def watch_writable(self, fd: int, on: bool) -> None:
        """Have its `read()` called when it can be written to as well."""
        if not self._closed:
            self._sources.modify(fd, select.EPOLLIN | (select.EPOLLOUT if on else 0))

    def drop_source(self, fd: int) -> None:
        if self._readers.pop(fd, None) is not None and not self._closed:
            self._sources.unregister(fd)

    def kick(self) -> None:
        """Have the attendant flush within half a millisecond: something may go out together with what follows."""
        if not self._kicked:
            self._kicked = True
            os.eventfd_write(self._kick, 1)

    # waiting

    def wait(self, ready: Callable[[], bool], timeout: float | None = None) -> bool:
        """Wait until `ready()`; False when `timeout` seconds were not enough. Raises ClusterDiedError."""
        self._check()
        self._alone = True
        self._activity += 1
        try:
            return self._wait(ready, None if timeout is None else time.monotonic() + timeout)
        finally:
            self._shield.leave()

    def _wait(self, ready: Callable[[], bool], deadline: float | None) -> bool:
        with self._shield:
            try:
                while True:
                    if self._outbox or self._dirty():
                        self.flush()
                    if ready():
                        return True
                    if self._reader.acquire(blocking=False):
                        try:
                            if self._armed:
                                self._disarm()
                            return self._lead(ready, deadline)
                        finally:
                            self._reader.release()
                    if self.lost:
                        raise self.error()
                    if not self._follow(ready, deadline):
                        return ready()
            finally:
                if self._asleep:
                    self._have_one_read()

    def _lead(self, ready: Callable[[], bool], deadline: float | None) -> bool:
        shield = self._shield
        while not ready():
            if self.lost:
                raise self.error()
            # A signal that lands just before the system call would not be seen until it ends: look once a second.
            left = 1.0
            if deadline is not None:
                left = min(left, max(0.0, deadline - time.monotonic()))
            try:
                shield.open()
                events = self._sources.poll(left)
            finally:
                shield.close()
            self._read_all(events)
            if deadline is not None and time.monotonic() >= deadline:
                return ready()
        return True

    def _follow(self, ready: Callable[[], bool], deadline: float | None) -> bool:
        """Sleep until ready, or nobody reads, or the deadline (then False)."""
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        return self._followers.sleep(ready, lambda: self.lost or not self._reader.locked(), left)

    def _have_one_read(self) -> None:
        """Whoever leaves sees to it: while somebody sleeps, somebody reads or is on the way to it."""
        if not self._reader.locked():
            self._followers.wake_one()

    def look_again(self) -> None:
        """Something was not read that threads may wait for, but made here: have them look."""
        if not self._closed:
            os.eventfd_write(self._again, 1)
        if self._asleep:
            self._followers.wake()

    def _read(self) -> None:
        """Read once and dispatch; the caller holds the reader lock and is shielded."""
        try:
            data = self._sock.recv(READ, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lose()
            return
        self.reading = threading.get_ident()
        try:
            for message in self._decoder.feed(data):
                self._dispatch(message)
        finally:
            self.reading = None

    def dispatch(self, message: Message) -> None:
        """Take a message as if the hub had sent it."""
        self._dispatch(message)

    def _read_all(self, events: list[tuple[int, int]]) -> None:
        for fd, _ in events:
            read = self._readers.get(fd)  # one read may have closed another
            if read is not None:
                read()
        if self._asleep and events:
            self._followers.wake()

    def drain(self) -> None:
        """See to it that what is there is read: by this thread, not the main one, or by the one that reads already."""
        while self._sources.poll(0) and not self.lost:
            if not self._read_unless_read():
                time.sleep(0)  # the reader is at it

    def _read_unless_read(self) -> bool:
        """Read once, for threads that the shield does not concern; False when somebody else reads."""
        if not self._reader.acquire(blocking=False):
            return False
        try:
            self._read_all(self._sources.poll(0))
        finally:
            self._reader.release()
            if self._asleep:
                self._have_one_read()
        return True

    # the attendant

    def attend(self) -> None:
        """From now on the attendant reads as well: something waits that has no thread of its own."""
        if not self._attend_socket:
            self._attend_socket = True
            os.eventfd_write(self._kick, 1)

    def rouse(self) -> None:
        """To be called by what makes this link busy while `asleep`, unless it appends something."""
        if self.asleep:
            self.asleep = False
            os.eventfd_write(self._kick, 1)

    def hold(self) -> None:
        """Something is held back elsewhere: it is not to wait longer than HOLD seconds, whatever this thread does."""
        if not self.holding:
            self.holding = True
            self.kick()

    def _patience(self) -> float | None:
        """Seconds that the attendant may sleep."""
        if self.holding:
            return HOLD
        # It says that it sleeps and then looks; others do something, then look whether it sleeps: one sees the other.
        self.asleep = True
        if self._armed and not self._busy():
            return None
        self.asleep = False
        if self._attend_socket and not self._armed:
            return 0.1 if self._reader.locked() else 0.02
        return 0.1 if self._armed or self._busy() else 1.0

    def _attend(self) -> None:
        seen = -1
        while not self._closed:
            events = self._epoll.poll(self._patience())
            self.asleep = False
            if self._closed:
                break
            for fd, _ in events:
                if fd == self._kick:
                    try:
                        os.eventfd_read(self._kick)
                    except BlockingIOError:
                        pass
                    time.sleep(BURST)
                else:
                    self._read_unless_read()
            if self._attend_socket:
                self._read_unless_read()  # who submits a burst reads nothing, nor did we while it was not ours
            if self.lost:
                break
            self._watch()
            if self.held_back is not None:
                self.holding = False  # before the look: who holds something back meanwhile says so, and kicks
                if self.held_back():
                    self.holding = True
            self.flush()
            if self._attend_socket and not self._armed:
                # Take the socket back only when nobody has waited since the last look.
                if seen == self._activity and not self._reader.locked():
                    self._arm()
                seen = self._activity

    def _arm(self) -> None:
        with self._arms:
            if not self._armed and not self._closed:
                self._epoll.register(self._sources, select.EPOLLIN)
                self._armed = True

    def _disarm(self) -> None:
        with self._arms:
            if self._armed and not self._closed:
                # An epoll may be changed while another thread sleeps in it: no wake-up is paid for, unless it would
                # sleep for ever without the socket.
                self._epoll.unregister(self._sources)
                self._armed = False
                self.rouse()

    # the end

    def _check(self) -> None:
        if self.lost:
            raise self.error()
        if os.getpid() != self._pid:  # two processes that read one socket would take each other's messages
            raise ClusterError(FORKED)

    def error(self) -> ClusterDiedError:
        said = self.last_words()
        return ClusterDiedError(
            "the cluster's hub is gone, and with it its tasks, actors and objects: "
            "the next use of shoal starts a new one (%cluster start, or shoal.init())"
            + (f". Its last words: {said}" if said else "")
        )

    def _hear_out(self) -> None:
        """The other end has hung up: it may have said why."""
        if self._reader.acquire(blocking=False):
            try:
                while data := self._sock.recv(READ, socket.MSG_DONTWAIT):
                    for message in self._decoder.feed(data):
                        if message[0] == "dropped":
                            self._dispatch(message)
            except OSError:
                pass
            finally:
                self._reader.release()

    def _lose(self) -> None:
        if not self.lost:
            self.lost = True
            self._followers.wake_all()
            if not self._closed:
                self._on_lost()

    def close(self) -> None:
        """Send what is left and end the attendant."""
        if self._closed:
            return
        if not self.lost:
            self.flush()
        self._shield.leave()
        self._closed = True
        self.lost = True
        try:
            os.eventfd_write(self._kick, 1)
        except OSError:
            pass
        self._followers.wake_all()
        if threading.current_thread() is not self._attendant:
            self._attendant.join()
        self._epoll.close()
        self._sources.close()
        os.close(self._kick)
        os.close(self._again)
        self._sock.close()


def connect(path: Path, deadline: float) -> socket.socket:
    """A socket to a hub that may still be starting; raises ClusterDiedError at the deadline (monotonic)."""
    while True:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.connect(str(path))
            return sock
        except (FileNotFoundError, ConnectionRefusedError):
            sock.close()
            if time.monotonic() > deadline:
                raise ClusterDiedError(f"nobody listens at {path}") from None
            time.sleep(0.002)
