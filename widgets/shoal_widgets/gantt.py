"""The bars of a timeline: thinned to what a page can show, packed for its canvas, summed up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from . import timeline
from .chronicle import Bars, Chronicle, Track
from .words import duration

PLENTY = 10_000
"""As many bars are drawn as they are; of more, those too short to be told apart are joined."""
BINS = 20_000
"""Joined bars there are at most, beside those that are long enough to be seen."""
FIELDS = ("lane", "function", "cell", "state", "wait", "start", "end")


class Window(NamedTuple):
    """What a page shows of the time, in seconds after the origin, and in how many steps."""

    start: float
    end: float
    steps: int = 1000


class FunctionTimes(NamedTuple):
    """One function's bars. Times are seconds, of tasks that are over."""

    name: str
    number: int
    """By which it has its colour."""
    running: int
    ended: int
    failed: int
    """Of those that ended, as `cancelled`."""
    cancelled: int
    total: float
    longest: float

    @property
    def mean(self) -> float:
        return self.total / self.ended if self.ended else 0.0


class Thinned(NamedTuple):
    """What is drawn; `tasks` says of each bar how many it stands for."""

    bars: Bars
    tasks: npt.NDArray[Any]


def span(bars: Bars, book: Chronicle) -> float:
    """Seconds from the origin to the end of the last bar: to now, while one runs."""
    if not len(bars) or book.origin is None:
        return 0.0
    return float(np.where(np.isnan(bars["end"]), book.now - book.origin, bars["end"]).max())


def lanes(bars: Bars) -> int:
    """How many lanes have a bar."""
    return int(np.count_nonzero(np.bincount(bars["lane"])))


def chosen(book: Chronicle, cell: str | None = None) -> Bars:
    """All bars, those of running tasks last; only those of the cell that is given, by what `book.cells` calls it."""
    bars = np.concatenate([book.ended, book.running()])
    if cell is None:
        return bars
    mine: Bars = bars[bars["cell"] == (book.cells.index(cell) if cell in book.cells else -1)]
    return mine


def thin(bars: Bars, window: Window, plenty: int = PLENTY) -> Thinned:
    """What is to be drawn of the bars when a window is on show.

    Up to `plenty` bars are all drawn. Of more, those outside the window are left out, and those shorter than a step
    are joined: one for each lane and step, from the first's start to the last's end, with the function that took most
    of it. One that failed or was cancelled is never joined with what went well.
    """
    if len(bars) <= plenty:
        return Thinned(bars, np.ones(len(bars), "f4"))
    margin = window.end - window.start
    runs = np.isnan(bars["end"])
    near = (bars["start"] < window.end + margin) & (runs | (bars["end"] > window.start - margin))
    bars, runs = bars[near], runs[near]
    if len(bars) <= plenty:
        return Thinned(bars, np.ones(len(bars), "f4"))
    lanes = int(bars["lane"].max()) + 1
    # Three windows wide, see `near`: so that a page can be moved before it is told more.
    steps = max(100, min(3 * window.steps, BINS // lanes))
    width = 3 * margin / steps
    short = ~runs & (bars["end"] - bars["start"] < width)
    joined, tasks = _joined(bars[short], window.start - margin, width, steps)
    rest = bars[~short]
    return Thinned(np.concatenate([joined, rest]), np.concatenate([tasks, np.ones(len(rest), "f4")]))


def _joined(bars: Bars, origin: float, width: float, steps: int) -> tuple[Bars, npt.NDArray[Any]]:
    if not len(bars):
        return bars, np.ones(0, "f4")
    step = np.clip(((bars["start"] - origin) / width).astype(np.int64), 0, steps - 1)
    place = (bars["lane"].astype(np.int64) * steps + step) * 4 + bars["state"]
    kind = place * (int(bars["function"].max()) + 1) + bars["function"]
    order = np.argsort(kind, kind="stable")
    bars, place, kind = bars[order], place[order], kind[order]
    first = np.flatnonzero(np.diff(kind, prepend=-1))
    took = np.add.reduceat(bars["end"] - bars["start"], first)
    outer = np.flatnonzero(np.diff(place, prepend=-1))
    # The kinds of each place lie side by side: sorted by what they took, the last is the one to show.
    by_time = np.lexsort((took, place[first]))
    most = first[by_time[np.append(np.flatnonzero(np.diff(place[first][by_time])), len(first) - 1)]]
    found = bars[most].copy()
    found["start"] = np.minimum.reduceat(bars["start"], outer)
    found["end"] = np.maximum.reduceat(bars["end"], outer)
    found["wait"] = np.maximum.reduceat(bars["wait"], outer)
    return found, np.diff(np.append(outer, len(bars))).astype("f4")


def pack(thinned: Thinned, lanes: npt.NDArray[Any], base: float) -> bytes:
    """Little-endian float32: for each of `FIELDS`, and then for the number of tasks, that of all bars.

    Args:
        thinned: the bars.
        lanes: the rows in which the page shows the lanes.
        base: the moment that times are told from: near it they are exact.
    """
    bars = thinned.bars
    columns = [bars[name] for name in FIELDS[:4]]
    columns[0] = lanes[bars["lane"]] if len(bars) else columns[0]
    columns += [bars["wait"], bars["start"] - base, bars["end"] - base, thinned.tasks]
    return np.concatenate([column.astype("<f4") for column in columns]).tobytes() if len(bars) else b""


def rows(tracks: Sequence[Track]) -> npt.NDArray[Any]:
    """By lane, the row in which it is shown: node by node, tasks' workers before actors, as they came."""
    came = {(track.worker, track.actor): -i for i, track in reversed(list(enumerate(tracks)))}
    nodes = {track.node: -i for i, track in reversed(list(enumerate(tracks)))}
    order = sorted(
        range(len(tracks)),
        key=lambda i: (
            -nodes[tracks[i].node], tracks[i].actor is not None, -came[tracks[i].worker, tracks[i].actor], tracks[i].row
        ),
    )  # fmt: skip
    found = np.zeros(len(tracks), "i4")
    found[order] = np.arange(len(tracks))
    return found


def functions(bars: Bars, names: Sequence[str]) -> list[FunctionTimes]:
    """One line a function that has bars, what took most time first."""
    kinds = len(names)
    took = np.nan_to_num(bars["end"] - bars["start"])
    counts = np.bincount(bars["function"] * 4 + bars["state"], minlength=4 * kinds).reshape(kinds, 4)
    totals = np.bincount(bars["function"], took, minlength=kinds)
    longest = np.zeros(kinds)
    np.maximum.at(longest, bars["function"], took)
    lines = [
        FunctionTimes(
            name,
            number,
            int(counts[number][timeline.RUNNING]),
            int(counts[number].sum() - counts[number][timeline.RUNNING]),
            int(counts[number][timeline.FAILED]),
            int(counts[number][timeline.CANCELLED]),
            float(totals[number]),
            float(longest[number]),
        )
        for number, name in enumerate(names)
        if counts[number].any()
    ]
    return sorted(lines, key=lambda line: -line.total)


def summary(lines: Sequence[FunctionTimes], lanes: int, seconds: float | None = None) -> str:
    """The timeline in a sentence; `seconds` is how long it is, where that is settled."""
    running, ended = sum(line.running for line in lines), sum(line.ended for line in lines)
    failed, cancelled = sum(line.failed for line in lines), sum(line.cancelled for line in lines)
    if not running + ended:
        return "no task has run yet"
    parts = [f"{running + ended:,} task{'s' * (running + ended != 1)} on {lanes:,} row{'s' * (lanes != 1)}"]
    parts += [f"in {duration(seconds)}"] if seconds is not None else []
    parts = [" ".join(parts)]
    parts += [f"{running:,} running"] if running else []
    parts += [f"{failed:,} failed"] if failed else []
    parts += [f"{cancelled:,} cancelled"] if cancelled else []
    return " · ".join(parts)


def squeezed(bars: Bars, window: Window) -> Bars:
    """The bars of a window, those shorter than a step joined whatever their number: for a file that has to be small."""
    width = (window.end - window.start) / window.steps
    short = bars["end"] - bars["start"] < width  # what runs is not
    return np.concatenate([_joined(bars[short], window.start, width, window.steps)[0], bars[~short]])
