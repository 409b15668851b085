"""What is known of an object: asked of the cluster, and of this process, which holds some of its work itself."""

from __future__ import annotations

from typing import Any

from shoal.exceptions import TaskCancelledError
from shoal.ids import task_of
from shoal.reasons import Facts
from shoal.scheduler.resources import shape_of


def facts(engine: Any, object_id: bytes) -> Facts:
    """What is known of an object, in plain data: see `shoal.hub.whys`."""
    lanes = getattr(engine, "lanes", None)
    call = lanes.waiting(task_of(object_id)) if lanes is not None else None
    if lanes is not None and call is not None:
        told: Facts = {"kind": "task", "name": call.work.name, "id": call.task.hex()}
        if call.work.role == "method":
            return {**told, "kind": "call", "state": "driver"}
        room = engine.query("why_shape", shape_of(call.work.resources), engine.client)
        return {**room, **told, "ahead": room["ahead"] + lanes.ahead(call)}
    found: Facts = engine.query("why", object_id)
    if found["state"] == "unknown" and engine.wait([object_id], 1, 0):
        return {**found, **_of_here(engine, object_id)}
    return found


def _of_here(engine: Any, object_id: bytes) -> Facts:
    """What this process knows of a value that the hub does not: it came by a lane, or was never sent on its way."""
    try:
        engine.get([object_id], 0)
    except TaskCancelledError:
        return {"state": "cancelled"}
    except Exception as error:
        return {"state": "failed", "error": type(error).__name__, "said": str(error)}
    return {"state": "stored"}
