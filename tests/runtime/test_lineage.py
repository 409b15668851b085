"""Lost values, event by event: what the world of `test_scheduler` seldom comes to."""

from __future__ import annotations

from dataclasses import replace

from shoal.ids import value_of
from shoal.scheduler import commands as cmd
from shoal.scheduler import events as ev
from shoal.scheduler.nodes import Node
from shoal.scheduler.resources import Resources, shape_of, units
from shoal.scheduler.state import Scheduler
from shoal.scheduler.tables import Kind

DRIVER, WORKER = -2, 1
TWINS = Kind(b"twins", b"function", "twins", "task", shape_of({"CPU": 1}), (), 2, -1)
LARGE = (ev.Made(1000, True), ev.Made(1000, True))
MAKER, USER, OTHER = (b"world---" + bytes([0, 0, 0, 0, n, 0, 0, 0]) for n in (1, 2, 3))
FIRST, SECOND = value_of(MAKER, 0), value_of(MAKER, 1)


def begun() -> Scheduler:
    """One CPU, and two large values that a task has made."""
    scheduler = Scheduler(Node("head", Resources(units({"CPU": 1})), 1, {}), 1 << 20)
    scheduler.handle(ev.KindDefined(replace(TWINS)), ev.ClientJoined(DRIVER))
    scheduler.fill_pool()
    scheduler.handle(ev.WorkerReady(WORKER), submitted(MAKER))
    scheduler.handle(finished(MAKER))
    return scheduler


def submitted(task: bytes, deps: tuple[bytes, ...] = ()) -> ev.Submitted:
    return ev.Submitted(task, TWINS.id, DRIVER, DRIVER, None, None, None, deps, ())


def finished(task: bytes, error: str | None = None) -> ev.Finished:
    made = LARGE if error is None else ()
    return ev.Finished(WORKER, task, "error" if error else "ok", ((), ()), 1.0, error, made)


def runs(commands: list[cmd.Command]) -> list[bytes]:
    return [c.task for c in commands if isinstance(c, cmd.Run)]


def test_what_a_queued_task_needs_and_nobody_asks_for_is_made_again() -> None:
    scheduler = begun()
    scheduler.handle(submitted(OTHER), submitted(USER, (FIRST,)), ev.Released(DRIVER, (FIRST, SECOND)))
    assert USER not in scheduler.workers[WORKER].running, "it waits for the CPU"
    scheduler.handle(ev.ObjectsLost((FIRST,), "a test"))
    assert runs(scheduler.handle(finished(OTHER))) == [MAKER]
    assert runs(scheduler.handle(finished(MAKER))) == [USER]


def test_what_is_lost_while_its_task_runs_again_comes_with_that_run() -> None:
    scheduler = begun()
    scheduler.handle(ev.ObjectsLost((FIRST,), "a test"), ev.Fetched(DRIVER, (FIRST,)))
    scheduler.handle(ev.ObjectsLost((SECOND,), "a test"), ev.Fetched(DRIVER, (SECOND,)))
    delivered = [c.object for c in scheduler.handle(finished(MAKER)) if isinstance(c, cmd.Deliver)]
    assert set(delivered) == {FIRST, SECOND}


def test_what_is_lost_while_its_task_runs_again_and_fails_is_an_error_too() -> None:
    scheduler = begun()
    scheduler.handle(ev.ObjectsLost((FIRST,), "a test"), ev.Fetched(DRIVER, (FIRST,)))
    scheduler.handle(ev.ObjectsLost((SECOND,), "a test"), ev.Fetched(DRIVER, (SECOND,)))
    scheduler.handle(finished(MAKER, "ValueError"))
    assert all(scheduler.objects.table[o].failed for o in (FIRST, SECOND)), "who waits for one waits in vain"


def test_an_item_that_is_lost_while_its_stream_runs_comes_with_another_run() -> None:
    scheduler = begun()
    stream = replace(TWINS, id=b"stream", stream=True, returns=1)
    item = value_of(USER, 1)
    scheduler.handle(ev.KindDefined(stream), submitted(USER)._replace(kind=stream.id))
    scheduler.handle(ev.Yielded(WORKER, USER, 0, (), LARGE[0]))
    scheduler.handle(ev.ObjectsLost((item,), "a test"), ev.Fetched(DRIVER, (item,)))
    assert runs(scheduler.handle(finished(USER)._replace(made=()))) == [USER]
    commands = scheduler.handle(ev.Yielded(WORKER, USER, 0, (), LARGE[0]))
    assert cmd.Deliver(DRIVER, item) in commands
