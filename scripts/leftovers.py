"""What a cluster may leave behind: processes that belong to a folder of sockets (``SHOAL_DIR``)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import psutil

T = TypeVar("T")


def processes_of(folder: str) -> list[psutil.Process]:
    """The live processes, this one apart, whose environment or command line names the folder."""
    found = []
    for process in psutil.process_iter():
        if process.pid == psutil.Process().pid:
            continue
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            named = process.environ().get("SHOAL_DIR") == folder
            if named or any(folder in word for word in process.cmdline()):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            pass  # it ended meanwhile, or it is another user's
    return found


def describe(process: psutil.Process) -> str:
    """One line that tells a leaked process apart: pid, parent, command line."""
    try:
        return f"process {process.pid} (parent {process.ppid()}): {' '.join(process.cmdline())}"
    except psutil.NoSuchProcess:
        return f"process {process.pid}, which has just ended"


def wait_until_none(look: Callable[[], list[T]], seconds: float) -> list[T]:
    """Call ``look`` until it finds nothing or the seconds are over; returns what it found last."""
    deadline = time.monotonic() + seconds
    while (found := look()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found
