"""Cold questions to the hub, answered one at a time."""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from shoal.exceptions import ClusterError
from shoal.hub.closeups import Closeups
from shoal.hub.holders import Holders
from shoal.hub.peer import Peer
from shoal.hub.printed import Printed
from shoal.hub.timeline import Timeline
from shoal.hub.whys import Whys
from shoal.scheduler import events as ev
from shoal.versions import versions

if TYPE_CHECKING:
    from shoal.hub.loop import Hub

STORE = "object_store_memory"


class Answers:
    """One method a question; what it raises is raised at the asker."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._questions: dict[str, Callable[..., Any]] = {
            "ping": lambda: None,
            "resources": self._resources,
            "status": self._status,
            "metrics": self._hub.metrics.rows,
            "feed": self._hub.publish,
            "snapshot": self._snapshot,
            "role": self._role,
            "pending_calls": hub.scheduler.lives.pending,
            "cancel_cell": self._cancel_cell,
            "cell_calls": self._cell_calls,
            "stop": self._stop,
            "settings": lambda: dataclasses.asdict(hub.settings),
            "about": self._about,
            **hub.results.questions,
            **hub.nodes.questions,
            **hub.state.questions,
            **Whys(hub).questions,
            **Holders(hub).questions,
            **Printed(hub).questions,
            **Timeline(hub).questions,
            **Closeups(hub).questions,
            **hub.groups.questions,
        }
        self._of_askers: dict[str, Callable[..., Any]] = {
            "create_group": hub.groups.create,
            "find_group": hub.groups.find,
            **hub.names.questions,
        }
        """Those whose answer depends on who asks."""

    def answer(self, peer: Peer, what: str, args: tuple[Any, ...]) -> Any:
        if what in self._of_askers:
            return self._of_askers[what](peer, *args)
        question = self._questions.get(what)
        if question is None:
            raise ClusterError(f"the hub does not know the question {what!r}: restart the cluster after an upgrade")
        return question(*args)

    def _resources(self) -> tuple[dict[str, float], dict[str, float]]:
        return self._hub.scheduler.totals(), self._available()

    def _available(self) -> dict[str, float]:
        """What objects take of the store is not available: tasks cannot ask for it, but people look."""
        found = self._hub.scheduler.available()
        left = found.pop(STORE, 0.0) - self._hub.memory.used
        return {**found, STORE: left} if left > 0 else found

    def _status(self) -> dict[str, Any]:
        scheduler, memory = self._hub.scheduler, self._hub.memory
        return {
            "name": self._hub.settings.name,
            "pid": os.getpid(),
            "age": time.time() - self._hub.started,
            "clients": sum(n < 0 for n in scheduler.clients),
            "workers": len(scheduler.workers),
            "tasks": len(scheduler.tasks),
            "actors": [
                {"name": a.kind.actor_name, "class": a.kind.name, "state": a.state, "detached": a.kind.detached}
                for a in scheduler.actors.table.values()
            ],
            "objects": len(self._hub.values),
            "store": (memory.used, memory.capacity),
            "spilled": memory.spilled,
            "results": [row["name"] for row in self._hub.results.questions["results"]()],
            "total": scheduler.totals(),
            "available": self._available(),
        }

    def _role(self, task: bytes) -> str | None:
        """Whether it is a task, an actor's creation or a method; None where nobody remembers."""
        scheduler = self._hub.scheduler
        record = scheduler.tasks.get(task)
        kind = record.kind if record is not None else scheduler.kinds.get(self._hub.recorder.kind_of(task))
        return kind.role if kind is not None else None

    def _snapshot(self) -> dict[str, Any]:
        self._hub.publish()
        assert self._hub.publisher is not None
        return self._hub.publisher.snapshot()

    def _cancel_cell(self, cell: str, actors_too: bool) -> int:
        found = len(self._hub.scheduler.cells.get(cell, ()))
        self._hub.post(ev.CellCancelled(cell, time.monotonic(), actors_too))
        return found

    def _cell_calls(self, cell: str) -> list[tuple[str, bool, bool]]:
        """What a cell launched and is not done: its name, whether an actor is at it, and one that the cell made."""
        scheduler = self._hub.scheduler
        found = []
        for task in map(scheduler.tasks.get, scheduler.cells.get(cell, ())):
            if task is not None:
                actor = scheduler.lives.of(task) if task.kind.role == "method" else None
                found.append((task.kind.name, actor is not None, actor is not None and actor.cell == cell))
        return found

    def _about(self, packages: tuple[str, ...]) -> dict[str, Any]:
        """What this process is made of: for the doctor."""
        return {"pid": os.getpid(), "python": sys.version, "versions": versions(packages), "prefix": sys.prefix}

    def _stop(self) -> None:
        self._hub.stop()
