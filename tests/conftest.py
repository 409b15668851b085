"""Nothing of ours outlives a test: processes, threads, sockets, shared memory, folders.

The look costs a millisecond where no cluster was started: that always touches $SHOAL_DIR.
"""

from __future__ import annotations

import contextlib
import gc
import os
import re
import shutil
import socket
import tempfile
import threading
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import psutil
import pytest
from leftovers import describe, processes_of, wait_until_none

PATIENCE = 10.0
"""Seconds a cluster has to take down all that was its."""

# Threads that libraries keep for the life of the process, by parts of their names: IPython's history,
# pytest-timeout's timer, asyncio's executor, jupyter_core's loop for code that is in one already.
FOREIGN_THREADS = ("IPythonHistorySavingThread", "pytest_timeout", "asyncio_", " - runner")


def pytest_configure(config: pytest.Config) -> None:
    """One short folder for all sockets of the run: what lies in it, or names it, is ours."""
    os.environ["SHOAL_DIR"] = tempfile.mkdtemp(prefix="shoal-")
    # No test depends on how fast or busy the machine is.
    hypothesis.settings.register_profile(
        "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    hypothesis.settings.load_profile("any machine")


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(os.environ["SHOAL_DIR"], ignore_errors=True)


@dataclass(frozen=True)
class Traces:
    """What exists at one moment. ``touched`` changes whenever a cluster comes or goes."""

    touched: int
    processes: dict[int, psutil.Process]
    threads: frozenset[int | None]
    files: frozenset[str]
    folders: frozenset[str]
    shared_memory: frozenset[str]


def _traces(folder: Path) -> Traces:
    nothing_runs = not _children(os.getpid()) and not os.listdir(folder)
    return Traces(
        touched=folder.stat().st_mtime_ns,
        processes={} if nothing_runs else _processes(folder),
        threads=frozenset(thread.ident for thread in threading.enumerate()),
        files=_open_files(str(folder)),
        folders=frozenset(os.listdir(folder)),
        shared_memory=frozenset(os.listdir("/dev/shm")),
    )


def _processes(folder: Path) -> dict[int, psutil.Process]:
    ours = psutil.Process().children(recursive=True) + processes_of(str(folder))
    return {process.pid: process for process in ours if _lives(process)}


def _children(pid: int) -> list[str]:
    found: list[str] = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # a thread that ends while we look
            found += children.read_text().split()
    return found


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _open_files(folder: str) -> frozenset[str]:
    """The memory files we hold, and the sockets that lead into the folder."""
    held = set()
    for fd in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{fd}")
        except OSError:
            continue  # the fd of the listing itself
        leads_to_us = target.startswith("socket:") and folder in _socket_names(int(fd))
        if target.startswith("/memfd:") or leads_to_us:
            held.add(f"fd {fd} ({target})")
    return frozenset(held)


def _socket_names(fd: int) -> str:
    try:
        with socket.socket(fileno=os.dup(fd)) as end:
            if end.family != socket.AF_UNIX:
                return ""
            names = [str(end.getsockname())]
            try:
                names.append(str(end.getpeername()))
            except OSError:
                pass  # it listens, or its other end is gone
            return " ".join(names)
    except OSError:
        return ""


def _leaks(before: Traces) -> list[str]:
    gc.collect()
    now = _traces(_folder())
    leaks = [describe(process) for process in _new_processes(before)]
    if memory := now.shared_memory - before.shared_memory:
        memory -= _mapped_by_others(now.processes)
        leaks += [f"/dev/shm/{name}" for name in memory]
    if not before.processes:  # a cluster or kernel that a wider fixture holds opens what it needs
        leaks += [f"$SHOAL_DIR/{name}" for name in now.folders - before.folders]
        leaks += [f"thread {t.name} ({t})" for t in threading.enumerate() if _is_ours(t, before)]
        leaks += sorted(now.files - before.files)
    return leaks


def _mapped_by_others(ours: Container[int]) -> set[str]:
    """The names in /dev/shm that other programs of this machine use: it is one for all."""
    names = set()
    for pid in psutil.pids():
        if pid != os.getpid() and pid not in ours:
            try:
                maps = Path(f"/proc/{pid}/maps").read_text()
            except OSError:
                continue  # it ended meanwhile, or it is another user's
            names.update(re.findall(r"/dev/shm/(\S+)", maps))
    return names


def _new_processes(before: Traces) -> list[psutil.Process]:
    return [p for p in _processes(_folder()).values() if _is_new(p, before)]


def _folder() -> Path:
    return Path(os.environ["SHOAL_DIR"])


def _is_new(process: psutil.Process, before: Traces) -> bool:
    """The workers of a hub that a wider fixture holds are not new: that one answers for them."""
    try:
        line = [process.pid, *(parent.pid for parent in process.parents())]
    except psutil.NoSuchProcess:
        return False
    return not any(pid in before.processes for pid in line)


def _is_ours(thread: threading.Thread, before: Traces) -> bool:
    return thread.ident not in before.threads and not any(
        part in thread.name for part in FOREIGN_THREADS
    )


def _fail_on_leaks(before: Traces) -> None:
    leaks = wait_until_none(lambda: _leaks(before), PATIENCE)
    if leaks:
        # All is named below; the tests that follow shall not suffer from it.
        for process in _new_processes(before):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        for name in set(os.listdir(_folder())) - before.folders:
            shutil.rmtree(_folder() / name, ignore_errors=True)
        pytest.fail("left behind:\n  " + "\n  ".join(leaks), pytrace=False)


def _is_untouched(before: Traces) -> bool:
    return (
        _folder().stat().st_mtime_ns == before.touched
        and before.shared_memory.issuperset(os.listdir("/dev/shm"))
        and len(threading.enumerate()) <= len(before.threads)
        and len(_children(os.getpid())) <= len(before.processes)
    )


@pytest.fixture(autouse=True)
def nothing_left_after_test() -> Iterator[None]:
    """Fails the test that leaves something behind."""
    before = _traces(_folder())
    yield
    if not _is_untouched(before):
        _fail_on_leaks(before)


@pytest.fixture(autouse=True, scope="module")
def nothing_left_after_module(nothing_left_after_session: None) -> Iterator[None]:
    """The same for what fixtures of a whole module hold."""
    before = _traces(_folder())
    yield
    _fail_on_leaks(before)


@pytest.fixture(autouse=True, scope="session")
def nothing_left_after_session() -> Iterator[None]:
    """The same for what fixtures of the whole run hold."""
    before = _traces(_folder())
    yield
    _fail_on_leaks(before)
