"""What the feed tells of tasks and nodes beyond their counts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import shoal
from shoal import cluster
from shoal.feed_rows import FeedState


@pytest.fixture
def two_nodes() -> Iterator[None]:
    shoal.init(num_cpus=2)
    cluster.ensure().engine.query(
        "add_node", {"num_cpus": 1, "num_gpus": 0, "memory": 0, "object_store_memory": 0, "node_name": "second"}
    )
    yield
    shoal.shutdown()


def told() -> FeedState:
    return cluster.ensure().feed().refresh()


def test_a_task_names_those_whose_values_it_needs(two_nodes: None) -> None:
    @shoal.remote
    def first() -> bytes:
        return bytes(1_000_000)

    @shoal.remote
    def second(a: bytes, b: int, c: bytes) -> int:
        return len(a) + b + len(c)

    put, made = shoal.put(bytes(1_000_000)), first.remote()
    assert shoal.get(second.remote(made, 1, put)) == 2_000_001
    rows = {row.name.rpartition(".")[2]: row for row in told().tasks.values()}
    assert rows["first"].id in rows["second"].needs
    assert rows["first"].needs in ((), [])


def test_workers_say_which_node_they_are_on(two_nodes: None) -> None:
    class Here:
        def node(self) -> str:
            return str(shoal.get_runtime_context().get_node_id())

    actors = [shoal.remote(num_cpus=1)(Here).remote() for _ in range(3)]
    where = shoal.get([actor.node.remote() for actor in actors])
    state = told()
    assert {node.name for node in state.nodes.values()} >= {"second"}
    assert sorted(node.cpus for node in state.nodes.values()) == [1, 2]
    assert sum(node.used for node in state.nodes.values()) == 3
    mine = [state.workers[actor.worker or ""].node for actor in state.actors.values()]
    assert sorted(mine) == sorted(where)
