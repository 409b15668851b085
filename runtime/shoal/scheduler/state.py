"""The state machine: what tasks go through, from submit to their end; cancel and retries.

Where they run is `placement`'s matter, who holds their values `objects`', in which order an actor's calls go `actors`'.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from shoal import ids
from shoal.scheduler import events as ev
from shoal.scheduler.actors import Actors
from shoal.scheduler.commands import (
    ActorChanged,
    Command,
    CopyError,
    Deliver,
    Fail,
    Interrupt,
    KillWorker,
    StopWorker,
    TaskEnded,
)
from shoal.scheduler.lanes import Lanes
from shoal.scheduler.nodes import Node
from shoal.scheduler.objects import Objects
from shoal.scheduler.placement import OVERDUE, Placement
from shoal.scheduler.places import Places
from shoal.scheduler.resources import amounts
from shoal.scheduler.tables import (
    ACTOR,
    ALIVE,
    DEAD,
    LEASED,
    LENT,
    PUSHED,
    QUEUED,
    STARTING,
    Actor,
    Kind,
    Object,
    Task,
    Worker,
)

TELLING = frozenset({"RuntimeEnvSetupError", "ActorUnschedulableError", "ActorPlacementGroupRemoved"})
"""Errors of an actor's creation that its calls raise by their own names."""
PATIENCE = 0.5
"""Seconds that an interrupted task has before its worker is killed."""
LOG = 4096
"""Events kept: the replay of a fault, and teaching material."""


class Scheduler:
    """A state machine: `handle` takes events and returns commands, and nothing else changes it."""

    def __init__(self, head: Node) -> None:
        self.out: list[Command] = []
        self.objects = Objects(self.out)
        self.actors = Actors()
        self.kinds: dict[bytes, Kind] = {}
        self.tasks: dict[bytes, Task] = {}
        self.placement = Placement(self.out, self.tasks, self._place_actor, self._fail)
        self.placement.nodes.add(head)
        self.places = Places(self, self._end_actor, self._object_settled)
        self.nodes = self.placement.nodes
        self.groups = self.placement.groups
        self.workers = self.placement.workers
        self.lanes = Lanes(self)
        self.clients: set[int] = {0}  # 0 is the job of detached actors' work
        self.cells: dict[str, set[bytes]] = {}
        self.log: deque[ev.Event] = deque(maxlen=LOG)
        self._kills: list[tuple[float, int, bytes]] = []
        self._handlers: dict[type, Callable[[Any], None]] = {
            ev.ClientJoined: self._client_joined,
            ev.ClientLeft: self._client_left,
            ev.KindDefined: self._kind_defined,
            ev.Submitted: self._submitted,
            ev.WorkerReady: self._worker_ready,
            ev.WorkerDied: self._worker_died,
            ev.EnvironmentFailed: self._environment_failed,
            ev.Finished: self._finished,
            ev.Returned: self._returned,
            ev.Blocked: self._blocked,
            ev.Unblocked: self._unblocked,
            ev.Put: self._put,
            ev.Borrowed: lambda e: self.objects.hold(e.client, e.objects),
            ev.Released: lambda e: self.objects.release(e.client, e.objects),
            ev.Fetched: self._fetched,
            ev.Cancelled: self._cancel_requested,
            ev.CellCancelled: self._cell_cancelled,
            ev.ActorKilled: self._actor_killed,
            ev.Wanted: self.lanes.wanted,
            ev.Told: self.lanes.told,
            ev.ToldEnded: self.lanes.told_ended,
            ev.LeaseClosed: self.lanes.lease_closed,
            ev.Overdue: self.lanes.overdue,
            ev.Lost: self.lanes.lost,
            ev.Tick: self._tick,
            **self.places.handlers,
        }

    def handle(self, *events: ev.Event) -> list[Command]:
        """Take events in their order; the commands are to be carried out in theirs."""
        handlers = self._handlers
        for event in events:
            self.log.append(event)
            handlers[type(event)](event)
        while self.objects.freed_actors:
            self._actor_unreachable(self.objects.freed_actors.pop())
        if self.groups.pending:
            self.places.place_groups()
        self.placement.place()
        commands = self.out[:]
        self.out.clear()
        return commands

    def fill_pool(self) -> None:
        """Start the workers that each node keeps ready; the commands come with the next `handle`."""
        self.placement.pool.fill()

    def next_tick(self) -> float | None:
        """In how many seconds a `Tick` is wanted; None when there is nothing to watch."""
        return OVERDUE if self._kills else self.placement.watched

    # clients and kinds

    def _client_joined(self, e: ev.ClientJoined) -> None:
        self.clients.add(e.client)
        self.objects.join(e.client)
        if e.client < 0:
            self.placement.lending.drivers.add(e.client)

    def _client_left(self, e: ev.ClientLeft) -> None:
        self.clients.discard(e.client)
        self.objects.leave(e.client)  # first: nobody is there to be told of what follows
        for actor in [a for a in self.actors.table.values() if a.job == e.client]:
            if actor.state != DEAD:
                self._end_actor(actor, "the program that made it has ended", KillWorker)
        for task in [t for t in self.tasks.values() if t.job == e.client]:
            self.cancel(task, force=True)
        self.lanes.client_left(e.client)
        self.places.job_ended(e.client)

    def _kind_defined(self, e: ev.KindDefined) -> None:
        self.kinds[e.kind.id] = e.kind

    # objects

    def _put(self, e: ev.Put) -> None:
        self.objects.expect(e.object, e.client)
        record = self.objects.table[e.object]
        record.owner = -1  # its maker has the value already
        self.objects.settle(e.object, e.contained, e.failed)

    def _fetched(self, e: ev.Fetched) -> None:
        for object_id in e.objects:
            if not self.objects.fetch(e.client, object_id):
                self.out.append(
                    Fail((object_id,), "ObjectLostError", "the object is gone: every ref to it was dropped")
                )
                self.out.append(Deliver(e.client, object_id))

    # submit

    def _submitted(self, e: ev.Submitted) -> None:
        known = self.tasks.get(e.task)
        if known is not None:
            self.lanes.back(known, e)
            return
        task = self.add_task(e)
        if task.kind.role == "method":
            self.actors.received(task)
        if task.kind.role == "actor":
            self._expect_actor(task)
        self.add_arguments(task, e.deps, e.holds)
        if task.id in self.tasks:
            self.proceed(task)

    def add_task(self, e: ev.Submitted) -> Task:
        """A record of it, and of the objects that it makes."""
        kind = self.kinds[e.kind]
        task = Task(
            e.task, kind, e.client, e.job, e.cell, e.parent, e.actor, (), (),
            () if kind.role == "actor" else ids.returns(e.task, kind.returns), kind.retries, env=e.env,
        )  # fmt: skip
        self.tasks[task.id] = task
        if e.cell is not None:
            self.cells.setdefault(e.cell, set()).add(task.id)
        if e.parent is not None and e.parent in self.tasks:
            self.tasks[e.parent].children.add(task.id)
        for object_id in task.returns:
            self.objects.expect(object_id, e.client)
        return task

    def add_arguments(self, task: Task, deps: tuple[bytes, ...], holds: tuple[bytes, ...]) -> None:
        """What it needs is kept for it; it is over already where an argument has failed."""
        task.deps, task.holds = deps, holds
        failed: bytes | None = None
        lost = False
        for dep in deps:
            record = self.objects.pin(dep)
            if record is None:
                lost = True
            elif not record.ready:
                record.waiters.append(task.id)
                task.missing += 1
            elif record.failed:
                failed = dep
        for held in holds:
            self.objects.pin(held)
        if lost:
            self._fail(task, "ObjectLostError", "an argument is gone: every ref to it was dropped")
        elif failed is not None:
            self._fail_like(task, failed)

    def proceed(self, task: Task) -> None:
        """Have it run as soon as it can."""
        if task.kind.role == "method":
            self._submit_call(task)
        elif task.job not in self.clients:
            self.cancel(task, force=True)
        elif not task.missing:
            self.placement.enqueue(task)

    def _arguments_ready(self, task: Task) -> None:
        if task.kind.role == "method":
            task.state = QUEUED
            self._send_calls(self.actors.table.get(task.actor or b""))
        else:
            self.placement.enqueue(task)

    # workers

    def _worker_ready(self, e: ev.WorkerReady) -> None:
        worker = self.workers.get(e.worker)
        if worker is not None and worker.state == STARTING:
            self.clients.add(e.worker)
            self.objects.join(e.worker)
            self.placement.pool.ready(worker)

    def _environment_failed(self, e: ev.EnvironmentFailed) -> None:
        for task in self.placement.give_up(e.env):
            self._fail(task, "RuntimeEnvSetupError", e.message)

    def _blocked(self, e: ev.Blocked) -> None:
        worker = self.workers.get(e.worker)
        if worker is not None:
            self.placement.block(worker)

    def _unblocked(self, e: ev.Unblocked) -> None:
        worker = self.workers.get(e.worker)
        if worker is not None:
            self.placement.unblock(worker)

    def _returned(self, e: ev.Returned) -> None:
        worker = self.workers.get(e.worker)
        if worker is None:
            return
        worker.taking_back = False
        for task_id in reversed(e.tasks):
            if worker.running.pop(task_id, self) is self:
                continue
            task = self.tasks.get(task_id)
            if task is None:
                continue
            if task.cancelled:
                self.fail_cancelled(task)
            else:
                self.placement.enqueue(task, front=True)
        self.placement.after_task(worker)

    def _worker_died(self, e: ev.WorkerDied) -> None:
        worker = self.workers.get(e.worker)
        if worker is None:
            return
        if not worker.node.alive:
            e = e._replace(reason=f"its node is gone: {worker.node.reason}")
        if worker.state == ACTOR:
            actor = self.actors.table.get(worker.actor or b"")
            if actor is not None and actor.state != DEAD:
                self._end_actor(actor, f"its process died: {e.reason}", None)
        error = "WorkerCrashedError" if worker.node.alive else "NodeDiedError"
        running = self.lanes.worker_died(worker, error, e.reason, list(worker.running))
        had_started = worker.state != STARTING
        self.placement.lose(worker)
        for task_id in reversed(running):
            task = self.tasks.get(task_id)
            if task is not None:
                self.lost_worker(task, error, e.reason, started=task_id == running[0])
        self.clients.discard(e.worker)
        self.objects.leave(e.worker)
        if had_started:
            self.placement.pool.fill()

    def lost_worker(self, task: Task, error: str, reason: str, started: bool) -> None:
        if task.cancelled:
            self.fail_cancelled(task)
        elif started and task.retries == 0:
            again = f" after {task.kind.retries} retries" if task.kind.retries > 0 else ""
            self._fail(task, error, f"{task.kind.name}(): its worker died{again}: {reason}")
        else:
            if started and task.retries > 0:
                task.retries -= 1
            self.placement.enqueue(task, front=True)

    # the end of a task

    def _finished(self, e: ev.Finished) -> None:
        worker = self.workers.get(e.worker)
        task = self.tasks.get(e.task)
        if worker is None or worker.running.pop(e.task, self) is self:
            return
        if task is not None:
            kind = task.kind
            if e.outcome == "ok":
                old = kind.seconds
                kind.seconds = e.seconds if old is None else 0.7 * old + 0.3 * e.seconds
            if kind.role == "actor":
                self._actor_made(task, e)
            elif e.outcome == "cancelled":
                self.fail_cancelled(task)
            else:
                self.settle(task, e.contained, e.error)
        self.placement.after_task(worker, task)

    def settle(self, task: Task, contained: Iterable[tuple[bytes, ...]], error: str | None) -> None:
        """The task is over and its values are known; what waited for them goes on or fails."""
        todo: list[tuple[Task, Iterable[tuple[bytes, ...]], str | None]] = [(task, contained, error)]
        while todo:
            task, contained, error = todo.pop()
            if task.id not in self.tasks:  # settled already: two of its arguments failed
                continue
            self._forget(task, error)
            inside = tuple(contained)
            for i, object_id in enumerate(task.returns):
                refs = inside[i] if i < len(inside) else ()
                todo += [(waiter, (), error) for waiter in self._wake(object_id, refs, error)]
            for dep in task.deps:
                self.objects.unpin(dep)
            for held in task.holds:
                self.objects.unpin(held)
            if task.kind.role == "method" and task.state != PUSHED:
                self._send_calls(self.actors.table.get(task.actor or b""))

    def _wake(self, object_id: bytes, contained: tuple[bytes, ...], error: str | None) -> list[Task]:
        """An object is there, or failed; returns the tasks that fail with it."""
        failed = []
        for waiter_id in self.objects.settle(object_id, contained, error is not None):
            waiter = self.tasks.get(waiter_id)
            if waiter is None:
                continue
            waiter.missing -= 1
            if error is not None:
                if waiter.kind.role == "actor":
                    self._actor_failed(waiter, "an argument of its constructor failed")
                else:
                    self.out.append(CopyError(waiter.returns, object_id))
                failed.append(waiter)
            elif not waiter.missing:
                self._arguments_ready(waiter)
        return failed

    def _object_settled(self, object_id: bytes, error: str | None) -> None:
        """One that no task makes."""
        for waiter in self._wake(object_id, (), error):
            self.settle(waiter, (), error)

    def _forget(self, task: Task, error: str | None) -> None:
        self.tasks.pop(task.id, None)
        self.out.append(TaskEnded(task.id, error))
        self.lanes.forgotten(task)
        if task.cell is not None:
            members = self.cells.get(task.cell)
            if members is not None:
                members.discard(task.id)
                if not members:
                    del self.cells[task.cell]
        if task.parent is not None and (parent := self.tasks.get(task.parent)) is not None:
            parent.children.discard(task.id)

    def _fail(self, task: Task, error: str, message: str) -> None:
        if task.kind.role == "actor":
            self._actor_failed(task, message, error)
        else:
            self.out.append(Fail(task.returns, error, message))
        self.settle(task, (), error)

    def _fail_like(self, task: Task, source: bytes) -> None:
        if task.kind.role == "actor":
            self._actor_failed(task, "an argument of its constructor failed")
        else:
            self.out.append(CopyError(task.returns, source))
        self.settle(task, (), "TaskError")

    def fail_cancelled(self, task: Task) -> None:
        self._fail(task, "TaskCancelledError", f"{task.kind.name}() was cancelled")

    # cancel

    def _cancel_requested(self, e: ev.Cancelled) -> None:
        task = self.tasks.get(e.task)
        if task is not None:
            self.cancel(task, force=e.force, recursive=e.recursive)

    def _cell_cancelled(self, e: ev.CellCancelled) -> None:
        for task_id in list(self.cells.get(e.cell, ())):
            task = self.tasks.get(task_id)
            if task is None:
                continue
            if task.state == PUSHED and task.actor is None and task.worker is not None:
                heapq.heappush(self._kills, (e.now + PATIENCE, task.worker, task.id))
            self.cancel(task, force=False, recursive=False)
        if e.actors_too:
            for actor in list(self.actors.table.values()):
                if actor.cell == e.cell and actor.state != DEAD:
                    self._end_actor(actor, "the cell that made it was interrupted twice", KillWorker)

    def cancel(self, task: Task, *, force: bool, recursive: bool = True) -> None:
        if task.id not in self.tasks:
            return
        children = list(task.children) if recursive else []
        if task.state == PUSHED and task.worker is not None:
            task.cancelled = True
            if force and task.actor is None:
                self.out.append(KillWorker(task.worker))
            else:
                self.out.append(Interrupt(task.worker, task.id))
        else:
            self.fail_cancelled(task)
        for child_id in children:
            child = self.tasks.get(child_id)
            if child is not None:
                self.cancel(child, force=force)

    # time

    def _tick(self, e: ev.Tick) -> None:
        now = e.now
        while self._kills and self._kills[0][0] <= now:
            _, worker_id, task_id = heapq.heappop(self._kills)
            stuck = self.workers.get(worker_id)
            if stuck is not None and task_id in stuck.running and stuck.state in (LEASED, LENT):
                self.out.append(KillWorker(worker_id))
        self.placement.look(now)

    # actors

    def _expect_actor(self, task: Task) -> None:
        actor_id = task.actor or b""
        self.objects.expect(actor_id, task.client)
        handle: Object = self.objects.table[actor_id]
        handle.actor = handle.ready = True
        self.objects.pin(actor_id)  # until its constructor is through
        if task.kind.detached:
            self.objects.pin(actor_id)
        job = 0 if task.kind.detached else task.job
        self.actors.add(Actor(actor_id, task.kind, job, task.cell))
        self.out.append(ActorChanged(actor_id))

    def _place_actor(self, task: Task, worker: Worker) -> None:
        actor = self.actors.table[task.actor or b""]
        worker.state, worker.actor = ACTOR, actor.id
        worker.wish = task.kind.wish
        self.placement.hold(worker, task.kind.held)
        actor.worker = worker.id
        actor.sent.clear()
        self.placement.push(worker, task)

    def _actor_made(self, task: Task, e: ev.Finished) -> None:
        actor = self.actors.table[task.actor or b""]
        if e.outcome != "ok" and actor.state != DEAD:
            why = e.error or "it was cancelled"
            self._end_actor(actor, f"its constructor failed: {why}", KillWorker)
        if actor.state != DEAD:
            actor.state = ALIVE
        if task.id in self.tasks:
            self.settle(task, (), None if e.outcome == "ok" else "TaskError")
        self.out.append(ActorChanged(actor.id))
        self.objects.unpin(actor.id)
        self._send_calls(actor)

    def _actor_failed(self, task: Task, message: str, error: str = "") -> None:
        """Its creation came to nothing before it ran."""
        actor = self.actors.table[task.actor or b""]
        if error in TELLING:
            actor.error = error
        if actor.state != DEAD:
            self._end_actor(actor, message, KillWorker)

    def _submit_call(self, task: Task) -> None:
        actor = self.actors.table.get(task.actor or b"")
        if actor is None or actor.state == DEAD:
            reason = "it ended with its last handle" if actor is None else actor.reason
            error = "ActorDiedError" if actor is None else actor.error
            self._fail(task, error, f"{task.kind.name}(): the actor is dead: {reason}")
            return
        self.objects.pin(actor.id)
        task.holds = (*task.holds, actor.id)
        self.actors.enqueue(actor, task)
        if not task.missing:
            task.state = QUEUED
            self._send_calls(actor)

    def _send_calls(self, actor: Actor | None) -> None:
        if actor is None or actor.worker is None or actor.worker not in self.workers:
            return
        worker = self.workers[actor.worker]
        callers = set()
        for task in self.actors.sendable(actor, self.tasks):
            self.placement.push(worker, task)
            if task.client < 0:
                actor.sent[task.client] = actor.sent.get(task.client, 0) + 1
                callers.add(task.client)
        for caller in sorted(callers):
            self.lanes.offer(actor, worker, caller)

    def _actor_killed(self, e: ev.ActorKilled) -> None:
        actor = self.actors.table.get(e.actor)
        if actor is not None and actor.state != DEAD:
            self._end_actor(actor, e.reason, KillWorker)

    def _actor_unreachable(self, actor_id: bytes) -> None:
        """The last handle is gone, and no call is left, for calls hold their actor."""
        actor = self.actors.table.get(actor_id)
        if actor is not None and actor.state != DEAD:
            self._end_actor(actor, "its last handle is gone", StopWorker)
        self.actors.table.pop(actor_id, None)

    def _end_actor(
        self, actor: Actor, reason: str, how: type[KillWorker] | type[StopWorker] | None
    ) -> None:
        """Its calls fail; its process is ended as `how` says (None: it is dead already)."""
        unsent = self.actors.end(actor, reason)
        self.out.append(ActorChanged(actor.id))
        self.places.creator_ended(actor.id)
        worker = self.workers.get(actor.worker) if actor.worker is not None else None
        if worker is not None:
            if how is not None:
                self.out.append(how(worker.id))
            unsent = [*worker.running, *unsent]
            worker.running.clear()
        else:
            unsent = [
                *(t.id for t in self.tasks.values() if t.actor == actor.id and t.kind.role == "actor"),
                *unsent,
            ]
        if actor.kind.detached:
            self.objects.unpin(actor.id)
        for task_id in unsent:
            task = self.tasks.get(task_id)
            if task is None:
                continue
            if task.kind.role == "actor":
                self.settle(task, (), "ActorDiedError")
                self.objects.unpin(actor.id)
            else:
                self._fail(task, actor.error, f"{task.kind.name}(): the actor is dead: {reason}")

    # looking in

    def totals(self) -> dict[str, float]:
        return amounts(self.nodes.sum("total"))

    def available(self) -> dict[str, float]:
        """What is used up is left out, as in Ray."""
        free = self.nodes.sum("free")
        for shape in self.placement.lending.idle_shapes():
            for name, amount in shape:
                free[name] += amount
        return {name: value for name, value in amounts(free).items() if value > 0}
