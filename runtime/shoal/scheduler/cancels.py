"""Cancel: of one task and its children, or of all that a cell launched."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from shoal.scheduler import events as ev
from shoal.scheduler.commands import CancelCall, Interrupt, KillWorker
from shoal.scheduler.tables import DEAD, LEASED, LENT, PUSHED, Task

if TYPE_CHECKING:
    from shoal.scheduler.state import Scheduler

PATIENCE = 0.5
"""Seconds that an interrupted task of a cell has before its worker is killed."""


class Cancels:
    """A task that waits is ended here; one that is with a worker ends when the worker says so, or dies.

    An actor's call is ended here in any case: what it does is its actor's matter, which is only told. But a coroutine
    is stopped, and has ended when its actor says so.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._kills: list[tuple[float, int, bytes]] = []

    @property
    def pending(self) -> bool:
        """Whether interrupted tasks are watched."""
        return bool(self._kills)

    def requested(self, e: ev.Cancelled) -> None:
        task = self._scheduler.tasks.get(e.task)
        if task is not None:
            self.cancel(task, force=e.force, recursive=e.recursive)

    def heard(self, e: ev.CancelHeard) -> None:
        task = self._scheduler.tasks.get(e.task)
        if task is not None:
            task.orphaning = False

    def submitted(self, task: Task) -> None:
        """A child of a task that was cancelled while the child was on its way goes like its siblings."""
        parent = self._scheduler.tasks.get(task.parent) if task.parent is not None else None
        if parent is not None and parent.orphaning:
            self.cancel(task, force=False)

    def cell(self, e: ev.CellCancelled) -> None:
        scheduler = self._scheduler
        for task_id in list(scheduler.cells.get(e.cell, ())):
            task = scheduler.tasks.get(task_id)
            if task is None:
                continue
            if task.state == PUSHED and task.actor is None and task.worker is not None:
                heapq.heappush(self._kills, (e.now + PATIENCE, task.worker, task.id))
            self.cancel(task, force=False, recursive=False, hard=True)
        if e.actors_too:
            for actor in list(scheduler.actors.table.values()):
                if actor.cell == e.cell and actor.state != DEAD:
                    scheduler.lives.end(actor, "the cell that made it was interrupted twice", KillWorker)

    def cancel(self, task: Task, *, force: bool, recursive: bool = True, hard: bool = False) -> None:
        """`hard` interrupts the code of an actor's call as it does a task's."""
        todo = [task]
        while todo:
            task = todo.pop()
            if task.id not in self._scheduler.tasks:
                continue
            if recursive:
                task.orphaning = task.state == PUSHED
                todo += [c for c in map(self._scheduler.tasks.get, task.children) if c is not None]
            self._cancel_one(task, force, hard)

    def _cancel_one(self, task: Task, force: bool, hard: bool) -> None:
        scheduler = self._scheduler
        if task.state != PUSHED or task.worker is None:
            scheduler.fail_cancelled(task)
            return
        task.cancelled = True
        if task.worker not in scheduler.workers:
            return  # its client has yet to say how far it got on its lane: it ends then
        if force and task.kind.role == "task":
            scheduler.out.append(KillWorker(task.worker))
            return
        if task.kind.role == "method" and not hard:
            scheduler.out.append(CancelCall(task.worker, task.id))
            actor = scheduler.lives.of(task)
            if actor is not None and actor.kind.asynchronous:
                return
            scheduler.lanes.ended_here(task, scheduler.workers[task.worker])
            scheduler.fail_cancelled(task)
        else:
            scheduler.out.append(Interrupt(task.worker, task.id))

    def tick(self, now: float) -> None:
        """Kill the workers of interrupted tasks that have not ended in time."""
        while self._kills and self._kills[0][0] <= now:
            _, worker_id, task_id = heapq.heappop(self._kills)
            stuck = self._scheduler.workers.get(worker_id)
            if stuck is not None and task_id in stuck.running and stuck.state in (LEASED, LENT):
                self._scheduler.out.append(KillWorker(worker_id))
