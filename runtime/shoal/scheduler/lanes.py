"""Calls that go by lanes, as far as the scheduler is told of them. See docs/lanes.md.

A told call is a task in state PUSHED that its client, and not the hub, has given to the worker. It ends by the word of
its client, or of the worker that adopted it; after a worker's death it waits for its client's word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.scheduler import events as ev
from shoal.scheduler.commands import Interrupt, KillWorker, LaneAnswered, LaneLost, LaneTold, OfferLane
from shoal.scheduler.tables import LENT, PUSHED, Actor, Task, Worker

if TYPE_CHECKING:
    from shoal.scheduler.state import Scheduler


class Lanes:
    """Handlers of the events that concern lanes."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._deaths: dict[int, tuple[str, str, set[int], bytes]] = {}
        """Workers that died with lanes: the error's name, why, who has not yet said what was there, the actor."""

    # what is told

    def told(self, e: ev.Told) -> None:
        scheduler = self._scheduler
        task, worker = scheduler.tasks.get(e.task), scheduler.workers.get(e.worker)
        if task is None and e.task in scheduler.objects.table:
            return  # it has ended, by the word of the worker that adopted it
        if task is None and worker is not None and e.task in worker.over:
            return  # it was cancelled meanwhile
        if task is None:
            scheduler.out.append(LaneTold(e.task, e.kind, e.client, e.cell, e.parent, e.actor, e.worker))
            task = scheduler.add_task(ev.Submitted(e.task, e.kind, e.client, e.job, e.cell, e.parent, e.actor, (), ()))
            task.state, task.worker, task.lane = PUSHED, e.worker, True
            if worker is not None:
                worker.running[task.id] = 0
            parent = scheduler.tasks.get(e.parent) if e.parent is not None else None
            if (parent is not None and parent.cancelled) or e.client not in scheduler.clients:
                scheduler.cancels.cancel(task, force=False)
        elif not task.lane:
            return
        # Who adopts it will send its values to the hub, and they are the client's; else the client has them.
        if e.adopted or not task.adopted:
            self._own(task, e.client if e.adopted else -1)
        task.adopted = task.adopted or e.adopted

    def told_ended(self, e: ev.ToldEnded) -> None:
        scheduler = self._scheduler
        task = scheduler.tasks.get(e.task)
        if task is None or not task.lane:
            return
        task.lane = False  # its client knows
        if task.worker is not None and (worker := scheduler.workers.get(task.worker)) is not None:
            worker.running.pop(task.id, None)
        scheduler.settle(task, (), e.error)

    def ended_here(self, task: Task, worker: Worker) -> None:
        """Before its worker has said so, which may yet speak of it."""
        worker.running.pop(task.id, None)
        if task.lane:
            worker.over.add(task.id)

    def forgotten(self, task: Task) -> None:
        """A call that its client has on a lane ends the hub's way: the client is to have its values."""
        if task.lane and task.client in self._scheduler.clients:
            self._own(task, task.client)
            self._scheduler.out.append(LaneAnswered(task.client, task.id))

    def back(self, task: Task, e: ev.Submitted) -> None:
        """A told call comes back: the worker did not begin it."""
        self._take_over(task, e)
        if task.cancelled:
            self._scheduler.fail_cancelled(task)
        elif task.id in self._scheduler.tasks:
            self._scheduler.proceed(task)

    def _take_over(self, task: Task, e: ev.Submitted) -> None:
        scheduler = self._scheduler
        if task.worker is not None and (worker := scheduler.workers.get(task.worker)) is not None:
            worker.running.pop(task.id, None)
        task.lane = task.adopted = False
        task.worker = None
        self._own(task, task.client)
        scheduler.add_arguments(task, e.deps, e.holds)

    def _own(self, task: Task, owner: int) -> None:
        """Who is sent its values unasked; -1: its client has them."""
        for object_id in task.returns:
            record = self._scheduler.objects.table.get(object_id)
            if record is not None:
                record.owner = owner

    # deaths

    def worker_died(self, worker: Worker, error: str, reason: str) -> list[tuple[bytes, int]]:
        """Ask the clients with lanes to it; returns the tasks that are not theirs to tell of, with their numbers."""
        scheduler = self._scheduler
        running = list(worker.running.items())
        clients = worker.drivers & scheduler.clients
        if not clients:
            return running
        self._deaths[worker.id] = (error, reason, clients, worker.actor or b"")
        actor = scheduler.actors.table.get(worker.actor or b"")
        if actor is not None:
            actor.silent |= {(client, worker.id) for client in clients}
        scheduler.out.extend(LaneLost(client, worker.id) for client in sorted(clients))
        return [(t, number) for t, number in running if not self.is_waited_for(t, worker)]

    def is_waited_for(self, task_id: bytes, worker: Worker) -> bool:
        """Whether a client will say how it ended, also when the worker is dead."""
        task = self._scheduler.tasks.get(task_id)
        clients = worker.drivers & self._scheduler.clients
        return task is not None and task.lane and task.client in clients

    def lost(self, e: ev.Lost) -> None:
        """What a client had on a lane to a dead worker and that was not answered: the rules of retries are for it."""
        scheduler = self._scheduler
        error, reason, clients, actor = self._deaths.get(e.worker, ("WorkerCrashedError", "it died", set(), b""))
        clients.discard(e.client)
        if not clients:
            self._deaths.pop(e.worker, None)
        for submitted, begun in reversed(e.calls):
            task = scheduler.tasks.get(submitted.task)
            if task is None:
                task = scheduler.add_task(submitted)
                scheduler.add_arguments(task, submitted.deps, submitted.holds)
            else:
                self._take_over(task, submitted)
            if task.kind.role == "method":
                scheduler.actors.received(task)
                if task.id in scheduler.tasks:
                    scheduler.lives.lost_on_lane(task, begun, reason)
            elif task.id in scheduler.tasks:
                scheduler.lost_worker(task, error, reason, begun)
        scheduler.lives.heard(actor, e.client, e.worker)

    def client_left(self, client: int) -> None:
        """What it had on lanes ends with it; a worker that was lent to it may be running something."""
        scheduler = self._scheduler
        for worker_id in scheduler.placement.lending.left(client):
            scheduler.out.append(KillWorker(worker_id))
        for worker_id, (_, _, clients, actor) in list(self._deaths.items()):
            clients.discard(client)
            scheduler.lives.heard(actor, client, worker_id)
            if not clients:
                del self._deaths[worker_id]
        for task in [t for t in scheduler.tasks.values() if t.lane and t.client == client]:
            worker = scheduler.workers.get(task.worker or 0)
            # One that is lent to somebody else by now has given the call back, to nobody.
            if worker is None or worker.state != LENT or worker.job != client:
                if worker is not None:
                    self.ended_here(task, worker)
                    scheduler.out.append(Interrupt(worker.id, task.id))
                scheduler.fail_cancelled(task)

    # leases

    def wanted(self, e: ev.Wanted) -> None:
        self._scheduler.placement.lending.want(e.client, e.shape)

    def lease_closed(self, e: ev.LeaseClosed) -> None:
        worker = self._scheduler.workers.get(e.worker)
        if worker is not None:
            self._scheduler.placement.end_loan(worker, e.lease)

    def overdue(self, e: ev.Overdue) -> None:
        worker = self._scheduler.workers.get(e.worker)
        if worker is not None and worker.lease == e.lease:
            self._scheduler.placement.lending.close(worker)

    # actors

    def offer(self, actor: Actor, worker: Worker, caller: int) -> None:
        """All of a driver's calls that came here are with the worker: the next may go by a lane."""
        if actor.kind.concurrent:  # its calls go the hub's way: a worker's lane knows no groups
            return
        if caller in self._scheduler.clients and not any(client == caller for client, _ in actor.mailboxes):
            worker.drivers.add(caller)
            received, sent = actor.received.get(caller, 0), actor.sent[caller]
            self._scheduler.out.append(OfferLane(caller, actor.id, worker.id, received, sent))
