"""Who keeps an object, by the hub's books: processes, tasks, and values that hold refs to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from shoal.hub.memory import bytes_of
from shoal.hub.whys import called
from shoal.ids import task_of
from shoal.scheduler.tables import ACTOR, Object

if TYPE_CHECKING:
    from shoal.hub.loop import Hub

NAMED = 20
"""Of one kind so many are told."""


class Holders:
    """Reads the hub's tables; changes nothing."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self.questions: dict[str, Callable[..., Any]] = {"holders": self.holders}

    def holders(self, object_id: bytes, but: int) -> dict[str, Any] | None:
        """What keeps an object beside the process `but`; None where it is not known here."""
        hub = self._hub
        record = hub.scheduler.objects.table.get(object_id)
        if record is None:
            return None
        value = hub.values.get(object_id)
        row = hub.recorder.row(task_of(object_id))
        actor = hub.scheduler.actors.table.get(object_id)
        tasks = list(self._tasks(object_id))
        inside = [(i, r) for i, r in hub.scheduler.objects.table.items() if object_id in r.contained]
        return {
            "bytes": None if value is None else bytes_of(value),
            "where": {"s": "store", "d": "disk"}.get(value[0], "message") if value is not None else "",
            "maker": called(actor) if actor is not None else row[1] if row is not None else record.maker,
            "actor": actor is not None,
            "ready": record.ready,
            "detached": actor is not None and actor.kind.detached,
            "processes": [process(hub, n) for n in sorted(record.holders) if n != but],
            "tasks": tasks[:NAMED],
            "more_tasks": max(0, len(tasks) - NAMED),
            "inside": [self._container(i, r, but) for i, r in inside[:NAMED]],
            "more_inside": max(0, len(inside) - NAMED),
            "lineage": record.lineage,
            "results": hub.results.of(object_id),
        }

    def _tasks(self, object_id: bytes) -> Any:
        """Those that need it as an argument: name, id, state."""
        scheduler = self._hub.scheduler
        for task in scheduler.tasks.values():
            if object_id in task.deps or object_id in task.holds and task.actor != object_id:
                yield task.kind.name, task.id.hex(), task.state
        for actor in scheduler.actors.table.values():
            creation = actor.creation
            kept = actor.arguments_kept and creation.id not in scheduler.tasks
            if kept and object_id in (*creation.deps, *creation.holds):
                yield f"{called(actor)}.__init__", creation.id.hex(), "kept"

    def _container(self, object_id: bytes, record: Object, but: int) -> dict[str, Any]:
        row = self._hub.recorder.row(task_of(object_id))
        return {
            "id": object_id.hex(), "maker": row[1] if row is not None else record.maker,
            "here": but in record.holders,
            "processes": [process(self._hub, n) for n in sorted(record.holders) if n != but],
        }  # fmt: skip


def process(hub: Hub, number: int) -> dict[str, Any]:
    """A driver, a worker with what runs in it, or an actor's."""
    told: dict[str, Any] = {"number": number, "pid": hub.state.pid(number), "kind": "driver", "what": ""}
    worker = hub.scheduler.workers.get(number)
    if worker is None:
        return told
    if worker.state == ACTOR and worker.actor is not None:
        actor = hub.scheduler.actors.table.get(worker.actor)
        return {**told, "kind": "actor", "what": called(actor) if actor is not None else ""}
    running = next((hub.scheduler.tasks[t].kind.name for t in worker.running if t in hub.scheduler.tasks), "")
    return {**told, "kind": "worker", "what": running}
