"""`shoal.util.Executor`: concurrent.futures' promises, on every engine."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import os
import sys
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Future
from typing import Any

import pytest

import shoal
from shoal.util import Executor

pytestmark = pytest.mark.usefixtures("engine")


class Thing:
    pass


def fail(message: str) -> None:
    raise ValueError(message)


def keywords(*args: Any, **kwargs: Any) -> Any:
    return args, kwargs


def test_submit_gives_a_future_of_the_standard_library() -> None:
    with Executor() as executor:
        future = executor.submit(pow, 2, 8)
        assert isinstance(future, Future)
        assert future.result() == 256
        assert future.done() and not future.cancelled() and future.exception() is None
        assert executor.submit(keywords, 1, self=2, fn=3).result() == ((1,), {"self": 2, "fn": 3})


def test_lambdas_and_closures_run() -> None:
    base = 10
    with Executor() as executor:
        assert executor.submit(lambda x: x + base, 1).result() == 11


def test_a_ref_arrives_as_its_value() -> None:
    with Executor() as executor:
        assert executor.submit(sum, shoal.put([1, 2, 3])).result() == 6


def test_an_error_is_the_users_own_with_its_remote_traceback() -> None:
    with Executor() as executor:
        error = executor.submit(fail, "no").exception()
    assert type(error) is ValueError
    assert error.args == ("no",)
    assert "raise ValueError(message)" in str(error.__cause__)


def test_sys_exit_is_an_error_of_its_future_and_no_more() -> None:
    with Executor() as executor:
        assert isinstance(executor.submit(sys.exit, 3).exception(), SystemExit)
        assert executor.submit(abs, -1).result() == 1


def test_what_cannot_be_pickled_is_an_error_of_its_future() -> None:
    import pickle
    import threading

    with Executor() as executor:
        assert isinstance(executor.submit(id, threading.Lock()).exception(), pickle.PicklingError)
        assert isinstance(executor.submit(threading.Lock).exception(), TypeError)
        assert executor.submit(abs, -1).result() == 1


@pytest.mark.parametrize("chunksize", [1, 3, 100])
def test_map_keeps_the_order(chunksize: int) -> None:
    with Executor() as executor:
        assert list(executor.map(pow, range(10), range(10), chunksize=chunksize)) == [i**i for i in range(10)]
        assert list(executor.map(abs, [], chunksize=chunksize)) == []


def test_map_submits_all_before_it_is_iterated() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(5):
            taken.append(item)
            yield item

    with Executor() as executor:
        results = executor.map(abs, items())
        assert taken == [0, 1, 2, 3, 4]
        assert list(results) == taken


def test_map_raises_at_the_items_place() -> None:
    with Executor() as executor:
        results = executor.map(divmod, [1, 1, 1], [2, 0, 3])
        assert next(results) == (0, 1)
        with pytest.raises(ZeroDivisionError):
            next(results)


def test_bad_numbers_are_refused() -> None:
    for count in (0, -1):
        with pytest.raises(ValueError, match="max_workers must be greater than 0"):
            Executor(count)
    with pytest.raises(TypeError, match="callable"):
        Executor(initializer=3)  # type: ignore[arg-type]
    with Executor() as executor, pytest.raises(ValueError, match="chunksize"):
        executor.map(abs, [1], chunksize=0)


def test_submit_after_shutdown_is_refused() -> None:
    executor = Executor()
    executor.submit(abs, 1).result()
    executor.shutdown()
    executor.shutdown()
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(abs, 1)


def test_shutdown_waits_for_what_was_submitted() -> None:
    executor = Executor()
    futures = [executor.submit(abs, -i) for i in range(50)]
    executor.shutdown()
    assert all(future.done() for future in futures)
    assert [future.result() for future in futures] == list(range(50))


def test_callbacks_may_submit() -> None:
    with Executor() as executor:
        second: Future[int] = Future()

        def go_on(first: Future[int]) -> None:
            executor.submit(abs, -first.result()).add_done_callback(lambda f: second.set_result(f.result()))

        executor.submit(abs, -7).add_done_callback(go_on)
        assert second.result(30) == 7


def test_wait_as_completed_and_asyncio_take_its_futures() -> None:
    with Executor() as executor:
        futures = [executor.submit(abs, -i) for i in range(5)]
        done, rest = concurrent.futures.wait(futures)
        assert done == set(futures) and not rest
        assert {f.result() for f in concurrent.futures.as_completed(futures)} == {0, 1, 2, 3, 4}

        async def use() -> int:
            return await asyncio.get_running_loop().run_in_executor(executor, abs, -3)

        assert asyncio.run(use()) == 3


def test_results_are_the_callers_own_and_are_let_go_of() -> None:
    with Executor() as executor:
        for thing in executor.map(lambda _: Thing(), range(5)):
            seen = weakref.ref(thing)
            del thing
            gc.collect()
            assert seen() is None


def test_large_results_can_be_changed() -> None:
    numpy = pytest.importorskip("numpy")
    with Executor() as executor:
        array = executor.submit(numpy.zeros, 100_000).result()
        array[0] = 1
        assert array.sum() == 1


def test_the_initializer_runs_before_the_work() -> None:
    def remember(value: int) -> None:
        sys.shoal_test_value = value  # type: ignore[attr-defined]

    with Executor(2, initializer=remember, initargs=(42,)) as executor:
        values = [executor.submit(lambda: sys.shoal_test_value) for _ in range(5)]  # type: ignore[attr-defined]
        assert [v.result() for v in values] == [42] * 5


def test_an_initializer_that_fails_breaks_it() -> None:
    with Executor(2, initializer=fail, initargs=("not today",)) as executor:
        assert isinstance(executor.submit(abs, 1).exception(), BrokenExecutor)
        with pytest.raises(BrokenExecutor, match="not today"):
            executor.submit(abs, 1)


@pytest.mark.needs_processes
def test_a_dead_worker_breaks_it() -> None:
    with Executor(1) as executor:
        futures = [executor.submit(os._exit, 3), *(executor.submit(abs, i) for i in range(5))]
        for future in futures:
            assert isinstance(future.exception(60), BrokenExecutor)
        with pytest.raises(BrokenExecutor, match="exit status 3"):
            executor.submit(abs, 1)


@pytest.mark.needs_time
def test_the_queued_can_be_cancelled_and_the_running_not() -> None:
    with Executor(1) as executor:
        running, queued, last = (executor.submit(time.sleep, s) for s in (0.5, 60, 0))
        assert running.running() and not running.cancel()
        assert queued.cancel()
        last.result(60)
        with pytest.raises(CancelledError):
            queued.result()


@pytest.mark.needs_time
def test_shutdown_may_cancel_the_queued() -> None:
    executor = Executor(1)
    futures = [executor.submit(time.sleep, 0.1) for _ in range(20)]
    executor.shutdown(cancel_futures=True)
    assert not futures[0].cancelled() and futures[0].result() is None
    assert sum(future.cancelled() for future in futures) > 15


@pytest.mark.needs_time
def test_no_more_run_at_once_than_max_workers() -> None:
    def span(_: int) -> tuple[float, float]:
        started = time.time()
        time.sleep(0.05)
        return started, time.time()

    with Executor(1) as executor:
        spans = list(executor.map(span, range(4)))
    assert all(before[1] <= after[0] for before, after in zip(spans, spans[1:], strict=False))


@pytest.mark.needs_time
def test_timeouts() -> None:
    with Executor() as executor:
        future = executor.submit(time.sleep, 0.5)
        with pytest.raises(TimeoutError):
            future.result(0.01)
        with pytest.raises(TimeoutError):
            list(executor.map(time.sleep, [0, 0.5], timeout=0.1))
        assert future.result(60) is None


@pytest.mark.needs_time
def test_terminate_workers_ends_the_running() -> None:
    executor = Executor(1)
    running, queued = executor.submit(time.sleep, 60), executor.submit(abs, 1)
    executor.terminate_workers()
    assert isinstance(running.exception(60), shoal.exceptions.TaskCancelledError)
    assert queued.cancelled()


@pytest.mark.needs_processes
def test_a_task_that_waits_for_its_executor_needs_no_cpu() -> None:
    def outer() -> list[int]:
        with Executor() as inner:
            return list(inner.map(abs, [-1, -2]))

    assert shoal.get(shoal.remote(num_cpus=2)(outer).remote(), timeout=60) == [1, 2]


@pytest.mark.needs_processes
def test_the_end_of_the_cluster_is_an_error_and_no_hang() -> None:
    executor = Executor(1)
    futures = [executor.submit(time.sleep, 60) for _ in range(3)]
    shoal.shutdown()
    for future in futures:
        assert future.exception(60) is not None
    executor.shutdown()
