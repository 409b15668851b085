"""Ray, started on this machine without its dashboard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.peers import ray_api

if TYPE_CHECKING:
    from benchmarks.rows import Operations


def connect(workers: int) -> Operations:
    import ray

    ray.init(
        num_cpus=workers,
        include_dashboard=False,
        logging_level="ERROR",
        log_to_driver=False,
        object_store_memory=2 * 2**30,
    )
    return ray_api.operations(ray)
