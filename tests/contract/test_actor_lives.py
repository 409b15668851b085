"""Actors that crash, end themselves and are killed, and calls that are repeated."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

import shoal
from shoal.actor import exit_actor
from shoal.exceptions import ActorDiedError, ActorUnavailableError, PendingCallsLimitExceeded

PATIENCE = 30.0


class Counter:
    def __init__(self, start: int = 0) -> None:
        self.count = start

    def increase(self) -> int:
        self.count += 1
        return self.count

    def pid(self) -> int:
        return os.getpid()

    def die_once(self, mark: str) -> int:
        """The first time it is run its process dies."""
        if not os.path.exists(mark):
            Path(mark).touch()
            os._exit(1)
        return self.increase()

    def wait_for(self, path: str) -> bool:
        while not os.path.exists(path):
            time.sleep(0.01)
        return True


def once_again(actor: Any) -> int:
    """The process of an actor that was killed: calls fail until its new one is there."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return int(shoal.get(actor.pid.remote(), timeout=PATIENCE))
        except ActorUnavailableError:
            assert time.monotonic() < end


@pytest.mark.needs_processes
def test_an_actor_is_made_anew_as_often_as_max_restarts_says(engine: Any) -> None:
    actor = shoal.remote(max_restarts=1)(Counter).remote(10)
    first = shoal.get(actor.pid.remote())
    assert shoal.get(actor.increase.remote()) == 11
    os.kill(first, signal.SIGKILL)
    second = first
    while second == first:  # a call that was answered before the signal arrived
        second = once_again(actor)
    assert shoal.get(actor.increase.remote()) == 11, "the constructor ran again, with its arguments"
    os.kill(second, signal.SIGKILL)
    with pytest.raises(ActorDiedError, match="after 1 restarts"):
        while True:
            shoal.get(actor.pid.remote(), timeout=PATIENCE)


@pytest.mark.needs_processes
def test_calls_in_flight_fail_and_say_that_their_actor_comes_back(engine: Any, tmp_path: Path) -> None:
    actor = shoal.remote(max_restarts=-1)(Counter).remote()
    refs = [actor.die_once.remote(str(tmp_path / "mark")), actor.increase.remote(), actor.increase.remote()]
    for ref in refs:  # the others had not begun: without retries that makes no difference
        with pytest.raises(ActorUnavailableError, match="max_task_retries"):
            shoal.get(ref, timeout=PATIENCE)
    once_again(actor)
    assert shoal.get(actor.increase.remote(), timeout=PATIENCE) == 1


@pytest.mark.needs_processes
def test_only_calls_with_retries_wait_for_an_actor_that_is_restarting(engine: Any, tmp_path: Path) -> None:
    class Slow(Counter):
        def __init__(self) -> None:
            super().__init__()
            begun.touch()
            self.wait_for(str(mark))

    begun, mark = tmp_path / "begun", tmp_path / "mark"
    actor = shoal.remote(max_restarts=1)(Slow).remote()
    first = actor.increase.remote()  # waits, as each does while an actor is made for the first time
    mark.touch()
    assert shoal.get(first, timeout=PATIENCE) == 1
    mark.unlink()
    begun.unlink()
    os.kill(shoal.get(actor.pid.remote()), signal.SIGKILL)
    Counter().wait_for(str(begun))
    patient = actor.increase.options(max_task_retries=-1).remote()
    with pytest.raises(ActorUnavailableError, match="The actor is restarting"):
        shoal.get(actor.increase.remote(), timeout=PATIENCE)
    mark.touch()
    assert shoal.get(patient, timeout=PATIENCE) == 1
    assert shoal.get(actor.increase.remote(), timeout=PATIENCE) == 2


@pytest.mark.needs_processes
def test_a_kill_that_restarts_an_actor_that_is_being_made_costs_a_restart(engine: Any, tmp_path: Path) -> None:
    class Slow(Counter):
        def __init__(self) -> None:
            super().__init__()
            Path(tmp_path, str(len(os.listdir(tmp_path)))).touch()
            self.wait_for(str(tmp_path / "go"))

    actor = shoal.remote(max_restarts=1)(Slow).remote()
    for times in (1, 2):
        Counter().wait_for(str(tmp_path / str(times - 1)))
        shoal.kill(actor, no_restart=False)
    with pytest.raises(ActorDiedError, match="killed"):
        shoal.get(actor.pid.remote(), timeout=PATIENCE)


@pytest.mark.needs_processes
@pytest.mark.filterwarnings("ignore:.*stays pending")
def test_a_kill_of_an_actor_that_waits_for_its_place_costs_a_restart(engine: Any) -> None:
    actor = shoal.remote(max_restarts=1, resources={"nowhere": 1})(Counter).remote()
    shoal.kill(actor, no_restart=False)
    shoal.kill(actor, no_restart=False)
    with pytest.raises(ActorDiedError, match="killed"):
        shoal.get(actor.pid.remote(), timeout=PATIENCE)


@pytest.mark.needs_processes
def test_max_task_retries_repeats_calls_in_their_order(engine: Any, tmp_path: Path) -> None:
    actor = shoal.remote(max_restarts=1, max_task_retries=1)(Counter).remote()
    refs = [actor.die_once.remote(str(tmp_path / "mark")), *(actor.increase.remote() for _ in range(20))]
    assert shoal.get(refs, timeout=PATIENCE) == list(range(1, 22))


@pytest.mark.needs_processes
def test_kill_restarts_where_it_is_told_to(engine: Any) -> None:
    actor = shoal.remote(max_restarts=1)(Counter).remote()
    first = shoal.get(actor.pid.remote())
    shoal.kill(actor, no_restart=False)
    assert once_again(actor) != first
    shoal.kill(actor)
    with pytest.raises(ActorDiedError, match="killed"):
        shoal.get(actor.pid.remote(), timeout=PATIENCE)


@pytest.mark.needs_processes
@pytest.mark.parametrize("which", [True, [ValueError, KeyError]])
def test_retry_exceptions_of_a_task(engine: Any, tmp_path: Path, which: Any) -> None:
    @shoal.remote(max_retries=2, retry_exceptions=which)
    def fails(folder: str, times: int) -> int:
        number = len(os.listdir(folder))
        Path(folder, str(number)).touch()
        if number < times:
            raise ValueError(number)
        return number

    few, many = tmp_path / "few", tmp_path / "many"
    few.mkdir()
    many.mkdir()
    assert shoal.get(fails.remote(str(few), 2), timeout=PATIENCE) == 2
    with pytest.raises(ValueError, match="2"):
        shoal.get(fails.remote(str(many), 9), timeout=PATIENCE)
    assert len(os.listdir(many)) == 3


@pytest.mark.needs_processes
def test_an_exception_that_is_not_named_is_not_repeated(engine: Any, tmp_path: Path) -> None:
    @shoal.remote(max_retries=2, retry_exceptions=[KeyError])
    def fails() -> None:
        Path(tmp_path, str(len(os.listdir(tmp_path)))).touch()
        raise ValueError

    with pytest.raises(ValueError):
        shoal.get(fails.remote(), timeout=PATIENCE)
    assert len(os.listdir(tmp_path)) == 1


@pytest.mark.needs_processes
def test_retry_exceptions_of_a_method(engine: Any) -> None:
    @shoal.remote
    class Stubborn:
        def __init__(self) -> None:
            self.tries = 0

        @shoal.method(max_task_retries=3, retry_exceptions=True)
        def at_last(self) -> int:
            self.tries += 1
            if self.tries < 3:
                raise ValueError
            return self.tries

    actor: Any = Stubborn
    assert shoal.get(actor.remote().at_last.remote(), timeout=PATIENCE) == 3


@pytest.mark.needs_processes
@pytest.mark.parametrize("how", ["plain", "threads", "async"])
def test_a_method_that_raises_is_repeated_in_its_place(engine: Any, how: str) -> None:
    """The later calls of its caller wait for it where calls run one by one; Ray promises no order here."""

    class Log:
        def __init__(self) -> None:
            self.done: list[int] = []
            self.tries: dict[int, int] = {}

        def note(self, i: int) -> None:
            self._try(i)

        def _try(self, i: int) -> None:
            self.tries[i] = self.tries.get(i, 0) + 1
            if i % 5 == 0 and self.tries[i] < 3:
                raise ValueError
            self.done.append(i)

        def seen(self) -> list[int]:
            return self.done

    class Async(Log):
        async def note(self, i: int) -> None:  # type: ignore[override]
            self._try(i)

        async def seen(self) -> list[int]:  # type: ignore[override]
            return self.done

    cls = shoal.remote(max_task_retries=2)(Async if how == "async" else Log)
    log: Any = (cls.options(max_concurrency=1 if how == "plain" else 2) if how != "async" else cls).remote()
    refs = [log.note.options(retry_exceptions=True).remote(i) for i in range(20)]
    refs.append(log.note.options(retry_exceptions=True, max_task_retries=0).remote(20))
    for ref in refs:
        with contextlib.suppress(ValueError):
            shoal.get(ref, timeout=PATIENCE)
    seen = shoal.get(log.seen.remote())
    assert sorted(seen) == list(range(20)), "each of these had tries enough, and the last had not"
    if how == "plain":
        assert seen == sorted(seen)


@pytest.mark.needs_processes
def test_max_pending_calls(engine: Any, tmp_path: Path) -> None:
    actor = shoal.remote(max_pending_calls=2)(Counter).remote()
    path = tmp_path / "go"
    refs = [actor.wait_for.remote(str(path)) for _ in range(2)]
    with pytest.raises(PendingCallsLimitExceeded, match="max_pending_calls=2"):
        actor.increase.remote()
    path.touch()
    assert shoal.get(refs, timeout=PATIENCE) == [True, True]
    assert shoal.get(actor.increase.remote(), timeout=PATIENCE) == 1


@pytest.mark.needs_processes
def test_exit_actor_ends_it_for_good(engine: Any) -> None:
    @shoal.remote(max_restarts=-1, max_task_retries=-1)
    class Leaver:
        def leave(self) -> None:
            try:
                exit_actor()
            except Exception:
                pass  # it cannot be stopped so

        def stay(self) -> int:
            return 1

    leaver: Any = Leaver
    actor = leaver.remote()
    assert shoal.get(actor.stay.remote(), timeout=PATIENCE) == 1
    refs = [actor.leave.remote(), actor.stay.remote()]
    for ref in refs:
        with pytest.raises(ActorDiedError, match="exit_actor"):
            shoal.get(ref, timeout=PATIENCE)
    with pytest.raises(ActorDiedError, match="exit_actor"):
        shoal.get(actor.stay.remote(), timeout=PATIENCE)


@pytest.mark.needs_processes
@pytest.mark.parametrize("how", ["threads", "async"])
def test_what_runs_when_a_concurrent_actor_leaves_is_done_to_its_end(engine: Any, tmp_path: Path, how: str) -> None:
    class Threads:
        def run(self, name: str) -> str:
            Path(tmp_path, name).touch()
            Counter().wait_for(str(tmp_path / "go"))
            return name

        def leave(self) -> None:
            exit_actor()

    class Async:
        async def run(self, name: str) -> str:
            Path(tmp_path, name).touch()
            while not (tmp_path / "go").exists():
                await asyncio.sleep(0.01)
            return name

        async def leave(self) -> None:
            exit_actor()

    cls: Any = shoal.remote(Async if how == "async" else Threads)
    for end in ("go", "kill"):
        actor = cls.options(max_concurrency=2).remote()
        running = actor.run.remote("running" + end)
        Counter().wait_for(str(tmp_path / ("running" + end)))
        leaving = actor.leave.remote()
        queued = [actor.run.remote("queued") for _ in range(20)]
        for ref in (leaving, *queued, actor.run.remote("late")):
            with pytest.raises(ActorDiedError, match="exit_actor"):
                shoal.get(ref, timeout=PATIENCE)
        if end == "kill":
            shoal.kill(actor)
            with pytest.raises(ActorDiedError, match="exit_actor"):
                shoal.get(running, timeout=PATIENCE)
        else:
            (tmp_path / "go").touch()
            assert shoal.get(running, timeout=PATIENCE) == "runninggo"
            (tmp_path / "go").unlink()
    assert not (tmp_path / "late").exists()


def test_exit_actor_ends_it_though_its_exception_is_caught(engine: Any) -> None:
    class Stubborn:
        def leave(self) -> int:
            try:
                exit_actor()
            except SystemExit:
                return 1

        def ping(self) -> int:
            return 1

    a = shoal.remote(Stubborn).remote()
    assert shoal.get(a.ping.remote()) == 1
    for call in (a.leave, a.ping):
        with pytest.raises(ActorDiedError, match="exit_actor"):
            shoal.get(call.remote(), timeout=20)


def test_exit_actor_in_a_task_that_a_coroutine_awaits(engine: Any) -> None:
    class Awaiting:
        async def leave(self) -> None:
            async def inside() -> None:
                exit_actor()

            await asyncio.create_task(inside())

    a = shoal.remote(Awaiting).remote()
    for _ in range(2):
        with pytest.raises(ActorDiedError, match="exit_actor"):
            shoal.get(a.leave.remote(), timeout=20)


@pytest.mark.needs_processes
def test_exit_actor_of_a_plain_actor_by_its_lane(engine: Any) -> None:
    class Plain(Counter):
        def leave(self) -> None:
            exit_actor()

    actor = shoal.remote(Plain).remote()
    for _ in range(20):
        shoal.get(actor.increase.remote(), timeout=PATIENCE)
    refs = [actor.leave.remote(), *(actor.increase.remote() for _ in range(20))]
    for ref in refs:
        with pytest.raises(ActorDiedError, match="exit_actor"):
            shoal.get(ref, timeout=PATIENCE)


def test_exit_actor_is_for_actors(engine: Any) -> None:
    with pytest.raises(TypeError, match="kill"):
        exit_actor()
