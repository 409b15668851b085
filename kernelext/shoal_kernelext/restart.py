"""The cluster of a kernel that restarts: it waits, and the new kernel is told its name."""

from __future__ import annotations

from typing import Any

from shoal import cluster
from shoal.config import LINGER_RESTART, clusters_dir
from shoal.exceptions import ShoalError

_MARK = "restarts"
"""A file in a cluster's folder, with the connection file of the kernel that will be back."""


def leave_for_restart(kernel: Any) -> None:
    """Leave the cluster as it is, for the kernel that takes this one's place."""
    here = cluster.current()
    if here is None or not here.alive or here.folder is None:
        return
    try:
        here.linger(LINGER_RESTART)
        (here.folder / _MARK).write_text(_connection(kernel))
        cluster.leave(stop=False)
    except (ShoalError, OSError):
        pass  # it went before us


def left_behind(kernel: Any) -> list[str]:
    """The clusters that this kernel held before it restarted, and that still run."""
    return [name for name in cluster.running_names() if _mark(name) == _connection(kernel) != ""]


def _mark(name: str) -> str:
    try:
        return (clusters_dir() / name / _MARK).read_text()
    except OSError:
        return ""


def _connection(kernel: Any) -> str:
    """What stays the same over a restart."""
    return str(getattr(kernel.parent, "connection_file", ""))
