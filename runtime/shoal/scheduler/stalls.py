"""Work that can never have a process: all that there may be are held by tasks that wait for it.

That it looks so is no proof: a worker that counts as blocked may have its value already and not have said so yet. So
each is asked, behind all that was sent to it. Only when every one has answered that it still waits, and nothing has
happened meanwhile, do the tasks that blocked workers submitted fail; with them fail those that wait, from the leaves
to the root, and the processes are free.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from shoal.scheduler import events as ev
from shoal.scheduler.commands import AskStuck, Command
from shoal.scheduler.tables import ENDING, IDLE, LENT, QUEUED, STARTING, Task, Worker

QUIET = (ev.Stuck, ev.Submitted, ev.KindDefined, ev.Tick, ev.Borrowed, ev.Wanted)
"""What may happen while workers are asked, without any of them having more reason to go on."""
SHOWN = 3
"""Names at either end of a chain that is shown in part."""


class Stalls:
    """Looked at only when there is no process to be had; `most` of them may there be."""

    def __init__(
        self,
        out: list[Command],
        tasks: Mapping[bytes, Task],
        workers: Mapping[int, Worker],
        refuse: Callable[[Task, str, str], None],
    ) -> None:
        self._out = out
        self._tasks = tasks
        self._workers = workers
        self._refuse = refuse
        self._round = 0
        self._asked: set[int] = set()
        """Who has not answered yet."""
        self.asking = False
        self._hope: Worker | None = None
        """One that was seen to be at work: most probably it is still."""

    def happened(self, event: ev.Event) -> None:
        """Whatever moves makes the answers worthless."""
        if not isinstance(event, QUIET):
            self.asking = False

    def answered(self, e: ev.Stuck) -> None:
        if self.asking and e.round == self._round:
            if e.stuck:
                self._asked.discard(e.worker)
            else:
                self.asking = False

    def look(self, queued: Iterable[bytes], most: int) -> None:
        """These tasks have all that they need but a process."""
        if (self.asking and self._asked) or self._any_works():
            return
        tasks = (self._tasks.get(task_id) for task_id in dict.fromkeys(queued))
        lost = [task for task in tasks if task is not None and self._is_wanted(task)]
        if not lost:
            self.asking = False
        elif self.asking:
            self.asking = False
            waiting = sum(worker.blocked for worker in self._workers.values())
            for task in lost:
                self._refuse(task, "OutOfProcessesError", self._told(task, waiting, most))
        else:
            self.asking = True
            self._round += 1
            self._asked = {worker.id for worker in self._workers.values() if worker.blocked}
            self._out.extend(AskStuck(worker, self._round) for worker in sorted(self._asked))

    def _any_works(self) -> bool:
        if self._hope is not None and self._works(self._hope):
            return True
        self._hope = next((worker for worker in self._workers.values() if self._works(worker)), None)
        return self._hope is not None

    def _works(self, worker: Worker) -> bool:
        """It may come to an end by itself, or is about to be there or gone."""
        if worker.id not in self._workers or worker.state == IDLE:
            return False
        if worker.state in (STARTING, ENDING):
            return True
        return not worker.blocked and (bool(worker.running) or worker.state == LENT)

    def _is_wanted(self, task: Task) -> bool:
        """A blocked worker has submitted it."""
        submitter = self._workers.get(task.client)
        return task.state == QUEUED and submitter is not None and submitter.blocked

    def _told(self, task: Task, waiting: int, most: int) -> str:
        chain = [task.kind.name]
        while task.parent is not None and (parent := self._tasks.get(task.parent)) is not None:
            chain.append(parent.kind.name)
            task = parent
        levels = len(chain)
        if levels > 2 * SHOWN:
            chain[SHOWN:-SHOWN] = [f"… ({levels - 2 * SHOWN} more)"]
        return (
            f"no process is left for {chain[0]}(): of the {most} that the cluster may have, {waiting} wait in get() "
            f"or wait(), in the end for tasks that have none: {' waits for '.join(reversed(chain))}. "
            f"Have fewer tasks wait for tasks (below some size, call the function itself instead of .remote()), or "
            f"give the cluster more memory: init(_memory=bytes)"
        )
