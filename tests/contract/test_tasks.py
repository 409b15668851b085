"""Tasks: Ray's semantics, on every engine."""

from __future__ import annotations

import queue
import time
from pathlib import Path
from typing import Any

import pytest
from simple import fail, same, sleep

import shoal
from shoal.exceptions import (
    GetTimeoutError,
    SerializationError,
    TaskCancelledError,
    TaskError,
    WorkerCrashedError,
)

pytestmark = pytest.mark.usefixtures("engine")


@shoal.remote
def add(a: Any, b: Any = 1) -> Any:
    return a + b


def test_a_call_returns_a_ref_whose_value_is_the_result() -> None:
    ref = add.remote(1, 2)
    assert isinstance(ref, shoal.ObjectRef)
    assert shoal.get(ref) == 3


def test_keyword_and_default_arguments() -> None:
    assert shoal.get([add.remote(1), add.remote(1, b=5), add.remote(a=2, b=2)]) == [2, 6, 4]


def test_get_of_a_list_keeps_its_order_and_allows_duplicates() -> None:
    refs = [add.remote(i) for i in range(20)]
    assert shoal.get([*refs, refs[0]]) == [*range(1, 21), 1]
    assert shoal.get([]) == []


def test_a_ref_at_the_top_level_becomes_its_value() -> None:
    assert shoal.get(add.remote(add.remote(1), b=add.remote(2))) == 5


def test_the_same_ref_twice_arrives_as_equal_values() -> None:
    ref = same.remote(4)
    assert shoal.get(add.remote(ref, b=ref)) == 8


def test_a_ref_inside_a_container_stays_a_ref() -> None:
    @shoal.remote
    def kinds(items: list[Any]) -> list[str]:
        return [type(item).__name__ for item in items]

    assert shoal.get(kinds.remote([add.remote(1), 2])) == ["ObjectRef", "int"]


def test_a_nested_ref_can_be_got_by_the_task() -> None:
    @shoal.remote
    def total(items: list[Any]) -> int:
        return sum(shoal.get(items))

    assert shoal.get(total.remote([add.remote(i) for i in range(5)])) == 15


def test_a_chain_of_a_hundred() -> None:
    ref = add.remote(0)
    for _ in range(99):
        ref = add.remote(ref)
    assert shoal.get(ref) == 100


def test_a_task_starts_tasks() -> None:
    @shoal.remote
    def parent(n: int) -> int:
        return sum(shoal.get([add.remote(i) for i in range(n)]))

    assert shoal.get(parent.remote(10)) == 55


def test_a_task_returns_a_ref() -> None:
    @shoal.remote
    def outer() -> Any:
        return [add.remote(1, 1)]

    (inner,) = shoal.get(outer.remote())
    assert shoal.get(inner) == 2


def test_recursion_deeper_than_there_are_cpus() -> None:
    @shoal.remote
    def depth(n: int) -> int:
        return 0 if n == 0 else 1 + shoal.get(depth.remote(n - 1))

    assert shoal.get(depth.remote(20)) == 20


def test_several_returns_are_several_refs() -> None:
    @shoal.remote(num_returns=3)
    def three() -> tuple[int, int, int]:
        return 1, 2, 3

    refs = three.remote()
    assert len(refs) == 3
    assert shoal.get(refs) == [1, 2, 3]


def test_several_returns_by_a_generator() -> None:
    @shoal.remote(num_returns=2)
    def two() -> Any:
        yield "a"
        yield "b"

    assert shoal.get(two.remote()) == ["a", "b"]


def test_a_wrong_count_of_returns_is_an_error_of_each_ref() -> None:
    @shoal.remote(num_returns=2)
    def three() -> list[int]:
        return [1, 2, 3]

    for ref in three.remote():
        with pytest.raises(ValueError, match="num_returns=2"):
            shoal.get(ref)


def test_no_returns_give_none() -> None:
    assert add.options(num_returns=0).remote(1) is None


def test_options_make_a_copy_and_leave_the_function_alone() -> None:
    other = add.options(name="other", num_returns=1)
    assert other is not add
    assert shoal.get(other.remote(1)) == shoal.get(add.remote(1)) == 2


def test_remote_as_a_function_and_of_a_lambda() -> None:
    assert shoal.get(shoal.remote(lambda x: x * 2).remote(4)) == 8


def test_a_closure_is_captured_at_the_first_call() -> None:
    factor = 2

    @shoal.remote
    def times(x: int) -> int:
        return x * factor

    factor = 3
    assert shoal.get(times.remote(2)) == 6
    factor = 4
    assert shoal.get(times.remote(2)) == 6


def test_two_functions_of_one_name_are_two() -> None:
    def make(n: int) -> Any:
        @shoal.remote
        def f() -> int:
            return n

        return f

    assert shoal.get([make(i).remote() for i in range(5)]) == list(range(5))


def test_mutual_recursion_of_remote_functions() -> None:
    functions: dict[str, Any] = {}

    @shoal.remote
    def even(n: int) -> bool:
        return True if n == 0 else bool(shoal.get(functions["odd"].remote(n - 1)))

    @shoal.remote
    def odd(n: int) -> bool:
        return False if n == 0 else bool(shoal.get(functions["even"].remote(n - 1)))

    functions.update(even=even, odd=odd)
    assert shoal.get(even.remote(4)) is True


def test_an_async_function_is_run() -> None:
    @shoal.remote
    async def answer() -> int:
        return 42

    assert shoal.get(answer.remote()) == 42


# values


@pytest.mark.parametrize("value", [None, 0, "", b"x" * 200_000, [1, {"a": (2, 3)}], {1, 2}, 2**100, 1.5, True])
def test_values_come_back_equal(value: Any) -> None:
    assert shoal.get(same.remote(value)) == value
    assert shoal.get(shoal.put(value)) == value


def test_what_was_put_is_a_copy() -> None:
    value = [1]
    ref = shoal.put(value)
    value.append(2)
    assert shoal.get(ref) == [1]
    shoal.get(ref).append(3)
    assert shoal.get(ref) == [1]


@pytest.mark.parametrize("count", [10, 1_000_000])
def test_arrays_come_back_equal_and_read_only(count: int) -> None:
    import numpy as np

    array = np.arange(count, dtype=np.float64)
    for ref in (shoal.put(array), same.remote(array), same.remote(shoal.put(array))):
        back = shoal.get(ref)
        assert np.array_equal(back, array)
        assert not back.flags.writeable
    array[0] = -1
    assert shoal.get(ref)[0] == 0


def test_arrow_and_pandas_values() -> None:
    import pandas as pd
    import pyarrow as pa

    table = pa.table({"a": list(range(50_000)), "b": [str(i) for i in range(50_000)]})
    assert shoal.get(same.remote(table)).equals(table)
    frame = pd.DataFrame({"x": range(50_000), "y": 1.5})
    assert shoal.get(same.remote(frame)).equals(frame)


def test_lambdas_and_local_classes_travel() -> None:
    class Point:
        def __init__(self, x: int) -> None:
            self.x = x

    assert shoal.get(same.remote(lambda: 7))() == 7
    assert shoal.get(same.remote(Point(3))).x == 3


def test_a_ref_inside_a_put_value_keeps_its_object_alive() -> None:
    inner = shoal.put([1, 2])
    outer = shoal.put({"ref": inner})
    del inner
    assert shoal.get(shoal.get(outer)["ref"]) == [1, 2]


# errors


def test_an_error_is_of_the_users_class_and_of_ours() -> None:
    with pytest.raises(ValueError, match="no") as caught:
        shoal.get(fail.remote())
    assert str(caught.value) == "no"
    assert isinstance(caught.value, TaskError)
    assert isinstance(caught.value.cause, ValueError)
    assert "raise ValueError(message)" in caught.value.remote_traceback


def test_a_failed_argument_fails_the_dependent_without_running_it() -> None:
    ref = add.remote(fail.remote("first"))
    for _ in range(5):
        ref = add.remote(ref)
    with pytest.raises(ValueError, match="first"):
        shoal.get(ref)


def test_an_error_keeps_its_attributes() -> None:
    class Special(Exception):
        def __init__(self, code: int, text: str) -> None:
            super().__init__(code, text)
            self.code = code

    @shoal.remote
    def special() -> None:
        raise Special(7, "seven")

    with pytest.raises(Special) as caught:
        shoal.get(special.remote())
    assert caught.value.code == 7
    assert caught.value.args == (7, "seven")


def test_an_error_survives_another_trip() -> None:
    @shoal.remote
    def outer() -> Any:
        return shoal.get(fail.remote("deep"))

    with pytest.raises(ValueError, match="deep"):
        shoal.get(outer.remote())


def test_an_error_that_cannot_be_pickled_still_arrives() -> None:
    @shoal.remote
    def odd() -> None:
        error = RuntimeError("with a lock")
        error.lock = __import__("threading").Lock()  # type: ignore[attr-defined]
        raise error

    with pytest.raises(TaskError, match="with a lock"):
        shoal.get(odd.remote())


def test_exception_groups_keep_their_members() -> None:
    @shoal.remote
    def group() -> None:
        raise ExceptionGroup("several", [ValueError(1), KeyError(2)])

    with pytest.raises(ExceptionGroup) as caught:
        shoal.get(group.remote())
    assert [type(e) for e in caught.value.exceptions] == [ValueError, KeyError]


def test_get_of_a_list_raises_the_error_of_any() -> None:
    with pytest.raises(ValueError, match="no"):
        shoal.get([add.remote(1), fail.remote(), add.remote(2)])


def test_what_cannot_be_pickled_is_named() -> None:
    import threading

    with pytest.raises(SerializationError, match=r"lock.*cannot be pickled"):
        shoal.put(threading.Lock())
    with pytest.raises(TypeError):
        same.remote(threading.Lock())


def test_a_result_that_cannot_be_pickled_is_an_error_of_the_ref() -> None:
    @shoal.remote
    def lock() -> Any:
        import threading

        return threading.Lock()

    with pytest.raises(TypeError, match="cannot be pickled"):
        shoal.get(lock.remote())


# bad input


def test_bad_arguments_fail_in_the_caller() -> None:
    for args, kwargs in [((), {}), ((1, 2, 3), {}), ((1,), {"c": 2}), ((1,), {"a": 1})]:
        with pytest.raises(TypeError, match="add"):
            add.remote(*args, **kwargs)


def test_calling_a_remote_function_names_the_cure() -> None:
    with pytest.raises(TypeError, match=r"add\.remote"):
        add(1)


def test_an_unknown_option_lists_the_valid_ones() -> None:
    with pytest.raises(ValueError, match="num_gpu.*num_gpus"):
        shoal.remote(num_gpu=1)(lambda: 1)
    with pytest.raises(ValueError, match="cpus.*num_cpus"):
        add.options(cpus=1)
    with pytest.raises(TypeError, match="number"):
        add.options(num_cpus="two")
    with pytest.raises(ValueError, match="below zero"):
        add.options(num_cpus=-1)
    with pytest.raises(TypeError):
        shoal.remote(add)
    with pytest.raises(TypeError, match="one function or class"):
        shoal.remote(3)  # type: ignore[call-overload]


def test_put_of_a_ref_and_get_of_no_ref() -> None:
    with pytest.raises(TypeError, match="on the cluster already"):
        shoal.put(add.remote(1))
    for wrong in (1, "x", [1], {"a": 1}, None):
        with pytest.raises(TypeError, match="ObjectRef"):
            shoal.get(wrong)


# wait


def test_wait_returns_ready_ones_in_order_and_the_rest() -> None:
    refs = [add.remote(i) for i in range(5)]
    shoal.get(refs)
    ready, rest = shoal.wait(refs, num_returns=3)
    assert (ready, rest) == (refs[:3], refs[3:])
    assert shoal.wait(refs)[0] == refs[:1]


def test_wait_takes_failed_refs_as_ready() -> None:
    ref = fail.remote()
    assert shoal.wait([ref]) == ([ref], [])


def test_wait_refuses_nonsense() -> None:
    ref = add.remote(1)
    with pytest.raises(ValueError, match="twice"):
        shoal.wait([ref, ref])
    with pytest.raises(TypeError):
        shoal.wait(ref)
    with pytest.raises(TypeError):
        shoal.wait([1])  # type: ignore[type-var]
    with pytest.raises(ValueError, match="num_returns"):
        shoal.wait([ref], num_returns=2)
    with pytest.raises(ValueError, match="num_returns"):
        shoal.wait([ref], num_returns=0)
    assert shoal.wait([]) == ([], [])
    shoal.get(ref)


@pytest.mark.needs_time
def test_get_and_wait_keep_their_timeouts() -> None:
    ref = sleep.remote(30)
    for timeout in (0, 0.1):
        with pytest.raises(TimeoutError) as caught:
            shoal.get(ref, timeout=timeout)
        assert isinstance(caught.value, GetTimeoutError)
        assert shoal.wait([ref], timeout=timeout) == ([], [ref])
    shoal.cancel(ref)


@pytest.mark.needs_time
def test_get_raises_at_once_though_an_earlier_ref_still_runs() -> None:
    slow = sleep.remote(30)
    with pytest.raises(ValueError, match="no"):
        shoal.get([slow, fail.remote()])
    shoal.cancel(slow)


# refs as futures


def test_a_future_that_nobody_waits_for_settles_though_the_driver_was_idle_and_then_asked_something() -> None:
    shoal.get(add.remote(0))
    settled: queue.SimpleQueue[int] = queue.SimpleQueue()
    for _ in range(3):
        time.sleep(0.4)  # nobody waits, nothing is held: all of this process sleeps
        shoal.cluster_resources()
        time.sleep(0.01)
        add.remote(1).future().add_done_callback(lambda future: settled.put(future.result()))
        assert settled.get(timeout=10) == 2


def test_a_ref_gives_a_concurrent_future() -> None:
    assert add.remote(1).future().result(10) == 2
    with pytest.raises(ValueError, match="no"):
        fail.remote().future().result(10)


def test_refs_can_be_awaited() -> None:
    import asyncio

    async def main() -> list[Any]:
        one = add.remote(1)
        return [await one, await one, *await asyncio.gather(*(add.remote(i) for i in range(3)))]

    assert asyncio.run(main()) == [2, 2, 1, 2, 3]


def test_refs_are_values() -> None:
    ref = add.remote(1)
    (again,) = shoal.get(same.remote([ref]))
    assert again == ref and hash(again) == hash(ref) and again.hex() == ref.hex()
    assert ref != add.remote(1)


# cancel and crash


@pytest.mark.needs_time
def test_cancel_of_a_running_task() -> None:
    ref = sleep.remote(60)
    assert shoal.wait([ref], timeout=0.3) == ([], [ref])
    shoal.cancel(ref)
    with pytest.raises(TaskCancelledError) as caught:
        shoal.get(ref, timeout=10)
    assert isinstance(caught.value, TaskError)  # as in Ray, where `except RayTaskError` has it too
    assert shoal.get(add.remote(1), timeout=10) == 2


@pytest.mark.needs_time
def test_cancel_reaches_the_children_that_are_on_their_way_and_not_those_of_the_cleaning_up() -> None:
    @shoal.remote(num_cpus=0)
    def child() -> str:
        time.sleep(0.3)
        return "done"

    @shoal.remote(num_cpus=0)
    class Book:
        def __init__(self) -> None:
            self.refs: list[Any] = []

        def add(self, refs: list[Any]) -> None:
            self.refs += refs

        def read(self) -> list[Any]:
            return self.refs

    @shoal.remote(num_cpus=0)
    class Parent:
        async def run(self, book: Any) -> None:
            import asyncio

            first = child.remote()
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                await book.add.remote([first, child.remote()])
                raise

    parent = Parent.remote()  # type: ignore[attr-defined]
    for _ in range(10):
        book = Book.remote()  # type: ignore[attr-defined]
        running = parent.run.remote(book)
        shoal.wait([running], timeout=0.01)
        shoal.cancel(running)
        with pytest.raises(TaskCancelledError):
            shoal.get(running)
        refs = shoal.get(book.read.remote())
        if refs:  # else it had not begun
            with pytest.raises(TaskCancelledError):
                shoal.get(refs[0])
            assert shoal.get(refs[1]) == "done"


@pytest.mark.needs_time
def test_cancel_of_a_queued_task_and_its_dependents() -> None:
    busy = [sleep.remote(60) for _ in range(2)]
    queued = add.remote(1)
    dependent = add.remote(queued)
    shoal.cancel(queued)
    for ref in (queued, dependent):
        with pytest.raises(TaskCancelledError):
            shoal.get(ref, timeout=10)
    for ref in busy:
        shoal.cancel(ref)


def test_cancel_of_a_finished_task_does_nothing() -> None:
    ref = add.remote(1)
    assert shoal.get(ref) == 2
    shoal.cancel(ref)
    assert shoal.get(ref) == 2
    with pytest.raises(TypeError):
        shoal.cancel(1)  # type: ignore[arg-type]


@pytest.mark.needs_time
def test_cancel_reaches_the_children() -> None:
    @shoal.remote(num_cpus=0)
    def parent() -> Any:
        return shoal.get([sleep.remote(60) for _ in range(4)])

    ref = parent.remote()
    assert shoal.wait([ref], timeout=0.5) == ([], [ref])
    shoal.cancel(ref)
    with pytest.raises(TaskCancelledError):
        shoal.get(ref, timeout=10)
    assert shoal.get([sleep.remote(0) for _ in range(4)], timeout=10) == ["slept"] * 4


@pytest.mark.needs_time
def test_code_may_catch_its_cancel_and_its_value_stands() -> None:
    @shoal.remote
    def stubborn() -> str:
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            return "tidied up"
        return "slept"

    ref = stubborn.remote()
    shoal.wait([ref], timeout=0.3)
    shoal.cancel(ref)
    assert shoal.get(ref, timeout=10) == "tidied up"


@pytest.mark.needs_processes
def test_a_crash_is_retried_and_then_told() -> None:
    import os

    @shoal.remote(max_retries=1)
    def crash() -> None:
        os._exit(5)

    with pytest.raises(WorkerCrashedError, match=r"crash\(\).*exit status 5"):
        shoal.get(crash.remote(), timeout=20)
    assert shoal.get(add.remote(1)) == 2


@pytest.mark.needs_processes
@pytest.mark.parametrize("name", ["SHOAL_TASK_MAX_RETRIES", "RAY_TASK_MAX_RETRIES"])
def test_the_environment_says_how_often_a_task_is_repeated(
    name: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    def crash() -> None:
        (tmp_path / str(os.getpid())).touch()
        os._exit(5)

    monkeypatch.setenv(name, "0")
    with pytest.raises(WorkerCrashedError):
        shoal.get(shoal.remote(crash).remote(), timeout=20)
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(WorkerCrashedError):
        shoal.get(shoal.remote(crash).options(max_retries=1).remote(), timeout=20)
    assert len(list(tmp_path.iterdir())) == 3
    monkeypatch.setenv(name, "often")
    with pytest.raises(ValueError, match=f"{name}='often' is no number of retries"):
        shoal.remote(crash).remote()


@pytest.mark.needs_processes
def test_a_crash_that_does_not_recur_is_mended_by_the_retry(tmp_path: Any) -> None:
    import os
    import signal

    @shoal.remote
    def once() -> str:
        mark = tmp_path / "been here"
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return "second time"

    assert shoal.get(once.remote(), timeout=20) == "second time"


@pytest.mark.needs_processes
def test_sys_exit_in_a_task_is_a_crash_and_not_the_callers_exit() -> None:
    @shoal.remote(max_retries=0)
    def leave() -> None:
        raise SystemExit(3)

    with pytest.raises(WorkerCrashedError):
        shoal.get(leave.remote(), timeout=20)


@pytest.mark.needs_time
def test_force_ends_the_worker_and_is_not_retried() -> None:
    ref = sleep.remote(60)
    shoal.wait([ref], timeout=0.3)
    shoal.cancel(ref, force=True)
    with pytest.raises(TaskCancelledError):
        shoal.get(ref, timeout=10)


# resources


@pytest.mark.needs_processes
def test_tasks_run_at_once_as_many_as_there_are_cpus() -> None:
    @shoal.remote
    def meet(me: int, folder: str) -> bool:
        import pathlib

        (pathlib.Path(folder) / str(me)).touch()
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if len(list(pathlib.Path(folder).iterdir())) == 2:
                return True
            time.sleep(0.005)
        return False

    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        assert shoal.get([meet.remote(i, folder) for i in range(2)]) == [True, True]


@pytest.mark.needs_time
def test_tasks_that_need_no_cpu_run_though_all_are_taken() -> None:
    busy = [sleep.remote(60) for _ in range(2)]
    assert shoal.get(add.options(num_cpus=0).remote(1), timeout=10) == 2
    for ref in busy:
        shoal.cancel(ref)


@pytest.mark.needs_time
def test_a_demand_above_the_total_stays_pending_and_harms_nobody() -> None:
    with pytest.warns(UserWarning, match="needs 100 CPU.*has 2"):
        ref = add.options(num_cpus=100).remote(1)
    assert shoal.wait([ref], timeout=0.2) == ([], [ref])
    assert shoal.get(add.remote(1), timeout=10) == 2
    shoal.cancel(ref)
    with pytest.raises(TaskCancelledError):
        shoal.get(ref, timeout=10)


def test_resources_and_nodes() -> None:
    assert shoal.cluster_resources()["CPU"] >= 1
    assert shoal.available_resources()["CPU"] <= shoal.cluster_resources()["CPU"]
    (node,) = shoal.nodes()
    assert node["Alive"]


# life


def test_functions_of_an_earlier_session_work_in_the_next(engine: str) -> None:
    ref = add.remote(1)
    assert shoal.get(ref) == 2
    shoal.shutdown()
    assert not shoal.is_initialized()
    shoal.shutdown()
    shoal.init("inline") if engine == "inline" else shoal.init(num_cpus=1)
    assert shoal.get(add.remote(2)) == 3


def test_init_twice_raises_unless_told_to_ignore_it() -> None:
    with pytest.raises(RuntimeError, match="ignore_reinit_error"):
        shoal.init(num_cpus=1)
    assert shoal.is_initialized()
    shoal.init(num_cpus=1, ignore_reinit_error=True)
    assert shoal.get(add.remote(1)) == 2


@shoal.remote
def wait_for_file(path: Path) -> None:
    while not path.exists():
        time.sleep(0.01)


@pytest.mark.needs_processes
def test_no_task_waits_behind_a_long_one_while_there_is_a_cpu(tmp_path: Path) -> None:
    for number in range(4):
        gate = tmp_path / str(number)
        given = [same.remote(i) for i in range(100)]
        results = [add.remote(ref) for ref in given]  # not ready yet, so that they go by the hub
        long = wait_for_file.remote(gate)
        _, left = shoal.wait(results, num_returns=len(results), timeout=20)
        gate.touch()
        shoal.get(long)
        assert not left
