"""Measures one peer in this process, prints it as JSON: `python -m benchmarks.measure MODULE`.

It has the process to itself: no threads, imports or allocators of another peer are there.
"""

from __future__ import annotations

import json
import os
import sys
import time
from importlib import import_module
from time import perf_counter
from typing import Any

MARK = "SHOAL_BENCHMARK"
"""Environment variable that all processes of a run share; so a daemon is counted too."""

WORKERS = 2
SETTLE = 1.0
"""Seconds of idleness before memory is read."""


def memory() -> dict[str, float]:
    """Megabytes of all processes of this run but this one, as PSS (shared pages once) and RSS."""
    import psutil

    me = psutil.Process()
    # A daemon is no descendant, and a process that renames itself may overwrite its environment.
    found = {process.pid: process for process in me.children(recursive=True)}
    found |= {process.pid: process for process in psutil.process_iter() if _is_marked(process)}
    found.pop(me.pid)
    infos = [process.memory_full_info() for process in found.values()]
    return {
        "pss": sum(info.pss for info in infos) / 2**20,
        "rss": sum(info.rss for info in infos) / 2**20,
    }


def _is_marked(process: Any) -> bool:
    import psutil

    try:
        return bool(process.environ().get(MARK) == os.environ[MARK])
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def measure(module: str, keys: list[str]) -> dict[str, float]:
    """The rows of the peer that ``module`` drives, as many of ``keys`` as it can do."""
    start = perf_counter()
    operations = import_module(module).connect(WORKERS)
    values = {"start": perf_counter() - start}

    from benchmarks.rows import ROWS

    operations["tasks"](50)  # so that both workers are there
    time.sleep(SETTLE)
    values |= memory()
    for row in ROWS:
        if row.measure and row.key in operations and row.key in keys:
            print(f"  {row.title}", file=sys.stderr, flush=True)
            values[row.key] = row.measure(operations[row.key])
    operations["stop"]()
    return values


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], sys.argv[2:])))
