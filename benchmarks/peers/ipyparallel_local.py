"""ipyparallel with local engines; an engine's namespace stands for an actor and a store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks import work

if TYPE_CHECKING:
    from benchmarks.rows import Operations


def connect(workers: int) -> Operations:
    import ipyparallel

    cluster = ipyparallel.Cluster(n=workers, log_level=40)
    client = cluster.start_and_connect_sync(activate=False)
    view, engine = client.load_balanced_view(), client[0]
    view.apply_sync(work.noop)
    def tasks(count: int) -> None:
        for result in [view.apply_async(work.noop) for _ in range(count)]:
            result.get()

    def stop() -> None:
        client.close()
        cluster.stop_cluster_sync()

    return {
        "task": lambda: view.apply_sync(work.noop),
        "tasks": tasks,
        "call": lambda: engine.apply_sync(work.noop),
        "put": lambda: engine.push({"array": work.array()}, block=True),
        "pass_value": lambda: view.apply_sync(work.first, work.array()),
        "return": lambda: view.apply_sync(work.large),
        "stop": stop,
    }
