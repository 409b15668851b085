"""Values that are lost, and the tasks that make them again.

A value in the store can be lost: with its node, or with its file. A task is *kept* after its end while something that
it made lies there, if it has retries left; with it is kept what it was submitted with, and what it needs is held as its
*lineage*: small values, and those that nobody can make again, stay as they are; of the others only that they can be
made, by tasks that are kept as well. What is kept is bounded in bytes, and the oldest goes first.

With a node much is lost at once, and what somebody can still reach of it is made again at once, as in Ray. Else a task
runs again when its value is needed: somebody asks for it, or a task waits for it. A run costs a retry, as one after a
crash does. What cannot be made again has an error as its value from then on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shoal.ids import task_of
from shoal.scheduler import events as ev
from shoal.scheduler.commands import Fail, Forget, RunAgain, Withdraw
from shoal.scheduler.nodes import Node
from shoal.scheduler.tables import DEAD, QUEUED, WAITING, Object, Task

if TYPE_CHECKING:
    from shoal.scheduler.state import Scheduler

ROW = 500
"""Bytes that a kept task counts as, beside what it was submitted with."""

FAILED = "ObjectReconstructionFailedError"
EXCEEDED = "ObjectReconstructionFailedMaxAttemptsExceededError"
EVICTED = "ObjectReconstructionFailedLineageEvictedError"


@dataclass(slots=True)
class Kept:
    """A task that has ended and may run again. Invariant: it is not in the scheduler's table of tasks."""

    task: Task
    needs: tuple[bytes, ...]
    """What it needs, each as often as it counts in `Object.lineage`."""
    objects: set[bytes]
    """What it made that lies in the store, or is gone from there."""
    size: int


class Lineage:
    """`limit`: bytes that kept tasks may take; with 0 none is kept."""

    def __init__(self, scheduler: Scheduler, limit: int) -> None:
        self._scheduler = scheduler
        self._objects = scheduler.objects
        self._out = scheduler.out
        self.limit = limit
        self.size = 0
        self.kept: dict[bytes, Kept] = {}
        self._later: dict[bytes, set[bytes]] = {}
        """By a task that runs, what is needed of it and may not come with this run: it may have been lost since."""
        self._objects.can_be_made = lambda object_id: task_of(object_id) in self.kept
        self._objects.deleted = self._deleted

    # the end of a task

    def concerns(self, task: Task, made: Iterable[ev.Made]) -> bool:
        """Whether anything of it may lie in the store."""
        return bool(task.again or task.items or any(m.stored for m in made))

    def keeps(self, task: Task, error: str | None) -> bool:
        """Whether it may run again once it is over, if anything is left that it made."""
        well = error is None or (bool(task.items) and error != "TaskCancelledError")
        return well and task.retries != 0 and self.limit > 0

    def over(self, task: Task, error: str | None, keep: bool) -> None:
        """Its values are settled, and what it needs is still held by it."""
        table = self._objects.table
        ids = dict.fromkeys((*task.returns, *task.items))
        if task.again:
            task.again = False
            for object_id in ids:
                if object_id in table and table[object_id].pending:
                    how = f"it ended with {error}" if error else "it made fewer values"
                    self._give_up(object_id, FAILED, f"when {task.kind.name}() ran again {how}")
        left = {i for i in ids if (r := table.get(i)) is not None and (r.home is not None or r.gone)}
        for object_id in left:
            table[object_id].maker = task.kind.name
            table[object_id].bar = self._bar(task, error)
        if keep and left:
            self._keep(task, left)
        elif keep:
            self._out.append(Forget(task.id))
        for object_id in self._later.pop(task.id, ()):
            self.need(object_id)

    def _keep(self, task: Task, left: set[bytes]) -> None:
        table = self._objects.table
        needs = tuple(i for i in (*task.deps, *task.holds) if i in table and not table[i].actor)
        size = ROW + task.size
        for object_id in needs:
            record = table[object_id]
            record.lineage += 1
            size += record.size if record.home is None else 0
        task.items = [i for i in task.items if i in left]
        self.kept[task.id] = Kept(task, needs, left, size)
        self.size += size
        while self.size > self.limit:
            self._evict(next(iter(self.kept.values())))

    def _bar(self, task: Task, error: str | None) -> tuple[str, str]:
        """Why it cannot run again, if it is not kept."""
        name, option = task.kind.name, "max_task_retries" if task.kind.role == "method" else "max_retries"
        if not self.limit:
            return "ObjectLostError", "that is switched off for this cluster"
        if error is not None:
            return FAILED, f"{name}() ended with {error}"
        if task.kind.retries == 0:
            return FAILED, f"{name}() has {option}=0, and so may not run again: give it {option}"
        return EXCEEDED, f"{name}() has run again as often as {option}={task.kind.retries} allows: give it more"

    def _evict(self, kept: Kept) -> None:
        why = (
            f"what {kept.task.kind.name}() was called with is not kept any more, for all of that is more than "
            f"{self.limit:,} bytes: SHOAL_MAX_LINEAGE_BYTES allows more"
        )
        for object_id in kept.objects:
            self._objects.table[object_id].bar = EVICTED, why
        self._drop(kept)
        self._out.append(Forget(kept.task.id))
        self._objects.need_less(kept.needs)

    def _drop(self, kept: Kept) -> None:
        del self.kept[kept.task.id]
        self.size -= kept.size

    def _deleted(self, object_id: bytes) -> tuple[bytes, ...]:
        """Nobody needs the object any more; the task that made it goes with the last of them."""
        kept = self.kept.get(task_of(object_id))
        if kept is None:
            return ()
        kept.objects.discard(object_id)
        if kept.objects:
            return ()
        self._drop(kept)
        self._out.append(Forget(kept.task.id))
        for needed in kept.needs:
            if needed in self._objects.table:
                self._objects.table[needed].lineage -= 1
        return kept.needs

    # losses

    def lost(self, e: ev.ObjectsLost) -> None:
        self._lose(e.objects, e.reason)

    def node_lost(self, node: Node) -> None:
        """All that lay there is gone."""
        table = self._objects.table
        there = [i for i, record in table.items() if record.home is node]
        for object_id in there:
            if not table[object_id].maker and task_of(object_id) not in self._scheduler.tasks:
                table[object_id].bar = "OwnerDiedError", "it was put by a process that died with that node"
        self._lose(there, f"the node where it lay is gone: {node.reason}")
        for object_id in there:
            record = table.get(object_id)
            if record is not None and (record.holders or record.pins):
                self.need(object_id)

    def _lose(self, ids: Iterable[bytes], reason: str) -> None:
        table = self._objects.table
        lost = set()
        for object_id in ids:
            record = table.get(object_id)
            if record is not None and record.ready and record.home is not None:
                record.ready, record.gone, record.home, record.why = False, True, None, reason
                lost.add(object_id)
                self._out.append(Withdraw(object_id, tuple(sorted(record.holders))))
        if not lost:
            return
        needed = []
        for task in self._scheduler.tasks.values():  # one that a worker has been given has its arguments
            if task.state in (WAITING, QUEUED) and not lost.isdisjoint(task.deps):
                needed += self._await(task, [d for d in task.deps if d in lost])
        for object_id in needed:
            self.need(object_id)

    def _await(self, task: Task, lost: list[bytes]) -> list[bytes]:
        task.state, task.worker = WAITING, None
        task.missing += len(lost)
        for object_id in lost:
            self._objects.table[object_id].waiters.append(task.id)
        return lost

    def hold_back(self, task: Task) -> bool:
        """A task is to run that had its arguments once: True when it has to wait for some of them, or has failed."""
        table = self._objects.table
        failed = next((d for d in task.deps if table[d].failed), None)
        if failed is not None:
            self._scheduler.fail_like(task, failed)
            return True
        lost = [] if task.missing else [d for d in task.deps if not table[d].ready]
        for object_id in self._await(task, lost) if lost else ():
            self.need(object_id)
        return bool(lost) or task.missing > 0

    # making again

    def need(self, object_id: bytes) -> None:
        """Somebody waits for this object: have it made again if it is lost, and what that takes."""
        todo = [object_id]
        while todo:
            object_id = todo.pop()
            record = self._objects.table.get(object_id)
            if record is None or not record.gone:
                continue
            if task_of(object_id) in self._scheduler.tasks:
                self._later.setdefault(task_of(object_id), set()).add(object_id)
                continue
            kept = self.kept.get(task_of(object_id))
            why = self._refusal(record, kept)
            if why is not None or kept is None:
                error, message = why or record.bar
                self._give_up(object_id, error, message)
            else:
                todo += self._remake(kept)

    def _refusal(self, record: Object, kept: Kept | None) -> tuple[str, str] | None:
        if kept is None:
            unmade = FAILED, "it was put, and no task made it: have a task return it"
            return record.bar if record.bar[0] else unmade
        task = kept.task
        if task.kind.role == "method":
            actor = self._scheduler.lives.of(task)
            if actor is None or actor.state == DEAD:
                reason = actor.reason if actor is not None else "it ended with its last handle"
                return "ActorDiedError", f"the actor of {task.kind.name}() is dead: {reason}"
        elif task.job not in self._scheduler.clients:
            return "OwnerDiedError", f"the program that called {task.kind.name}() has ended"
        return None

    def _remake(self, kept: Kept) -> list[bytes]:
        """Run its task again; returns what it waits for."""
        scheduler, table, task = self._scheduler, self._objects.table, kept.task
        self._drop(kept)
        task.retries -= task.retries > 0
        task.state, task.worker, task.missing = WAITING, None, 0
        task.cancelled = task.lane = task.adopted = False
        task.fresh, task.again = None, True
        task.children.clear()
        for object_id in kept.objects:
            table[object_id].gone = False
        scheduler.enter(task)
        self._out.append(RunAgain(task.id))
        if task.actor in task.holds and task.kind.role == "method":
            task.holds = tuple(h for h in task.holds if h != task.actor)  # its turn in the mailbox holds that
        task.holds = tuple(h for h in task.holds if self._objects.pin(h) is not None)
        for dep in task.deps:
            self._objects.pin(dep)
        self._objects.need_less(kept.needs)
        lost = [d for d in task.deps if not table[d].ready]
        if lost:
            self._await(task, lost)
        scheduler.proceed(task)
        return lost if task.id in scheduler.tasks else []

    def _give_up(self, object_id: bytes, error: str, why: str) -> None:
        """Its value is an error from now on."""
        scheduler, record = self._scheduler, self._objects.table[object_id]
        record.gone, record.bar = False, (error, why)
        how = record.why or "it was dropped, and is needed again"
        message = f"ObjectRef({object_id.hex()}) is lost ({how}), and cannot be made again: {why}"
        self._out.append(Fail((object_id,), error, message))
        scheduler.object_settled(object_id, error)
