"""The cluster of a kernel that restarts: it waits, and the new kernel is told of it."""

from __future__ import annotations

import json
import time
from typing import Any, NamedTuple

from shoal import cluster
from shoal.config import LINGER_RESTART, clusters_dir
from shoal.exceptions import ShoalError

_MARK = "restarts"
"""A file in a cluster's folder, with what the kernel that will be back is to know."""


class LeftBehind(NamedTuple):
    name: str
    kernel: str
    """What of a kernel stays the same over a restart."""
    namespace: str
    """Where the names of its actors are."""
    at: float
    """When it was left, in Unix seconds."""


def leave_for_restart(kernel: Any) -> None:
    """Leave the cluster as it is, for the kernel that takes this one's place."""
    here = cluster.living()
    if here is None or here.folder is None:
        return
    try:
        namespace = here.engine.query("context", getattr(here.engine, "client", 0), None)["namespace"]
        here.linger(LINGER_RESTART)
        left = LeftBehind(here.name, _connection(kernel), namespace, time.time())
        (here.folder / _MARK).write_text(json.dumps(left))
        cluster.leave(stop=False)
    except (ShoalError, OSError):
        pass  # it went before us


def left_behind(kernel: Any) -> list[LeftBehind]:
    """The clusters that this kernel held before it restarted, and that still run; the latest first."""
    mine = _connection(kernel)
    found = [mark for mark in map(_mark, cluster.running_names() if mine else ()) if mark is not None]
    return sorted((mark for mark in found if mark.kernel == mine), key=lambda mark: -mark.at)


def _mark(name: str) -> LeftBehind | None:
    try:
        return LeftBehind(*json.loads((clusters_dir() / name / _MARK).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _connection(kernel: Any) -> str:
    """What stays the same over a restart; empty where there is no kernel."""
    return str(getattr(getattr(kernel, "parent", None), "connection_file", ""))
