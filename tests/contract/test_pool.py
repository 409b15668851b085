"""`shoal.util.multiprocessing.Pool`, on every engine."""

from __future__ import annotations

import os
import queue
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import shoal
from shoal.util.multiprocessing import Pool, TimeoutError

pytestmark = pytest.mark.usefixtures("engine")


@pytest.fixture
def pool(engine: str) -> Iterator[Pool]:
    made = Pool(None if engine == "inline" else 2)
    yield made
    made.terminate()
    made.join()


def fail_at_three(x: int) -> int:
    if x == 3:
        raise ValueError("three")
    return x


def test_apply(pool: Pool) -> None:
    assert pool.apply(divmod, (7, 2)) == (3, 1)
    assert pool.apply(dict, (), {"a": 1}) == {"a": 1}
    assert pool.apply(dict, kwds={"a": 1}) == {"a": 1}
    with pytest.raises(ZeroDivisionError):
        pool.apply(divmod, (1, 0))


def test_map_and_starmap(pool: Pool) -> None:
    assert pool.map(lambda x: x + 1, range(100)) == list(range(1, 101))
    assert pool.map(abs, iter([-1, -2]), chunksize=1) == [1, 2]
    assert pool.map(abs, []) == []
    assert pool.starmap(pow, [(2, 3), (3, 2)]) == [8, 9]
    assert pool.starmap(lambda *a: len(a), [range(i) for i in range(5)], chunksize=2) == [0, 1, 2, 3, 4]


def test_an_error_of_map_is_the_users_own(pool: Pool) -> None:
    with pytest.raises(ValueError, match="three") as caught:
        pool.map(fail_at_three, range(6))
    assert type(caught.value) is ValueError


def test_asynchronous_results(pool: Pool) -> None:
    result = pool.map_async(abs, [-1, -2])
    result.wait(60)
    assert result.ready() and result.successful()
    assert result.get() == [1, 2] == result.get(timeout=1)
    failed = pool.apply_async(fail_at_three, (3,))
    failed.wait(60)
    assert failed.ready() and not failed.successful()
    with pytest.raises(ValueError):
        failed.get()
    assert pool.starmap_async(pow, [(2, 2)]).get() == [4]


def test_callbacks_are_called_once(pool: Pool) -> None:
    told: queue.Queue[Any] = queue.Queue()
    pool.map_async(abs, [-1, -2, -3], 1, told.put, told.put).wait()
    assert told.get(timeout=60) == [1, 2, 3]
    pool.map_async(fail_at_three, [3, 3, 3, 4], 1, told.put, told.put).wait()
    assert isinstance(told.get(timeout=60), ValueError)
    pool.apply_async(abs, (-1,), callback=told.put).wait()
    assert told.get(timeout=60) == 1
    assert told.empty()


@pytest.mark.parametrize("kind", [list, iter])
@pytest.mark.parametrize("chunksize", [1, 3])
def test_imap_gives_errors_at_their_place(pool: Pool, kind: Any, chunksize: int) -> None:
    results = list(pool.imap(fail_at_three, kind(range(7)), chunksize=chunksize))
    assert isinstance(results.pop(3), ValueError)
    assert results == [0, 1, 2, 4, 5, 6]


def test_imap_unordered_gives_all(pool: Pool) -> None:
    assert sorted(pool.imap_unordered(abs, iter(range(10)), chunksize=2)) == list(range(10))
    assert list(pool.imap_unordered(abs, [])) == []


def test_imap_takes_items_only_as_results_are_taken(pool: Pool) -> None:
    taken = []

    def items() -> Iterator[int]:
        for i in range(1000):
            taken.append(i)
            yield i

    results = pool.imap(abs, items())
    assert next(results) == 0
    assert len(taken) < 10


@pytest.mark.parametrize("kind", ["imap", "imap_unordered"])
def test_what_the_iterable_raises_comes_at_its_place(pool: Pool, kind: str) -> None:
    def items() -> Iterator[int]:
        yield from range(7)
        raise LookupError("the end of it")

    results = getattr(pool, kind)(abs, items(), chunksize=2)
    assert sorted(next(results) for _ in range(6)) == list(range(6))
    with pytest.raises(LookupError, match="the end of it"):
        next(results)
    with pytest.raises(StopIteration):
        next(results)
    with pytest.raises(LookupError):
        pool.map(abs, items())


def test_bad_arguments_are_refused(pool: Pool) -> None:
    for bad in (lambda: Pool(0), lambda: Pool(-1), lambda: Pool(1000), lambda: pool.map(abs, [1], chunksize=0)):
        with pytest.raises(ValueError):
            bad()
    for most in (0, -1, 0.5, "12"):
        with pytest.raises(ValueError, match="maxtasksperchild"):
            Pool(1, maxtasksperchild=most)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Pool(1, initializer=3)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        pool.imap(abs, 3)  # type: ignore[arg-type]


def test_the_end() -> None:
    pool = Pool(1)
    with pytest.raises(ValueError, match="still running"):
        pool.join()
    result = pool.map_async(abs, [-1])
    pool.close()
    pool.join()
    assert result.get() == [1]
    for way in (lambda: pool.map(abs, [1]), lambda: pool.apply(abs, (1,)), lambda: pool.imap(abs, [1])):
        with pytest.raises(ValueError, match="not running"):
            way()
    with pytest.raises(ValueError, match="not running"), pool:
        pass


def test_as_a_context_it_terminates() -> None:
    with Pool(1) as pool:
        assert pool.map(abs, [-1]) == [1]
    with pytest.raises(ValueError, match="not running"):
        pool.map(abs, [1])


def test_the_initializer_runs_in_each(engine: str, tmp_path: Path) -> None:
    def touch(folder: str) -> None:
        (Path(folder) / str(os.getpid())).touch()

    count = 1 if engine == "inline" else 2
    with Pool(count, touch, (str(tmp_path),)):
        assert len(list(tmp_path.iterdir())) == count


def test_an_initializer_that_fails_is_told_at_once() -> None:
    with pytest.raises(shoal.exceptions.ActorDiedError, match="three"):
        Pool(1, fail_at_three, (3,))


@pytest.mark.needs_processes
def test_the_work_is_spread(pool: Pool) -> None:
    pids = pool.map(lambda _: os.getpid(), range(1000))
    assert len(set(pids)) == 2
    assert all(pids.count(pid) > 200 for pid in set(pids))


@pytest.mark.needs_processes
def test_maxtasksperchild() -> None:
    with Pool(2, maxtasksperchild=1) as pool:
        assert len(set(pool.map(lambda _: os.getpid(), range(6), chunksize=1))) == 6


@pytest.mark.needs_processes
def test_what_waits_when_it_is_closed_gets_new_processes() -> None:
    pool = Pool(2, maxtasksperchild=1)
    results = [pool.apply_async(lambda: os.getpid()) for _ in range(6)]
    pool.close()
    pool.join()
    assert len({result.get() for result in results}) == 6


@pytest.mark.needs_processes
def test_a_dead_process_is_replaced(pool: Pool) -> None:
    with pytest.raises(shoal.exceptions.ActorDiedError):
        pool.apply(os._exit, (1,))
    assert pool.map(abs, [-1, -2, -3]) == [1, 2, 3]


@pytest.mark.needs_time
def test_timeouts(pool: Pool) -> None:
    result = pool.apply_async(time.sleep, (0.5,))
    with pytest.raises(TimeoutError):
        result.get(timeout=0.01)
    with pytest.raises(ValueError, match="not ready"):
        result.successful()
    assert result.get() is None
    results = pool.imap(time.sleep, [0.5])
    with pytest.raises(TimeoutError):
        results.next(timeout=0.01)
    assert results.next() is None
    with pytest.raises(StopIteration):
        results.next()


@pytest.mark.needs_time
def test_terminate_ends_the_running() -> None:
    pool = Pool(2)
    result = pool.map_async(time.sleep, [60] * 8, chunksize=1)
    pool.terminate()
    pool.join()
    result.wait(60)
    assert not result.successful()
    with pytest.raises(shoal.exceptions.RayError):
        result.get()


@pytest.mark.needs_processes
def test_pools_in_pools_on_few_cpus() -> None:
    def inner(n: int) -> list[int]:
        with Pool(1) as pool:
            return pool.map(abs, [-n, -n])

    with Pool(2) as pool:
        assert pool.map(inner, [1, 2], chunksize=1) == [[1, 1], [2, 2]]
