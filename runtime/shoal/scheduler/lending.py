"""Workers lent to drivers, who push short tasks to them by lanes. See docs/lanes.md.

A loan holds the resources of one task of its shape. It is closed when somebody else wants the worker or the resources;
the word goes to the worker, so that it works though the driver hangs.
"""

from __future__ import annotations

from shoal.scheduler.commands import Admit, CloseLease, Command, Lend
from shoal.scheduler.tables import LENT, Shape, Task, Worker


class Lending:
    """Who has which worker. Invariant: a worker in `_lent` is in state LENT, its resources are taken."""

    def __init__(self, out: list[Command]) -> None:
        self._out = out
        self._lent: dict[int, Worker] = {}
        self._wants: dict[tuple[int, Shape], None] = {}
        self.drivers: set[int] = set()

    def __bool__(self) -> bool:
        return bool(self._lent)

    def may_lend(self, task: Task) -> bool:
        """After a task: whether its driver may push the next one like it itself."""
        kind = task.kind
        if not kind.plain or kind.role != "task" or kind.wish is not None or task.env:
            return False
        return task.client == task.job and task.client in self.drivers

    def lend(self, worker: Worker) -> None:
        """`worker` holds the resources already, for `worker.job` and its shape."""
        worker.state = LENT
        worker.lease += 1
        worker.closing = False
        worker.drivers.add(worker.job)
        self._lent[worker.id] = worker
        self._wants.pop((worker.job, worker.shape), None)
        self._out.append(Lend(worker.job, worker.id, worker.lease, worker.shape))

    def close(self, worker: Worker) -> None:
        """Ask for it back."""
        if worker.id in self._lent and not worker.closing:
            worker.closing = True
            self._out.append(CloseLease(worker.job, worker.id, worker.lease))

    def recall(self, wanted: int) -> None:
        """So many tasks wait for a worker or for what it holds."""
        # One that has been asked and turns out to be at work may take its time: another may be idle.
        wanted -= sum(worker.closing and not worker.running for worker in self._lent.values())
        if wanted > 0:
            # Those that seem to be idle first.
            for worker in sorted(self._lent.values(), key=lambda w: len(w.running)):
                if wanted <= 0:
                    break
                if not worker.closing:
                    self.close(worker)
                    wanted -= 1

    def drop(self, worker: Worker) -> None:
        """It is nobody's any more."""
        self._lent.pop(worker.id, None)
        worker.closing = False

    def left(self, client: int) -> list[int]:
        """A driver is gone; returns the workers that it had."""
        self.drivers.discard(client)
        self._wants = {key: None for key in self._wants if key[0] != client}
        return [worker.id for worker in self._lent.values() if worker.job == client]

    def idle_shapes(self) -> list[Shape]:
        """What is held by loans on which nothing is known to run."""
        return [worker.shape for worker in self._lent.values() if not worker.running and not worker.blocked]

    # wants

    def want(self, client: int, shape: Shape) -> None:
        if client in self.drivers:
            self._wants[client, shape] = None

    def wants(self) -> list[tuple[int, Shape]]:
        return list(self._wants)

    def has(self, client: int, shape: Shape) -> bool:
        """Whether it has a worker on loan for this, and goes on with what waits."""
        return any(w.job == client and w.shape == shape and not w.closing for w in self._lent.values())

    def admit(self, client: int, shape: Shape, room: int) -> None:
        del self._wants[client, shape]
        self._out.append(Admit(client, shape, room))
