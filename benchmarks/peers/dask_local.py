"""Dask's distributed scheduler with one-threaded worker processes and no dashboard."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from benchmarks import work

if TYPE_CHECKING:
    from benchmarks.rows import Operations


def many(count: int) -> int:
    """A task that runs tasks, by the means Dask gives it."""
    from distributed import worker_client

    with worker_client() as client:
        return len(client.gather([client.submit(work.noop, pure=False) for _ in range(count)]))


def connect(workers: int) -> Operations:
    from distributed import Client, LocalCluster, wait

    cluster = LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None)
    client = Client(cluster)

    def submit(function: Any, *args: Any, **options: Any) -> Any:
        return client.submit(function, *args, pure=False, **options)

    submit(work.noop).result()

    @cache
    def ref() -> Any:
        return client.scatter(work.array(), hash=False)

    @cache
    def actor() -> Any:
        return submit(work.Actor, actor=True).result()

    def calls(count: int) -> None:
        for future in [actor().call() for _ in range(count)]:
            future.result()

    def waits(count: int) -> None:
        rest = [submit(work.noop) for _ in range(count)]
        while rest:
            done, not_done = wait(rest, return_when="FIRST_COMPLETED")
            rest = [*list(done)[1:], *not_done]

    def actors(count: int) -> None:
        crowd = [submit(work.Actor, actor=True) for _ in range(count)]
        for future in [one.result().call() for one in crowd]:
            future.result()

    def stop() -> None:
        client.close()
        cluster.close()

    return {
        "task": lambda: submit(work.noop).result(),
        "tasks": lambda count: client.gather([submit(work.noop) for _ in range(count)]),
        "call": lambda: actor().call().result(),
        "calls": calls,
        "put": lambda: client.scatter(work.array(), hash=False),
        "get": lambda: ref().result(),
        "pass_ref": lambda: submit(work.first, ref()).result(),
        "return": lambda: submit(work.large).result(),
        "waits": waits,
        "nested": lambda count: submit(many, count).result(),
        "actors": actors,
        "stop": stop,
    }
