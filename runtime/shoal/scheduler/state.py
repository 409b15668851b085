"""The tasks: queues, leases, cancel, retries.

A worker is *leased* to a job for a shape of demand, and while it is, tasks of that shape are pushed to it, so many at
once as fill about 5 ms by their measured duration. The first of them runs; the others can be taken back: when the
running one blocks in `get`, or turns out long. Queues are by (job, shape): a task that cannot run holds up only its
like, and jobs take turns.
"""

from __future__ import annotations

import heapq
import math
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

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
    Run,
    StartWorker,
    StopWorker,
    TakeBack,
    TaskEnded,
)
from shoal.scheduler.objects import Objects
from shoal.scheduler.resources import UNIT, Resources, only_cpu
from shoal.scheduler.tables import (
    ACTOR,
    ALIVE,
    DEAD,
    ENDING,
    IDLE,
    LEASED,
    PUSHED,
    QUEUED,
    STARTING,
    Actor,
    Kind,
    Object,
    Shape,
    Task,
    Worker,
)

AHEAD = 0.005
"""Seconds of work that a worker is given at once."""
DEPTH = 128
"""Tasks that a worker is given at once, at most."""
OVERDUE = 0.010
"""Seconds after which the tasks behind a running one are taken back."""
PATIENCE = 0.5
"""Seconds that an interrupted task has before its worker is killed."""
SURPLUS = 2.0
"""Seconds that an idle worker beyond the number of CPUs is kept."""
MAX_WORKERS = 1000
LOG = 4096

Queue = tuple[int, Shape]


class Scheduler:
    """A state machine: `handle` takes events and returns commands, and nothing else changes it."""

    def __init__(self, total: Mapping[str, float], pool: int) -> None:
        self.out: list[Command] = []
        self.resources = Resources(total)
        self.objects = Objects(self.out)
        self.actors = Actors()
        self.kinds: dict[bytes, Kind] = {}
        self.tasks: dict[bytes, Task] = {}
        self.workers: dict[int, Worker] = {}
        self.clients: set[int] = {0}  # 0 is the job of detached actors' work
        self.cells: dict[str, set[bytes]] = {}
        self.log: deque[ev.Event] = deque(maxlen=LOG)
        self.now = 0.0
        self._pool = pool
        self._idle: dict[int, Worker] = {}
        self._queues: OrderedDict[Queue, deque[bytes]] = OrderedDict()
        self._leases: dict[Queue, list[Worker]] = {}
        self._starting = 0
        self._last_worker = 0
        self._kills: list[tuple[float, int, bytes]] = []
        self._handlers: dict[type, Callable[[Any], None]] = {
            ev.ClientJoined: self._client_joined,
            ev.ClientLeft: self._client_left,
            ev.KindDefined: self._kind_defined,
            ev.Submitted: self._submitted,
            ev.WorkerReady: self._worker_ready,
            ev.WorkerDied: self._worker_died,
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
            ev.Tick: self._tick,
        }

    def handle(self, *events: ev.Event) -> list[Command]:
        """Take events in their order; the commands are to be carried out in theirs."""
        handlers = self._handlers
        for event in events:
            self.log.append(event)
            handlers[type(event)](event)
        while self.objects.freed_actors:
            self._actor_unreachable(self.objects.freed_actors.pop())
        if self._queues:
            self._place()
        commands = self.out[:]
        self.out.clear()
        return commands

    def fill_pool(self) -> None:
        """Start workers up to the number of CPUs; the commands come with the next `handle`."""
        alive = sum(w.state not in (ACTOR, ENDING) for w in self.workers.values())
        for _ in range(self._pool - alive):
            self._start_worker()

    def next_tick(self) -> float | None:
        """In how many seconds a `Tick` is wanted; None when there is nothing to watch."""
        if self._kills or any(len(w.running) > 1 for w in self.workers.values()):
            return OVERDUE
        if len(self._idle) > self._pool:
            return SURPLUS
        return None

    # clients and kinds

    def _client_joined(self, e: ev.ClientJoined) -> None:
        self.clients.add(e.client)
        self.objects.join(e.client)

    def _client_left(self, e: ev.ClientLeft) -> None:
        self.clients.discard(e.client)
        for actor in [a for a in self.actors.table.values() if a.job == e.client]:
            if actor.state != DEAD:
                self._end_actor(actor, "the program that made it has ended", KillWorker)
        for task in [t for t in self.tasks.values() if t.job == e.client]:
            self._cancel(task, force=True)
        self.objects.leave(e.client)

    def _kind_defined(self, e: ev.KindDefined) -> None:
        self.kinds[e.kind.id] = e.kind

    # objects

    def _put(self, e: ev.Put) -> None:
        self.objects.expect(e.object, e.client)
        record = self.objects.table[e.object]
        record.owner = -1  # its maker has the value already
        self.objects.settle(e.object, e.contained, failed=False)

    def _fetched(self, e: ev.Fetched) -> None:
        for object_id in e.objects:
            if not self.objects.fetch(e.client, object_id):
                self.out.append(
                    Fail((object_id,), "ObjectLostError", "the object is gone: every ref to it was dropped")
                )
                self.out.append(Deliver(e.client, object_id))

    # submit

    def _submitted(self, e: ev.Submitted) -> None:
        kind = self.kinds[e.kind]
        task = Task(
            e.task, kind, e.client, e.job, e.cell, e.parent, e.actor, e.deps, e.holds,
            self._return_ids(e.task, kind), kind.retries,
        )  # fmt: skip
        self.tasks[task.id] = task
        if e.cell is not None:
            self.cells.setdefault(e.cell, set()).add(task.id)
        if e.parent is not None and e.parent in self.tasks:
            self.tasks[e.parent].children.add(task.id)
        for object_id in task.returns:
            self.objects.expect(object_id, e.client)
        failed: bytes | None = None
        lost = False
        for dep in e.deps:
            record = self.objects.pin(dep)
            if record is None:
                lost = True
            elif not record.ready:
                record.waiters.append(task.id)
                task.missing += 1
            elif record.failed:
                failed = dep
        for held in e.holds:
            self.objects.pin(held)
        if kind.role == "actor":
            self._expect_actor(task)
        if lost:
            self._fail(task, "ObjectLostError", "an argument is gone: every ref to it was dropped")
        elif failed is not None:
            self._fail_like(task, failed)
        elif kind.role == "method":
            self._submit_call(task)
        elif e.job not in self.clients:
            self._cancel(task, force=True)
        elif not task.missing:
            self._enqueue(task)

    @staticmethod
    def _return_ids(task: bytes, kind: Kind) -> tuple[bytes, ...]:
        if kind.role == "actor":
            return ()
        if kind.returns == 1:
            return (task,)
        return tuple(task[:14] + i.to_bytes(2, "big") for i in range(kind.returns))

    def _enqueue(self, task: Task, front: bool = False) -> None:
        task.state, task.worker = QUEUED, None
        queue = self._queues.setdefault((task.job, task.kind.shape), deque())
        if front:
            queue.appendleft(task.id)
        else:
            queue.append(task.id)

    def _arguments_ready(self, task: Task) -> None:
        if task.kind.role == "method":
            task.state = QUEUED
            self._send_calls(self.actors.table.get(task.actor or b""))
        else:
            self._enqueue(task)

    # placement

    def _place(self) -> None:
        for key in list(self._queues):
            queue = self._queues[key]
            shape = key[1]
            granted = False
            while queue:
                task = self.tasks.get(queue[0])
                if task is None or task.state != QUEUED:
                    queue.popleft()
                    continue
                if not self._idle or not self.resources.fits(shape):
                    break
                queue.popleft()
                worker = self._idle.pop(next(reversed(self._idle)))
                if task.kind.role == "actor":
                    self._place_actor(task, worker)
                else:
                    self._lease(worker, key)
                    self._push(worker, task)
                granted = True
            if queue and (granted or len(self._queues) == 1):
                self._push_more(key, queue)
            if not queue:
                del self._queues[key]
                continue
            if granted:
                self._queues.move_to_end(key)
            if not self._idle:
                self._grow(shape, len(queue))

    def _lease(self, worker: Worker, key: Queue) -> None:
        worker.state, (worker.job, worker.shape) = LEASED, key
        self.resources.take(key[1])
        self._leases.setdefault(key, []).append(worker)

    def _push(self, worker: Worker, task: Task) -> None:
        task.state, task.worker = PUSHED, worker.id
        worker.running[task.id] = None
        self.out.append(Run(worker.id, task.id))

    def _push_more(self, key: Queue, queue: deque[bytes]) -> None:
        """Fill the leased workers evenly; the more a function's tasks take, the fewer lie ahead."""
        leased = [w for w in self._leases.get(key, ()) if not w.blocked]
        if not leased:
            return
        share = -(-len(queue) // len(leased))
        for worker in leased:
            for _ in range(share):
                if not queue:
                    return
                task = self.tasks.get(queue[0])
                if task is None or task.state != QUEUED:
                    queue.popleft()
                    continue
                seconds = task.kind.seconds
                if task.kind.role == "actor" or seconds is None:
                    break
                if len(worker.running) >= min(DEPTH, max(1, int(AHEAD / max(seconds, 1e-6)))):
                    break
                queue.popleft()
                self._push(worker, task)

    def _grow(self, shape: Shape, wanted: int) -> None:
        room = min((self.resources.free.get(n, 0) // a for n, a in shape), default=4 * self._pool + 16)
        if not shape:  # tasks that need nothing are bounded by the number of processes alone
            room -= sum(w.state == LEASED and not w.shape for w in self.workers.values())
        for _ in range(min(wanted, room) - self._starting):
            if len(self.workers) >= MAX_WORKERS:
                return
            self._start_worker()

    def _start_worker(self) -> None:
        self._last_worker += 1
        self.workers[self._last_worker] = Worker(self._last_worker)
        self._starting += 1
        self.out.append(StartWorker(self._last_worker))

    # workers

    def _worker_ready(self, e: ev.WorkerReady) -> None:
        worker = self.workers.get(e.worker)
        if worker is not None and worker.state == STARTING:
            self._starting -= 1
            self.clients.add(e.worker)
            self.objects.join(e.worker)
            self._make_idle(worker)

    def _make_idle(self, worker: Worker) -> None:
        worker.state, worker.shape, worker.idle_since = IDLE, (), self.now
        worker.taking_back = False
        self._idle[worker.id] = worker

    def _unlease(self, worker: Worker) -> None:
        """Give back what the worker held; if it was blocked its CPU is back already."""
        key = (worker.job, worker.shape)
        self._give_held(worker)
        leased = self._leases[key]
        leased.remove(worker)
        if not leased:
            del self._leases[key]

    def _give_held(self, worker: Worker) -> None:
        self.resources.give(worker.shape)
        if worker.blocked:
            self.resources.take(only_cpu(worker.shape))
            worker.blocked = False
        worker.shape = ()

    def _blocked(self, e: ev.Blocked) -> None:
        worker = self.workers.get(e.worker)
        if worker is None or worker.blocked or worker.state not in (LEASED, ACTOR):
            return
        worker.blocked = True
        self.resources.give(only_cpu(worker.shape))
        if worker.state == LEASED:
            self._take_back(worker)

    def _unblocked(self, e: ev.Unblocked) -> None:
        worker = self.workers.get(e.worker)
        if worker is not None and worker.blocked:
            worker.blocked = False
            self.resources.take(only_cpu(worker.shape))

    def _take_back(self, worker: Worker) -> None:
        behind = tuple(worker.running)[1:]
        if behind and not worker.taking_back:
            worker.taking_back = True
            self.out.append(TakeBack(worker.id, behind))

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
                self._fail_cancelled(task)
            else:
                self._enqueue(task, front=True)
        self._after_task(worker)

    def _worker_died(self, e: ev.WorkerDied) -> None:
        worker = self.workers.get(e.worker)
        if worker is None:
            return
        self._idle.pop(e.worker, None)
        if worker.state == STARTING:
            self._starting -= 1
        elif worker.state == LEASED:
            self._unlease(worker)
        elif worker.state == ACTOR:
            self._give_held(worker)
            actor = self.actors.table.get(worker.actor or b"")
            if actor is not None and actor.state != DEAD:
                self._end_actor(actor, f"its process died: {e.reason}", None)
        running = list(worker.running)
        del self.workers[e.worker]
        for task_id in reversed(running):
            task = self.tasks.get(task_id)
            if task is not None:
                self._lost_worker(task, e.reason, started=task_id == running[0])
        self.clients.discard(e.worker)
        self.objects.leave(e.worker)
        if worker.state != STARTING and self.clients:
            self.fill_pool()

    def _lost_worker(self, task: Task, reason: str, started: bool) -> None:
        if task.cancelled:
            self._fail_cancelled(task)
        elif started and task.retries == 0:
            again = f" after {task.kind.retries} retries" if task.kind.retries > 0 else ""
            self._fail(task, "WorkerCrashedError", f"{task.kind.name}(): its worker died{again}: {reason}")
        else:
            if started and task.retries > 0:
                task.retries -= 1
            self._enqueue(task, front=True)

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
                self._fail_cancelled(task)
            else:
                self._settle(task, e.contained, e.error)
        self._after_task(worker)

    def _after_task(self, worker: Worker) -> None:
        if worker.state == LEASED and not worker.running:
            self._unlease(worker)
            self._make_idle(worker)

    def _settle(self, task: Task, contained: Iterable[tuple[bytes, ...]], error: str | None) -> None:
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
                for waiter_id in self.objects.settle(object_id, refs, error is not None):
                    waiter = self.tasks.get(waiter_id)
                    if waiter is None:
                        continue
                    waiter.missing -= 1
                    if error is not None:
                        if waiter.kind.role == "actor":
                            self._actor_failed(waiter, "an argument of its constructor failed")
                        else:
                            self.out.append(CopyError(waiter.returns, object_id))
                        todo.append((waiter, (), error))
                    elif not waiter.missing:
                        self._arguments_ready(waiter)
            for dep in task.deps:
                self.objects.unpin(dep)
            for held in task.holds:
                self.objects.unpin(held)
            if task.kind.role == "method" and task.state != PUSHED:
                self._send_calls(self.actors.table.get(task.actor or b""))

    def _forget(self, task: Task, error: str | None) -> None:
        self.tasks.pop(task.id, None)
        self.out.append(TaskEnded(task.id, error))
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
            self._actor_failed(task, message)
        else:
            self.out.append(Fail(task.returns, error, message))
        self._settle(task, (), error)

    def _fail_like(self, task: Task, source: bytes) -> None:
        if task.kind.role == "actor":
            self._actor_failed(task, "an argument of its constructor failed")
        else:
            self.out.append(CopyError(task.returns, source))
        self._settle(task, (), "TaskError")

    def _fail_cancelled(self, task: Task) -> None:
        self._fail(task, "TaskCancelledError", f"{task.kind.name}() was cancelled")

    # cancel

    def _cancel_requested(self, e: ev.Cancelled) -> None:
        task = self.tasks.get(e.task)
        if task is not None:
            self._cancel(task, force=e.force, recursive=e.recursive)

    def _cell_cancelled(self, e: ev.CellCancelled) -> None:
        self.now = e.now
        for task_id in list(self.cells.get(e.cell, ())):
            task = self.tasks.get(task_id)
            if task is None:
                continue
            if task.state == PUSHED and task.actor is None and task.worker is not None:
                heapq.heappush(self._kills, (e.now + PATIENCE, task.worker, task.id))
            self._cancel(task, force=False, recursive=False)
        if e.actors_too:
            for actor in list(self.actors.table.values()):
                if actor.cell == e.cell and actor.state != DEAD:
                    self._end_actor(actor, "the cell that made it was interrupted twice", KillWorker)

    def _cancel(self, task: Task, *, force: bool, recursive: bool = True) -> None:
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
            self._fail_cancelled(task)
        for child_id in children:
            child = self.tasks.get(child_id)
            if child is not None:
                self._cancel(child, force=force)

    # time

    def _tick(self, e: ev.Tick) -> None:
        self.now = now = e.now
        while self._kills and self._kills[0][0] <= now:
            _, worker_id, task_id = heapq.heappop(self._kills)
            stuck = self.workers.get(worker_id)
            if stuck is not None and task_id in stuck.running and stuck.state == LEASED:
                self.out.append(KillWorker(worker_id))
        for worker in self.workers.values():
            if len(worker.running) > 1 and worker.state == LEASED:
                self._watch_head(worker, now)
        if len(self._idle) > self._pool:
            surplus = [w for w in self._idle.values() if now - w.idle_since >= SURPLUS]
            for worker in surplus[: len(self._idle) - self._pool]:
                del self._idle[worker.id]
                worker.state = ENDING
                self.out.append(StopWorker(worker.id))

    def _watch_head(self, worker: Worker, now: float) -> None:
        head = next(iter(worker.running))
        if worker.head != head:
            worker.head, worker.head_since = head, now
        elif now - worker.head_since > OVERDUE:
            task = self.tasks.get(head)
            if task is not None:  # its like are not to be pushed ahead again
                task.kind.seconds = max(task.kind.seconds or 0.0, now - worker.head_since)
            self._take_back(worker)

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
        worker.state, worker.actor, worker.shape = ACTOR, actor.id, task.kind.held
        self.resources.take(task.kind.held)
        actor.worker = worker.id
        self._push(worker, task)

    def _actor_made(self, task: Task, e: ev.Finished) -> None:
        actor = self.actors.table[task.actor or b""]
        if e.outcome != "ok" and actor.state != DEAD:
            why = e.error or "it was cancelled"
            self._end_actor(actor, f"its constructor failed: {why}", KillWorker)
        if actor.state != DEAD:
            actor.state = ALIVE
        if task.id in self.tasks:
            self._settle(task, (), None if e.outcome == "ok" else "TaskError")
        self.out.append(ActorChanged(actor.id))
        self.objects.unpin(actor.id)
        self._send_calls(actor)

    def _actor_failed(self, task: Task, message: str) -> None:
        """Its creation came to nothing before it ran."""
        actor = self.actors.table[task.actor or b""]
        if actor.state != DEAD:
            self._end_actor(actor, message, KillWorker)

    def _submit_call(self, task: Task) -> None:
        actor = self.actors.table.get(task.actor or b"")
        if actor is None or actor.state == DEAD:
            reason = "it ended with its last handle" if actor is None else actor.reason
            self._fail(task, "ActorDiedError", f"{task.kind.name}(): the actor is dead: {reason}")
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
        for task in self.actors.sendable(actor, self.tasks):
            self._push(worker, task)

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
                self._settle(task, (), "ActorDiedError")
                self.objects.unpin(actor.id)
            else:
                self._fail(task, "ActorDiedError", f"{task.kind.name}(): the actor is dead: {reason}")

    # looking in

    def totals(self) -> dict[str, float]:
        return self.resources.amounts(self.resources.total)

    def available(self) -> dict[str, float]:
        free = self.resources.free
        return {n: max(0, v) / UNIT for n, v in free.items() if not math.isclose(v, 0) or n == "CPU"}
