"""The standard library's process pool, as it comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.peers import pools

if TYPE_CHECKING:
    from benchmarks.rows import Operations


def connect(workers: int) -> Operations:
    from concurrent.futures import ProcessPoolExecutor

    return pools.operations(ProcessPoolExecutor(workers))
