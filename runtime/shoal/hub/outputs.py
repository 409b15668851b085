"""What processes print: kept with their logs, and passed on to the driver whose work it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.hub.peer import HIGH, Peer

if TYPE_CHECKING:
    from shoal.hub.loop import Hub


class Outputs:
    """Adds its messages to the hub's table."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._called: dict[int, str] = {}
        """What actors call themselves, by worker."""
        hub.hear(output=self.take, called=self._call, frames=self._keep)

    def take(self, peer: Peer, task: bytes | None, cell: str | None, stream: str, data: Any) -> None:
        hub = self._hub
        if stream != "display" and data:
            hub.state.logs.add(peer.number, task, stream, data)
        record = hub.scheduler.tasks.get(task) if task is not None else None
        driver = hub.driver_of(peer, record.job if record is not None else None)
        if driver is None:
            return
        source = self._source(peer.number, record.kind.name if record is not None else "worker")
        driver.send(("output", cell, task.hex() if task else "", stream, data, source))
        hub.touched(driver)
        if driver.backlog > HIGH:
            driver.stall(peer)

    def _call(self, peer: Peer, name: str) -> None:
        self._called[peer.number] = name
        self._hub.state.called(peer.number, name)

    def _keep(self, peer: Peer, task: bytes, snapshot: bytes) -> None:
        self._hub.state.frames.add(task, snapshot)

    def died(self, number: int) -> None:
        self._called.pop(number, None)

    def _source(self, number: int, name: str) -> str:
        """Who says it, for people: an actor's name or class, or the task's."""
        scheduler = self._hub.scheduler
        worker = scheduler.workers.get(number)
        actor = scheduler.actors.table.get(worker.actor) if worker is not None and worker.actor else None
        if actor is not None:
            name = self._called.get(number) or actor.kind.name
        return f"{name} pid={self._hub.state.pid(number)}"
