"""Measures one peer in this process, prints it as JSON: `python -m benchmarks.measure MODULE`.

It has the process to itself: no threads, imports or allocators of another peer are there.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from time import perf_counter

WORKERS = 2


def measure(module: str, keys: list[str]) -> dict[str, float]:
    """The rows of the peer that ``module`` drives, as many of ``keys`` as it can do."""
    start = perf_counter()
    operations = import_module(module).connect(WORKERS)
    values = {"start": perf_counter() - start}

    from benchmarks.memory import others
    from benchmarks.rows import ROWS

    operations["tasks"](50)  # so that both workers are there
    values |= others()
    for row in ROWS:
        operation = operations.get(row.operation or row.key)
        if row.measure and operation is not None and row.key in keys:
            print(f"  {row.title}", file=sys.stderr, flush=True)
            values[row.key] = row.measure(operation)
    operations["stop"]()
    return values


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], sys.argv[2:])))
