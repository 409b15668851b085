"""Work whose maker died before it was done: what nobody else waits for ends with its maker.

A process that ends in order lets go of what it made, and that is done to its end. One that dies takes it along, as Ray
has an owner's fate shared: its actors, whoever has handles of them, and those of its tasks whose values nobody else can
reach. An actor's process made all that it submitted; another's only what the tasks that ran in it did, for what came
before is of tasks that are over.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from shoal.scheduler.commands import KillWorker
from shoal.scheduler.tables import ACTOR, DEAD, Actor, Task, Worker

if TYPE_CHECKING:
    from shoal.scheduler.state import Scheduler


class Orphans:
    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def made_by(self, maker: Worker) -> tuple[list[Actor], list[Task]]:
        """What would go with a process, before its death is seen to: tasks before those whose values they wait for."""
        scheduler = self._scheduler
        actors = [a for a in scheduler.actors.table.values() if a.creation.client == maker.id]
        tasks: Iterable[Task]
        if maker.state == ACTOR:
            tasks = () if maker.leaving else (t for t in scheduler.tasks.values() if t.client == maker.id)
        else:
            running = set(maker.running)
            actors = [a for a in actors if a.creation.parent in running]
            parents = [t for t in map(scheduler.tasks.get, running) if t is not None]
            children = (scheduler.tasks.get(child) for parent in parents for child in parent.children)
            tasks = (t for t in children if t is not None and t.client == maker.id)
        return (
            [a for a in actors if a.state != DEAD and not a.kind.detached],
            sorted((t for t in tasks if t.kind.role == "task"), key=lambda t: t.id, reverse=True),
        )

    def end(self, actors: Iterable[Actor], tasks: Iterable[Task], maker: str) -> None:
        """The maker, "actor" or "task", is gone, and with it the refs that it held."""
        for actor in actors:
            if actor.state != DEAD:
                self._scheduler.lives.end(actor, f"its owner has died: the {maker} that made it", KillWorker)
        for task in tasks:
            if task.id in self._scheduler.tasks and not self._is_wanted(task):
                self._scheduler.cancels.cancel(task, force=True, recursive=False)

    def _is_wanted(self, task: Task) -> bool:
        records = (self._scheduler.objects.table.get(object_id) for object_id in task.returns)
        return any(record is not None and (record.holders or record.pins) for record in records)
