"""The process that forks workers: one thread, few imports, nothing that a fork could copy half-done.

A fork takes milliseconds where a new interpreter takes a tenth of a second. The zygote is itself forked from the hub
before the hub opens a socket or loads zmq. It reads orders from its socket:

    ("fork", worker, python, settles)    its seven descriptors ride along: task and control socket, both ends of its
                                         output pipes, the page of begun calls; with another interpreter the
                                         fork becomes that one

and reports ("forked", worker, pid) and ("died", worker, status). It is a subreaper: what workers leave behind comes
to it. When the hub is gone it ends all of them, removes the cluster's folder and ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import pickle
import select
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import NoReturn

from shoal.config import remove_folder

PR_SET_CHILD_SUBREAPER = 36


FIRST_TO_GO = "1000"
"""How gladly the kernel may end a worker when the memory is used up: before the hub, and before the program whose
tasks it runs. Ray's number."""


def set_name(name: str) -> None:
    """What `ps` and `top` show for this process."""
    _write_about_self("comm", name[:15])


def _write_about_self(file: str, text: str) -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self", file).write_text(text)


def _adopt_orphans() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Zygote:
    """Runs in its own process, for ever; see the module."""

    def __init__(self, hub: socket.socket, folder: Path) -> None:
        self._hub = hub
        self._folder = folder
        self._workers: dict[int, int] = {}  # pid -> worker

    def run(self) -> NoReturn:
        # Loaded once here, shared by all that are forked; neither starts a thread.
        import cloudpickle  # noqa: F401

        import shoal.api  # noqa: F401  # what tasks that submit tasks need
        import shoal.worker  # noqa: F401

        set_name("shoal-zygote")
        _adopt_orphans()
        gc.collect()
        gc.freeze()  # no worker looks through what it has from here, or copies it by doing so
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        wake_r, wake_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_w, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        poll = select.poll()
        poll.register(self._hub, select.POLLIN)
        poll.register(wake_r, select.POLLIN)
        inherited = (wake_r, wake_w)
        while True:
            for fd, _ in poll.poll():
                if fd == wake_r:
                    try:
                        os.read(wake_r, 4096)
                    except BlockingIOError:
                        pass
                elif not self._order(inherited):
                    self._end()
            self._reap()

    def _order(self, inherited: tuple[int, ...]) -> bool:
        try:
            data, fds, _, _ = socket.recv_fds(self._hub, 4096, 7)
        except OSError:
            return False
        if not data:
            return False
        _, worker, python, settles = pickle.loads(data)
        if threading.active_count() > 1:
            raise RuntimeError("the zygote has grown a thread: a fork now could copy a held lock")
        pid = os.fork()
        if pid == 0:
            self._become_worker(worker, python, settles, fds, inherited)
        for fd in fds:
            os.close(fd)
        self._workers[pid] = worker
        self._tell(("forked", worker, pid))
        return True

    def _become_worker(
        self, worker: int, python: str, settles: bool, fds: list[int], inherited: tuple[int, ...]
    ) -> NoReturn:
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for fd in inherited:
                os.close(fd)
            self._hub.close()
            set_name("shoal-worker")
            _write_about_self("oom_score_adj", FIRST_TO_GO)
            # A group of its own: what the worker starts goes down with it.
            os.setpgid(0, 0)
            if python:
                import shoal.interpreter

                shoal.interpreter.become(python, worker, fds, self._folder)
            import random

            import shoal.worker

            random.seed()
            task, control = (socket.socket(fileno=fd) for fd in fds[:2])
            status = shoal.worker.main(worker, task, control, fds[2:], self._folder, settles)
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(status)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            worker = self._workers.pop(pid, None)
            if worker is not None:
                _kill_group(pid)
                self._tell(("died", worker, status))

    def _tell(self, message: tuple[object, ...]) -> None:
        try:
            self._hub.sendall(pickle.dumps(message))
        except OSError:
            self._end()

    def _end(self) -> NoReturn:
        for pid in self._workers:
            _kill_group(pid)
            _kill(pid)
        # Reap until nothing is left; orphans of workers in sessions of their own are found as our children.
        while True:
            for pid in _children():
                _kill(pid)
            try:
                os.waitpid(-1, 0)
            except ChildProcessError:
                break
        remove_folder(self._folder)
        os._exit(0)


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _children() -> list[int]:
    try:
        return [int(p) for p in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    except OSError:
        return []
