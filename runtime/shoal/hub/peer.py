"""One connection of the hub: never blocks, sends all it has once a round."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable

from shoal.wire import READ, Decoder, Message, encode

HIGH = 8 << 20
"""Bytes waiting for a driver from which the workers that print for it are read no more."""
LOW = 1 << 20


class Peer:
    """A driver's or worker's socket. `number` is negative for drivers, a worker's number otherwise."""

    def __init__(self, sock: socket.socket, number: int, epoll: select.epoll) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.fd = sock.fileno()
        self.number = number
        self.alive = True
        self.known: set[object] = set()
        """Functions, kinds and environments that the other end has been sent."""
        self.lease: object = None
        """What it was last told that it holds."""
        self.stalled: list[Peer] = []
        """Workers not read for the time being: their output is for this driver, who does not keep up."""
        self.poke: Callable[[], None] | None = None
        """Makes the other end read at once, whatever it is doing."""
        self._urgent = False
        self._epoll = epoll
        self._decoder = Decoder()
        self._out: list[Message] = []
        self._pending = bytearray()
        self._mask = select.EPOLLIN
        self._watched = True
        epoll.register(self.fd, self._mask)

    def send(self, message: Message, urgent: bool = False) -> None:
        self._out.append(message)
        self._urgent = self._urgent or urgent

    def receive(self) -> list[Message] | None:
        """One read's messages; None when the other end is gone."""
        try:
            data = self.sock.recv(READ)
        except BlockingIOError:
            return []
        except OSError:
            return None
        return self._decoder.feed(data) if data else None

    def receive_rest(self) -> list[Message]:
        """All that is still to be read from a peer that has died."""
        rest: list[Message] = []
        while True:
            try:
                data = self.sock.recv(READ)
            except OSError:
                return rest
            if not data:
                return rest
            rest.extend(self._decoder.feed(data))

    def flush(self) -> None:
        if not self.alive:
            self._out.clear()
            return
        self._write()
        if self._urgent and self.poke is not None:
            self.poke()  # again and again, until what is urgent has got through
            self._urgent = bool(self._pending)

    def _write(self) -> None:
        if self._out:
            frame = encode(self._out)
            self._out = []
            if not self._pending:
                try:
                    sent = self.sock.send(frame)
                except BlockingIOError:
                    sent = 0
                except OSError:
                    return  # its end is noticed by reading
                if sent == len(frame):
                    return
                self._pending += memoryview(frame)[sent:]
            else:
                self._pending += frame
        elif self._pending:
            try:
                sent = self.sock.send(self._pending)
            except BlockingIOError:
                sent = 0
            except OSError:
                self._pending.clear()
                return
            del self._pending[:sent]
        self._watch(select.EPOLLOUT, bool(self._pending))
        if self.stalled and len(self._pending) < LOW:
            for worker in self.stalled:
                worker.read_on()
            self.stalled.clear()

    @property
    def backlog(self) -> int:
        return len(self._pending)

    def stall(self, worker: Peer) -> None:
        """Stop reading a worker until this driver has caught up: its output waits there, none is lost."""
        if worker not in self.stalled:
            self.stalled.append(worker)
            worker._watch(select.EPOLLIN, False)

    def read_on(self) -> None:
        if self.alive:
            self._watch(select.EPOLLIN, True)

    def _watch(self, what: int, on: bool) -> None:
        mask = self._mask | what if on else self._mask & ~what
        if mask != self._mask and self._watched:
            self._mask = mask
            self._epoll.modify(self.fd, mask)

    def ignore(self) -> None:
        """Its end has come: epoll would tell of that again and again."""
        if self._watched:
            self._watched = False
            self._epoll.unregister(self.fd)

    def close(self) -> None:
        if self.alive:
            self.alive = False
            for worker in self.stalled:
                worker.read_on()
            self.ignore()
            self.sock.close()
