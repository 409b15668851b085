"""Cancel: whatever a call is doing, whoever asks for it, and what becomes of those around it. Ray's semantics.

Where a test needs a call to be at a certain point, files tell: it has begun when its own is there, it goes on when
"go" is.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import shoal
from shoal.actor import exit_actor
from shoal.exceptions import ActorDiedError, TaskCancelledError, WorkerCrashedError

pytestmark = [pytest.mark.usefixtures("engine"), pytest.mark.needs_time]
PATIENCE = 30.0


def until(true: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "it has not come true"
        time.sleep(0.01)


def cancelled(ref: Any) -> bool:
    with pytest.raises(TaskCancelledError):
        shoal.get(ref, timeout=PATIENCE)
    return True


def cancel_while_it_runs(ref: Any, folder: Path) -> None:
    until((folder / "runs").exists)
    shoal.cancel(ref)
    assert cancelled(ref)


@shoal.remote
def runs(path: Path, name: str = "runs") -> str:
    """Begins, and goes on when it may."""
    (path / name).touch()
    while not (path / "go").exists():
        time.sleep(0.01)
    return name


@shoal.remote
def after(*_: Any) -> int:
    return 1


class _Host:
    def runs(self, path: Path, name: str = "runs") -> str:
        (path / name).touch()
        while not (path / "go").exists():
            time.sleep(0.01)
        return name

    def one(self) -> int:
        return 1

    def told(self, path: Path) -> str:
        """Whether it has heard of its cancel."""
        (path / "runs").touch()
        while not shoal.get_runtime_context().is_canceled():
            time.sleep(0.01)
        (path / "told").touch()
        return "told"

    def leaves(self, path: Path) -> None:
        (path / "runs").touch()
        while not (path / "go").exists():
            time.sleep(0.01)
        exit_actor()

    def yields(self, path: Path) -> Any:
        try:
            yield from range(1_000_000)
        finally:
            (path / "closed").touch()


Host: Any = shoal.remote(_Host)

# tasks


def test_one_that_runs_is_interrupted(tmp_path: Path) -> None:
    ref = runs.remote(tmp_path)
    cancel_while_it_runs(ref, tmp_path)
    assert shoal.get(after.remote()) == 1


def test_its_finally_runs_and_what_it_raises_then_changes_nothing(tmp_path: Path) -> None:
    @shoal.remote
    def cleans_up() -> None:
        try:
            (tmp_path / "runs").touch()
            time.sleep(1000)
        finally:
            (tmp_path / "clean").touch()

    ref = cleans_up.remote()
    cancel_while_it_runs(ref, tmp_path)
    assert (tmp_path / "clean").exists()


def test_one_that_waits_for_a_cpu_never_begins(tmp_path: Path) -> None:
    busy = [runs.remote(tmp_path, f"busy {i}") for i in range(2)]
    until(lambda: all((tmp_path / f"busy {i}").exists() for i in range(2)))
    waits = [runs.remote(tmp_path, f"waits {i}") for i in range(20)]
    for ref in waits:
        shoal.cancel(ref)
    assert all(cancelled(ref) for ref in waits)
    (tmp_path / "go").touch()
    assert shoal.get(busy) == ["busy 0", "busy 1"]
    assert not list(tmp_path.glob("waits*"))


def test_one_that_waits_for_an_argument_ends_and_the_argument_goes_on(tmp_path: Path) -> None:
    first = runs.remote(tmp_path)
    waits = after.remote(first)
    shoal.cancel(waits)
    assert cancelled(waits)
    (tmp_path / "go").touch()
    assert shoal.get(first, timeout=PATIENCE) == "runs"


def test_what_depends_on_it_fails_with_it(tmp_path: Path) -> None:
    first = runs.remote(tmp_path)
    line = [first]
    for _ in range(4):
        line.append(after.remote(line[-1]))
    until((tmp_path / "runs").exists)
    shoal.cancel(first)
    assert all(cancelled(ref) for ref in line)


def test_one_that_is_over_keeps_its_value() -> None:
    ref = after.remote()
    assert shoal.get(ref) == 1
    shoal.cancel(ref)
    shoal.cancel(ref, force=True)
    assert shoal.get(ref) == 1


def test_twice_is_like_once(tmp_path: Path) -> None:
    ref = runs.remote(tmp_path)
    until((tmp_path / "runs").exists)
    for _ in range(5):
        shoal.cancel(ref)
    assert cancelled(ref)
    assert shoal.get([after.remote() for _ in range(20)], timeout=PATIENCE) == [1] * 20


def test_all_values_of_one_that_returns_several_are_gone(tmp_path: Path) -> None:
    first, second = runs.options(num_returns=2).remote(tmp_path)
    until((tmp_path / "runs").exists)
    shoal.cancel(second)
    assert cancelled(first) and cancelled(second)


@pytest.mark.needs_processes
def test_an_import_is_not_interrupted(tmp_path: Path) -> None:
    """An extension module that is half loaded could not be loaded again, by whatever runs there later."""
    (tmp_path / "slow_to_import.py").write_text(
        "import pathlib, time\n"
        "here = pathlib.Path(__file__).parent\n"
        "(here / 'runs').touch()\n"
        "while not (here / 'go').exists(): time.sleep(0.01)\n"
        "(here / 'imported').touch()\n"
    )

    @shoal.remote
    def imports() -> None:
        sys.path.insert(0, str(tmp_path))
        try:
            importlib.import_module("slow_to_import")
        finally:
            sys.path.remove(str(tmp_path))
        time.sleep(1000)

    ref = imports.remote()
    until((tmp_path / "runs").exists)
    shoal.cancel(ref)
    shoal.wait([ref], timeout=0.5)
    (tmp_path / "go").touch()
    assert cancelled(ref)
    assert (tmp_path / "imported").exists()


def test_it_is_not_retried(tmp_path: Path) -> None:
    @shoal.remote(max_retries=5, retry_exceptions=True)
    def stubborn() -> None:
        with open(tmp_path / "runs", "a") as file:
            file.write("x")
        time.sleep(1000)

    for force in (False, True):
        (tmp_path / "runs").write_text("")
        ref = stubborn.remote()
        until((tmp_path / "runs").read_text)
        shoal.cancel(ref, force=force)
        assert cancelled(ref)
        assert (tmp_path / "runs").read_text() == "x"


@pytest.mark.needs_processes
def test_force_ends_one_that_does_not_listen(tmp_path: Path) -> None:
    @shoal.remote
    def deaf() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        (tmp_path / "runs").write_text(str(os.getpid()))
        while True:
            time.sleep(1000)

    ref = deaf.remote()
    until(lambda: (tmp_path / "runs").exists() and (tmp_path / "runs").read_text())
    shoal.cancel(ref, force=True)
    with pytest.raises((TaskCancelledError, WorkerCrashedError)):
        shoal.get(ref, timeout=PATIENCE)
    assert shoal.get(after.remote(), timeout=PATIENCE) == 1


def test_one_that_waits_in_get_is_interrupted_there(tmp_path: Path) -> None:
    @shoal.remote
    def waits(refs: list[Any]) -> None:
        (tmp_path / "waits").touch()
        shoal.get(refs)

    inner = runs.remote(tmp_path)
    outer = waits.remote([inner])
    until((tmp_path / "waits").exists)
    shoal.cancel(outer)
    assert cancelled(outer)
    (tmp_path / "go").touch()
    assert shoal.get(inner, timeout=PATIENCE) == "runs", "it is the caller's, not a child"


@pytest.mark.parametrize("recursive", [True, False])
def test_children_end_with_it_unless_it_is_not_recursive(tmp_path: Path, recursive: bool) -> None:
    @shoal.remote
    def parent() -> None:
        child = runs.options(name="child").remote(tmp_path, "child")
        keep.append(child)
        shoal.get(child)

    keep: list[Any] = []
    ref = parent.remote()
    until((tmp_path / "child").exists)
    shoal.cancel(ref, recursive=recursive)
    assert cancelled(ref)
    # All CPUs are free again when the child has ended as well.
    if not recursive:
        (tmp_path / "go").touch()
    others = [runs.remote(tmp_path, f"other {i}") for i in range(2)]
    until(lambda: all((tmp_path / f"other {i}").exists() for i in range(2)))
    (tmp_path / "go").touch()
    shoal.get(others, timeout=PATIENCE)


def test_grandchildren_that_wait_end_too(tmp_path: Path) -> None:
    @shoal.remote
    def grows(depth: int) -> int:
        if not depth:
            (tmp_path / "leaf").touch()
            time.sleep(1000)
        value: int = shoal.get(grows.remote(depth - 1))
        return value

    ref = grows.remote(4)
    until((tmp_path / "leaf").exists)
    shoal.cancel(ref)
    assert cancelled(ref)
    assert shoal.get([after.remote() for _ in range(8)], timeout=PATIENCE) == [1] * 8


def test_a_task_cancels_what_another_made(tmp_path: Path) -> None:
    @shoal.remote
    def cancels(refs: list[Any]) -> None:
        shoal.cancel(refs[0])

    ref = runs.remote(tmp_path)
    until((tmp_path / "runs").exists)
    shoal.get(cancels.remote([ref]), timeout=PATIENCE)
    assert cancelled(ref)


def test_a_generator_that_runs_ends_behind_what_it_has_yielded(tmp_path: Path) -> None:
    @shoal.remote
    def yields() -> Any:
        yield 0
        time.sleep(1000)

    gen = yields.remote()
    assert shoal.get(next(gen), timeout=PATIENCE) == 0
    shoal.cancel(gen)
    assert cancelled(next(gen))
    with pytest.raises(StopIteration):
        next(gen)


def test_a_task_that_is_a_coroutine_is_interrupted(tmp_path: Path) -> None:
    @shoal.remote
    def sleeps() -> None:
        async def main() -> None:
            (tmp_path / "runs").touch()
            await asyncio.sleep(1000)

        asyncio.run(main())

    ref = sleeps.remote()
    cancel_while_it_runs(ref, tmp_path)


def test_many_at_any_moment_and_nothing_is_mixed_up() -> None:
    for _ in range(10):
        refs = [after.remote() for _ in range(60)]
        for ref in refs[::3]:
            shoal.cancel(ref)
        for i, ref in enumerate(refs):
            try:
                assert shoal.get(ref, timeout=PATIENCE) == 1
            except TaskCancelledError:
                assert i % 3 == 0


# calls of actors


def test_a_call_that_runs_is_over_for_its_caller_and_its_actor_lives(tmp_path: Path) -> None:
    host = Host.remote()
    ref = host.runs.remote(tmp_path)
    cancel_while_it_runs(ref, tmp_path)
    (tmp_path / "go").touch()
    assert shoal.get(host.one.remote(), timeout=PATIENCE) == 1


def test_a_call_that_runs_may_ask_whether_it_is_cancelled(tmp_path: Path) -> None:
    host = Host.remote()
    ref = host.told.remote(tmp_path)
    cancel_while_it_runs(ref, tmp_path)
    until((tmp_path / "told").exists)
    assert shoal.get(host.one.remote(), timeout=PATIENCE) == 1


def test_a_call_that_waits_never_begins_and_the_others_do(tmp_path: Path) -> None:
    host = Host.remote()
    shoal.get(host.one.remote())
    first = host.runs.remote(tmp_path, "first")
    until((tmp_path / "first").exists)
    waits = [host.runs.remote(tmp_path, f"call {i}") for i in range(10)]
    for ref in waits[::2]:
        shoal.cancel(ref)
    assert all(cancelled(ref) for ref in waits[::2])
    (tmp_path / "go").touch()
    assert shoal.get([first, *waits[1::2]], timeout=PATIENCE) == ["first", *(f"call {i}" for i in range(1, 10, 2))]


def test_force_is_not_for_actors(tmp_path: Path) -> None:
    host = Host.remote()
    ref = host.runs.remote(tmp_path)
    with pytest.raises(ValueError, match="force"):
        shoal.cancel(ref, force=True)
    (tmp_path / "go").touch()
    assert shoal.get(ref, timeout=PATIENCE) == "runs"


@pytest.mark.needs_processes
def test_a_coroutine_is_cancelled_where_it_awaits_and_may_clean_up(tmp_path: Path) -> None:
    class Loop:
        async def sleeps(self) -> None:
            try:
                (tmp_path / "runs").touch()
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                (tmp_path / "clean").touch()
                raise

        async def one(self) -> int:
            return 1

    loop: Any = shoal.remote(Loop).remote()
    ref = loop.sleeps.remote()
    cancel_while_it_runs(ref, tmp_path)
    until((tmp_path / "clean").exists)
    assert shoal.get(loop.one.remote(), timeout=PATIENCE) == 1


@pytest.mark.needs_processes
def test_a_call_in_a_thread_is_told_and_one_that_waits_for_a_thread_never_begins(tmp_path: Path) -> None:
    host = Host.options(max_concurrency=2).remote()
    told, busy = host.told.remote(tmp_path), host.runs.remote(tmp_path, "busy")
    until(lambda: (tmp_path / "runs").exists() and (tmp_path / "busy").exists())
    waits = host.runs.remote(tmp_path, "waits")
    shoal.cancel(waits)
    shoal.cancel(told)
    assert cancelled(waits) and cancelled(told)
    until((tmp_path / "told").exists)
    (tmp_path / "go").touch()
    assert shoal.get([busy, host.one.remote()], timeout=PATIENCE) == ["busy", 1]
    assert not (tmp_path / "waits").exists()


@pytest.mark.needs_processes
@pytest.mark.parametrize("concurrency", [1, 2])
def test_a_generator_method_that_waits_for_its_reader_ends_and_blocks_nobody(
    tmp_path: Path, concurrency: int
) -> None:
    host = Host.options(max_concurrency=concurrency).remote()
    gen = host.yields.options(num_returns="streaming", _generator_backpressure_num_objects=2).remote(tmp_path)
    assert shoal.get(next(gen), timeout=PATIENCE) == 0
    shoal.cancel(gen)
    assert shoal.get(host.one.remote(), timeout=PATIENCE) == 1
    until((tmp_path / "closed").exists)
    with pytest.raises(TaskCancelledError):
        for ref in gen:
            shoal.get(ref, timeout=PATIENCE)


@pytest.mark.needs_processes
def test_a_generator_method_without_a_reader_ends_at_its_next_item(tmp_path: Path) -> None:
    host = Host.remote()
    gen = host.yields.options(num_returns="streaming").remote(tmp_path)
    assert shoal.get(next(gen), timeout=PATIENCE) == 0
    shoal.cancel(gen)
    assert shoal.get(host.one.remote(), timeout=PATIENCE) == 1
    assert (tmp_path / "closed").exists()


@pytest.mark.needs_processes
@pytest.mark.parametrize("by_lane", [False, True])
def test_a_cancelled_call_that_leaves_its_actor_ends_it_for_good(tmp_path: Path, by_lane: bool) -> None:
    host = Host.options(max_restarts=-1).remote()
    shoal.get(host.one.remote())
    leaves = host.leaves if by_lane else host.leaves.options(max_task_retries=1)
    ref = leaves.remote(tmp_path)
    cancel_while_it_runs(ref, tmp_path)
    (tmp_path / "go").touch()
    with pytest.raises(ActorDiedError, match="exit_actor"):
        while True:
            shoal.get(host.one.remote(), timeout=PATIENCE)


def test_a_call_that_waits_for_an_argument_ends_and_holds_up_nobody(tmp_path: Path) -> None:
    host = Host.remote()
    first = runs.remote(tmp_path)

    @shoal.remote
    def cancels(refs: list[Any]) -> None:
        shoal.cancel(refs[0])

    waits = host.runs.remote(first, "waits")
    behind = host.one.remote()
    shoal.get(cancels.remote([waits]), timeout=PATIENCE)
    assert cancelled(waits)
    assert shoal.get(behind, timeout=PATIENCE) == 1
    (tmp_path / "go").touch()
    assert shoal.get(first, timeout=PATIENCE) == "runs"


def test_an_actors_creation_that_waits_for_an_argument_fails_its_calls(tmp_path: Path) -> None:
    class Late:
        def __init__(self, _: Any) -> None: ...

        def one(self) -> int:
            return 1

    first = runs.remote(tmp_path)
    late: Any = shoal.remote(Late).remote(first)
    call = late.one.remote()
    until((tmp_path / "runs").exists)
    shoal.cancel(first)
    with pytest.raises((ActorDiedError, TaskCancelledError)):
        shoal.get(call, timeout=PATIENCE)


# what cannot be cancelled


def test_only_what_a_task_makes_can_be_cancelled() -> None:
    with pytest.raises(TypeError):
        shoal.cancel("ref")  # type: ignore[arg-type]
    shoal.cancel(shoal.put(1))
