"""Calls on lanes, as the scheduler is told of them, and the deaths around them. `tests/model/` explores the whole."""

from __future__ import annotations

from dataclasses import replace

from shoal.scheduler import commands as cmd
from shoal.scheduler import events as ev
from shoal.scheduler.nodes import Node
from shoal.scheduler.resources import Resources, shape_of, units
from shoal.scheduler.state import Scheduler
from shoal.scheduler.tables import LENT, Kind

LEFT, STAYS = -2, -3
KIND = Kind(b"kind", b"function", "f", "task", shape_of({"CPU": 1}), (), 1, 0, plain=True)


def submit(task: bytes, client: int) -> ev.Submitted:
    return ev.Submitted(task, KIND.id, client, client, None, None, None, (), ())


def run(scheduler: Scheduler, task: bytes, client: int) -> None:
    """Submit a task the hub's way and have the one worker finish it."""
    scheduler.handle(submit(task, client))
    scheduler.handle(ev.Finished(1, task, "ok", ((),), 1e-4))


def test_a_told_call_ends_with_its_client_though_the_worker_is_lent_to_another() -> None:
    scheduler = Scheduler(Node("head", Resources(units({"CPU": 1})), 1, {}))
    scheduler.handle(ev.KindDefined(replace(KIND)), ev.ClientJoined(LEFT), ev.ClientJoined(STAYS))
    scheduler.fill_pool()
    scheduler.handle(ev.WorkerReady(1))
    run(scheduler, b"1" * 16, LEFT)
    worker = scheduler.workers[1]
    assert (worker.state, worker.job) == (LENT, LEFT)
    told = b"2" * 16
    scheduler.handle(ev.Told(told, KIND.id, LEFT, LEFT, None, None, None, 1, False))
    # The client dies; the worker, which drops its calls, hears that before the hub does.
    scheduler.handle(submit(b"3" * 16, STAYS))
    scheduler.handle(ev.LeaseClosed(1, worker.lease))
    scheduler.handle(ev.Finished(1, b"3" * 16, "ok", ((),), 1e-4))
    assert (worker.state, worker.job) == (LENT, STAYS)
    commands = scheduler.handle(ev.ClientLeft(LEFT))
    assert told not in scheduler.tasks, "nobody is left to say how it ends"
    assert not any(isinstance(c, cmd.KillWorker) for c in commands), "the worker is another's by now"


def test_an_adoption_that_crosses_the_cancel_of_a_call_whose_ref_is_dropped_makes_no_second_record() -> None:
    scheduler = Scheduler(Node("head", Resources(units({"CPU": 1})), 1, {}))
    made = replace(KIND, id=b"class", role="actor")
    method = replace(KIND, id=b"method", role="method", shape=())
    scheduler.handle(ev.KindDefined(made), ev.KindDefined(method), ev.ClientJoined(STAYS))
    scheduler.fill_pool()
    actor, call = b"a" * 16, b"c" * 16
    scheduler.handle(
        ev.WorkerReady(1), ev.Submitted(b"m" * 16, made.id, STAYS, STAYS, None, None, actor, (), ())
    )
    scheduler.handle(
        ev.Finished(1, b"m" * 16, "ok", (), 1e-4),
        ev.Told(call, method.id, STAYS, STAYS, None, None, actor, 1, False),
        ev.Released(STAYS, (call,)), ev.Cancelled(call, False, True),
    )  # fmt: skip
    assert call not in scheduler.tasks and call not in scheduler.objects.table
    commands = scheduler.handle(ev.Told(call, method.id, STAYS, STAYS, None, None, actor, 1, True))
    assert call not in scheduler.tasks and not commands


def test_a_word_of_one_dead_process_of_an_actor_is_not_taken_for_that_of_another() -> None:
    """A driver is asked of each what it had on a lane there: what it called later waits for all its answers."""
    scheduler = Scheduler(Node("head", Resources(units({"CPU": 4})), 4, {}))
    maker = replace(KIND, id=b"maker", role="actor", restarts=-1)
    method = replace(KIND, id=b"method", role="method", shape=(), retries=1)
    scheduler.handle(*(ev.KindDefined(k) for k in (replace(KIND), maker, method)), ev.ClientJoined(STAYS))
    scheduler.fill_pool()
    scheduler.handle(*(ev.WorkerReady(w) for w in list(scheduler.workers)))
    for _ in range(4):
        scheduler.handle(ev.Wanted(STAYS, KIND.shape))
    # It has a lane to each from now on.
    scheduler.handle(*(ev.LeaseClosed(w.id, w.lease) for w in scheduler.workers.values()))
    creation, actor = b"c" * 16, b"a" * 16
    scheduler.handle(ev.Submitted(creation, maker.id, STAYS, STAYS, None, None, actor, (), ()))

    def call(number: int) -> ev.Submitted:
        return ev.Submitted(b"%016d" % number, method.id, STAYS, STAYS, None, None, actor, (), ())

    def host() -> int:
        return next(w.id for w in scheduler.workers.values() if w.actor == actor)

    def born() -> list[bytes]:
        """What the actor is sent as soon as it is there."""
        commands = scheduler.handle(ev.Finished(host(), creation, "ok", (), 1e-4))
        return [c.task for c in commands if isinstance(c, cmd.Run)]

    born()
    first = host()
    scheduler.handle(ev.WorkerDied(first, "a test", {1}))
    second = host()
    scheduler.handle(ev.WorkerDied(second, "a test", {1}), ev.Lost(STAYS, first, ()))
    born()
    third = host()
    assert third not in (first, second)
    scheduler.handle(ev.WorkerDied(third, "a test", {1}))
    # What it says of the second has been on its way while it had the lane to the third.
    scheduler.handle(ev.Lost(STAYS, second, ()), call(2))
    assert born() == []
    commands = scheduler.handle(ev.Lost(STAYS, third, ((call(1), True),)))
    assert [c.task for c in commands if isinstance(c, cmd.Run)] == [call(1).task, call(2).task]
