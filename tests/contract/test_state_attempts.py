"""The state API on what was tried: attempts, their errors, calls at once, and what is not told."""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest

import shoal
from shoal.util import state
from shoal.util.state.exception import RayStateApiException

pytestmark = [pytest.mark.usefixtures("engine"), pytest.mark.needs_processes]


def rows_of(name: str, **options: Any) -> list[Any]:
    return list(state.list_tasks(filters=[("name", "=", name)], detail=True, **options))


def test_each_attempt_is_a_row_with_its_number_and_its_error() -> None:
    @shoal.remote(max_retries=2, retry_exceptions=True)
    def stubborn() -> None:
        raise ValueError("as always")

    ref = stubborn.remote()
    with pytest.raises(ValueError):
        shoal.get(ref)
    rows = rows_of("stubborn")
    assert [row.attempt_number for row in rows] == [2, 1, 0]
    assert {row.task_id for row in rows} == {ref.task_id().hex()}
    for row in rows:
        assert (row.state, row.error_type) == ("FAILED", "TASK_EXECUTION_EXCEPTION")
        assert "ValueError: as always" in row.error_message and "in stubborn" in row.error_message
    assert state.get_task(ref) == rows


def test_the_latest_attempt_says_how_the_task_ended(tmp_path: Any) -> None:
    @shoal.remote(max_retries=1)
    def dies_once() -> None:
        if not (tmp_path / "been here").exists():
            (tmp_path / "been here").touch()
            os._exit(7)

    shoal.get(dies_once.remote())
    last, first = rows_of("dies_once")
    assert (last.attempt_number, last.state, last.error_type) == (1, "FINISHED", None)
    assert (first.attempt_number, first.state, first.error_type) == (0, "FAILED", "WORKER_DIED")
    assert "exit status 7" in first.error_message
    assert first.worker_pid != last.worker_pid and first.end_time_ms <= last.start_time_ms


def test_a_call_that_is_repeated_in_its_place_has_its_attempts() -> None:
    @shoal.remote
    class Shy:
        def __init__(self) -> None:
            self.calls = 0

        @shoal.method(max_task_retries=3, retry_exceptions=True)
        def work(self) -> int:
            self.calls += 1
            if self.calls < 3:
                raise KeyError("not yet")
            return self.calls

    shy = Shy.remote()  # type: ignore[attr-defined]
    assert shoal.get(shy.work.remote()) == 3
    rows = rows_of("Shy.work")
    assert [(row.attempt_number, row.state) for row in rows] == [(2, "FINISHED"), (1, "FAILED"), (0, "FAILED")]
    assert "not yet" in rows[1].error_message


@pytest.mark.parametrize("times", [1, 50])
def test_an_error_is_told_with_its_text_whichever_way_the_call_went(times: int) -> None:
    @shoal.remote
    def reads(i: int) -> None:
        raise LookupError(f"page {i} is torn out")

    refs = [reads.remote(i) for i in range(times)]
    for ref in refs:
        with pytest.raises(LookupError):
            shoal.get(ref)
    told = [row.error_message for row in rows_of("reads")]
    assert len(told) == times
    for i in range(times):
        assert any(text.endswith(f"LookupError: page {i} is torn out\n") for text in told)


def test_a_long_error_is_told_with_its_beginning_and_its_end() -> None:
    @shoal.remote
    def talks() -> None:
        raise RuntimeError("begin " + "x" * 100_000 + " end")

    with pytest.raises(RuntimeError):
        shoal.get(talks.remote())
    [row] = rows_of("talks")
    assert row.error_message.startswith("Traceback") and row.error_message.endswith(" end\n")
    assert len(row.error_message) < 5000


def test_calls_at_once_are_running_and_the_rest_wait_for_their_turn() -> None:
    @shoal.remote(max_concurrency=2, concurrency_groups={"door": 1, "work": 2})
    class Hall:
        def __init__(self) -> None:
            self.go, self.full = threading.Event(), threading.Barrier(3)

        @shoal.method(concurrency_group="work")
        def work(self) -> None:
            if not self.go.is_set():
                self.full.wait(30)
            self.go.wait(30)

        @shoal.method(concurrency_group="door")
        def two_work(self) -> None:
            self.full.wait(30)

        @shoal.method(concurrency_group="door")
        def open(self) -> None:
            self.go.set()

    hall = Hall.remote()  # type: ignore[attr-defined]
    calls = [hall.work.remote() for _ in range(5)]
    shoal.get(hall.two_work.remote())
    states = sorted(row.state for row in rows_of("Hall.work"))
    assert states == ["PENDING_ACTOR_TASK_ORDERING_OR_CONCURRENCY"] * 3 + ["RUNNING"] * 2
    hall.open.remote()
    shoal.get(calls)
    assert {row.state for row in rows_of("Hall.work")} == {"FINISHED"}


def test_a_task_that_waits_in_get_is_running() -> None:
    @shoal.remote
    def asks(name: str) -> list[str]:
        return [row.state for row in state.list_tasks(filters=[("name", "=", name)])]

    @shoal.remote
    def waits() -> list[str]:
        found: list[str] = shoal.get(asks.remote("waits"))
        return found

    assert shoal.get(waits.remote()) == ["RUNNING"]


def test_what_is_not_to_be_listed() -> None:
    @shoal.remote(enable_task_events=False)
    def secret() -> None: ...

    @shoal.remote
    class Safe:
        def open(self) -> None: ...

        @shoal.method(enable_task_events=False)
        def dial(self) -> None: ...

    shoal.get([secret.remote(), secret.options(name="told", enable_task_events=True).remote()])
    safe = Safe.remote()  # type: ignore[attr-defined]
    shoal.get([safe.open.remote(), safe.dial.remote(), safe.open.options(enable_task_events=False).remote()])
    shoal.get(safe.dial.options(enable_task_events=True).remote())
    hidden = Safe.options(enable_task_events=False).remote()  # type: ignore[attr-defined]
    shoal.get([hidden.open.remote(), hidden.dial.remote()])
    assert sorted(row.name for row in state.list_tasks()) == ["Safe.__init__", "Safe.dial", "Safe.open", "told"]
    assert len(state.list_actors()) == 2


def test_filters_do_not_look_at_case_and_those_that_contradict_find_nothing() -> None:
    @shoal.remote
    def work() -> None: ...

    shoal.get(work.remote())
    assert len(state.list_tasks(filters=[("STATE", "=", "finished"), ("Name", "=", "WORK")])) == 1
    assert state.list_tasks(filters=[("state", "!=", "finished")]) == []
    assert state.list_tasks(filters=[("name", "=", "work"), ("name", "=", "other")]) == []


def test_an_actor_says_what_it_is_and_where_it_was() -> None:
    @shoal.remote(max_restarts=1)
    class Named:
        def __repr__(self) -> str:
            return "Named(7)"

        def pid(self) -> int:
            return os.getpid()

        def die(self) -> None:
            os._exit(1)

    actor = Named.remote()  # type: ignore[attr-defined]
    before = shoal.get(actor.pid.remote())
    [row] = state.list_actors(detail=True)
    assert (row.repr_name, row.pid, row.num_restarts) == ("Named(7)", before, 0)
    with pytest.raises(shoal.exceptions.ActorError):
        shoal.get(actor.die.remote())
    pid = shoal.get(actor.pid.options(max_task_retries=-1).remote())
    [row] = state.list_actors(detail=True)
    assert (row.repr_name, row.pid, row.num_restarts) == ("Named(7)", pid, 1)
    shoal.kill(actor)
    dead = state.get_actor(row.actor_id)
    assert dead is not None
    assert (dead.state, dead.pid, dead.node_id) == ("DEAD", pid, shoal.get_runtime_context().get_node_id())


def test_a_call_that_ends_its_actor_has_finished() -> None:
    @shoal.remote
    class Leaves:
        def go(self) -> None:
            shoal.actor.exit_actor()

    actor = Leaves.remote()  # type: ignore[attr-defined]
    with pytest.raises(shoal.exceptions.ActorDiedError):
        shoal.get(actor.go.remote())
    [row] = rows_of("Leaves.go")
    assert (row.state, row.error_type) == ("FINISHED", None)


def test_a_list_that_is_not_whole_is_refused_unless_it_may_be() -> None:
    @shoal.remote
    def work() -> None: ...

    shoal.get([work.remote() for _ in range(10_100)])
    with pytest.raises(RayStateApiException, match="raise_on_missing_output=False"):
        state.list_tasks()
    with pytest.raises(RayStateApiException, match="remembered no more"):
        state.summarize_tasks()
    assert len(state.list_tasks(limit=10, raise_on_missing_output=False)) == 10
    with pytest.warns(UserWarning, match="remembered no more"):
        state.summarize_tasks(raise_on_missing_output=False, _explain=True)
