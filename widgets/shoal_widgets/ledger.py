"""The books of one cell: from what the feed says to one immutable summary."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import NamedTuple

from shoal.context import Cell
from shoal.feed_rows import DONE, FAILED, FINISHED, RUNNING, Counts, FeedState, TaskRow

from . import timeline
from .items import Items
from .timeline import Bar, Lane

CANCELLED_ERRORS = frozenset({"TaskCancelledError"})
LAST_ERRORS = 5
STEPS = 1000
"""How finely the timeline can be drawn: more pixels than a cell's strip has."""
WINDOW = 10.0
"""Seconds the rate looks back, at least; later a quarter of the time elapsed."""


class FunctionLine(NamedTuple):
    """One function's tasks; ``mean`` is the mean run time in seconds of those seen to end."""

    name: str
    counts: Counts
    mean: float | None


class WorkerLine(NamedTuple):
    """One worker's part: how many of the cell's tasks it ended, seconds it ran them, and what
    it runs now (``task`` since ``since`` seconds after the cell's first task)."""

    lane: Lane
    ended: int
    busy: float
    task: str | None
    since: float | None


class ErrorLine(NamedTuple):
    """One task that failed, ``at`` seconds after the cell's first task; ``error`` a class name."""

    task: str
    name: str
    error: str
    at: float


class Printed(NamedTuple):
    """Who printed, how many lines, and the latest of them."""

    name: str
    lines: int
    latest: str


@dataclass(frozen=True, slots=True)
class CellSummary:
    """What is known of one cell's work at one moment. Immutable; times are seconds.

    `counts` and those of `functions` are exact. The rest is told of the `seen` tasks whose rows
    the feed still has.
    """

    cell: Cell
    begun: float
    """Unix time at which the first task was submitted."""
    elapsed: float
    """From then to the last task's end, or to now while something is unfinished."""
    counts: Counts
    seen: int
    functions: tuple[FunctionLine, ...]
    workers: tuple[WorkerLine, ...]
    errors: tuple[ErrorLine, ...]
    bars: tuple[Bar, ...]
    rate: float | None
    """Tasks ended per second of late, while several are in flight."""
    eta: float | None
    """Seconds until all is done at that rate."""
    printed: tuple[Printed, ...] = ()
    """Who printed, and what of late."""
    items: Items | None = None
    """Where the work is a loop: rate and eta are told of them then."""

    @property
    def standing(self) -> Counts:
        """How the work stands: its items where it is a loop, else its tasks."""
        return self.counts if self.items is None else self.items.counts

    @property
    def noun(self) -> str:
        """What `standing` counts."""
        return "task" if self.items is None else "item"

    def of_items(self, items: Items | None) -> CellSummary:
        """The same work as a loop over `items`."""
        if items is None:
            return self
        fresh = items.finished + items.failed - items.before
        rate = fresh / self.elapsed if fresh > 0 and self.elapsed > 0 and self.active else None
        left = items.counts.pending + items.counts.running
        known = rate is not None and items.total is not None
        return replace(self, items=items, rate=rate, eta=left / rate if known and rate else None)

    @property
    def active(self) -> bool:
        return self.counts.done < self.counts.total

    def shows_more_than(self, before: CellSummary) -> bool:
        """Whether more than the clock has moved since `before`."""
        told = (self.counts, self.bars, self.errors, self.functions, self.items)
        return told != (before.counts, before.bars, before.errors, before.functions, before.items)

    @property
    def lanes(self) -> tuple[Lane, ...]:
        return tuple(worker.lane for worker in self.workers)


def summarise(state: FeedState, cell: Cell, before: CellSummary | None = None) -> CellSummary | None:
    """Sum up one cell's work, or None when the feed knows of none.

    Args:
        state: the feed's last batch.
        cell: the cell whose work is meant, descendants included.
        before: the summary of an earlier batch. It keeps what the feed forgets: when the work
            began, the order of functions and workers, and the last errors.
    """
    by_name = {name: counts for (of, name), counts in state.counts.items() if of == cell}
    counts = Counts(*map(sum, zip(*by_name.values(), strict=True)))
    if not counts.total:
        return None
    rows = [row for row in state.tasks.values() if row.cell == cell]
    begun = min((row.submitted for row in rows), default=state.time)
    begun = min(begun, before.begun) if before else begun
    active = counts.done < counts.total
    elapsed = max(0.0, (state.time if active else _last_end(rows, begun, state, before)) - begun)
    runs = _runs(rows, by_name, begun)
    workers = _workers(runs, state, elapsed, before)
    rate = _rate(rows, counts, begun, state.time) if active and counts.total > 1 else None
    return CellSummary(
        cell=cell,
        begun=begun,
        elapsed=elapsed,
        counts=counts,
        seen=len(rows),
        functions=_functions(rows, by_name, before),
        workers=workers,
        errors=_errors(rows, begun, before),
        bars=_bars(runs, workers, elapsed),
        rate=rate,
        eta=(counts.total - counts.done) / rate if rate else None,
    )


def _last_end(rows: Iterable[TaskRow], begun: float, state: FeedState, before: CellSummary | None) -> float:
    ends = [row.ended for row in rows if row.ended is not None]
    if before and not before.active:
        ends.append(before.begun + before.elapsed)
    return max(ends, default=state.time)


def _functions(
    rows: Iterable[TaskRow], by_name: dict[str, Counts], before: CellSummary | None
) -> tuple[FunctionLine, ...]:
    times: dict[str, list[float]] = {}
    for row in rows:
        if row.state == FINISHED and row.started is not None and row.ended is not None:
            times.setdefault(row.name, []).append(row.ended - row.started)
    known = {line.name: line.mean for line in before.functions} if before else {}
    order = [*(name for name in known if name in by_name), *(n for n in by_name if n not in known)]
    return tuple(
        FunctionLine(
            name,
            by_name[name],
            sum(times[name]) / len(times[name]) if name in times else known.get(name),
        )
        for name in order
    )


def _workers(
    runs: Iterable[_Run], state: FeedState, elapsed: float, before: CellSummary | None
) -> tuple[WorkerLine, ...]:
    known = {line.lane.worker: line for line in before.workers} if before else {}
    ended: dict[str, int] = dict.fromkeys(known, 0)
    busy: dict[str, float] = dict.fromkeys(known, 0.0)
    latest: dict[str, _Run] = {}
    for run in runs:
        start, end, worker, _, _ = run
        ended.setdefault(worker, 0)
        busy.setdefault(worker, 0.0)
        if end is None:
            latest[worker] = run
            busy[worker] += max(0.0, elapsed - start)
        else:
            ended[worker] += 1
            busy[worker] += end - start
    lines = []
    for worker in busy:
        old, info, now = known.get(worker), state.workers.get(worker), latest.get(worker)
        pid = info.pid if info else old.lane.pid if old else None
        lines.append(
            WorkerLine(
                Lane(worker, pid),
                ended[worker],
                busy[worker],
                now.name if now else None,
                now.start if now else None,
            )
        )
    return tuple(lines)


class _Run(NamedTuple):
    """A task's time on a worker, in seconds after the cell's first task was submitted."""

    start: float
    end: float | None
    worker: str
    name: str
    state: int


def _runs(rows: Iterable[TaskRow], by_name: dict[str, Counts], begun: float) -> list[_Run]:
    """In the order of their starts. A task that waits for its retry still carries the times of
    the attempt before; it is not among them.

    The feed may lose the row that ends a task, never a count: of the rows that say "running" only
    the latest are believed, as many as the counts say.
    """
    runs, running = [], []
    for row in rows:
        _, name, _, state, worker, _, _, _, started, ended, error, _ = row
        if started is None or worker is None:
            continue
        start = max(0.0, started - begun)
        if state == RUNNING:
            running.append(_Run(start, None, worker, name, timeline.RUNNING))
        elif state in DONE:
            end = max(start, (ended or started) - begun)
            runs.append(_Run(start, end, worker, name, _bar_state(state, error)))
    left = {name: counts.running for name, counts in by_name.items()}
    for run in sorted(running, key=itemgetter(0), reverse=True):
        if left.get(run.name, 0) > 0:
            left[run.name] -= 1
            runs.append(run)
    runs.sort(key=itemgetter(0))
    return runs


def _bar_state(state: str, error: str | None) -> int:
    if state == FINISHED:
        return timeline.FINISHED
    return timeline.CANCELLED if error in CANCELLED_ERRORS else timeline.FAILED


def _errors(rows: Iterable[TaskRow], begun: float, before: CellSummary | None) -> tuple[ErrorLine, ...]:
    found = {
        line.task: line._replace(at=line.at + before.begun - begun)
        for line in (before.errors if before else ())
        if before
    }
    for row in rows:
        if row.state == FAILED and row.error not in CANCELLED_ERRORS:
            at = max(0.0, (row.ended or row.submitted) - begun)
            found[row.id] = ErrorLine(row.id, row.name, row.error or "error", at)
    return tuple(sorted(found.values(), key=lambda line: line.at)[-LAST_ERRORS:])


def _bars(runs: Iterable[_Run], workers: tuple[WorkerLine, ...], elapsed: float) -> tuple[Bar, ...]:
    lanes = {line.lane.worker: lane for lane, line in enumerate(workers)}
    bars = (Bar(lanes[worker], start, end, state) for start, end, worker, _, state in runs)
    return timeline.thin(bars, elapsed, STEPS)


def _rate(rows: list[TaskRow], counts: Counts, begun: float, now: float) -> float | None:
    """Ends per second within the window; over the whole time if the feed has dropped rows."""
    window = max(WINDOW, (now - begun) / 4)
    if len(rows) < counts.total or now - begun <= window:
        ends, window = counts.done, now - begun
    else:
        ends = sum(1 for row in rows if row.ended is not None and row.ended > now - window)
    return ends / window if ends and window > 0 else None
