"""Who ran when: bars on worker lanes, thinned to what can be drawn."""

from __future__ import annotations

import math
from array import array
from base64 import b64encode
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import NamedTuple

from .palette import BAR_COLOURS, FRAME, MUTED
from .words import duration, escape

RUNNING, FINISHED, FAILED, CANCELLED = range(4)
"""States of a bar; the canvas of the live strip knows them by these numbers."""


class Lane(NamedTuple):
    """A worker's row in the timeline; ``pid`` is None when the feed no longer knows the worker."""

    worker: str
    pid: int | None

    @property
    def label(self) -> str:
        return f"pid {self.pid}" if self.pid else f"worker {self.worker[:6]}"


class Bar(NamedTuple):
    """One task, or several too short to be told apart; seconds since the cell's first task was
    submitted, ``end`` None while it runs."""

    lane: int
    start: float
    end: float | None
    state: int


def thin(bars: Iterable[Bar], span: float, steps: int) -> tuple[Bar, ...]:
    """Join bars that cannot be told apart when `span` seconds are drawn in `steps` steps.

    A bar shorter than a step is swallowed by its neighbour of the same lane and state if less
    than a step lies between them; so at most some `steps` bars a lane and state remain, and
    nothing drawn moves by more than a step.
    """
    step = span / steps
    kept: list[Bar] = []
    # By lane and state: where the last bar stands in `kept`, when it starts and ends.
    last: dict[tuple[int, int], tuple[int, float, float]] = {}
    for bar in sorted(bars, key=itemgetter(1)):
        lane, start, end, state = bar
        if end is None:
            kept.append(bar)
            continue
        at, begun, ended = last.get((lane, state), (-1, 0.0, 0.0))
        if at >= 0 and start - ended < step and (end - start < step or ended - begun < step):
            start, end = begun, max(ended, end)
            kept[at] = Bar(lane, start, end, state)
        else:
            at = len(kept)
            kept.append(bar)
        last[lane, state] = at, start, end
    return tuple(kept)


def pack(bars: Sequence[Bar]) -> bytes:
    """The bars as little-endian float32 quadruples (lane, start, end, state); end NaN: runs."""
    flat = array("f")
    for lane, start, end, state in bars:
        flat.extend((lane, start, math.nan if end is None else end, state))
    return flat.tobytes()


def image(bars: Sequence[Bar], lanes: Sequence[Lane], span: float, most_lanes: int = 12) -> str:
    """The timeline as a ``data:`` address of an SVG image, its colours fixed.

    An image keeps in a notebook that is not trusted, where inline SVG is stripped.
    """
    width, left, row = 640, 76, 13
    shown = min(len(lanes), most_lanes)
    height = shown * row + 16
    scale = (width - left - 4) / max(span, 1e-9)
    paths: list[list[str]] = [[] for _ in BAR_COLOURS]
    for lane, start, end, state in thin(bars, span, 300):
        if lane < shown:
            # Half a unit of ground between neighbours, for the eye to count by.
            w = max(((span if end is None else end) - start) * scale - 0.5, 0.8)
            paths[state].append(f"M{left + start * scale:.1f} {lane * row + 6.5}h{w:.1f}")
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="sans-serif" font-size="9" fill="{MUTED}">'
    ]
    parts += [
        f'<text x="{left - 6}" y="{i * row + 10}" text-anchor="end">{escape(lane.label)}</text>'
        f'<path d="M{left} {i * row + 12.5}h{width - left - 4}" stroke="{FRAME}"/>'
        for i, lane in enumerate(lanes[:shown])
    ]
    parts += [
        f'<path stroke="{colour}" stroke-width="9" d="{"".join(path)}"/>'
        for colour, path in zip(BAR_COLOURS, paths, strict=True)
        if path
    ]
    base = height - 4
    parts.append(
        f'<text x="{left}" y="{base}">0</text>'
        f'<text x="{width - 4}" y="{base}" text-anchor="end">{escape(duration(span))}</text></svg>'
    )
    return "data:image/svg+xml;base64," + b64encode("".join(parts).encode()).decode()
