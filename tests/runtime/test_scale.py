"""Much of everything: depth, breadth, numbers. It works, or ends with an error that says why, and nothing stays."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import shoal
from shoal import cluster
from shoal.exceptions import OutOfProcessesError, TaskError

LITTLE = 1
"""Bytes of memory with which a cluster may have as few processes as any."""
FEW = 64
"""So many are those."""
KEPT = 4
"""Workers that stay with two CPUs: one for each that is kept ready, and one that may be lent to the driver."""


@pytest.fixture
def start() -> Iterator[Callable[..., None]]:
    def init(**options: Any) -> None:
        shoal.init(**options)

    yield init
    shoal.shutdown()


def until(true: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def workers() -> int:
    here = cluster.current()
    assert here is not None
    return sum(row.state != "dead" for row in here.feed().refresh().workers.values())


def objects() -> int:
    here = cluster.current()
    assert here is not None
    return here.feed().refresh().store.objects


@shoal.remote
def depth(levels: int) -> int:
    return 0 if levels == 0 else 1 + shoal.get(depth.remote(levels - 1))


@shoal.remote(num_cpus=0)
def free_depth(levels: int) -> int:
    return 0 if levels == 0 else 1 + shoal.get(free_depth.remote(levels - 1))


@shoal.remote
def fib(n: int) -> int:
    return n if n < 2 else sum(shoal.get([fib.remote(n - 1), fib.remote(n - 2)]))


@shoal.remote
def same(value: int) -> int:
    return value


@shoal.remote
def above(*below: int) -> int:
    return 1 + max(below, default=0)


class TestDepth:
    def test_fifty_levels_on_one_cpu(self, start: Callable[..., None]) -> None:
        start(num_cpus=1)
        assert shoal.get(depth.remote(50)) == 50

    def test_fifty_levels_of_tasks_that_need_no_cpu(self, start: Callable[..., None]) -> None:
        start(num_cpus=1)
        assert shoal.get(free_depth.remote(50)) == 50

    def test_a_tree_needs_processes_by_its_levels_and_not_by_its_nodes(self, start: Callable[..., None]) -> None:
        start(num_cpus=2, _memory=LITTLE)
        assert shoal.get(fib.remote(12)) == 144  # 465 tasks, of which 232 wait

    def test_more_levels_than_there_can_be_processes(self, start: Callable[..., None]) -> None:
        start(num_cpus=2, _memory=LITTLE)
        with pytest.raises(OutOfProcessesError) as caught:
            shoal.get(depth.remote(2 * FEW))
        assert isinstance(caught.value, TaskError)
        message = str(caught.value)
        assert f"of the {FEW} that the cluster may have, {FEW} wait" in message
        assert "depth waits for depth waits for depth waits for … (59 more) waits for depth" in message
        assert "init(_memory=bytes)" in message
        assert shoal.get(same.remote(7)) == 7
        until(lambda: workers() <= KEPT, "processes stay above those that the cluster keeps")
        assert shoal.get(depth.remote(10)) == 10

    def test_a_task_that_takes_the_error_goes_on(self, start: Callable[..., None]) -> None:
        @shoal.remote
        def bold(levels: int) -> int:
            try:
                return 1 + int(shoal.get(bold.remote(levels + 1)))
            except OutOfProcessesError:
                return 1

        start(num_cpus=1, _memory=LITTLE)
        assert shoal.get(bold.remote(0)) == FEW

    def test_actors_whose_creation_is_waited_for(self, start: Callable[..., None]) -> None:
        class Nest:
            def __init__(self, levels: int) -> None:
                self.below = Nests.remote(levels - 1) if levels else None

            def count(self) -> int:
                return 1 + (shoal.get(self.below.count.remote()) if self.below is not None else 0)

        Nests: Any = shoal.remote(num_cpus=0)(Nest)
        start(num_cpus=1, _memory=LITTLE)
        assert shoal.get(Nests.remote(20).count.remote()) == 21
        with pytest.raises(shoal.exceptions.ActorDiedError, match=r"no process is left for Nest\(\)"):
            shoal.get(Nests.remote(2 * FEW).count.remote())


class TestNumbers:
    def test_actors(self, start: Callable[..., None]) -> None:
        class Cell:
            def number(self, i: int) -> int:
                return i

        Cells: Any = shoal.remote(num_cpus=0)(Cell)
        start(num_cpus=2)
        cells = [Cells.remote() for _ in range(200)]
        assert shoal.get([cell.number.remote(i) for i, cell in enumerate(cells)]) == list(range(200))
        del cells
        until(lambda: workers() <= KEPT, "actors without handles stay")

    def test_refs_in_one_get(self, start: Callable[..., None]) -> None:
        start(num_cpus=2)
        assert shoal.get([same.remote(i) for i in range(2000)]) == list(range(2000))
        assert shoal.get([shoal.put(i) for i in range(2000)]) == list(range(2000))

    def test_tasks_that_wait_for_tasks(self, start: Callable[..., None]) -> None:
        start(num_cpus=2)
        refs: list[Any] = []
        for i in range(2000):
            refs.append(above.remote(*refs[max(0, i - 3) : i]))
        assert shoal.get(refs[-1]) == 2000

    def test_tasks(self, start: Callable[..., None]) -> None:
        start(num_cpus=2)
        assert sum(shoal.get([same.remote(i) for i in range(20_000)])) == sum(range(20_000))
        until(lambda: objects() == 0, "objects stay that nobody holds")
