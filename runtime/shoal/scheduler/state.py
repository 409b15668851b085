"""The state machine: what tasks go through, from submit to their end, and retries.

Where they run is `placement`'s matter, who holds their values `objects`', what becomes of actors and their calls
`lives`', cancel `cancels`'.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from shoal import ids
from shoal.scheduler import events as ev
from shoal.scheduler.actors import Actors
from shoal.scheduler.cancels import Cancels
from shoal.scheduler.commands import AttemptOver, Command, CopyError, Deliver, Fail, Free, KillWorker, TaskEnded
from shoal.scheduler.lanes import Lanes
from shoal.scheduler.lineage import Lineage
from shoal.scheduler.lives import ActorLives
from shoal.scheduler.nodes import Node
from shoal.scheduler.objects import Objects
from shoal.scheduler.orphans import Orphans
from shoal.scheduler.placement import Placement
from shoal.scheduler.places import Places
from shoal.scheduler.resources import amounts
from shoal.scheduler.streams import Streams
from shoal.scheduler.tables import ACTOR, DEAD, OVERDUE, PUSHED, STARTING, Kind, Task

LOG = 4096
"""Events kept: the replay of a fault, and teaching material."""


LINEAGE = 256 << 20
"""Bytes of what is kept of tasks that may have to run again."""


def died(error: str) -> str:
    """How the process or node of a task has ended, by the error that the task fails with."""
    if error == "NodeDiedError":
        return "The node that ran this task is gone"
    return "The worker died unexpectedly while executing this task"


class Scheduler:
    """A state machine: `handle` takes events and returns commands, and nothing else changes it.

    `lineage`: bytes of what is kept of tasks that may have to run again.
    """

    def __init__(self, head: Node, lineage: int = LINEAGE) -> None:
        self.out: list[Command] = []
        self.tasks: dict[bytes, Task] = {}
        self.objects = Objects(self.out)
        self.streams = Streams(self.out, self.objects, self.tasks)
        self.actors = Actors()
        self.lineage = Lineage(self, lineage)
        self.kinds: dict[bytes, Kind] = {}
        self.lives = ActorLives(self)
        self.cancels = Cancels(self)
        self.orphans = Orphans(self)
        self.placement = Placement(self.out, self.tasks, self.lives.place, self.fail)
        self.placement.nodes.add(head)
        self.places = Places(self, self.lives.end, self.object_settled)
        self.nodes = self.placement.nodes
        self.groups = self.placement.groups
        self.workers = self.placement.workers
        self.lanes = Lanes(self)
        self.clients: set[int] = {0}  # 0 is the job of detached actors' work
        self.cells: dict[str, dict[bytes, None]] = {}
        self.log: deque[ev.Event] = deque(maxlen=LOG)
        self._handlers: dict[type, Callable[[Any], None]] = {
            ev.ClientJoined: self._client_joined,
            ev.ClientLeft: self._client_left,
            ev.KindDefined: self._kind_defined,
            ev.Submitted: self._submitted,
            ev.WorkerReady: self._worker_ready,
            ev.WorkerDied: self._worker_died,
            ev.EnvironmentFailed: self._environment_failed,
            ev.Finished: self._finished,
            ev.Repeated: self.lives.repeated,
            ev.Yielded: self._yielded,
            ev.ItemsTaken: self.streams.taken,
            ev.StreamDropped: self.streams.dropped,
            ev.Returned: self._returned,
            ev.Blocked: self._blocked,
            ev.Unblocked: self._unblocked,
            ev.Stuck: self.placement.stalls.answered,
            ev.Put: self._put,
            ev.ObjectsLost: self.lineage.lost,
            ev.Pinned: self._pinned,
            ev.Unpinned: lambda e: self.objects.unpin(e.object),
            ev.Borrowed: self._borrowed,
            ev.Released: lambda e: self.objects.release(e.client, e.objects),
            ev.Fetched: self._fetched,
            ev.Cancelled: self.cancels.requested,
            ev.CancelHeard: self.cancels.heard,
            ev.CellCancelled: self.cancels.cell,
            ev.ActorKilled: self.lives.killed,
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
        handlers, stalls = self._handlers, self.placement.stalls
        for event in events:
            self.log.append(event)
            if stalls.asking:
                stalls.happened(event)
            handlers[type(event)](event)
        while self.objects.freed_actors:
            self.lives.unreachable(self.objects.freed_actors.pop())
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
        return OVERDUE if self.cancels.pending else self.placement.watched

    # clients and kinds

    def _client_joined(self, e: ev.ClientJoined) -> None:
        self.clients.add(e.client)
        self.objects.join(e.client)
        if e.client < 0:
            self.placement.lending.drivers.add(e.client)

    def _client_left(self, e: ev.ClientLeft) -> None:
        self.clients.discard(e.client)
        self.objects.leave(e.client)  # first: nobody is there to be told of what follows
        self.streams.leave(e.client)
        for actor in [a for a in self.actors.table.values() if a.job == e.client]:
            if actor.state == DEAD:
                self.lives.hurry(actor)
            else:
                self.lives.end(actor, "its owner has died: the program that made it has ended", KillWorker)
        self.lanes.client_left(e.client)  # before the rest is cancelled: its workers may be others' by now
        for task in [t for t in self.tasks.values() if t.job == e.client]:
            if not (task.kind.role == "actor" and task.kind.detached):
                self.cancels.cancel(task, force=True)
        self.places.job_ended(e.client)

    def _kind_defined(self, e: ev.KindDefined) -> None:
        self.kinds[e.kind.id] = e.kind

    # objects

    def _put(self, e: ev.Put) -> None:
        self.objects.expect(e.object, e.client)
        record = self.objects.table[e.object]
        record.owner = -1  # its maker has the value already
        self.objects.settle(e.object, e.contained, e.failed, e.made, self._node_of(e.client))

    def _node_of(self, client: int) -> Node:
        """Where a process is: drivers are on the head."""
        worker = self.workers.get(client)
        return next(iter(self.nodes.table.values())) if worker is None else worker.node

    def _pinned(self, e: ev.Pinned) -> None:
        self.objects.pin(e.object)

    def _borrowed(self, e: ev.Borrowed) -> None:
        worker = self.workers.get(e.client)
        if worker is not None and worker.actor is not None:
            # A handle that an actor has to itself does not keep it alive.
            self.objects.hold(e.client, [i for i in e.objects if i != worker.actor])
        else:
            self.objects.hold(e.client, e.objects)

    def _fetched(self, e: ev.Fetched) -> None:
        for object_id in e.objects:
            if not self.objects.fetch(e.client, object_id):
                self.out.append(
                    Fail((object_id,), "ObjectLostError", "the object is gone: every ref to it was dropped")
                )
                self.out += Deliver(e.client, object_id), Free(object_id)
            else:
                self.lineage.need(object_id)

    # submit

    def _submitted(self, e: ev.Submitted) -> None:
        known = self.tasks.get(e.task)
        if known is not None:
            self.lanes.back(known, e)
            return
        task = self.add_task(e)
        if task.kind.role == "method":
            self.actors.received(task)
            if self.lives.is_dead(task):
                self.lives.submit(task)  # which refuses it, whatever its arguments are
                return
        if task.kind.role == "actor":
            self.lives.expect(task, e.namespace, e.home)
        self.add_arguments(task, e.deps, e.holds)
        if task.id in self.tasks:
            self.proceed(task)
            self.cancels.submitted(task)

    def add_task(self, e: ev.Submitted) -> Task:
        """A record of it, and of the objects that it makes."""
        kind = self.kinds[e.kind]
        task = Task(
            e.task, kind, e.client, e.job, e.cell, e.parent, e.actor, (), (),
            () if kind.role == "actor" else ids.returns(e.task, kind.returns), kind.retries, env=e.env, size=e.size,
        )  # fmt: skip
        self.enter(task)
        for object_id in task.returns:
            self.objects.expect(object_id, e.client)
        if kind.stream:
            self.streams.open(task)
        return task

    def enter(self, task: Task) -> None:
        """Have it among the tasks that are not over."""
        self.tasks[task.id] = task
        if task.cell is not None:
            self.cells.setdefault(task.cell, {})[task.id] = None
        if task.parent is not None and task.parent in self.tasks:
            self.tasks[task.parent].children.add(task.id)

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
            self.fail(task, "ObjectLostError", "an argument is gone: every ref to it was dropped")
        elif failed is not None:
            self.fail_like(task, failed)
        else:
            for dep in deps:
                self.lineage.need(dep)

    def proceed(self, task: Task) -> None:
        """Have it run as soon as it can."""
        if task.kind.role == "method":
            self.lives.submit(task)
        elif task.job not in self.clients:
            self.cancels.cancel(task, force=True)
        elif not task.missing:
            self.placement.enqueue(task)

    def _arguments_ready(self, task: Task) -> None:
        if task.kind.role == "method":
            self.lives.proceed(task)
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
            self.fail(task, "RuntimeEnvSetupError", e.message)

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
            elif task.kind.role == "method":
                self.lives.submit(task)  # which refuses it: the actor has left
            else:
                self.requeue(task)
        self.placement.after_task(worker)
        if worker.leaving:
            self.lives.leave(worker)

    def _worker_died(self, e: ev.WorkerDied) -> None:
        worker = self.workers.get(e.worker)
        if worker is None:
            return
        if not worker.node.alive:
            e = e._replace(reason=worker.node.reason)
        orphans = self.orphans.made_by(worker)
        if worker.state == ACTOR:
            self.lives.lost(worker, e.reason)
        error = "WorkerCrashedError" if worker.node.alive else "NodeDiedError"
        running = [
            (task_id, number in e.begun) for task_id, number in self.lanes.worker_died(worker, error, e.reason)
        ]
        if worker.state == ACTOR and running:
            self.lives.lost_calls(worker, running, e.reason)
            running = []
        had_started = worker.state != STARTING
        self.placement.lose(worker)
        for task_id, begun in reversed(running):
            task = self.tasks.get(task_id)
            if task is not None:
                self.lost_worker(task, error, e.reason, begun)
        self.clients.discard(e.worker)
        self.objects.leave(e.worker)
        self.streams.leave(e.worker)
        self.orphans.end(*orphans, "task" if worker.actor is None else "actor")
        if had_started:
            self.placement.pool.fill()

    def lost_worker(self, task: Task, error: str, reason: str, started: bool) -> None:
        if task.cancelled:
            self.fail_cancelled(task)
        elif started and task.retries == 0:
            again = f" after {task.kind.retries} retries" if task.kind.retries > 0 else ""
            self.fail(task, error, f"{task.kind.name}(): {died(error)}{again}: {reason}")
        else:
            if started:
                task.retries -= task.retries > 0
                self.out.append(AttemptOver(task.id, error, f"{task.kind.name}(): {died(error)}: {reason}"))
            self.requeue(task)

    def requeue(self, task: Task) -> None:
        """It was with a worker: it comes before the others, as soon as its arguments are there."""
        if not self.lineage.hold_back(task):
            self.placement.enqueue(task, front=True)

    # the end of a task

    def _finished(self, e: ev.Finished) -> None:
        worker = self.workers.get(e.worker)
        task = self.tasks.get(e.task)
        # From a node that is gone comes nothing any more: its worker's death is on the way.
        if worker is None or not worker.node.alive:
            return
        if worker.running.pop(e.task, self) is self:
            if e.outcome == "exit":  # nobody waits for the call any more, but it has ended its actor
                self.lives.left(worker, e.error or "it ended itself")
            if worker.leaving:
                self.lives.leave(worker)
            return
        if task is not None:
            kind = task.kind
            if e.outcome == "ok":
                old = kind.seconds
                kind.seconds = e.seconds if old is None else 0.7 * old + 0.3 * e.seconds
            if kind.role == "actor":
                self.lives.constructed(task, e)
            elif e.outcome == "cancelled":
                self.fail_cancelled(task)
            elif e.outcome == "exit":
                self.lives.exited(task, worker, e.error or "it ended itself")
            elif e.outcome != "retry" or not self._repeat(task, e.error or ""):
                self.settle(task, e.contained, e.error, e.made, worker.node)
        self.placement.after_task(worker, task)
        if worker.leaving:
            self.lives.leave(worker)

    def _repeat(self, task: Task, error: str) -> bool:
        """Have a task that raised run again; False when its retries are used up."""
        if task.cancelled:
            self.fail_cancelled(task)
            return True
        if task.retries == 0 or task.kind.role == "method":
            return False
        task.retries -= task.retries > 0
        self.out.append(AttemptOver(task.id, error))
        if not self.lineage.hold_back(task):
            self.placement.enqueue(task)
        return True

    def _yielded(self, e: ev.Yielded) -> None:
        for waiter_id in self.streams.item(e, self._node_of(e.worker)):
            waiter = self.tasks.get(waiter_id)
            if waiter is not None:
                waiter.missing -= 1
                if not waiter.missing:
                    self._arguments_ready(waiter)

    def settle(
        self,
        task: Task,
        contained: Iterable[tuple[bytes, ...]],
        error: str | None,
        made: tuple[ev.Made, ...] = (),
        node: Node | None = None,
        said: str = "",
    ) -> None:
        """The task is over and its values, made on a node, are known; what waited for them goes on or fails."""
        failed = self._settle(task, tuple(contained), error, made, node, said)
        while failed:
            failed += self._settle(failed.pop(), (), error, (), None)

    def _settle(
        self, task: Task, contained: tuple[tuple[bytes, ...], ...], error: str | None, made: tuple[ev.Made, ...],
        node: Node | None, said: str = "",
    ) -> list[Task]:  # fmt: skip
        """Returns the tasks that fail with it."""
        failed: list[Task] = []
        if task.id not in self.tasks:  # settled already: two of its arguments failed
            return failed
        stored = self.lineage.concerns(task, made)
        keep = stored and self.lineage.keeps(task, error)
        self._forget(task, error, keep, said)
        self.streams.end(task, error is not None, contained[0] if contained else ())
        for i, object_id in enumerate(task.returns):
            if error is None and i >= len(made) and self.objects.is_gone(object_id):
                continue  # a generator had filled it before it was lost
            refs = contained[i] if i < len(contained) else ()
            failed += self._wake(object_id, refs, error, made[i] if i < len(made) else ev.NOTHING, node)
        if stored:
            self.lineage.over(task, error, keep)
        if task.kind.role != "actor":  # an actor's may be needed again
            for needed in (*task.deps, *task.holds):
                self.objects.unpin(needed)
        if task.kind.role == "method" and task.state != PUSHED:
            self.lives.send_calls(self.lives.of(task))
        return failed

    def _wake(
        self,
        object_id: bytes,
        contained: tuple[bytes, ...],
        error: str | None,
        made: ev.Made = ev.NOTHING,
        node: Node | None = None,
    ) -> list[Task]:
        """An object is there, or failed; returns the tasks that fail with it."""
        failed = []
        for waiter_id in self.objects.settle(object_id, contained, error is not None, made, node):
            waiter = self.tasks.get(waiter_id)
            if waiter is None:
                continue
            if error is not None:  # it goes on missing it: what is sent to its actor before it has failed is others
                self._cannot_run(waiter, object_id)
                failed.append(waiter)
                continue
            waiter.missing -= 1
            if not waiter.missing:
                self._arguments_ready(waiter)
        return failed

    def object_settled(self, object_id: bytes, error: str | None) -> None:
        """One that no task makes."""
        for waiter in self._wake(object_id, (), error):
            self.settle(waiter, (), error)

    def _forget(self, task: Task, error: str | None, keep: bool, said: str) -> None:
        self.tasks.pop(task.id, None)
        self.out.append(TaskEnded(task.id, error, keep or task.kind.role == "actor", said))
        self.lanes.forgotten(task)
        if task.cell is not None:
            members = self.cells.get(task.cell)
            if members is not None:
                members.pop(task.id, None)
                if not members:
                    del self.cells[task.cell]
        if task.parent is not None and (parent := self.tasks.get(task.parent)) is not None:
            parent.children.discard(task.id)

    def fail(self, task: Task, error: str, message: str, about: bytes = b"") -> None:
        """End it with an error of ours; `about` is the actor or task that the error tells of."""
        if task.kind.role == "actor":
            self.lives.creation_failed(task, message, error)
        else:
            self.out.append(Fail(self.objects.unready(task.returns), error, message, about))
        self.settle(task, (), error, said=message)

    def fail_like(self, task: Task, argument: bytes) -> None:
        """End it with the error that an argument of it has."""
        self._cannot_run(task, argument)
        self.settle(task, (), "TaskError")

    def _cannot_run(self, task: Task, argument: bytes) -> None:
        if task.kind.role == "actor":
            record = self.objects.table.get(argument)
            lost = f": {record.bar[0]}" if record is not None and record.bar[0] else ""
            what = "at least one of the input arguments of its constructor could not be computed"
            self.lives.creation_failed(task, what + lost)
        else:
            self.out.append(CopyError(self.objects.unready(task.returns), argument, True))

    def fail_cancelled(self, task: Task) -> None:
        self.fail(task, "TaskCancelledError", f"{task.kind.name}() was cancelled", task.id)

    # time

    def _tick(self, e: ev.Tick) -> None:
        self.cancels.tick(e.now)
        self.placement.look(e.now)

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
