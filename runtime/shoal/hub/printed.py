"""What a task, an actor, a process or a cell has printed, and which tasks are meant by a name or a cell."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from shoal.context import is_numbered
from shoal.hub.whys import called

if TYPE_CHECKING:
    from shoal.hub.loop import Hub

Part = tuple[str, int, str, str, str]
"""Who says it, process id, task in hexadecimal (or empty), stream, text."""


class Printed:
    """Reads the hub's tables; changes nothing."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self.questions: dict[str, Callable[..., Any]] = {
            "printed": self.printed,
            "cells": self._cells,
            "tasks_named": self._named,
        }

    def printed(
        self, task: str | None = None, actor: bytes | None = None, pid: int | None = None, cell: str | None = None
    ) -> list[Part]:
        """All that is still known of it, of each process in order. A cell is meant by its session and its number."""
        hub = self._hub
        workers: set[int] | None = None
        tasks: set[str] | None = None
        if actor is not None:
            known = hub.state.remembered(actor)
            workers = {known.worker} if known is not None and known.worker is not None else set()
        elif task is not None:
            tasks = {task}
        elif cell is not None:
            tasks = {row[0] for row in hub.recorder.rows() if _is_of(row[2], cell)}
        names = {row[0]: row[1] for row in hub.recorder.rows()}
        return [
            (self._who(worker, t, names), at, t, stream, text)
            for worker, at, t, stream, text in hub.state.logs.pieces()
            if (workers is None or worker in workers)
            and (tasks is None or t in tasks)
            and (pid is None or pid in (at, worker))
        ]

    def _who(self, worker: int, task: str, names: dict[str, str]) -> str:
        if task in names:
            return f"{names[task]}()"
        record = self._hub.scheduler.workers.get(worker)
        actor = self._hub.scheduler.actors.table.get(record.actor or b"") if record is not None else None
        return called(actor) if actor is not None else f"worker {worker}"

    def _cells(self) -> dict[str, int]:
        """How many tasks of each cell are not done."""
        return {cell: len(tasks) for cell, tasks in self._hub.scheduler.cells.items() if tasks}

    def _named(self, name: str, job: int) -> list[bytes]:
        """The tasks of a program that are not done, by what they call."""
        tasks = self._hub.scheduler.tasks.values()
        return [t.id for t in tasks if t.job == job and t.kind.role == "task" and t.kind.name == name]


def _is_of(cell: str | None, wanted: str) -> bool:
    """A cell is `SESSION/ID/COUNT`; it is asked for by `SESSION//COUNT`."""
    session, _, count = wanted.partition("//")
    return is_numbered(cell, session, count)
