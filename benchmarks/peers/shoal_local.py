"""shoal, on its embedded cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.peers import ray_api

if TYPE_CHECKING:
    from benchmarks.rows import Operations


def connect(workers: int) -> Operations:
    import shoal

    shoal.init(num_cpus=workers)
    return ray_api.operations(shoal)
