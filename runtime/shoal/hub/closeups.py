"""What a live view asks when somebody looks closely at one thing: more than the feed tells of all."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from shoal.hub.holders import process
from shoal.hub.memory import size_of
from shoal.hub.recorder import Row
from shoal.ids import task_of
from shoal.scheduler.resources import amounts
from shoal.scheduler.tables import Object

if TYPE_CHECKING:
    from shoal.hub.loop import Hub

LOG = 8_000
"""Characters of a log, its end."""
LARGEST = 50
"""Objects that are told one by one."""
STREAM = 4_000
"""Bytes of a pickle stream that is told, for whoever wants to know what the value is."""
LATEST = 10
"""Tasks of a cell that are told one by one: those that run, then the latest to end."""
NAMED = 5
"""Of the processes that hold an object so many are told."""


class Closeups:
    """Reads the hub's tables; answers are JSON."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self.questions: dict[str, Callable[..., Any]] = {
            "task_closely": self.task, "actor_closely": self.actor, "largest_objects": self.objects,
            "cell_closely": self.cell,
        }  # fmt: skip

    def task(self, name: str) -> dict[str, Any]:
        """A task's attempts with their times and errors, what it needs and was given, and what it printed."""
        hub, scheduler = self._hub, self._hub.scheduler
        attempts = [row for row in hub.recorder.rows() if row[0] == name]
        kind = scheduler.kinds.get(attempts[-1].kind) if attempts else None
        task = scheduler.tasks.get(bytes.fromhex(name))
        return {
            "attempts": [
                {
                    "state": row[3], "worker": row[4], "submitted": row[7], "started": row[8], "ended": row[9],
                    "error": row[10], "said": row.said, "phases": list(row.phases) if row.phases else None,
                }
                for row in attempts
            ],
            "needs": amounts(dict(kind.shape)) if kind is not None else {},
            "retries": task.retries if task is not None else None,
            "size": task.size if task is not None else None,
            "arguments": [self._argument(each) for each in task.deps] if task is not None else [],
            "out": self._log("out", task=name),
            "err": self._log("err", task=name),
        }  # fmt: skip

    def _argument(self, object_id: bytes) -> dict[str, Any]:
        record = self._hub.scheduler.objects.table.get(object_id)
        task = self._hub.scheduler.tasks.get(task_of(object_id))
        maker = task.kind.name if task is not None else record.maker if record is not None else ""
        return {
            "id": object_id.hex(), "task": task_of(object_id).hex(),
            "ready": record is not None and record.ready, "size": record.size if record is not None else None,
            "maker": maker,
        }  # fmt: skip

    def actor(self, name: str) -> dict[str, Any]:
        """What an actor holds, how it is found and made anew, and what it printed; little of one that is gone."""
        actor = self._hub.scheduler.actors.table.get(bytes.fromhex(name))
        if actor is None:
            return {"needs": {}, "out": self._log("out", actor=name), "err": self._log("err", actor=name)}
        return {
            "needs": amounts(dict(actor.kind.held)),
            "namespace": actor.namespace if actor.kind.actor_name else "",
            "detached": actor.kind.detached,
            "restarts": actor.restarts,
            "restarted": actor.restarted,
            "out": self._log("out", actor=name),
            "err": self._log("err", actor=name),
        }

    def objects(self) -> dict[str, Any]:
        """The largest objects, and how many bytes there are by who holds them: the first of those that do."""
        table = self._hub.scheduler.objects.table
        held = {"notebook": 0, "actors": 0, "tasks": 0, "other": 0}
        sized: list[tuple[int, bytes]] = []
        for object_id, place in self._hub.values.items():
            bytes_in_store = size_of(place)
            record = table.get(object_id)
            if bytes_in_store and record is not None:
                held[self._holder(record)] += bytes_in_store
                sized.append((bytes_in_store, object_id))
        rows = {row[0]: row for row in self._hub.recorder.rows()}
        return {
            "held": held,
            "count": len(table),
            "stored": len(sized),
            "largest": [self._object(table[i], i, n, rows) for n, i in heapq.nlargest(LARGEST, sized)],
        }

    def cell(self, cell: str) -> dict[str, Any]:
        """A cell's single tasks, as rows of the feed, and what they left in the store."""
        rows = {row[0]: row for row in self._hub.recorder.rows() if row[2] == cell}
        stored = [
            size_of(place) for i, place in self._hub.values.items() if task_of(i).hex() in rows and size_of(place)
        ]
        begun = sorted((row for row in rows.values() if row[8] is not None), key=lambda row: row[9] or float("inf"))
        return {
            "tasks": [list(row) for row in reversed(begun[-LATEST:])],
            "stored": sum(stored),
            "objects": len(stored),
        }

    def _holder(self, record: Object) -> str:
        if any(number < 0 for number in record.holders):
            return "notebook"
        workers = self._hub.scheduler.workers
        if any(n in workers and workers[n].actor is not None for n in record.holders):
            return "actors"
        return "tasks" if record.holders or record.pins else "other"

    def _object(self, record: Object, object_id: bytes, size: int, rows: dict[str, Row]) -> dict[str, Any]:
        place = self._hub.values[object_id]
        row = rows.get(task_of(object_id).hex())
        stream = place[-1]
        return {
            "id": object_id.hex(), "size": size, "where": "disk" if place[0] == "d" else "memory",
            "task": row[0] if row is not None else None,
            "maker": row[1] if row is not None else record.maker,
            "cell": row[2] if row is not None else None,
            "holders": [process(self._hub, n) for n in sorted(record.holders)[:NAMED]],
            "more": max(0, len(record.holders) - NAMED), "pins": record.pins,
            "stream": stream if stream is not None and len(stream) <= STREAM else b"",
        }  # fmt: skip

    def _log(self, suffix: str, task: str | None = None, actor: str | None = None) -> str:
        return (self._hub.state.log(task, actor, None, None, suffix) or "")[-LOG:]
