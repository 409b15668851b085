"""The worker processes: forked by the zygote, their deaths told by it, killed with all that they started."""

from __future__ import annotations

import collections
import os
import pickle
import select
import signal
import socket
from dataclasses import dataclass

from shoal.begun import BegunOf, new_page
from shoal.hub.peer import Peer

AT_ONCE = 32
"""Forks asked for and not yet answered: bounded, so that neither side ever waits for the other's socket."""


@dataclass
class Process:
    """One worker process as the hub holds it."""

    worker: int
    task: Peer
    control: socket.socket
    readers: tuple[int, int]
    page: int
    """See `shoal.begun`."""
    pid: int | None = None
    doomed: bool = False

    def poke(self) -> None:
        """Wake its watcher thread; a worker that is gone is noticed elsewhere."""
        try:
            self.control.send(b"!", socket.MSG_DONTWAIT)
        except OSError:
            pass


class Supervisor:
    def __init__(self, zygote: socket.socket, epoll: select.epoll) -> None:
        self._zygote = zygote
        self._epoll = epoll
        self._asked = 0
        self._queue: collections.deque[tuple[tuple[int, str, bool], list[int]]] = collections.deque()
        self.processes: dict[int, Process] = {}

    def start(self, worker: int, python: str = "", settles: bool = False) -> Process:
        """Ask for a worker; its sockets can be written to at once.

        With `python` it runs in that interpreter; with `settles` it waits to be told its runtime environment first.
        """
        task, far_task = socket.socketpair()
        control, far_control = socket.socketpair()
        out_r, out_w = os.pipe()
        err_r, err_w = os.pipe()
        page = new_page()
        fds = [far_task.detach(), far_control.detach(), os.dup(out_r), os.dup(err_r), out_w, err_w, os.dup(page)]
        process = Process(worker, Peer(task, worker, self._epoll), control, (out_r, err_r), page)
        process.task.poke = process.poke
        self.processes[worker] = process
        self._queue.append(((worker, python, settles), fds))
        self._ask()
        return process

    def _ask(self) -> None:
        while self._queue and self._asked < AT_ONCE:
            order, fds = self._queue.popleft()
            self._asked += 1
            socket.send_fds(self._zygote, [pickle.dumps(("fork", *order))], fds)
            for fd in fds:
                os.close(fd)

    def hear(self) -> list[tuple[int, str]] | None:
        """What the zygote tells: the workers that died, with the reason. None when the zygote is gone."""
        died: list[tuple[int, str]] = []
        while True:
            try:
                data = self._zygote.recv(4096, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return died
            except OSError:
                return None
            if not data:
                return None
            what, worker, number = pickle.loads(data)
            process = self.processes.get(worker)
            if what == "forked":
                self._asked -= 1
                self._ask()
                if process is not None:
                    process.pid = number
                    if process.doomed:
                        self.kill(worker)
            elif process is not None:
                died.append((worker, _reason(number)))

    def kill(self, worker: int) -> None:
        process = self.processes.get(worker)
        if process is None:
            return
        process.doomed = True
        if process.pid is not None:
            try:
                os.kill(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def kill_all(self) -> None:
        """Without the zygote: each worker and the group that it leads."""
        for process in self.processes.values():
            if process.pid is not None:
                try:
                    os.killpg(process.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass

    def begun(self, process: Process) -> BegunOf:
        """Which of its calls a dead worker had begun, by their numbers."""
        return BegunOf(process.page)

    def last_words(self, process: Process) -> list[tuple[str, str]]:
        """What a dead worker had printed and not yet sent."""
        words = []
        for fd, stream in zip(process.readers, ("stdout", "stderr"), strict=True):
            os.set_blocking(fd, False)
            data = b""
            try:
                while chunk := os.read(fd, 1 << 16):
                    data += chunk
            except BlockingIOError:
                pass  # a grandchild holds the other end
            if data:
                words.append((stream, data.decode("utf-8", "replace")))
        return words

    def bury(self, worker: int) -> None:
        process = self.processes.pop(worker)
        process.task.close()
        process.control.close()
        for fd in (*process.readers, process.page):
            os.close(fd)


def _reason(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exit status {code}"
    name = signal.Signals(-code).name
    return f"{name} (the system may have run out of memory)" if name == "SIGKILL" else name
