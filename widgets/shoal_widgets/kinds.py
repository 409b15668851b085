"""The books of all tasks: by function and cell, how many there are and how long they take."""

from __future__ import annotations

from typing import Any, NamedTuple

from shoal.context import Cell
from shoal.feed_rows import (
    DONE,
    FAILED,
    FINISHED,
    PENDING_ARGS,
    PENDING_NODE,
    RUNNING,
    SUBMITTED,
    Counts,
    FeedState,
    TaskRow,
)

from .ledger import CANCELLED_ERRORS

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
STATES = {
    PENDING_ARGS: "waits for arguments",
    PENDING_NODE: "queued",
    SUBMITTED: "sent to a worker",
    RUNNING: "running",
    FINISHED: "done",
    FAILED: "failed",
}


class Spread(NamedTuple):
    """How long tasks took, in seconds: quantiles, of so many that were seen to end well."""

    seen: int
    q05: float
    q25: float
    median: float
    q75: float
    q95: float


class Kind(NamedTuple):
    """The tasks of one function that one cell launched. The counts are exact."""

    cell: Cell | None
    name: str
    counts: Counts
    spread: Spread | None


def kinds(state: FeedState) -> list[Kind]:
    """All kinds: those with work under way first, then the latest to be met."""
    times: dict[tuple[Cell | None, str], list[float]] = {}
    for row in state.tasks.values():
        if row.state == FINISHED and row.started is not None and row.ended is not None:
            times.setdefault((row.cell, row.name), []).append(row.ended - row.started)
    found = [
        Kind(cell, name, counts, _spread(times.get((cell, name))))
        for (cell, name), counts in reversed(state.counts.items())
        if counts.total
    ]
    return sorted(found, key=lambda kind: kind.counts.done == kind.counts.total)


def _spread(times: list[float] | None) -> Spread | None:
    if not times:
        return None
    times.sort()
    last = len(times) - 1
    return Spread(len(times), *(max(0.0, times[round(q * last)]) for q in QUANTILES))


def total(counts: list[Counts]) -> Counts:
    """All of them together."""
    return Counts(*map(sum, zip(*counts, strict=True))) if counts else Counts()


def cell_label(cell: Cell | None) -> str:
    """A cell as people call it.

    >>> cell_label("session/4f3a/12"), cell_label(None)
    ('In [12]', '')
    """
    number = (cell or "").rpartition("/")[2]
    return f"In [{number}]" if number.isdigit() else ""


def state_word(row: TaskRow) -> str:
    """A task's state in words."""
    if row.state == FAILED and row.error in CANCELLED_ERRORS:
        return "cancelled"
    return STATES.get(row.state, row.state.lower().replace("_", " "))


def state_tone(row: TaskRow) -> str:
    """The colour of its state, by `palette.TONES`; empty for what waits."""
    if row.state == FAILED:
        return "stopped" if row.error in CANCELLED_ERRORS else "error"
    return {RUNNING: "active", FINISHED: "done"}.get(row.state, "")


def group_of(row: TaskRow) -> str:
    """The count that a task belongs to, as the filter of the Tasks view has it."""
    if row.state == FAILED:
        return "cancelled" if row.error in CANCELLED_ERRORS else "failed"
    return {RUNNING: "running", FINISHED: "finished"}.get(row.state, "pending")


def task_line(row: TaskRow, state: FeedState) -> dict[str, Any]:
    """A task as a line of a table on the page."""
    return {
        "id": row.id,
        "name": row.name,
        "cell": cell_label(row.cell),
        "state": state_word(row),
        "tone": state_tone(row),
        "where": where(row.worker, state),
        "submitted": row.submitted,
        "started": row.started,
        "ended": row.ended,
        "error": row.error,
    }


def where(worker: str | None, state: FeedState) -> str:
    """A worker as people find it; empty where nobody knows it any more."""
    info = state.workers.get(worker or "")
    return f"pid {info.pid}" if info is not None and info.pid else ""


def is_over(row: TaskRow) -> bool:
    return row.state in DONE
