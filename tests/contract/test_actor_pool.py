"""`shoal.util.ActorPool`, on every engine."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

import shoal
from shoal.util import ActorPool

pytestmark = pytest.mark.usefixtures("engine")


class Plain:
    def double(self, x: int) -> int:
        return 2 * x

    def fail(self, x: int) -> int:
        raise ValueError(x)

    def slow(self, seconds: float) -> float:
        time.sleep(seconds)
        return seconds

    def pid(self) -> int:
        import os

        return os.getpid()

    def end(self, x: int) -> int:
        import os

        if x < 0:
            os._exit(1)
        return x

    @shoal.method(num_returns=2)
    def pair(self, x: int) -> tuple[int, int]:
        return x, -x


Worker: Any = shoal.remote(Plain)


def double(actor: Any, value: int) -> Any:
    return actor.double.remote(value)


def pool_of(count: int) -> ActorPool:
    return ActorPool([Worker.remote() for _ in range(count)])


def test_map_keeps_the_order() -> None:
    assert list(pool_of(2).map(double, range(7))) == [0, 2, 4, 6, 8, 10, 12]


def test_map_unordered_gives_all() -> None:
    assert sorted(pool_of(2).map_unordered(double, range(7))) == [0, 2, 4, 6, 8, 10, 12]


@pytest.mark.parametrize("way", ["map", "map_unordered"])
def test_map_of_nothing(way: str) -> None:
    assert list(getattr(pool_of(1), way)(double, [])) == []


@pytest.mark.parametrize("way", ["map", "map_unordered"])
def test_map_submits_before_it_is_iterated(way: str) -> None:
    called = []

    def note(actor: Any, value: int) -> Any:
        called.append(value)
        return actor.double.remote(value)

    results = getattr(pool_of(2), way)(note, [1, 2])
    assert called == [1, 2]
    assert sorted(results) == [2, 4]


def test_map_drops_what_was_submitted_before() -> None:
    pool = pool_of(2)
    pool.submit(double, 100)
    pool.submit(lambda actor, value: actor.fail.remote(value), 0)
    assert list(pool.map(double, [1, 2])) == [2, 4]


def test_get_next_is_in_the_order_of_submission() -> None:
    pool = pool_of(2)
    for value in range(5):
        pool.submit(double, value)
    assert [pool.get_next() for _ in range(5)] == [0, 2, 4, 6, 8]
    assert not pool.has_next()


def test_get_next_unordered_gives_all() -> None:
    pool = pool_of(2)
    for value in range(5):
        pool.submit(double, value)
    got = []
    while pool.has_next():
        got.append(pool.get_next_unordered())
    assert sorted(got) == [0, 2, 4, 6, 8]


def test_get_next_skips_what_was_taken_unordered() -> None:
    pool = pool_of(2)
    for value in range(2):
        pool.submit(double, value)
    assert sorted([pool.get_next_unordered(), pool.get_next()]) == [0, 2]


@pytest.mark.parametrize("take", [ActorPool.get_next, ActorPool.get_next_unordered])
def test_nothing_more_is_stop_iteration(take: Callable[[ActorPool], Any]) -> None:
    with pytest.raises(StopIteration):
        take(pool_of(1))


def test_an_error_comes_at_its_place_and_the_actor_goes_on() -> None:
    pool = pool_of(1)
    pool.submit(double, 1)
    pool.submit(lambda actor, value: actor.fail.remote(value), 7)
    pool.submit(double, 3)
    assert pool.get_next() == 2
    with pytest.raises(ValueError, match="7"):
        pool.get_next()
    assert pool.get_next() == 6


def test_a_function_that_raises_leaves_its_actor_free() -> None:
    pool = pool_of(1)
    with pytest.raises(ZeroDivisionError):
        pool.submit(lambda actor, value: 1 // 0, 1)
    assert pool.has_free()


def test_several_returns_come_together() -> None:
    pool = pool_of(2)
    for value in range(4):
        pool.submit(lambda actor, v: actor.pair.remote(v), value)
    assert [pool.get_next() for _ in range(4)] == [[0, 0], [1, -1], [2, -2], [3, -3]]
    pool.submit(lambda actor, v: actor.pair.remote(v), 9)
    assert pool.get_next_unordered(timeout=30) == [9, -9]


def test_pop_idle_takes_an_actor_out() -> None:
    pool = pool_of(1)
    pool.submit(double, 1)
    assert pool.pop_idle() is None
    assert not pool.has_free()
    assert pool.get_next() == 2
    actor: Any = pool.pop_idle()
    assert shoal.get(actor.double.remote(4)) == 8
    assert not pool.has_free()


def test_push_adds_an_actor_and_gives_it_what_waits() -> None:
    first, second = Worker.remote(), Worker.remote()
    pool = ActorPool([first])
    pool.submit(double, 1)
    pool.submit(double, 2)
    assert not pool.has_free()
    pool.push(second)
    assert not pool.has_free()
    assert [pool.get_next(), pool.get_next()] == [2, 4]
    assert pool.has_free()


def test_push_of_one_that_is_there_is_refused() -> None:
    busy, idle = Worker.remote(), Worker.remote()
    pool = ActorPool([busy])
    pool.submit(double, 1)
    pool.push(idle)
    for actor in (busy, idle):
        with pytest.raises(ValueError, match="already"):
            pool.push(actor)
    assert pool.get_next() == 2


@pytest.mark.needs_time
@pytest.mark.parametrize("take", [ActorPool.get_next, ActorPool.get_next_unordered])
def test_a_timeout_leaves_the_result_to_come(take: Callable[..., Any]) -> None:
    pool = pool_of(1)
    pool.submit(lambda actor, value: actor.slow.remote(value), 0.5)
    with pytest.raises(TimeoutError):
        take(pool, timeout=0.01)
    assert take(pool) == 0.5


@pytest.mark.needs_time
@pytest.mark.parametrize("take", [ActorPool.get_next, ActorPool.get_next_unordered])
def test_a_timeout_may_drop_the_result(take: Callable[..., Any]) -> None:
    pool = pool_of(1)
    pool.submit(lambda actor, value: actor.slow.remote(value), 0.3)
    with pytest.raises(TimeoutError, match="dropped"):
        take(pool, timeout=0.01, ignore_if_timedout=True)
    assert not pool.has_next()
    pool.submit(double, 4)
    assert take(pool) == 8


@pytest.mark.needs_time
def test_unordered_does_not_wait_for_the_first() -> None:
    pool = pool_of(2)
    for seconds in (60.0, 0.0):
        pool.submit(lambda actor, value: actor.slow.remote(value), seconds)
    assert pool.get_next_unordered(timeout=30) == 0.0


@pytest.mark.needs_processes
def test_a_dead_actor_gets_no_more_work() -> None:
    pool = pool_of(2)
    for value in (-1, 1, 2, 3):
        pool.submit(lambda actor, v: actor.end.remote(v), value)
    with pytest.raises(shoal.exceptions.ActorDiedError):
        pool.get_next()
    assert [pool.get_next() for _ in range(3)] == [1, 2, 3]
