"""Why something is not done yet: what the books know of it, in plain data. `shoal.reasons` makes words of it.

Facts are a dict: `kind` ("task", "actor", "call", "group" or "value"), `name`, `state`, and what belongs to that state.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from shoal.hub.memory import size_of
from shoal.hub.recorder import Row
from shoal.ids import task_of
from shoal.scheduler.groups import CREATED, Group
from shoal.scheduler.resources import amounts
from shoal.scheduler.tables import ACTOR, ALIVE, DEAD, PUSHED, STARTING, WAITING, Actor, Object, Shape, Task, Worker
from shoal.wishes import GROUP, Wish

if TYPE_CHECKING:
    from shoal.hub.loop import Hub

DEPTH = 6
"""Tasks that wait for each other's values are followed so far."""
NAMED = 3
"""Of several reasons of one kind so many are told one by one."""
KINDS = {"task": "task", "actor": "actor", "method": "call"}

Facts = dict[str, Any]


def called(actor: Actor) -> str:
    """What people call an actor."""
    return f"{actor.kind.name} {actor.kind.actor_name!r}" if actor.kind.actor_name else actor.kind.name


class Whys:
    """Reads the hub's tables; changes nothing."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._scheduler = hub.scheduler
        self._placement = hub.scheduler.placement
        self.questions: dict[str, Callable[..., Any]] = {"why": self.why, "why_shape": self.why_shape}

    def why(self, object_id: bytes) -> Facts:
        """What is known of the task that makes an object, or of an actor, a placement group or a value."""
        return self._object(object_id, DEPTH)

    def why_shape(self, shape: Shape, job: int) -> Facts:
        """What keeps a task from starting that waits with its driver, and needs this and nothing else."""
        return {**self._room(shape, None, ""), "ahead": self._placement.queued(job, shape)}

    def _object(self, object_id: bytes, depth: int) -> Facts:
        scheduler = self._scheduler
        actor = scheduler.actors.table.get(object_id) or self._hub.state.remembered(object_id)
        if actor is not None:
            return self._actor(actor, depth)
        for group in scheduler.groups.table.values():
            if object_id in group.awaiting:
                return self._group(group)
        record = scheduler.objects.table.get(object_id)
        task = scheduler.tasks.get(task_of(object_id))
        if task is not None and not (record is not None and record.ready):
            return self._task(task, depth)
        row = self._hub.recorder.row(task_of(object_id))
        if row is not None and row[9] is not None:
            return self._ended(row, record)
        if record is None:
            return {"kind": "value", "name": "", "state": "unknown"}
        state = "lost" if record.gone else "failed" if record.failed else "stored"
        value = self._hub.values.get(object_id)
        return {
            "kind": "value", "name": row[1] if row is not None else record.maker, "state": state,
            "error": "an error", "said": record.why,
            "bytes": size_of(value) if value is not None and value[0] in ("s", "d") else None,
        }  # fmt: skip

    # what is over

    def _ended(self, row: Row, record: Object | None) -> Facts:
        error, ended = row[10], row[9]
        state = "finished" if error is None else "cancelled" if error == "TaskCancelledError" else "failed"
        if record is not None and record.gone:
            state = "lost"
        kind = self._scheduler.kinds.get(row.kind)
        return {
            "kind": KINDS[kind.role if kind is not None else "task"], "name": row[1], "id": row[0], "state": state,
            "error": error, "said": row.said, "ago": None if ended is None else time.time() - ended,
            "took": None if ended is None or row[8] is None else ended - row[8],
        }  # fmt: skip

    # tasks

    def _task(self, task: Task, depth: int) -> Facts:
        row = self._hub.recorder.row(task.id)
        facts: Facts = {
            "kind": KINDS[task.kind.role], "name": task.kind.name, "id": task.id.hex(),
            "attempt": row.attempt if row is not None else 0, "cancelled": task.cancelled,
        }  # fmt: skip
        if task.state == WAITING:
            return {**facts, **self._arguments(task, depth)}
        worker = self._scheduler.workers.get(task.worker or 0)
        if task.state == PUSHED and worker is not None:
            return {**facts, **self._with_worker(task, worker)}
        if task.kind.role == "method":
            return {**facts, **self._in_mailbox(task, depth)}
        return {**facts, **self._queued(task)}

    def _arguments(self, task: Task, depth: int) -> Facts:
        table = self._scheduler.objects.table
        missing = [d for d in dict.fromkeys(task.deps) if d in table and not table[d].ready]
        told = [self._object(d, depth - 1) for d in missing[:NAMED]] if depth else []
        return {"state": "arguments", "waits": told, "more": len(missing) - len(told)}

    def _with_worker(self, task: Task, worker: Worker) -> Facts:
        begun = self._begun(worker)
        if task.id in begun:
            return {
                "state": "running", "seconds": self._since(task.id), "pid": self._hub.state.pid(worker.id),
                "worker": worker.id, "blocked": worker.blocked,
            }  # fmt: skip
        before = list(worker.running)
        before = before[: before.index(task.id)] if task.id in before else before
        facts = {"ahead": len([b for b in before if b not in begun]), "now": self._now(worker)}
        if worker.state != ACTOR:
            return {"state": "behind", "pid": self._hub.state.pid(worker.id), **facts}
        actor = self._scheduler.actors.table[worker.actor or b""]
        return {"state": "mailbox", "actor": called(actor), "others": 0, "held": None, **facts}

    def _begun(self, worker: Worker) -> set[bytes]:
        """What runs in it. Of what came by a lane, which is not numbered here, it is the first that is known."""
        process = self._hub.supervisor.processes.get(worker.id)
        page = self._hub.supervisor.begun(process) if process is not None else ()
        found = {task for task, number in worker.running.items() if number and number in page}
        first = next(iter(worker.running), None)
        if not found and first is not None and not worker.running[first]:
            found = {first}
        return found

    def _since(self, task: bytes) -> float | None:
        row = self._hub.recorder.row(task)
        return None if row is None or row[8] is None else time.time() - row[8]

    def _now(self, worker: Worker) -> list[tuple[str, float | None]]:
        """Names of what runs in a worker, and for how long each has."""
        begun = sorted(self._begun(worker))
        return [(self._scheduler.tasks[t].kind.name, self._since(t)) for t in begun if t in self._scheduler.tasks]

    # actors

    def _actor(self, actor: Actor, depth: int) -> Facts:
        facts: Facts = {
            "kind": "actor", "name": called(actor), "id": actor.id.hex(), "restarted": actor.restarted,
            "reason": actor.reason,
        }  # fmt: skip
        if actor.state == DEAD or actor.id not in self._scheduler.actors.table:
            return {**facts, "state": "dead"}
        worker = self._scheduler.workers.get(actor.worker) if actor.worker is not None else None
        if actor.state != ALIVE or worker is None:
            state = "creating" if not actor.born else "restarting"
            return {**facts, "state": state, "creation": self._task(actor.creation, depth)}
        begun = self._begun(worker)
        waiting = sum(len(m) for m in actor.mailboxes.values()) + len([t for t in worker.running if t not in begun])
        return {
            **facts, "state": "alive", "pid": self._hub.state.pid(worker.id), "ahead": waiting, "now": self._now(worker)
        }  # fmt: skip

    def _in_mailbox(self, task: Task, depth: int) -> Facts:
        actor = self._scheduler.actors.table.get(task.actor or b"")
        if actor is None or actor.state != ALIVE:
            return {"state": "actor", "actor": self._actor(actor, depth) if actor is not None else None}
        worker = self._scheduler.workers.get(actor.worker or 0)
        own = list(actor.mailboxes.get((task.client, task.kind.group), ()))
        before = own[: own.index(task.id)] if task.id in own else []
        begun = self._begun(worker) if worker is not None else set()
        sent = len([t for t in worker.running if t not in begun]) if worker is not None else 0
        calls = (self._scheduler.tasks.get(t) for t in before)
        held = next((call for call in calls if call is not None and call.missing), None)
        return {
            "state": "mailbox", "actor": called(actor), "ahead": len(before) + sent,
            "others": sum(len(m) for m in actor.mailboxes.values()) - len(own),
            "now": self._now(worker) if worker is not None else [],
            "held": self._task(held, depth - 1) if held is not None and depth else None,
            "silent": any(client == task.client for client, _ in actor.silent),
        }  # fmt: skip

    # what waits for room

    def _queued(self, task: Task) -> Facts:
        kind = task.kind
        record = self._hub.runtime_envs.table.get(task.env)
        if record is not None and record.state == "setting up":
            return {"state": "environment", "packages": record.fields.get("pip") or record.fields.get("uv")}
        if kind.wish is not None and kind.wish.how == GROUP:
            group = self._scheduler.groups.table.get(kind.wish.group)
            if group is not None and group.state != CREATED:
                return {"state": "group", "group": self._group(group)}
        ahead, others = self._placement.ahead(task)
        return {**self._room(kind.shape, kind.wish, task.env), "ahead": ahead, "others": others}

    def _room(self, shape: Shape, wish: Wish | None, env: str) -> Facts:
        strategies, pool = self._placement.strategies, self._placement.pool
        seats = strategies.seats(wish)
        there = [seat.resources for seat in seats]
        facts: Facts = {
            "state": "resources",
            "needs": amounts(dict(shape)),
            "total": {n: max((r.total.get(n, 0) for r in there), default=0) / 10_000 for n, _ in shape},
            "in_group": wish is not None and wish.how == GROUP,
            "nodes": len(seats),
            "lacking": None if any(r.ever_fits(shape) for r in there) else strategies.lacking(shape, wish) or "more",
            "ahead": 0, "others": 0,
        }  # fmt: skip
        if facts["lacking"]:
            return facts
        seat = strategies.seat(shape, wish)
        if seat is not None:
            home = [w for w in pool.workers.values() if w.node is seat.node and w.env == env]
            starting = any(w.state == STARTING for w in home)
            state = "starting" if starting or not pool.full else "processes"
            return {**facts, "state": state, "most": pool.most}
        short = [n for n, a in shape if all(r.free.get(n, 0) < a for r in there)] or [n for n, _ in shape]
        return {**facts, "short": short, "busy": self._busy(short)}

    def _busy(self, short: Iterable[str]) -> list[tuple[str, str, int, float | None]]:
        """Who has it: "task", "actor", "group" or "other", a name, how many, and the seconds of the longest."""
        found: dict[tuple[str, str], list[float | None]] = {}
        wanted = set(short)
        for worker in self._scheduler.workers.values():
            if not wanted & {n for n, _ in worker.shape} or (worker.blocked and worker.state != ACTOR):
                continue
            if worker.state == ACTOR:
                actor = self._scheduler.actors.table.get(worker.actor or b"")
                key, since = ("actor", called(actor) if actor is not None else "an actor"), None
            else:
                now = self._now(worker)
                key, since = (("task", now[0][0]), now[0][1]) if now else (("other", ""), None)
            found.setdefault(key, []).append(since)
        for group in self._scheduler.groups.table.values():
            held = [b for b in group.bundles if b.place is not None and wanted & {n for n, _ in b.shape}]
            if held:
                found["group", group.name or group.id.hex()[:8]] = [None] * len(held)
        rows = [(*key, len(s), max((x for x in s if x is not None), default=None)) for key, s in found.items()]
        return sorted(rows, key=lambda row: -row[2])

    def _group(self, group: Group) -> Facts:
        return {
            "kind": "group", "name": group.name or group.id.hex()[:8], "state": "placing", "lacking":
            self._scheduler.groups.lacking(group), "bundles": [amounts(dict(b.shape)) for b in group.bundles],
            "busy": self._busy({n for b in group.bundles if b.place is None for n, _ in b.shape}),
        }  # fmt: skip
