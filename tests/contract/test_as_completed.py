"""`shoal.util.as_completed` and `map_unordered`, on every engine."""

from __future__ import annotations

import time
from typing import Any

import pytest

import shoal
from shoal.util import as_completed, map_unordered

pytestmark = pytest.mark.usefixtures("engine")


def _double(x: int) -> int:
    return 2 * x


def _fail_at_three(x: int) -> int:
    if x == 3:
        raise ValueError("three")
    return x


double: Any = shoal.remote(_double)
fail_at_three: Any = shoal.remote(_fail_at_three)


@pytest.mark.parametrize("chunk_size", [1, 3, 100])
def test_as_completed_gives_each_value_once(chunk_size: int) -> None:
    refs = [double.remote(i) for i in range(10)]
    assert sorted(as_completed(refs, chunk_size=chunk_size)) == list(range(0, 20, 2))


def test_as_completed_of_nothing() -> None:
    assert list(as_completed([])) == []


def test_as_completed_may_give_the_refs() -> None:
    refs = [double.remote(i) for i in range(5)]
    assert set(as_completed(refs, yield_obj_refs=True)) == set(refs)


def test_as_completed_leaves_the_callers_list_alone() -> None:
    refs = [double.remote(i) for i in range(5)]
    before = list(refs)
    list(as_completed(refs, chunk_size=2))
    assert refs == before


def test_as_completed_raises_what_a_task_raised() -> None:
    with pytest.raises(ValueError, match="three"):
        list(as_completed([fail_at_three.remote(i) for i in range(5)], chunk_size=1))


@pytest.mark.needs_time
def test_as_completed_gives_the_quick_first() -> None:
    @shoal.remote
    def wait_for(seconds: float) -> float:
        time.sleep(seconds)
        return seconds

    refs = [wait_for.remote(1.0), wait_for.remote(0.0)]
    assert list(as_completed(refs, chunk_size=1)) == [0.0, 1.0]


@pytest.mark.parametrize("bad", [{"chunk_size": 0}, {"num_returns": 2}])
def test_as_completed_checks_its_options_at_once(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="chunk_size"):
        as_completed([], **bad)


@pytest.mark.parametrize("options", [{}, {"backpressure_size": 2, "chunk_size": 1}, {"backpressure_size": None}])
def test_map_unordered_gives_each_value_once(options: dict[str, Any]) -> None:
    assert sorted(map_unordered(double, range(20), **options)) == list(range(0, 40, 2))


def test_map_unordered_takes_items_only_as_results_are_taken() -> None:
    taken = []

    def items() -> Any:
        for i in range(100):
            taken.append(i)
            yield i

    results = map_unordered(double, items(), backpressure_size=4, chunk_size=1)
    assert taken == []
    next(results)
    assert len(taken) == 4
    next(results)
    assert len(taken) == 5


def test_map_unordered_raises_what_a_task_raised() -> None:
    with pytest.raises(ValueError, match="three"):
        list(map_unordered(fail_at_three, range(5)))


def test_map_unordered_may_give_the_refs() -> None:
    refs = list(map_unordered(double, range(3), yield_obj_refs=True))
    assert sorted(shoal.get(refs)) == [0, 2, 4]


@pytest.mark.parametrize("bad", [{"chunk_size": 0}, {"num_returns": 2}, {"backpressure_size": 0}])
def test_map_unordered_checks_its_options_at_once(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="chunk_size|backpressure_size"):
        map_unordered(double, [], **bad)


@pytest.mark.needs_processes
def test_both_work_inside_a_task_that_has_the_only_cpus() -> None:
    @shoal.remote(num_cpus=2)
    def outer() -> list[int]:
        return sorted(map_unordered(double, range(4))) + sorted(as_completed([double.remote(5)]))

    assert shoal.get(outer.remote(), timeout=60) == [0, 2, 4, 6, 10]
