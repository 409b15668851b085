"""The lives of actors: made, started anew after a crash, ended; and their calls, which wait for them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from shoal.scheduler import events as ev
from shoal.scheduler.commands import ActorChanged, AttemptOver, Forget, KillWorker, StopWorker
from shoal.scheduler.tables import ACTOR, ALIVE, DEAD, QUEUED, RESTARTING, WAITING, Actor, Object, Task, Worker

if TYPE_CHECKING:
    from shoal.scheduler.state import Scheduler


TELLING = frozenset({"RuntimeEnvSetupError", "ActorUnschedulableError", "ActorPlacementGroupRemoved"})
"""Errors of an actor's creation that its calls raise by their own names."""


def obituary(actor: Actor | None, reason: str) -> str:
    """Why an actor is dead, in Ray's words, and which it was. A reason is a clause, and further lines perhaps."""
    how = "died" if reason.startswith("of an error raised in its creation task") else "is dead"
    clause, *more = reason.split("\n")
    who = []
    if actor is not None:
        name = f", name: {actor.kind.actor_name}, namespace: {actor.namespace}" if actor.kind.actor_name else ""
        who.append(f"    class_name: {actor.kind.name}{name}, actor_id: {actor.id.hex()}")
    return "\n".join((f"The actor {how} because {clause}", *who, *more))


class ActorLives:
    """What becomes of actors. A restart runs the constructor's task again, whose arguments are kept as long as it may.

    Two budgets: a crash costs the actor a restart, and each call that its process had been sent a retry.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._actors = scheduler.actors
        self._objects = scheduler.objects
        self._out = scheduler.out

    def of(self, task: Task) -> Actor | None:
        return self._actors.table.get(task.actor or b"")

    def is_dead(self, task: Task) -> bool:
        actor = self.of(task)
        return actor is None or actor.state == DEAD

    # from submit to the end of the constructor

    def expect(self, task: Task, namespace: str, home: str) -> None:
        actor_id = task.actor or b""
        self._objects.expect(actor_id, task.client)
        handle: Object = self._objects.table[actor_id]
        handle.actor = handle.ready = True
        self._objects.pin(actor_id)  # until its constructor is through
        if task.kind.detached:
            self._objects.pin(actor_id)
        job = 0 if task.kind.detached else task.job
        self._actors.add(Actor(actor_id, task.kind, job, task.cell, task, task.kind.restarts, namespace, home))
        self._out.append(ActorChanged(actor_id))

    def place(self, task: Task, worker: Worker) -> None:
        actor = self._actors.table[task.actor or b""]
        worker.state, worker.actor = ACTOR, actor.id
        worker.wish = task.kind.wish
        self._scheduler.placement.hold(worker, task.kind.held)
        actor.worker = worker.id
        actor.sent.clear()
        self._scheduler.placement.push(worker, task)

    def constructed(self, task: Task, e: ev.Finished) -> None:
        actor = self._actors.table[task.actor or b""]
        if actor.state == DEAD:
            return
        if e.outcome == "ok":
            actor.state = ALIVE
            self._creation_over(actor, None)
            actor.born = True
            if actor.restarts == 0:
                self._let_go(actor)
            self._out.append(ActorChanged(actor.id))
            self.send_calls(actor)
        elif e.outcome == "exit":
            self.end(actor, e.error or "it ended itself in its constructor", StopWorker)
        else:
            what = f"{actor.kind.name}.__init__():\n{e.error or 'it was cancelled'}"
            self.end(actor, f"of an error raised in its creation task, {what}", KillWorker)

    def _creation_over(self, actor: Actor, error: str | None) -> None:
        task = actor.creation
        if self._scheduler.tasks.get(task.id) is not task:
            return
        if actor.born:  # the books know of its end already
            del self._scheduler.tasks[task.id]
        else:
            self._scheduler.settle(task, (), error)
        self._objects.unpin(actor.id)

    def _let_go(self, actor: Actor) -> None:
        """It will not be made again: the constructor's arguments may go."""
        if actor.arguments_kept:
            actor.arguments_kept = False
            for needed in (*actor.creation.deps, *actor.creation.holds):
                self._objects.unpin(needed)
            self._out.append(Forget(actor.creation.id))

    # calls

    def submit(self, task: Task) -> None:
        actor = self.of(task)
        if actor is None:
            self._refuse(task, b"", "ActorDiedError", "all references to the actor were removed")
        elif actor.state == DEAD:
            self._refuse(task, actor.id, actor.error, actor.reason)
        else:
            self._objects.pin(actor.id)
            task.holds = (*task.holds, actor.id)
            self._actors.enqueue(actor, task)
            if not task.missing:
                self.proceed(task)

    def proceed(self, task: Task) -> None:
        """A call has its arguments: it goes when its turn comes. Without retries it does not wait for a restart."""
        actor = self.of(task)
        task.state = QUEUED
        if actor is not None and actor.state == RESTARTING and not task.kind.retries:
            self._unavailable(task, actor, "The actor is restarting, and the call was not made")
        else:
            self.send_calls(actor)

    def _refuse(self, task: Task, actor: bytes, error: str, reason: str) -> None:
        told = obituary(self._actors.table.get(actor), reason)
        self._scheduler.fail(task, error, f"{task.kind.name}(): {told}", actor)

    def send_calls(self, actor: Actor | None) -> None:
        if actor is None or actor.worker is None or actor.worker not in self._scheduler.workers:
            return
        worker = self._scheduler.workers[actor.worker]
        callers = set()
        for task in self._actors.sendable(actor, self._scheduler.tasks):
            self._scheduler.placement.push(worker, task)
            if task.client < 0:
                actor.sent[task.client] = actor.sent.get(task.client, 0) + 1
                callers.add(task.client)
        for caller in sorted(callers):
            self._scheduler.lanes.offer(actor, worker, caller)

    def repeated(self, e: ev.Repeated) -> None:
        worker, task = self._scheduler.workers.get(e.worker), self._scheduler.tasks.get(e.task)
        if worker is not None and task is not None and task.id in worker.running:
            task.retries -= task.retries > 0
            self._out.append(AttemptOver(task.id, e.error, at_once=True))

    def pending(self, actor_id: bytes, client: int) -> int:
        """How many calls of this caller are not done."""
        tasks = self._scheduler.tasks.values()
        return sum(t.actor == actor_id and t.client == client and t.kind.role == "method" for t in tasks)

    # deaths

    def lost(self, worker: Worker, reason: str) -> None:
        """Its process died: it is made anew, or ended. What became of its calls comes with `lost_calls`."""
        actor = self._actors.table.get(worker.actor or b"")
        if actor is None or actor.state == DEAD:
            return
        handle = self._objects.table.get(actor.id)
        if not actor.born and handle is not None and not handle.holders and handle.pins == 1:
            self.end(actor, "all references to the actor were removed", None)  # only its constructor's own is left
            return
        if actor.restarts == 0 or actor.creation.cancelled:
            again = f" after {actor.kind.restarts} restarts" if actor.kind.restarts > 0 else ""
            how = "worker process" if worker.node.alive else "node"
            self.end(actor, f"its {how} has died{again}: {reason}", None)
            return
        actor.restarts -= actor.restarts > 0
        actor.restarted += 1
        actor.state, actor.worker = RESTARTING, None
        self._scheduler.places.creator_ended(actor.id)
        creation = actor.creation
        if creation.id not in self._scheduler.tasks:
            self._scheduler.tasks[creation.id] = creation
            self._objects.pin(actor.id)
        self._scheduler.requeue(creation)
        self._out.append(ActorChanged(actor.id))

    def lost_calls(self, worker: Worker, calls: Iterable[tuple[bytes, bool]], reason: str) -> None:
        """Those that the hub had sent to a process that died, and of which it has not heard; whether each had begun."""
        actor = self._actors.table.get(worker.actor or b"")
        again = []
        for task_id, begun in calls:
            task = self._scheduler.tasks.get(task_id)
            if task is None or task.kind.role != "method":
                continue
            if task.cancelled:
                self._scheduler.fail_cancelled(task)
            elif actor is None or actor.state == DEAD:
                self.submit(task)  # which refuses it
            elif self._is_repeated(actor, task, begun, reason):
                again.append((actor, task))
        for actor, task in reversed(again):
            self._again(actor, task)

    def lost_on_lane(self, task: Task, begun: bool, reason: str) -> None:
        """One that its caller had on a lane to a process that died; the last of a caller's comes first."""
        actor = self.of(task)
        if task.cancelled:
            self._scheduler.fail_cancelled(task)
        elif actor is None or actor.state == DEAD:
            self.submit(task)  # which refuses it
        elif self._is_repeated(actor, task, begun, reason):
            self._objects.pin(actor.id)
            task.holds = (*task.holds, actor.id)
            self._again(actor, task)

    def heard(self, actor_id: bytes, caller: int, worker: int) -> None:
        """A driver has said what it had on its lane to a process that died: its later calls may go, unless it has yet
        to speak of another."""
        actor = self._actors.table.get(actor_id)
        if actor is not None:
            actor.silent.discard((caller, worker))
            self.send_calls(actor)

    def _is_repeated(self, actor: Actor, task: Task, begun: bool, reason: str) -> bool:
        """Whether a call goes to the next process. One that has retries is charged with one only if it had begun."""
        if task.kind.retries and not begun:
            return True
        if task.retries == 0:
            spent = f" after {task.kind.retries} retries" if task.kind.retries > 0 else ""
            self._unavailable(task, actor, f"its process died{spent}, and is started anew: {reason}")
            return False
        task.retries -= task.retries > 0
        self._out.append(AttemptOver(task.id, "ActorUnavailableError", obituary(actor, reason)))
        return True

    def _unavailable(self, task: Task, actor: Actor, why: str) -> None:
        told = f"{task.kind.name}(): The actor {actor.id.hex()} is unavailable: {why}"
        self._scheduler.fail(task, "ActorUnavailableError", f"{told} (max_task_retries has calls repeated)", actor.id)

    def _again(self, actor: Actor, task: Task) -> None:
        task.state, task.worker = WAITING if task.missing else QUEUED, None
        if not task.missing and self._scheduler.lineage.hold_back(task) and task.id not in self._scheduler.tasks:
            return  # it had its arguments, but they are lost for good
        self._actors.enqueue_again(actor, task)

    def left(self, worker: Worker, reason: str) -> Actor | None:
        """A call has ended the actor there: all that are queued fail."""
        actor = self._actors.table.get(worker.actor or b"")
        if actor is not None and actor.state != DEAD:
            self.end(actor, reason, StopWorker)
        return actor

    def leave(self, worker: Worker) -> None:
        """An actor there has left: its process ends with the last call that runs."""
        if not worker.running:
            self._out.append(StopWorker(worker.id))

    def hurry(self, actor: Actor) -> None:
        """One that has left does not wait any more for what still runs in it."""
        worker = self._scheduler.workers.get(actor.worker) if actor.worker is not None else None
        if worker is not None and worker.leaving and worker.running:
            self._out.append(KillWorker(worker.id))

    def exited(self, task: Task, worker: Worker, reason: str) -> None:
        actor = self.left(worker, reason)
        if actor is not None:
            self._refuse(task, actor.id, actor.error, actor.reason)

    def killed(self, e: ev.ActorKilled) -> None:
        actor = self._actors.table.get(e.actor)
        if actor is None:
            return
        if actor.state == DEAD:
            self.hurry(actor)
        elif not e.restart or actor.restarts == 0:
            self.end(actor, e.reason, KillWorker)
        elif actor.worker is not None:
            if actor.state == ALIVE:
                actor.state = RESTARTING  # from now on, and not only when its process is gone
            self._out.append(KillWorker(actor.worker))
        elif not actor.creation.missing:  # as in Ray: one that has yet to be placed is begun anew
            actor.restarts -= actor.restarts > 0
            self._out.append(ActorChanged(actor.id))

    def unreachable(self, actor_id: bytes) -> None:
        """The last handle is gone, and no call is left, for calls hold their actor."""
        actor = self._actors.table.get(actor_id)
        if actor is not None and actor.state != DEAD:
            self.end(actor, "all references to the actor were removed", StopWorker)
        self._actors.table.pop(actor_id, None)

    def creation_failed(self, task: Task, message: str, error: str = "") -> None:
        """Its creation came to nothing before it ran."""
        actor = self._actors.table[task.actor or b""]
        if error in TELLING:
            actor.error = error
        if actor.state != DEAD:
            self.end(actor, message, KillWorker)

    def end(self, actor: Actor, reason: str, how: type[KillWorker] | type[StopWorker] | None) -> None:
        """Its calls fail; its process is ended as `how` says (None: it is dead already)."""
        calls = self._actors.end(actor, reason)
        self._out.append(ActorChanged(actor.id))
        self._scheduler.places.creator_ended(actor.id)
        worker = self._scheduler.workers.get(actor.worker) if actor.worker is not None else None
        if worker is not None:
            worker.leaving = how is StopWorker
            if worker.leaving and actor.kind.concurrent:
                running = []  # as in Ray, what has begun is done to its end; its worker gives back the rest
                self.leave(worker)
            else:
                running = list(worker.running)
                if how is not None:
                    self._out.append(how(worker.id))
            # One that its client has on a lane may have been answered: it ends by the client's word, after the process.
            running = [t for t in running if not self._scheduler.lanes.is_waited_for(t, worker)]
            for task_id in running:
                del worker.running[task_id]
            calls = [*running, *calls]
        if actor.kind.detached:
            self._objects.unpin(actor.id)
        self._creation_over(actor, "ActorDiedError")
        self._let_go(actor)
        for task in map(self._scheduler.tasks.get, calls):
            if task is not None:
                self._refuse(task, actor.id, actor.error, reason)
