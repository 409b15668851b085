"""What the processes of tasks and actors are like: how long they last, what is set in them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import psutil
import pytest

import shoal

pytestmark = [pytest.mark.usefixtures("engine"), pytest.mark.needs_processes]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@shoal.remote(max_calls=2)
def where() -> int:
    return os.getpid()


def test_a_process_ends_after_max_calls_of_a_function() -> None:
    pids = shoal.get([where.remote() for _ in range(6)])
    assert all(pids.count(pid) <= 2 for pid in pids)
    until(lambda: not any(psutil.pid_exists(pid) for pid in pids if pids.count(pid) == 2))


def test_what_a_worn_process_made_and_started_outlives_it() -> None:
    @shoal.remote
    def child() -> str:
        time.sleep(0.05)
        return "child's"

    @shoal.remote(max_calls=1)
    def parent() -> tuple[int, Any, Any]:
        return os.getpid(), shoal.put(b"x" * 500_000), child.remote()

    pid, made, started = shoal.get(parent.remote())
    until(lambda: not psutil.pid_exists(pid))
    assert len(shoal.get(made)) == 500_000
    assert shoal.get(started) == "child's"


def test_other_functions_do_not_wear_a_process_out() -> None:
    plain = shoal.remote(os.getpid)
    assert len(set(shoal.get([plain.remote() for _ in range(20)]))) <= 2


def test_a_task_on_a_gpu_has_a_process_to_itself() -> None:
    shoal.shutdown()
    shoal.init(num_cpus=1, num_gpus=1)

    @shoal.remote(num_gpus=1)
    def on_gpu() -> tuple[int, list[Any]]:
        return os.getpid(), shoal.get_gpu_ids()

    (first, ids), (second, _) = shoal.get([on_gpu.remote(), on_gpu.remote()])
    assert first != second and ids == [0]
    until(lambda: not psutil.pid_exists(first))
    for_long = on_gpu.options(num_gpus=0)
    assert shoal.get(for_long.remote())[1] == [] == shoal.get_gpu_ids()


def test_what_a_worker_was_born_with_is_no_garbage() -> None:
    @shoal.remote
    def garbage() -> int:
        import gc

        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found = len(gc.garbage)
        gc.set_debug(0)
        gc.garbage.clear()
        return found

    assert shoal.get([garbage.remote() for _ in range(3)]) == [0, 0, 0]


def test_a_worker_is_ended_before_its_driver_when_memory_is_used_up() -> None:
    def wish() -> int:
        with open("/proc/self/oom_score_adj") as file:
            return int(file.read())

    assert shoal.get(shoal.remote(wish).remote()) == 1000 > wish()


def test_methods_have_as_many_threads_as_their_actor_has_cpus() -> None:
    @shoal.remote(num_cpus=2)
    class Solver:
        def threads(self) -> str:
            return os.environ["OMP_NUM_THREADS"]

    solver: Any = Solver.remote()  # type: ignore[attr-defined]
    assert shoal.get(solver.threads.remote()) == "2"
    assert shoal.get(solver.threads.remote()) == "2"
