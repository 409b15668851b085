"""The timeline as a Chrome trace: open it in ui.perfetto.dev or chrome://tracing.

A process of the trace is a node, or the program that a job's work came from; a thread of it is a worker. Names of
phases and colours are Ray's. Format: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from shoal.feed_rows import FAILED, TaskRow

Event = dict[str, Any]
Row = tuple[int, int]
"""Process and thread of the trace."""

RUN, FAILURE, CANCELLED = "rail_response", "terrible", "grey"
PHASES = (
    ("task:deserialize_arguments", "rail_load"),
    ("task:execute", "rail_animation"),
    ("task:store_outputs", "rail_idle"),
)


class Span(NamedTuple):
    """One task, and what the hub knows of it beside its row."""

    row: list[Any]
    """A TaskRow."""
    job: str
    function: str
    phases: tuple[float, float] | None
    """When its arguments were there, and when its values were stored; None where nobody said."""
    attempt: int = 0


class History(NamedTuple):
    """What there is to be drawn. Times are Unix seconds."""

    now: float
    spans: Sequence[Span]
    workers: Mapping[str, tuple[str, int, str]]
    """By number as in the rows: id, process id, and address of the node."""
    actors: Mapping[str, tuple[str, str | None]]
    """By id: class, and name if it has one."""


def events(history: History) -> list[Event]:
    """The trace: bars of tasks that have started, with their phases, and arrows from where they were submitted."""
    return _Drawing(history).draw()


def write(found: list[Event], filename: str) -> None:
    with open(filename, "w", encoding="utf-8") as file:
        json.dump(found, file)


class _Drawing:
    """Rows get numbers as they are met: Perfetto wants numbers, and metadata events tell their names."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._out: list[Event] = []
        self._processes: dict[str, int] = {}
        self._threads: dict[tuple[str, int], Row] = {}
        self._filled: dict[str, list[float]] = {}
        """By worker, the end of what each of its rows shows so far: calls at once need several."""

    def draw(self) -> list[Event]:
        started = sorted(
            ((TaskRow(*span.row), span) for span in self._history.spans if span.row[8] is not None),
            key=lambda pair: pair[0].started or 0.0,
        )
        where: dict[str, Row] = {}
        for row, span in started:
            where[row.id] = self._bar(row, span)
        for number, (row, span) in enumerate(started, 1):
            self._arrow(number, row, span.job, where)
        return self._out

    def _bar(self, row: TaskRow, span: Span) -> Row:
        start = row.started or 0.0
        run_end = self._history.now if row.ended is None else row.ended
        loaded, stored = span.phases or (start, run_end)
        end = max(stored, run_end)
        place = self._worker(row, start, end)
        worker = self._history.workers.get(row.worker or "", ("", 0, ""))
        who = {
            "task_id": row.id, "job_id": span.job, "actor_id": row.actor, "attempt_number": span.attempt,
            "func_or_class_name": span.function,
        }  # fmt: skip
        about = {
            **who, "name": row.name, "state": row.state, "cell": row.cell, "parent": row.parent,
            "worker_id": worker[0], "waited_us": round((start - row.submitted) * 1e6), "error": row.error,
        }  # fmt: skip
        color = RUN
        if row.state == FAILED:
            color = CANCELLED if row.error == "TaskCancelledError" else FAILURE
        self._slice(place, row.name, f"task::{span.function}", color, start, end, about)
        for (name, shade), begin, until in zip(
            PHASES, (start, loaded, run_end), (loaded, run_end, stored), strict=True
        ):
            if span.phases is not None or name == "task:execute":
                self._slice(place, name, name, shade, begin, until, who)
        return place

    def _arrow(self, number: int, row: TaskRow, job: str, where: Mapping[str, Row]) -> None:
        """From the submission to the run, and how long it was queued between them."""
        driver = self._row(f"Job {job}", 0, "submitted, and queued")
        source = where.get(row.parent or "")
        if source is None:
            source = driver
            about = {"task_id": row.id}
            self._slice(driver, f"{row.name}.remote()", "submit", RUN, row.submitted, row.submitted, about)
        start = row.started or 0.0
        target = where[row.id]
        for kind, place, at, more in (
            ("s", source, row.submitted, {"cat": "submit", "name": "submit"}),
            ("f", target, start, {"cat": "submit", "name": "submit", "bp": "e"}),
            ("b", driver, row.submitted, {"cat": "queued", "name": f"{row.name} queued", "args": {"task_id": row.id}}),
            ("e", driver, start, {"cat": "queued", "name": f"{row.name} queued"}),
        ):
            self._out.append({"ph": kind, "id": number, "pid": place[0], "tid": place[1], "ts": at * 1e6, **more})

    def _slice(
        self, place: Row, name: str, category: str, color: str, start: float, end: float, about: Event
    ) -> None:
        self._out.append(
            {
                "ph": "X", "cat": category, "name": name, "pid": place[0], "tid": place[1], "ts": start * 1e6,
                "dur": max(0.0, end - start) * 1e6, "cname": color, "args": about,
            }
        )  # fmt: skip

    # rows

    def _worker(self, row: TaskRow, start: float, end: float) -> Row:
        """The first row of its worker that is free then."""
        worker = row.worker or ""
        ends = self._filled.setdefault(worker, [])
        at = next((i for i, last in enumerate(ends) if last <= start), len(ends))
        ends[at : at + 1] = [end]
        _, pid, address = self._history.workers.get(worker, ("", 0, "?"))
        name = f"worker {worker}"
        cls, called = self._history.actors.get(row.actor or "", (None, None))
        if cls is not None:
            name = f"{cls} {called!r}, {name}" if called else f"{cls}, {name}"
        name += f" (pid {pid})" if pid else ""
        return self._row(f"Node {address}", (worker, at), name if not at else f"{name}, at once: {at + 1}")

    def _row(self, process: str, key: Any, name: str) -> Row:
        pid = self._processes.get(process)
        if pid is None:
            pid = self._processes[process] = len(self._processes)
            self._name("process_name", pid, None, process)
        row = self._threads.get((process, key))
        if row is None:
            row = self._threads[process, key] = (pid, len(self._threads))
            self._name("thread_name", *row, name)
        return row

    def _name(self, kind: str, pid: int, tid: int | None, name: str) -> None:
        self._out.append({"ph": "M", "name": kind, "pid": pid, "tid": tid or 0, "args": {"name": name}})
