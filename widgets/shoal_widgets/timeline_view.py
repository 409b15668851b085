"""The timeline: which worker ran what when."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from shoal.context import Cell
from shoal.feed_rows import FeedState
from shoal.trace import events

from . import gantt, gantt_image, palette
from .chronicle import Chronicle
from .gantt import FunctionTimes, Window
from .page import Section, page
from .record import table
from .view import Hands, Picture, Record
from .words import duration, escape

MOST_LINES = 12
STILL = 50_000
"""Bars that a page has which cannot ask for more."""
GROWTH = 1.25
"""The grid on which bars are joined grows by this, so that they do not flicker while time goes on."""


class Timeline:
    """Bars on rows, a row a worker, coloured by function."""

    name = "timeline"
    title = "Timeline"

    def __init__(self, hands: Hands) -> None:
        self._hands = hands
        self._book = Chronicle()
        self._lock = Lock()
        self._last: tuple[Any, Picture] | None = None

    def picture(self, state: FeedState, want: Mapping[str, Any]) -> Picture:
        """`want`: a ``cell``; a window ``from`` and ``to``, or the ``last`` seconds; a ``width`` in pixels."""
        with self._lock:
            self._book.take(state)
            key = (self._book.version, tuple(self._book.tracks), dict(want))
            if self._last is None or self._last[0] != key:
                self._last = key, picture(self._book, want)
            return self._last[1]

    def record(self, state: FeedState, want: Mapping[str, Any]) -> Record:
        with self._lock:
            self._book.take(state)
            return record(self._book, want)

    def act(self, content: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """``export`` names a format: ``json`` is a trace for Perfetto, ``svg`` an image, ``html`` a page of its own."""
        form = str(content.get("export"))
        with self._lock:
            text = exported(self._book, form, content.get("cell"), self._hands.ask)
        return {"text": text, "name": f"shoal-timeline.{form}"}


def exported(book: Chronicle, form: str, cell: Cell | None, ask: Callable[[str], Any]) -> str:
    """The timeline as a file's text: ``json`` is a trace of all cells, ``svg`` an image, ``html`` a page of its own."""
    if form == "json":
        return json.dumps(events(ask("timeline")))
    if form == "svg":
        return gantt_image.document(book, gantt.chosen(book, cell), 1200, most=200)
    return page("Timeline", [Section("", view=Timeline.name, picture=still(book, cell))])


def still(book: Chronicle, cell: Cell | None = None) -> Picture:
    """What a page draws that cannot ask for more."""
    found = picture(book, {"cell": cell, "width": 4000}, plenty=STILL)
    return found._replace(state=found.state | {"now": book.now})


def picture(book: Chronicle, want: Mapping[str, Any], plenty: int = gantt.PLENTY) -> Picture:
    """What the page draws. Times are seconds after ``origin``, those of the buffer after ``base``."""
    cell = want.get("cell") or None
    bars = gantt.chosen(book, cell)
    until = float(np.nanmax(bars["end"], initial=0.0)) if len(bars) else 0.0
    length = max(gantt.span(bars, book), 1e-3)
    window = _window(want, length)
    rows = gantt.rows(book.tracks)
    thinned = gantt.thin(bars, window, plenty)
    # Single precision is enough until one looks very closely.
    base = window.start if window.end - window.start < length / 1000 else 0.0
    lines = gantt.functions(bars, book.functions)
    shown = gantt.lanes(bars)
    running = sum(line.running for line in lines)
    return Picture(
        {
            "origin": book.origin or 0.0,
            "until": until,
            "base": base,
            "running": running,
            "tasks": len(bars),
            "joined": len(thinned.bars) < len(bars),
            "words": gantt.summary(lines, shown, None if running else length),
            "rows": _labels(book, rows),
            "names": book.functions,
            "functions": [line._asdict() for line in lines],
            "cells": [_cell(cell) for cell in book.cells],
        },
        gantt.pack(thinned, rows, base),
    )


def _window(want: Mapping[str, Any], length: float) -> Window:
    """Whole where nothing else is asked for."""
    steps = int(min(4000, max(100, want.get("width") or 1000)))
    if want.get("last"):
        wide = GROWTH ** math.ceil(math.log(max(1e-6, float(want["last"])), GROWTH))
        # On a grid: a step of time moves no bar from one joined bar to another.
        step = wide / steps
        return Window(math.floor((length - wide) / step) * step, math.ceil(length / step) * step, steps)
    if want.get("to") is not None:
        start = float(want.get("from") or 0.0)
        return Window(start, max(start + 1e-6, float(want["to"])), steps)
    return Window(0.0, GROWTH ** math.ceil(math.log(length, GROWTH)), steps)


def _labels(book: Chronicle, rows: npt.NDArray[Any]) -> list[str]:
    many = len({track.node for track in book.tracks}) > 1
    found = [""] * len(book.tracks)
    for row, track in zip(rows, book.tracks, strict=True):
        found[row] = f"{track.node} · {track.label}" if many and track.node else track.label
    return found


def _cell(cell: Cell | None) -> dict[str, str]:
    """What a page needs to find a cell, and what people call it."""
    if cell is None:
        return {"name": "", "id": "", "label": "no cell"}
    *_, cell_id, number = ("", "", *cell.split("/"))
    return {"name": cell, "id": cell_id, "label": f"[{number}]" if number.isdigit() else cell}


def record(book: Chronicle, want: Mapping[str, Any]) -> Record:
    """The whole timeline as an image, and the functions in a table."""
    bars = gantt.chosen(book, want.get("cell") or None)
    lines = gantt.functions(bars, book.functions)
    words = gantt.summary(lines, gantt.lanes(bars), gantt.span(bars, book))
    if not len(bars):
        return Record(f'<div style="color:{palette.MUTED}">{words}</div>', words)
    source = gantt_image.address(gantt_image.document(book, bars, legend=MOST_LINES))
    html = (
        f"<div>{escape(words)}</div>"
        f'<div><img alt="Timeline: {escape(words)}" src="{source}" style="max-width:100%;margin:4px 0"></div>'
        f"{function_table(lines)}"
    )
    told = [f"  {line.name}: {line.ended:,} in {duration(line.total)}" for line in lines[:MOST_LINES]]
    return Record(html, "\n".join([words, *told]))


def function_table(lines: Sequence[FunctionTimes]) -> str:
    """Times by function, for the record and the report."""
    rows = [
        (
            f'<span style="color:{palette.of_kind(line.number)}">■</span>&ensp;{escape(line.name)}',
            f"{line.ended:,}",
            f"{line.failed:,}" if line.failed else "",
            escape(duration(line.total)),
            escape(duration(line.mean)),
            escape(duration(line.longest)),
        )
        for line in lines[:MOST_LINES]
    ]
    more = len(lines) - MOST_LINES
    rest = f'<div style="color:{palette.MUTED};font-size:12px">and {more:,} more functions</div>' if more > 0 else ""
    return table(("function", "ended", "failed", "time in all", "mean", "longest"), rows) + rest
