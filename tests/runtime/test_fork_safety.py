"""Forks: workers have nothing of the driver's process, and a fork of a driver or of a worker takes nothing from it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import shoal

SIZE = 1 << 20


@pytest.fixture
def cluster() -> Iterator[None]:
    shoal.init(num_cpus=2)
    yield
    shoal.shutdown()


@shoal.remote
def open_files() -> list[str]:
    found = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{fd}"))
        except OSError:  # the folder's own
            pass
    return found


def test_workers_have_no_file_or_socket_of_the_driver(cluster: None, tmp_path: Path) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    with listener, (tmp_path / "of the driver").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        theirs = shoal.get(open_files.remote()) + shoal.get([open_files.remote() for _ in range(4)])[0]
        ours = {os.readlink(f"/proc/self/fd/{fd}") for fd in (file.fileno(), listener.fileno())}
    assert theirs and not ours.intersection(theirs)


def test_a_fork_inside_a_task_takes_no_message_from_it(cluster: None) -> None:
    @shoal.remote
    def one() -> int:
        return 1

    @shoal.remote
    def forks() -> tuple[int, list[int], int]:
        kept = shoal.put(bytes(SIZE))
        pid = os.fork()
        if pid == 0:
            try:
                shoal.get(one.remote())
            except shoal.exceptions.ShoalError:
                os._exit(7)  # as it should: two processes cannot share one place in the cluster
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return status, shoal.get([one.remote() for _ in range(20)]), len(shoal.get(kept))

    assert shoal.get([forks.remote() for _ in range(3)], timeout=30) == [(7, [1] * 20, SIZE)] * 3


def test_a_pool_of_processes_inside_a_task(cluster: None) -> None:
    @shoal.remote
    def pools() -> list[int]:
        import multiprocessing

        with multiprocessing.get_context("fork").Pool(2) as pool:
            return pool.map(abs, range(-5, 0))

    assert shoal.get([pools.remote() for _ in range(2)], timeout=30) == [[5, 4, 3, 2, 1]] * 2


FORKS = """
import os, sys, threading
import shoal

shoal.init(num_cpus=1)
lock = threading.Lock()

@shoal.remote
def one():
    return 1

kept = shoal.put(bytes(1 << 20))
refs = [one.remote() for _ in range(100)]
with lock:
    pid = os.fork()
if pid == 0:
    with lock:  # the child's own copy
        pass
    del kept, refs  # what a fork lets go of is still its parent's
    sys.exit(0)  # with all that runs at an exit
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
assert len(shoal.get(kept)) == 1 << 20 and shoal.get(refs) == [1] * 100
print("well")
"""


def test_a_fork_of_the_driver_that_ends_takes_nothing_with_it() -> None:
    done = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout == "well\n", done.stderr
