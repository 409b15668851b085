"""Virtual nodes, strategies, placement groups, GPUs: Ray's semantics."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import shoal
from shoal.cluster_utils import Cluster
from shoal.exceptions import (
    ActorDiedError,
    ActorUnschedulableError,
    NodeDiedError,
    TaskPlacementGroupRemoved,
    TaskUnschedulableError,
)
from shoal.ids import NodeID
from shoal.util import placement_group
from shoal.util.placement_group import PlacementGroup, placement_group_table, remove_placement_group
from shoal.util.scheduling_strategies import (
    DoesNotExist,
    Exists,
    In,
    NodeAffinitySchedulingStrategy,
    NodeLabelSchedulingStrategy,
    NotIn,
    PlacementGroupSchedulingStrategy,
)

NODES = [
    {"num_cpus": 2, "resources": {"first": 1}},
    {"num_cpus": 2, "num_gpus": 2, "resources": {"second": 1}, "labels": {"zone": "b"}},
]
UNKNOWN = NodeID.from_random().hex()


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def nodes() -> Iterator[list[str]]:
    """Two nodes; their ids."""
    shoal.init(nodes=NODES)
    yield [row["NodeID"] for row in shoal.nodes()]
    shoal.shutdown()


@shoal.remote
def where() -> str:
    from shoal import assigned

    return assigned.get().node


@shoal.remote
def gpus() -> tuple[Any, str | None]:
    from shoal import assigned

    return assigned.get().gpus, os.environ.get("CUDA_VISIBLE_DEVICES")


class _Somewhere:
    def where(self) -> str:
        from shoal import assigned

        return assigned.get().node


Somewhere: Any = shoal.remote(_Somewhere)


def test_nodes_and_their_sum(nodes: list[str]) -> None:
    assert shoal.cluster_resources()["CPU"] == 4
    assert shoal.cluster_resources()["GPU"] == 2
    assert [row["Resources"]["CPU"] for row in shoal.nodes()] == [2, 2]
    assert shoal.nodes()[1]["Labels"] == {"ray.io/node-id": nodes[1], "zone": "b"}
    assert all(row["Alive"] for row in shoal.nodes())


def test_custom_resources_name_a_node(nodes: list[str]) -> None:
    found = shoal.get([where.options(resources={n: 0.1}).remote() for n in ("first", "second")])
    assert found == nodes


@pytest.mark.parametrize("index", [0, 1])
def test_hard_affinity(nodes: list[str], index: int) -> None:
    strategy = NodeAffinitySchedulingStrategy(nodes[index], soft=False)
    assert shoal.get(where.options(scheduling_strategy=strategy).remote()) == nodes[index]
    actor = Somewhere.options(scheduling_strategy=strategy).remote()
    assert shoal.get(actor.where.remote()) == nodes[index]


def test_affinity_to_a_node_that_is_not_there(nodes: list[str]) -> None:
    hard = NodeAffinitySchedulingStrategy(UNKNOWN, soft=False)
    with pytest.raises(TaskUnschedulableError, match=UNKNOWN):
        shoal.get(where.options(scheduling_strategy=hard).remote())
    actor = Somewhere.options(scheduling_strategy=hard).remote()
    with pytest.raises(ActorUnschedulableError):
        shoal.get(actor.where.remote())
    soft = NodeAffinitySchedulingStrategy(UNKNOWN, soft=True)
    assert shoal.get(where.options(scheduling_strategy=soft).remote()) in nodes


def test_spread(nodes: list[str]) -> None:
    task = where.options(scheduling_strategy="SPREAD")
    assert {shoal.get(task.remote()) for _ in range(2)} == set(nodes)


@pytest.mark.parametrize(
    ("hard", "index"),
    [({"zone": In("a", "b")}, 1), ({"zone": NotIn("b")}, 0), ({"zone": Exists()}, 1), ({"zone": DoesNotExist()}, 0)],
)
def test_label_strategies(nodes: list[str], hard: dict[str, Any], index: int) -> None:
    task = where.options(scheduling_strategy=NodeLabelSchedulingStrategy(hard))
    assert shoal.get(task.remote()) == nodes[index]


@pytest.mark.parametrize(("condition", "index"), [("b", 1), ("!b", 0), ("in(a, b)", 1), ("!in(a, b)", 0)])
def test_label_selectors(nodes: list[str], condition: str, index: int) -> None:
    assert shoal.get(where.options(label_selector={"zone": condition}).remote()) == nodes[index]


def test_a_fallback_is_taken_where_the_selector_is_not_met(nodes: list[str]) -> None:
    task = where.options(label_selector={"zone": "z"}, fallback_strategy=[{"label_selector": {"zone": "b"}}])
    assert shoal.get(task.remote()) == nodes[1]


def test_gpus_have_numbers(nodes: list[str]) -> None:
    numbers, visible = shoal.get(gpus.options(num_gpus=2).remote())
    assert (numbers, visible) == ((0, 1), "0,1")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"num_gpus": 1.5}, ValueError),
        ({"resources": {"CPU": 1}}, ValueError),
        ({"scheduling_strategy": "XXX"}, ValueError),
        ({"scheduling_strategy": 3}, TypeError),
        ({"label_selector": {"zone": "!!b"}}, ValueError),
        ({"label_selector": "zone"}, TypeError),
        ({"fallback_strategy": [{}]}, ValueError),
        ({"num_cpus": 0.00001}, ValueError),
    ],
)
def test_options_are_checked_when_given(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        where.options(**options)


@pytest.mark.parametrize(
    "arguments",
    [
        {"bundles": {"CPU": 1}},
        {"bundles": []},
        {"bundles": [{}]},
        {"bundles": [{"CPU": 0}]},
        {"bundles": [{"CPU": 1}], "strategy": "TOGETHER"},
        {"bundles": [{"CPU": 1}], "lifetime": "long"},
        {"bundles": [{"CPU": 1}], "bundle_label_selector": []},
    ],
)
def test_groups_that_make_no_sense(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        placement_group(**arguments)


@pytest.mark.parametrize(
    ("strategy", "together"), [("PACK", 1), ("STRICT_PACK", 1), ("SPREAD", 2), ("STRICT_SPREAD", 2)]
)
def test_strategies_of_groups(nodes: list[str], strategy: str, together: int) -> None:
    group = placement_group([{"CPU": 1}, {"CPU": 1}], strategy=strategy)
    assert shoal.get(group.ready(), timeout=30) == group
    row = placement_group_table(group)
    assert row["state"] == "CREATED"
    assert len(set(row["bundles_to_node_id"].values())) == together
    assert row["stats"]["scheduling_state"] == "FINISHED" and row["stats"]["end_to_end_creation_latency_ms"] > 0
    assert shoal.available_resources()["CPU"] == 2
    remove_placement_group(group)
    assert shoal.available_resources()["CPU"] == 4


def test_a_bundle_is_where_its_tasks_run(nodes: list[str]) -> None:
    group = placement_group([{"CPU": 1}, {"CPU": 1}], strategy="STRICT_SPREAD")
    assert group.wait(30)
    places = placement_group_table(group)["bundles_to_node_id"]
    for index in (0, 1):
        strategy = PlacementGroupSchedulingStrategy(group, index)
        assert shoal.get(where.options(scheduling_strategy=strategy).remote()) == places[index]


def test_indices_and_shapes_are_checked(nodes: list[str]) -> None:
    group = placement_group([{"CPU": 1}])
    with pytest.raises(ValueError, match="bundle index 3 is invalid"):
        where.options(scheduling_strategy=PlacementGroupSchedulingStrategy(group, 3)).remote()
    with pytest.raises(ValueError, match="cannot fit into any bundles"):
        where.options(num_cpus=2, scheduling_strategy=PlacementGroupSchedulingStrategy(group)).remote()


def test_removal_ends_what_runs_in_a_group(nodes: list[str]) -> None:
    group = placement_group([{"CPU": 1}])
    strategy = PlacementGroupSchedulingStrategy(group)
    actor = Somewhere.options(num_cpus=1, scheduling_strategy=strategy).remote()
    assert shoal.get(actor.where.remote()) in nodes
    waiting = where.options(scheduling_strategy=strategy).remote()
    remove_placement_group(group)
    with pytest.raises(TaskPlacementGroupRemoved):
        shoal.get(waiting)
    with pytest.raises(ValueError, match="was removed"):
        group.wait(30)
    assert placement_group_table(group)["stats"]["scheduling_state"] == "REMOVED"
    with pytest.raises(ActorDiedError, match="placement group was removed"):
        shoal.get(actor.where.remote())
    until(lambda: shoal.available_resources()["CPU"] == 4)


def test_children_are_captured(nodes: list[str]) -> None:
    @shoal.remote
    def parent() -> tuple[PlacementGroup | None, str]:
        from shoal.util.placement_group import get_current_placement_group

        return get_current_placement_group(), shoal.get(where.remote())

    group = placement_group([{"CPU": 2, "second": 1}])
    strategy = PlacementGroupSchedulingStrategy(group, placement_group_capture_child_tasks=True)
    assert shoal.get(parent.options(scheduling_strategy=strategy).remote()) == (group, nodes[1])


def test_a_group_that_cannot_be_says_so(nodes: list[str]) -> None:
    with pytest.warns(UserWarning, match="stays pending"):
        group = placement_group([{"CPU": 3}])
    assert not group.wait(0.1)
    row = placement_group_table(group)
    assert (row["state"], row["stats"]["scheduling_state"]) == ("PENDING", "INFEASIBLE")


def test_a_node_dies_and_its_work_with_it(tmp_path: Path) -> None:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    node = cluster.add_node(num_cpus=1, resources={"there": 1})
    cluster.wait_for_nodes()
    shoal.init(cluster.address)
    try:

        begun = tmp_path / "begun"

        @shoal.remote(resources={"there": 1}, max_retries=0)
        def long() -> None:
            begun.touch()
            time.sleep(1000)

        ref = long.remote()
        until(begun.exists)  # one that had not begun would wait for another node
        cluster.remove_node(node)
        with pytest.raises(NodeDiedError):
            shoal.get(ref)
        assert [row["Alive"] for row in shoal.nodes()] == [True, False]
    finally:
        cluster.shutdown()


def test_a_cluster_knows_whether_it_is_whole() -> None:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        node = cluster.add_node(num_cpus=1)
        assert [n.is_head() for n in cluster.list_all_nodes()] == [True, False]
        assert {n.address for n in cluster.list_all_nodes()} == {cluster.address}
        assert cluster.remaining_processes_alive()
        cluster.remove_node(node)
        assert cluster.remaining_processes_alive()
        shoal.init(cluster.address)
        here = shoal.cluster.current()
        assert here is not None
        hub = here.engine.query("status")["pid"]
        shoal.shutdown()
        os.kill(hub, signal.SIGKILL)
        until(lambda: not cluster.remaining_processes_alive())
    finally:
        cluster.shutdown()


def test_what_waits_for_a_node_runs_when_it_comes() -> None:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    shoal.init(cluster.address)
    try:
        with pytest.warns(UserWarning, match="stays pending"):
            ref = where.options(resources={"late": 1}).remote()
        node = cluster.add_node(num_cpus=1, resources={"late": 1})
        assert shoal.get(ref, timeout=30) == node.node_id
    finally:
        cluster.shutdown()
