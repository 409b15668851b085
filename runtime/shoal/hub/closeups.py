"""What a live view asks when somebody looks closely at one thing: more than the feed tells of all."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from shoal.ids import task_of
from shoal.scheduler.resources import amounts

if TYPE_CHECKING:
    from shoal.hub.loop import Hub

LOG = 8_000
"""Characters of a log, its end."""


class Closeups:
    """Reads the hub's tables; answers are JSON."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self.questions: dict[str, Callable[..., Any]] = {"task": self.task, "actor": self.actor}

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

    def _log(self, suffix: str, task: str | None = None, actor: str | None = None) -> str:
        return (self._hub.state.log(task, actor, None, None, suffix) or "")[-LOG:]
