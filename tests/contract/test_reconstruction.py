"""Values that are lost, with their file or their node, and the tasks that make them again: Ray's semantics."""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from leftovers import wait_until_none

import shoal
from shoal import cluster
from shoal.cluster_utils import Cluster
from shoal.exceptions import (
    ActorDiedError,
    ActorUnschedulableError,
    ObjectLostError,
    ObjectReconstructionFailedError,
    ObjectReconstructionFailedLineageEvictedError,
    ObjectReconstructionFailedMaxAttemptsExceededError,
    OwnerDiedError,
    TaskError,
    TaskUnschedulableError,
)
from shoal.util.placement_group import placement_group, placement_group_table
from shoal.util.scheduling_strategies import NodeAffinitySchedulingStrategy, PlacementGroupSchedulingStrategy

MB = 1 << 20
FAILED = "ObjectReconstructionFailedError"


def block(value: int, megabytes: int = 20) -> Any:
    return np.full(megabytes * MB, value, np.uint8)


class Runs:
    """Counts runs of tasks in whichever process, in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, name: str) -> None:
        with open(self.path, "a") as file:
            file.write(name + "\n")

    def count(self, name: str) -> int:
        return self.path.read_text().split().count(name) if self.path.exists() else 0


@pytest.fixture
def ran(tmp_path: Path) -> Runs:
    return Runs(tmp_path / "ran")


@pytest.fixture
def small() -> Iterator[None]:
    """A store that a few blocks fill."""
    shoal.init(num_cpus=2, object_store_memory=64 * MB)
    yield
    shoal.shutdown()


def here() -> Any:
    found = cluster.current()
    assert found is not None
    return found


def to_disk() -> list[Path]:
    """Have all that nobody looks at written to disk; returns the files."""
    gc.collect()
    here().engine.reclaim()
    full = shoal.put(block(0, 64))
    files = sorted((here().folder / "spill").iterdir())
    del full
    here().engine.reclaim()
    return files


def lose() -> None:
    """All that nobody looks at is lost."""
    for file in to_disk():
        file.unlink(missing_ok=True)


@shoal.remote(max_retries=1)
def make(ran: Runs, value: int) -> Any:
    ran(f"make{value}")
    return block(value)


@shoal.remote
def follow(ran: Runs, array: Any) -> Any:
    ran("follow")
    return array + np.uint8(1)


@shoal.remote
def first(array: Any) -> int:
    return int(array[0])


# files


@pytest.mark.usefixtures("small")
def test_a_value_whose_file_vanished_is_made_again(ran: Runs) -> None:
    ref = make.remote(ran, 7)
    shoal.wait([ref])
    lose()
    assert int(shoal.get(ref)[-1]) == 7
    assert ran.count("make7") == 2
    assert int(shoal.get(ref)[-1]) == 7
    assert ran.count("make7") == 2


@pytest.mark.usefixtures("small")
def test_nothing_is_made_again_that_nobody_needs(ran: Runs) -> None:
    refs = [make.remote(ran, i) for i in range(2)]
    shoal.wait(refs, num_returns=2)
    lose()
    assert int(shoal.get(refs[1])[0]) == 1
    assert (ran.count("make0"), ran.count("make1")) == (1, 2)


@pytest.mark.usefixtures("small")
def test_a_file_that_was_cut_short_counts_as_lost(ran: Runs) -> None:
    ref = make.remote(ran, 3)
    shoal.wait([ref])
    for file in to_disk():
        os.truncate(file, 1000)
    assert int(shoal.get(ref)[-1]) == 3
    assert ran.count("make3") == 2


@pytest.mark.usefixtures("small")
def test_an_argument_that_is_lost_is_made_again_for_its_task(ran: Runs) -> None:
    ref = make.remote(ran, 4)
    shoal.wait([ref])
    lose()
    assert shoal.get([first.remote(ref), first.remote(ref)]) == [4, 4]
    assert ran.count("make4") == 2


@pytest.mark.usefixtures("small")
def test_what_was_dropped_is_made_again_for_what_was_made_of_it(ran: Runs) -> None:
    ref = follow.remote(ran, follow.remote(ran, make.remote(ran, 5)))
    shoal.wait([ref])
    lose()
    assert int(shoal.get(ref)[0]) == 7
    assert (ran.count("make5"), ran.count("follow")) == (2, 4)


@pytest.mark.usefixtures("small")
def test_small_arguments_are_kept_and_large_ones_that_were_put_too(ran: Runs) -> None:
    @shoal.remote
    def small(value: int) -> int:
        ran("small")
        return value

    @shoal.remote
    def add(value: int, array: Any, inside: list[Any]) -> Any:
        ran("add")
        return array + np.uint8(value) + np.uint8(shoal.get(inside[0]))

    put = shoal.put(block(1))
    ref = add.remote(small.remote(2), put, [small.remote(3)])
    shoal.wait([ref])
    del put
    files = to_disk()
    kept = len(files)
    assert kept == 2, "what was put cannot be made again, and so is kept with its lineage"
    files[-1].unlink()
    assert int(shoal.get(ref)[0]) == 6
    assert (ran.count("add"), ran.count("small")) == (2, 2)


@pytest.mark.usefixtures("small")
def test_a_retry_is_spent_and_then_the_error_says_so(ran: Runs) -> None:
    ref = make.remote(ran, 1)
    shoal.wait([ref])
    lose()
    assert int(shoal.get(ref)[0]) == 1
    lose()
    wanted = r"is lost \(its file .* was removed.*make\(\) has run again as often as max_retries=1 allows"
    with pytest.raises(ObjectReconstructionFailedMaxAttemptsExceededError, match=wanted):
        shoal.get(ref)
    assert ran.count("make1") == 2
    with pytest.raises(ObjectReconstructionFailedMaxAttemptsExceededError, match="at least one of the input") as raised:
        shoal.get(first.remote(ref))
    assert isinstance(raised.value, TaskError)
    with pytest.raises(TaskError, match="at least one of the input"):  # through any number of tasks
        shoal.get(first.remote(first.remote(ref)))


@pytest.mark.usefixtures("small")
def test_a_task_without_retries_is_not_run_again(ran: Runs) -> None:
    ref = make.options(max_retries=0).remote(ran, 1)
    shoal.wait([ref])
    lose()
    with pytest.raises(TaskError, match=r"make\(\) has max_retries=0"):
        shoal.get(first.remote(ref))
    with pytest.raises(ObjectReconstructionFailedError, match="give it max_retries"):
        shoal.get(ref)
    assert ran.count("make1") == 1


@pytest.mark.usefixtures("small")
def test_what_was_put_cannot_be_made_again() -> None:
    ref = shoal.put(block(1))
    lose()
    with pytest.raises(ObjectReconstructionFailedError, match="it was put.*have a task return it"):
        shoal.get(ref)
    assert shoal.wait([ref], timeout=0) == ([ref], [])


@pytest.mark.usefixtures("small")
def test_a_lost_value_is_not_ready_until_it_is_made_again(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    gate.touch()

    @shoal.remote
    def slow() -> Any:
        wait_until_none(lambda: [] if gate.exists() else ["shut"], 30.0)
        return block(9)

    ref = slow.remote()
    shoal.wait([ref])
    gate.unlink()
    lose()
    with pytest.raises(shoal.exceptions.GetTimeoutError):
        shoal.get(ref, timeout=0.1)
    assert shoal.wait([ref], timeout=0) == ([], [ref])
    waiting = threading.Thread(target=gate.touch)
    waiting.start()
    assert shoal.wait([ref]) == ([ref], [])
    waiting.join()
    assert int(shoal.get(ref)[0]) == 9


@pytest.mark.usefixtures("small")
def test_one_of_several_values_is_lost(ran: Runs) -> None:
    @shoal.remote(num_returns=3)
    def three() -> Any:
        ran("three")
        return block(1), 2, block(3)

    one, two, three_ = three.remote()
    shoal.wait([one, two, three_], num_returns=3)
    looked_at = shoal.get(three_)
    lose()
    assert int(shoal.get(one)[0]) == 1
    assert shoal.get(two) == 2
    assert shoal.get(three_) is not None and (looked_at == 3).all()
    assert ran.count("three") == 2


@pytest.mark.usefixtures("small")
def test_items_of_a_stream_are_made_again_whether_they_were_read_or_not(ran: Runs) -> None:
    @shoal.remote
    def stream() -> Any:
        ran("stream")
        for i in range(3):
            yield block(i, 10)

    @shoal.remote(num_cpus=2)
    def idle() -> None: ...

    items = stream.remote()
    read = [next(items)]
    shoal.wait([read[0]])
    shoal.wait([items])
    shoal.get(items.completed())
    lose()
    assert int(shoal.get(read[0])[0]) == 0
    shoal.get(idle.remote())  # all CPUs: it begins when the stream's second run has ended
    read += list(items)
    assert [int(shoal.get(ref)[-1]) for ref in read] == [0, 1, 2]
    assert ran.count("stream") == 2


@pytest.mark.usefixtures("small")
def test_values_of_a_generator_that_fills_its_refs(ran: Runs) -> None:
    @shoal.remote(num_returns=2)
    def fill() -> Any:
        ran("fill")
        yield block(1)
        yield block(2)

    refs = fill.remote()
    shoal.wait(refs, num_returns=2)
    lose()
    assert [int(a[0]) for a in shoal.get(refs)] == [1, 2]
    assert ran.count("fill") == 2


@pytest.mark.usefixtures("small")
def test_a_call_that_went_by_a_lane_is_made_again(ran: Runs) -> None:
    @shoal.remote
    def either(large: bool, value: int) -> Any:
        ran(f"either{value}")
        return block(value) if large else value

    assert shoal.get([either.remote(False, i) for i in range(50)]) == list(range(50))
    for i in range(50, 55):  # by now it is measured, and a worker is lent
        ref = either.remote(True, shoal.get(either.remote(False, i)))
        shoal.wait([ref])
        lose()
        assert int(shoal.get(ref)[0]) == i
        assert ran.count(f"either{i}") == 3


@pytest.mark.usefixtures("small")
def test_calls_of_an_actor_are_repeated_if_it_says_so(ran: Runs) -> None:
    @shoal.remote
    class Maker:
        @shoal.method(max_task_retries=2)
        def again(self) -> Any:
            ran("again")
            return block(1)

        def once(self) -> Any:
            ran("once")
            return block(2)

    maker = Maker.remote()  # type: ignore[attr-defined]
    refs = [maker.again.remote(), maker.once.remote()]
    shoal.wait(refs, num_returns=2)
    lose()
    assert int(shoal.get(refs[0])[0]) == 1
    with pytest.raises(ObjectReconstructionFailedError, match=r"Maker.once\(\) has max_task_retries=0"):
        shoal.get(refs[1])
    lose()
    shoal.kill(maker)
    with pytest.raises(ActorDiedError, match=r"is lost .* the actor of Maker.again\(\) is dead"):
        shoal.get(refs[0])
    assert (ran.count("again"), ran.count("once")) == (2, 1)


@pytest.mark.usefixtures("small")
def test_an_actor_waits_for_a_lost_argument_in_its_order(ran: Runs) -> None:
    @shoal.remote
    class Log:
        def __init__(self) -> None:
            self.seen: list[int] = []

        def add(self, array: Any) -> list[int]:
            self.seen.append(int(array[0]) if isinstance(array, np.ndarray) else array)
            return self.seen

    log = Log.remote()  # type: ignore[attr-defined]
    ref = make.remote(ran, 6)
    shoal.wait([ref])
    shoal.get(log.add.remote(1))
    lose()
    log.add.remote(ref)
    assert shoal.get(log.add.remote(2)) == [1, 6, 2]


@pytest.mark.usefixtures("small")
def test_a_task_that_runs_again_may_fail_and_be_cancelled(tmp_path: Path) -> None:
    @shoal.remote
    def fickle(path: Path) -> Any:
        if path.exists():
            raise ValueError("not twice")
        path.touch()
        return block(1)

    ref = fickle.remote(tmp_path / "once")
    shoal.wait([ref])
    lose()
    with pytest.raises(ValueError, match="not twice"):
        shoal.get(ref)


@pytest.mark.usefixtures("small")
def test_a_worker_that_dies_while_it_makes_a_value_again(ran: Runs, tmp_path: Path) -> None:
    @shoal.remote(max_retries=2)
    def weak(path: Path) -> Any:
        ran("weak")
        if ran.count("weak") == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return block(8)

    ref = weak.remote(tmp_path)
    shoal.wait([ref])
    lose()
    assert int(shoal.get(ref)[0]) == 8
    assert ran.count("weak") == 3
    lose()
    with pytest.raises(ObjectReconstructionFailedMaxAttemptsExceededError):
        shoal.get(ref)


@pytest.mark.usefixtures("small")
def test_the_books_are_even_when_all_is_dropped(ran: Runs) -> None:
    refs = [follow.remote(ran, make.remote(ran, i)) for i in range(6)]
    shoal.wait(refs, num_returns=6)
    lose()
    assert [int(shoal.get(ref)[0]) for ref in refs] == list(range(1, 7))
    del refs
    gc.collect()

    def left() -> list[Any]:
        here().engine.reclaim()
        status = here().status()
        return [status["store"][0], status["spilled"]] if status["store"][0] or status["spilled"] else []

    assert wait_until_none(left, 10.0) == []


# what is kept


def test_lineage_is_bounded(ran: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_MAX_LINEAGE_BYTES", "3000")
    shoal.init(num_cpus=1, object_store_memory=64 * MB)
    try:
        old, *refs = [make.remote(ran, i) for i in range(6)]
        shoal.wait([old, *refs], num_returns=6)
        del refs[:-1]
        lose()
        assert int(shoal.get(refs[-1])[0]) == 5
        with pytest.raises(ObjectReconstructionFailedLineageEvictedError, match="SHOAL_MAX_LINEAGE_BYTES"):
            shoal.get(old)
    finally:
        shoal.shutdown()


@pytest.mark.parametrize("bytes_", ["many", "-1"])
def test_a_bound_that_makes_no_sense_is_refused(bytes_: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_MAX_LINEAGE_BYTES", bytes_)
    with pytest.raises(ValueError, match="whole number"):
        shoal.init(num_cpus=1)


def test_nothing_is_made_again_where_that_is_switched_off(ran: Runs) -> None:
    shoal.init(num_cpus=1, object_store_memory=64 * MB, _system_config={"lineage_pinning_enabled": False})
    try:
        ref = make.remote(ran, 1)
        shoal.wait([ref])
        lose()
        with pytest.raises(ObjectLostError, match="switched off"):
            shoal.get(ref)
    finally:
        shoal.shutdown()


# memory


@pytest.mark.usefixtures("small")
def test_nobody_can_take_shared_memory_from_under_its_readers() -> None:
    ref = shoal.put(block(5))
    array = shoal.get(ref)
    segments = [f for f in Path("/proc/self/fd").iterdir() if "memfd:shoal" in os.path.realpath(f)]
    cut = 0
    for segment in segments:
        try:
            os.truncate(segment, 0)
            cut += os.stat(segment).st_size == 0 and "log" not in os.path.realpath(segment)
        except PermissionError:
            pass
    assert cut == 0
    assert (array == 5).all()


# nodes


@pytest.fixture
def nodes() -> Iterator[Cluster]:
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "resources": {"head": 10}})
    shoal.init(made.address)
    yield made
    shoal.shutdown()
    made.shutdown()


def test_what_a_node_held_is_made_again_elsewhere(nodes: Cluster, ran: Runs) -> None:
    node = nodes.add_node(num_cpus=1, resources={"there": 1})
    there = make.options(resources={"there": 0.1})
    on_head = make.options(resources={"head": 1}).remote(ran, 2)
    ref, small = there.remote(ran, 1), first.options(resources={"there": 0.1}).remote(on_head)
    looked_at = shoal.get(ref)
    assert shoal.get(small) == 2
    nodes.remove_node(node)
    assert (looked_at == 1).all(), "who looks at it keeps it"
    assert shoal.wait([ref], timeout=0) == ([], [ref])
    nodes.add_node(num_cpus=1, resources={"there": 1})
    assert int(shoal.get(ref)[0]) == 1
    assert shoal.get([small, first.remote(on_head)]) == [2, 2], "small values and those of other nodes stay"
    assert (ran.count("make1"), ran.count("make2")) == (2, 1)
    assert (looked_at == 1).all()


def test_what_lay_on_disk_goes_with_its_node(ran: Runs) -> None:
    shoal.init(nodes=[{"num_cpus": 1}, {"num_cpus": 1, "resources": {"there": 1}}], object_store_memory=64 * MB)
    try:
        ref = make.options(resources={"there": 0.1}).remote(ran, 1)
        shoal.wait([ref])
        assert to_disk()
        here().engine.query("remove_node", shoal.nodes()[1]["NodeID"])
        here().engine.query("add_node", {"num_cpus": 1, "num_gpus": 0, "memory": 0, "object_store_memory": 0,
                                         "node_name": "", "resources": {"there": 1.0}})  # fmt: skip
        assert int(shoal.get(ref)[0]) == 1
        assert ran.count("make1") == 2
    finally:
        shoal.shutdown()


def test_what_a_process_of_a_dead_node_had_put_has_lost_its_owner(nodes: Cluster) -> None:
    node = nodes.add_node(num_cpus=1, resources={"there": 1})

    @shoal.remote(resources={"there": 0.1})
    def put() -> list[Any]:
        return [shoal.put(block(1)), shoal.put("small")]

    large, small = shoal.get(put.remote())
    nodes.remove_node(node)
    with pytest.raises(OwnerDiedError, match="put by a process that died with that node"):
        shoal.get(large)
    assert shoal.get(small) == "small"


def test_tasks_that_wait_have_their_lost_arguments_made_again(nodes: Cluster, ran: Runs) -> None:
    node = nodes.add_node(num_cpus=1, resources={"there": 1})
    ref = make.options(resources={"there": 0.1}).remote(ran, 3)
    shoal.wait([ref])
    with pytest.warns(UserWarning, match="stays pending"):
        waiting = [first.options(resources={"later": 1}).remote(ref) for _ in range(3)]
    del ref
    here().engine.reclaim()
    nodes.remove_node(node)
    nodes.add_node(num_cpus=1, resources={"there": 1})
    nodes.add_node(num_cpus=1, resources={"later": 1})
    assert shoal.get(waiting) == [3, 3, 3]
    assert ran.count("make3") == 2


def test_a_stream_whose_node_dies_goes_on_elsewhere(nodes: Cluster, ran: Runs) -> None:
    node = nodes.add_node(num_cpus=1, resources={"there": 1})

    @shoal.remote(resources={"there": 0.1}, _generator_backpressure_num_objects=2)
    def stream() -> Any:
        ran("stream")
        for i in range(5):
            yield block(i, 1)

    items = stream.remote()
    refs = [next(items)]
    shoal.wait([items])
    nodes.remove_node(node)
    nodes.add_node(num_cpus=1, resources={"there": 1})
    refs += list(items)
    assert [int(shoal.get(ref)[0]) for ref in refs] == [0, 1, 2, 3, 4]
    assert ran.count("stream") in (2, 3), "the retry, and once more if an item was lost before it"


def test_an_actor_is_made_anew_elsewhere_and_its_arguments_too(nodes: Cluster, ran: Runs) -> None:
    node = nodes.add_node(num_cpus=1, resources={"there": 1})

    @shoal.remote(max_restarts=1, max_task_retries=1, resources={"there": 0.1})
    class Holder:
        def __init__(self, array: Any) -> None:
            self.array = array

        def first(self) -> int:
            return int(self.array[0])

    ref = make.options(resources={"there": 0.1}).remote(ran, 4)
    holder = Holder.remote(ref)  # type: ignore[attr-defined]
    del ref
    assert shoal.get(holder.first.remote()) == 4
    nodes.remove_node(node)
    nodes.add_node(num_cpus=2, resources={"there": 1})
    assert shoal.get(holder.first.remote()) == 4
    assert ran.count("make4") == 2


def test_an_actor_whose_argument_is_lost_for_good_is_dead(nodes: Cluster, ran: Runs) -> None:
    node = nodes.add_node(num_cpus=1, resources={"there": 1})

    @shoal.remote(max_restarts=-1, max_task_retries=-1)
    class Holder:
        def __init__(self, array: Any) -> None:
            self.array = array

        def first(self) -> int:
            return int(self.array[0])

    there = {"there": 0.1}
    ref = make.options(resources=there, max_retries=0).remote(ran, 4)
    holder = Holder.options(resources=there).remote(ref)  # type: ignore[attr-defined]
    assert shoal.get(holder.first.remote()) == 4
    nodes.remove_node(node)
    nodes.add_node(num_cpus=1, resources={"there": 1})
    with pytest.raises(ActorDiedError, match=f"input arguments of its constructor .*{FAILED}"):
        shoal.get(holder.first.remote())


# work on a node that dies


def test_work_of_a_dead_node_goes_on_elsewhere(nodes: Cluster, ran: Runs) -> None:
    node = nodes.add_node(num_cpus=1, resources={"there": 1})

    @shoal.remote(resources={"there": 0.1}, max_retries=1)
    def once_stuck(path: Path) -> str:
        ran("begun")
        if ran.count("begun") == 1:
            wait_until_none(lambda: ["for ever"], 100.0)
        return shoal.get_runtime_context().get_node_id()

    ref = once_stuck.remote(ran.path)
    assert not wait_until_none(lambda: [] if ran.count("begun") else ["not yet"], 30.0)
    nodes.remove_node(node)
    other = nodes.add_node(num_cpus=1, resources={"there": 1})
    assert shoal.get(ref) == other.node_id


def test_what_must_run_on_a_dead_node_says_so(nodes: Cluster) -> None:
    node = nodes.add_node(num_cpus=1)
    there = NodeAffinitySchedulingStrategy(node.node_id, soft=False)

    @shoal.remote(max_restarts=-1, max_task_retries=-1)
    class Somewhere:
        def where(self) -> str:
            return shoal.get_runtime_context().get_node_id()

    @shoal.remote
    def where() -> str:
        return shoal.get_runtime_context().get_node_id()

    @shoal.remote(max_retries=-1)
    def stuck() -> None:
        wait_until_none(lambda: ["for ever"], 100.0)

    actor = Somewhere.options(scheduling_strategy=there).remote()  # type: ignore[attr-defined]
    soft = Somewhere.options(  # type: ignore[attr-defined]
        scheduling_strategy=NodeAffinitySchedulingStrategy(node.node_id, soft=True)
    ).remote()
    assert shoal.get([actor.where.remote(), soft.where.remote()]) == [node.node_id] * 2
    running = stuck.options(scheduling_strategy=there).remote()
    nodes.remove_node(node)
    with pytest.raises(TaskUnschedulableError, match=node.node_id):
        shoal.get(running)
    with pytest.raises(TaskUnschedulableError, match=node.node_id):
        shoal.get(where.options(scheduling_strategy=there).remote())
    with pytest.raises(ActorUnschedulableError, match=node.node_id):
        shoal.get(actor.where.remote())
    assert nodes.head_node is not None
    assert shoal.get(soft.where.remote()) == nodes.head_node.node_id


def test_a_group_finds_another_place_and_its_actors_with_it(nodes: Cluster) -> None:
    node = nodes.add_node(num_cpus=1, resources={"there": 1})
    group = placement_group([{"CPU": 1, "there": 1}])
    assert group.wait(30)

    @shoal.remote(max_restarts=1, max_task_retries=1, num_cpus=1)
    class Somewhere:
        def where(self) -> str:
            return shoal.get_runtime_context().get_node_id()

    inside = PlacementGroupSchedulingStrategy(group)
    actor = Somewhere.options(scheduling_strategy=inside).remote()  # type: ignore[attr-defined]
    assert shoal.get(actor.where.remote()) == node.node_id
    nodes.remove_node(node)
    assert placement_group_table(group)["state"] == "RESCHEDULING"
    call = actor.where.remote()
    other = nodes.add_node(num_cpus=1, resources={"there": 1})
    assert shoal.get(call) == other.node_id
    assert list(placement_group_table(group)["bundles_to_node_id"].values()) == [other.node_id]
