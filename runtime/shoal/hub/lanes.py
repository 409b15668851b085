"""What the hub hears and says of lanes. See docs/lanes.md."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING, Any

from shoal.failure import Failure
from shoal.hub.peer import Peer
from shoal.lane import lane_path
from shoal.runs import Kind as WorkerKind
from shoal.scheduler import commands as cmd
from shoal.scheduler import events as ev
from shoal.scheduler.tables import Kind

if TYPE_CHECKING:
    from shoal.hub.loop import Hub


class Lanes:
    """Messages to events, commands to messages."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        hub.hear(
            want=self._on_want,
            tell=self._on_tell,
            told_done=self._on_told_done,
            adopt=self._on_adopt,
            closed=self._on_closed,
            overdue=self._on_overdue,
            poke=self._on_poke,
            lost=self._on_lost,
            ran=self._on_ran,
        )
        hub.perform.update(
            {
                cmd.Lend: self._lend,
                cmd.Admit: lambda c: hub.tell(c.client, ("admit", c.shape, c.room)),
                cmd.CloseLease: self._close_lease,
                cmd.OfferLane: self._offer,
                cmd.LaneTold: self._record,
                cmd.LaneLost: lambda c: hub.tell(c.client, ("lane_lost", c.worker)),
                cmd.LaneAnswered: lambda c: hub.tell(c.client, ("answered", c.task)),
            }
        )

    # what clients and workers say

    def _on_want(self, peer: Peer, shape: Any) -> None:
        self._hub.happened(ev.Wanted(peer.number, shape))

    def _on_tell(
        self,
        peer: Peer,
        task: bytes,
        kind: bytes,
        actor: bytes | None,
        cell: str | None,
        parent: bytes | None,
        worker: int,
    ) -> None:
        self._hub.happened(ev.Told(task, kind, peer.number, peer.number, cell, parent, actor, worker, False))

    def _on_adopt(
        self, peer: Peer, task: bytes, kind: bytes, client: int, cell: str | None, known: WorkerKind
    ) -> None:
        hub = self._hub
        if kind not in hub.scheduler.kinds:  # its client's word is on the way
            worker = hub.scheduler.workers.get(peer.number)
            shape = worker.shape if worker is not None and known.role == "task" else ()
            hub.kinds[kind] = known
            hub.happened(
                ev.KindDefined(
                    Kind(
                        kind, known.function, known.name, known.role, shape, (), known.returns, known.retries,
                        known.method, group=known.group,
                    )
                )
            )  # fmt: skip
        host = hub.scheduler.workers.get(peer.number)
        actor = host.actor if host is not None else None
        hub.happened(ev.Told(task, kind, client, client, cell, None, actor, peer.number, True))
        hub.schedule()  # its end may come with the same read

    def _on_told_done(
        self, peer: Peer, task: bytes, outcome: str, values: list[Any], started: float, ended: float,
        failure: Failure | None,
    ) -> None:
        hub = self._hub
        hub.schedule()
        record = hub.scheduler.tasks.get(task)
        if record is not None and record.lane:
            hub.values.update(zip(record.returns, values, strict=False))
            hub.recorder.timed(task, started, ended)
            if failure is not None:
                hub.recorder.said(task, failure[1])
            hub.happened(ev.ToldEnded(task, failure and failure[0]))

    def _on_closed(self, peer: Peer, lease: int) -> None:
        self._hub.happened(ev.LeaseClosed(peer.number, lease))

    def _on_overdue(self, peer: Peer, worker: int, lease: int) -> None:
        self._hub.happened(ev.Overdue(worker, lease))

    def _on_poke(self, peer: Peer, worker: int) -> None:
        process = self._hub.supervisor.processes.get(worker)
        if process is not None:
            process.poke()

    def _on_lost(self, peer: Peer, worker: int, calls: list[tuple[Any, bool]]) -> None:
        hub = self._hub
        hub.schedule()
        lost = [(hub.submitted(peer, *message[1:]), begun) for message, begun in calls]
        hub.happened(ev.Lost(peer.number, worker, tuple(lost)))

    def _on_ran(self, peer: Peer, records: list[tuple[Any, ...]], unfinished: dict[Any, int]) -> None:
        kinds = self._hub.kinds
        recorder = self._hub.recorder
        for task, kind, cell, actor, worker, submitted, started, ended, failure in records:
            recorder.ran(
                task, kinds[kind].name, cell, actor, worker, submitted, started, ended, failure, kind, peer.number
            )
        recorder.unfinished(peer.number, {(cell, kinds[kind].name): n for (cell, kind), n in unfinished.items()})

    # what the scheduler wants

    def _lend(self, c: cmd.Lend) -> None:
        self._hub.on_worker(c.worker, c.client)
        self._hub.tell_assigned(c.worker)
        self._hub.tell(c.client, ("lease", c.worker, c.lease, c.shape))

    def _close_lease(self, c: cmd.CloseLease) -> None:
        self._hub.tell(c.worker, ("close", c.lease), urgent=True)
        self._hub.tell(c.client, ("lease_over", c.worker, c.lease))

    def _record(self, c: cmd.LaneTold) -> None:
        """Only what the scheduler has taken: a tell may come after its call has ended."""
        now, recorder = time.time(), self._hub.recorder
        recorder.submitted(
            c.task, self._hub.kinds[c.kind].name, c.cell, c.actor, c.parent, (), now, c.kind, c.client
        )
        recorder.pushed(c.task, c.worker, True, now)

    def _offer(self, c: cmd.OfferLane) -> None:
        self._hub.tell(c.client, ("offer", c.actor, c.worker, c.received, c.sent))

    def left(self, client: int) -> None:
        self._hub.recorder.unfinished(client, {})

    def buried(self, worker: int) -> None:
        with contextlib.suppress(OSError):
            os.unlink(lane_path(self._hub.folder, worker))
