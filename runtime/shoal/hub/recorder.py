"""What the feed tells: one row a task, worker and actor, and exact counts by cell and function.

Rows are bounded (the latest `KEPT`), counts are absolute and never dropped while their cell is among the latest
`CELLS`: a listener can lose a row of the table but never sees a wrong count.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable, Sequence
from typing import Any

from shoal import feed_rows as rows
from shoal.failure import Failure, shortened
from shoal.feed_rows import KEPT
from shoal.ids import task_of
from shoal.scheduler.resources import amounts
from shoal.scheduler.state import Scheduler
from shoal.scheduler.tables import ACTOR, ENDING, STARTING, Worker

CELLS = 2_000
A_BATCH = 2_000
"""Task rows in one batch at most; the rest goes with the next, unless newer rows push them out everywhere."""

_STATE, _WORKER, _SUBMITTED, _STARTED, _ENDED, _ERROR = 3, 4, 7, 8, 9, 10

Key = tuple[str | None, str]


class Row(list[Any]):
    """A row of the feed, of one attempt at a task, and what the state API wants to know beside it."""

    __slots__ = ("attempt", "job", "kind", "phases", "said")
    kind: bytes
    job: int
    phases: tuple[float, float] | None
    """See `shoal.trace.Span`."""
    attempt: int
    said: str
    """The text of the error that it ended with."""

    def __init__(self, fields: Iterable[Any], kind: bytes, job: int, attempt: int = 0, said: str = "") -> None:
        super().__init__(fields)
        self.kind, self.job, self.phases, self.attempt, self.said = kind, job, None, attempt, said


class Recorder:
    """Told by the hub, read by the publisher. Times are Unix seconds."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._live: dict[bytes, Row] = {}
        self._history: collections.deque[Row] = collections.deque(maxlen=KEPT)
        self._counts: dict[Key, list[int]] = {}  # unfinished, finished, failed, cancelled
        self._changed: dict[bytes, list[Any]] = {}
        self._changed_counts: set[Key] = set()
        self._running: dict[Key, int] = {}
        self._held: dict[int, dict[Key, int]] = {}
        self.watched = False
        self.forgotten = 0
        """Rows that are not remembered any more."""

    def submitted(
        self,
        task: bytes,
        name: str,
        cell: str | None,
        actor: bytes | None,
        parent: bytes | None,
        deps: Sequence[bytes],
        now: float,
        kind: bytes = b"",
        job: int = 0,
    ) -> None:
        """`deps` are the values that it is given by reference."""
        state = rows.PENDING_ARGS if deps else rows.PENDING_NODE
        if task in self._live:
            self._live[task][_STATE] = state
            return
        row = Row(
            (
                task.hex(), name, cell, state, None, actor.hex() if actor else None,
                parent.hex() if parent else None, now, None, None, None,
                tuple(task_of(dep).hex() for dep in deps[: rows.NEEDS]) if deps else (),
            ),
            kind, job,
        )  # fmt: skip
        self._live[task] = row
        self._count(task, row, 0)

    def kind_of(self, task: bytes) -> bytes:
        """The kind of a task that is remembered; empty where it is not."""
        row = self.row(task)
        return b"" if row is None else row.kind

    def row(self, task: bytes) -> Row | None:
        """That of a task's present attempt, or of its last; None where it is not remembered."""
        return self._live.get(task) or self._last(task)

    def _last(self, task: bytes) -> Row | None:
        """That of its latest attempt that is over."""
        name = task.hex()
        return next((row for row in reversed(self._history) if row[0] == name), None)

    def again(self, task: bytes, *told: Any) -> None:
        """A task that has ended runs once more: another row, the same task in the counts. `told`: see `submitted`."""
        last = self._last(task)
        self.submitted(task, *told)
        row = self._live[task]
        row.attempt = last.attempt + 1 if last is not None else 1
        counts = self._counts[row[2], row[1]]
        counts[1] = max(0, counts[1] - 1)

    def pushed(self, task: bytes, worker: int, alone: bool, now: float) -> None:
        row = self._live.get(task)
        if row is not None:
            row[_STATE], row[_WORKER] = rows.SUBMITTED, str(worker)
            row[_STARTED] = now if alone else None
            if self.watched:
                self._changed[task] = row

    def timed(
        self, task: bytes, started: float, ended: float, phases: tuple[float, float] | None = None
    ) -> None:
        row = self._live.get(task)
        if row is not None:
            row[_STARTED], row[_ENDED] = started, ended
            row.phases = phases

    def said(self, task: bytes, text: str) -> None:
        """What the error says in which the present attempt will have ended."""
        row = self._live.get(task)
        if row is not None:
            row.said = text

    def repeated(self, task: bytes, error: str, said: str, at_once: bool, now: float) -> None:
        """An attempt has failed, and there is another: a row of its own, the same task in the counts."""
        row = self._live.get(task)
        if row is None:
            return
        again = Row(row, row.kind, row.job, row.attempt + 1)
        again[_SUBMITTED], again[_ENDED] = now, None
        if at_once:
            again[_STARTED] = now
        else:
            again[_STATE], again[_WORKER], again[_STARTED] = rows.PENDING_NODE, None, None
        self._live[task] = again
        self._over(row, error, said, now)
        if self.watched:
            self._changed[task] = again

    def ended(self, task: bytes, error: str | None, said: str, now: float) -> None:
        row = self._live.pop(task, None)
        if row is None:
            return
        self._over(row, error, said, now)
        key = (row[2], row[1])
        counts = self._counts.get(key)
        if counts is not None:
            counts[0] -= 1
            counts[1 if error is None else 3 if error == "TaskCancelledError" else 2] += 1
        if self.watched:
            self._changed[task] = row
            self._changed_counts.add(key)

    def _over(self, row: Row, error: str | None, said: str, now: float) -> None:
        row[_STATE] = rows.FINISHED if error is None else rows.FAILED
        row[_ERROR] = error
        if said:
            row.said = shortened(said)
        if row[_ENDED] is None:
            row[_ENDED] = now
        self._remember(row)

    def _remember(self, row: Row) -> None:
        self.forgotten += len(self._history) == KEPT
        self._history.append(row)

    def ran(
        self,
        task: bytes,
        name: str,
        cell: str | None,
        actor: bytes | None,
        worker: int,
        submitted: float,
        started: float,
        ended: float,
        failure: Failure | None,
        kind: bytes = b"",
        job: int = 0,
    ) -> None:
        """A task that went by a lane is over, and this is all that is ever said of it."""
        error, said = failure or (None, "")
        row = Row(
            (
                task.hex(), name, cell, rows.FINISHED if error is None else rows.FAILED, str(worker),
                actor.hex() if actor else None, None, submitted, started, ended, error, (),
            ),
            kind, job, said=said,
        )  # fmt: skip
        self._remember(row)
        self._count(task, row, 1 if error is None else 2)

    def _count(self, task: bytes, row: Row, which: int) -> None:
        """One more of its cell and name: unfinished (0), finished (1) or failed (2)."""
        key = (row[2], row[1])
        counts = self._counts.get(key)
        if counts is None:
            counts = self._counts[key] = [0, 0, 0, 0]
            self._forget_old()
        counts[which] += 1
        if self.watched:
            self._changed[task] = row
            self._changed_counts.add(key)

    def unfinished(self, client: int, numbers: dict[Key, int]) -> None:
        """How many tasks a client holds that are not told of one by one."""
        before = self._held.pop(client, {})
        if numbers:
            self._held[client] = numbers
        for key in {*before, *numbers}:
            self._counts.setdefault(key, [0, 0, 0, 0])
            if self.watched:
                self._changed_counts.add(key)

    def _forget_old(self) -> None:
        if len(self._counts) > CELLS:
            for key, counts in list(self._counts.items())[: CELLS // 10]:
                if not counts[0]:
                    del self._counts[key]

    # what is told

    def history(self) -> list[list[Any]]:
        """All rows that are known, oldest first."""
        return [list(row) for row in self.rows()]

    def rows(self) -> list[Row]:
        return [*self._history, *self._live.values()]

    def batch(self, now: float) -> dict[str, Any]:
        """What has changed since the last one."""
        self._mark_running(now)
        changed = list(self._changed.values())[-KEPT:]
        self._changed = {bytes.fromhex(row[0]): row for row in changed[A_BATCH:]}
        keys, self._changed_counts = self._changed_counts, set()
        return {
            "t": now,
            "tasks": changed[:A_BATCH],
            "counts": [self._count_row(key) for key in keys if key in self._counts],
            "actors": self.actors(),
            "cpus": self.cpus(),
            "nodes": self.nodes(),
        }

    def snapshot(self, now: float) -> dict[str, Any]:
        self._mark_running(now)
        return {
            "t": now,
            "tasks": self.history()[-KEPT:],
            "counts": [self._count_row(key) for key in self._counts],
            "actors": self.actors(),
            "cpus": self.cpus(),
            "nodes": self.nodes(),
        }

    def _mark_running(self, now: float) -> None:
        running: dict[Key, int] = {}
        for worker in self._scheduler.workers.values():
            if not worker.running:
                continue
            head = next(iter(worker.running))
            row = self._live.get(head)
            if row is None:
                continue
            if row[_STATE] != rows.RUNNING:
                row[_STATE] = rows.RUNNING
                row[_STARTED] = row[_STARTED] or now
                self._changed[head] = row
            key = (row[2], row[1])
            running[key] = running.get(key, 0) + 1
        self._changed_counts.update(k for k in {*running, *self._running} if running.get(k) != self._running.get(k))
        self._running = running

    def _count_row(self, key: Key) -> list[Any]:
        unfinished, finished, failed, cancelled = self._counts[key]
        unfinished += sum(numbers.get(key, 0) for numbers in self._held.values())
        running = min(unfinished, self._running.get(key, 0))
        return [key[0], key[1], unfinished - running, running, finished, failed, cancelled]

    def actors(self) -> list[list[Any]]:
        found = []
        for actor in self._scheduler.actors.table.values():
            worker = self._scheduler.workers.get(actor.worker) if actor.worker is not None else None
            waiting = sum(len(m) for m in actor.mailboxes.values()) + (len(worker.running) if worker else 0)
            found.append(
                [
                    actor.id.hex(), actor.kind.actor_name, actor.kind.name, actor.state, actor.cell,
                    str(actor.worker) if actor.worker is not None else None, waiting, actor.reason or None,
                    actor.restarted,
                ]
            )  # fmt: skip
        return found

    def cpus(self) -> list[float]:
        total = self._scheduler.totals().get("CPU", 0.0)
        return [total - self._scheduler.available().get("CPU", 0.0), total]

    def nodes(self) -> list[list[Any]]:
        nodes, found = self._scheduler.nodes, []
        for node in nodes.alive:
            used, cpus = self.cpus()  # what is lent and idle is free, and nobody knows where if there are several
            if nodes.only is None:
                cpus = amounts(node.resources.total).get("CPU", 0.0)
                used = cpus - amounts(node.resources.free).get("CPU", 0.0)
            found.append([node.id, node.name, used, cpus])
        return found

    @staticmethod
    def worker_state(worker: Worker) -> str:
        if worker.state == ACTOR:
            return "actor"
        if worker.blocked:
            return "blocked"
        if worker.state in (STARTING, ENDING):
            return worker.state
        return "busy" if worker.running else "idle"
