"""The memory of all processes of a run, when they have come to rest."""

from __future__ import annotations

import gc
import os
import time
from typing import Any

MARK = "SHOAL_BENCHMARK"
"""Environment variable that all processes of a run share; so a daemon is counted too."""

SETTLE = 1.0
"""Seconds of idleness before memory is read."""


def others() -> dict[str, float]:
    """Megabytes of all processes but this one, as PSS (shared pages once) and RSS."""
    import psutil

    time.sleep(SETTLE)
    me = psutil.Process()
    # A daemon is no descendant, and a process that renames itself may overwrite its environment.
    found = {process.pid: process for process in me.children(recursive=True)}
    found |= {process.pid: process for process in psutil.process_iter() if _is_marked(process)}
    found.pop(me.pid, None)
    infos = [process.memory_full_info() for process in found.values()]
    return {
        "pss": sum(info.pss for info in infos) / 2**20,
        "rss": sum(info.rss for info in infos) / 2**20,
    }


def everything() -> float:
    """Megabytes of all processes, this one too, as PSS."""
    import psutil

    gc.collect()
    return others()["pss"] + float(psutil.Process().memory_full_info().pss) / 2**20


def _is_marked(process: Any) -> bool:
    import psutil

    try:
        return bool(process.environ().get(MARK) == os.environ.get(MARK, ""))
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
