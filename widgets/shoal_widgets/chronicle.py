"""Who ran when, remembered longer than the feed does: what the timeline is drawn from."""

from __future__ import annotations

import math
from collections.abc import Iterable
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from shoal.context import Cell
from shoal.feed_rows import DONE, FINISHED, RUNNING, FeedState, TaskRow

from . import timeline
from .ledger import CANCELLED_ERRORS

MOST = 200_000
"""Bars that are remembered, of 40 bytes each."""
AT_ONCE = 8
"""Calls at once lie below each other; what is more than so many lies on the last row."""

BAR = np.dtype(
    [
        ("lane", "i4"), ("function", "i4"), ("cell", "i4"), ("state", "i4"), ("wait", "f8"), ("start", "f8"),
        ("end", "f8"),
    ]
)  # fmt: skip
"""One task that has started. Seconds since the chronicle's origin; `wait` is how long it waited before."""

Bars = npt.NDArray[Any]
"""An array of `BAR`."""


class Track(NamedTuple):
    """A row of the timeline: a worker, or one of several calls at once of its actor."""

    worker: str
    actor: str | None
    row: int
    pid: int | None = None
    node: str = ""
    name: str = ""
    """The actor's, or its class; empty for a worker that serves tasks."""

    @property
    def label(self) -> str:
        who = f"pid {self.pid}" if self.pid else f"worker {self.worker[:6]}"
        return f"{self.name} · {who}" if self.name else who


class Chronicle:
    """The books of a timeline: tasks that have ended, the latest `MOST` of them, and those that run.

    `take` is told of the feed's states, not necessarily of all: it misses what the feed forgot in between.
    """

    def __init__(self) -> None:
        self.origin: float | None = None
        """Unix time of the first submission that was seen; None before it."""
        self.now = 0.0
        """Unix time of the last state."""
        self.functions: list[str] = []
        self.cells: list[Cell | None] = []
        self.tracks: list[Track] = []
        """By the bars' lanes."""
        self.version = 0
        """Another number when something else has become known."""
        self._numbers: dict[tuple[str, str | None], int] = {}
        self._lanes: dict[tuple[str, str | None, int], int] = {}
        self._until: dict[tuple[str, str | None], list[float]] = {}
        """By worker and actor, until when each row is taken."""
        self._places: dict[str, int] = {}
        """By task that runs, its lane."""
        self._running: dict[str, TaskRow] = {}
        self._last = FeedState()
        self._bars = np.zeros(1024, BAR)
        self._count = 0

    @property
    def ended(self) -> Bars:
        """The bars of tasks that have ended, in the order in which that was heard."""
        return self._bars[: self._count]

    def running(self) -> Bars:
        """The bars of those that run; their end is not a number.

        The feed may lose the row that ends a task, never a count: of the rows that say "running" only the latest are
        believed, as many as the counts say.
        """
        left = {key: counts.running for key, counts in self._last.counts.items() if counts.running}
        found = []
        for row in sorted(self._running.values(), key=attrgetter("started"), reverse=True):
            key = (row.cell, row.name)
            if left.get(key, 0) > 0:
                left[key] -= 1
                found.append(self._bar(row, math.nan, self._places[row.id]))
        return np.array(found, BAR)

    def take(self, state: FeedState) -> None:
        """Note what is new in a state."""
        known, self._last, self.now = self._last.tasks, state, state.time
        if state.tasks is not known:
            changed = [row for key, row in state.tasks.items() if (old := known.get(key)) is not row and old != row]
            lost = [key for key in self._running if key not in state.tasks]
            for key in lost:
                self._leave(key)
            self._note(changed)
            self.version += bool(changed or lost)
        self._name_tracks(state)

    def _note(self, rows: Iterable[TaskRow]) -> None:
        ended = []
        for row in rows:
            if row.started is None or row.worker is None or not (row.state == RUNNING or row.state in DONE):
                self._leave(row.id)  # it waits for its next attempt
                continue
            if self.origin is None:
                self.origin = min(row.submitted, row.started)
            start = row.started - self.origin
            if row.state == RUNNING:
                self._running[row.id] = row
                if row.id not in self._places:
                    self._places[row.id] = self._place(row, start, math.inf)
            else:
                end = max(start, (row.started if row.ended is None else row.ended) - self.origin)
                lane = self._leave(row.id, end)
                ended.append(self._bar(row, end, self._place(row, start, end) if lane is None else lane))
        self._append(ended)

    def _append(self, found: list[tuple[Any, ...]]) -> None:
        found = found[-MOST:]
        if self._count + len(found) > MOST:  # a quarter of the room is made, so that this is seldom
            keep = min(self._count, MOST - len(found), MOST * 3 // 4)
            self._bars[:keep] = self.ended[self._count - keep :].copy()
            self._count = keep
        need = self._count + len(found)
        if need > len(self._bars):
            self._bars = np.concatenate([self.ended, np.zeros(need, BAR)])
        if found:
            self._bars[self._count : need] = found
        self._count = need

    def _bar(self, row: TaskRow, end: float, lane: int) -> tuple[Any, ...]:
        assert self.origin is not None and row.started is not None, "only what has started is a bar"
        state = timeline.RUNNING
        if row.state != RUNNING:
            failed = timeline.CANCELLED if row.error in CANCELLED_ERRORS else timeline.FAILED
            state = timeline.FINISHED if row.state == FINISHED else failed
        function = self._number("function", row.name, self.functions)
        cell = self._number("cell", row.cell, self.cells)
        wait = max(0.0, row.started - row.submitted)
        return lane, function, cell, state, wait, row.started - self.origin, end

    def _number(self, kind: str, name: str | None, names: list[Any]) -> int:
        number = self._numbers.get((kind, name))
        if number is None:
            number = self._numbers[kind, name] = len(names)
            names.append(name)
        return number

    # lanes

    def _place(self, row: TaskRow, start: float, end: float) -> int:
        """The lane of a task: the first row of its worker that is free. Only actors do several things at once."""
        assert row.worker is not None, "it has started"
        key = (row.worker, row.actor)
        number = 0
        if row.actor is not None:
            until = self._until.setdefault(key, [])
            number = next((i for i, last in enumerate(until) if last <= start), min(len(until), AT_ONCE - 1))
            until[number : number + 1] = [end]
        lane = self._lanes.get((*key, number))
        if lane is None:
            lane = self._lanes[(*key, number)] = len(self.tracks)
            self.tracks.append(Track(row.worker, row.actor, number))
        return lane

    def _leave(self, task: str, end: float = 0.0) -> int | None:
        """The task runs no longer; returns the lane it had."""
        self._running.pop(task, None)
        lane = self._places.pop(task, None)
        if lane is not None:
            track = self.tracks[lane]
            if track.actor is not None:
                self._until[track.worker, track.actor][track.row] = end
        return lane

    def _name_tracks(self, state: FeedState) -> None:
        """What is known of a worker is kept when the feed knows it no longer."""
        for i, track in enumerate(self.tracks):
            worker = state.workers.get(track.worker)
            actor = state.actors.get(track.actor) if track.actor is not None else None
            if worker is not None and track.pid is None:
                node = state.nodes.get(worker.node)
                track = track._replace(pid=worker.pid or None, node=node.name if node is not None else "")
            if actor is not None and not track.name:
                track = track._replace(name=actor.name or actor.cls)
            self.tracks[i] = track
