"""The timeline as an SVG document: for the record, and to be exported. Its colours suit light and dark ground."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence

import numpy as np

from . import gantt, timeline
from .chronicle import Bars, Chronicle
from .gantt import FunctionTimes, Window
from .palette import ERROR, FRAME, MUTED, STOPPED, of_kind
from .words import duration, escape

ROW = 14
"""Height of a row in pixels, as all sizes."""
STEPS = 360
"""How finely time is drawn."""
_MARKS = {timeline.FAILED: (ERROR, ""), timeline.CANCELLED: (STOPPED, ' stroke-dasharray="2 2"')}


def document(book: Chronicle, bars: Bars, width: int = 720, most: int = 24, legend: int = 12) -> str:
    """The bars on their rows, the length of time, and a legend.

    Args:
        book: the books that the bars are from.
        bars: which of them.
        width: of the image.
        most: rows that are shown.
        legend: functions that the legend names.
    """
    rows = gantt.rows(book.tracks)
    labels = {int(rows[lane]): book.tracks[lane].label for lane in np.unique(bars["lane"])}
    shown = {number: i for i, number in enumerate(sorted(labels)[:most])}
    begin = float(bars["start"].min()) if len(bars) else 0.0
    window = Window(begin, max(gantt.span(bars, book), begin + 1e-6), STEPS)
    left = 150 if any(len(labels[number]) > 14 for number in shown) else 84
    place = {lane: shown[int(row)] for lane, row in enumerate(rows) if int(row) in shown}
    top = len(shown) * ROW
    names, bottom = _legend(gantt.functions(bars, book.functions)[:legend], left, top + 26, width)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {bottom}" width="{width}" height="{bottom}" '
        f'font-family="sans-serif" font-size="10" fill="{MUTED}">',
        *(_row(labels[number], y, left, width) for number, y in shown.items()),
        *_bars(bars, window, place, left, width),
        f'<text x="{left}" y="{top + 11}">0</text>',
        f'<text x="{width - 4}" y="{top + 11}" text-anchor="end">{escape(duration(window.end - begin))}</text>',
        *names,
        "</svg>",
    ]
    return "".join(parts)


def address(svg: str) -> str:
    """An SVG document as a ``data:`` address, which a notebook keeps that is not trusted."""
    return "data:image/svg+xml;base64," + b64encode(svg.encode()).decode()


def _row(label: str, y: int, left: int, width: int) -> str:
    return (
        f'<text x="{left - 6}" y="{y * ROW + ROW - 4}" text-anchor="end">{escape(label, 24)}</text>'
        f'<path d="M{left} {(y + 1) * ROW - 0.5}h{width - left - 4}" stroke="{FRAME}"/>'
    )


def _bars(bars: Bars, window: Window, place: dict[int, int], left: int, width: int) -> list[str]:
    """A path for each function and state: a few elements, whatever the number of bars."""
    scale = (width - left - 4) / (window.end - window.start)
    paths: dict[tuple[int, int], list[str]] = {}
    for lane, function, _, state, _, start, end in gantt.squeezed(bars, window).tolist():
        if lane in place:
            # A little ground between neighbours, for the eye to count by.
            wide = max(((window.end if end != end else end) - start) * scale - 0.4, 0.8)
            path = paths.setdefault((state, function), [])
            path.append(f"M{left + (start - window.start) * scale:.1f} {place[lane] * ROW + ROW // 2}h{wide:.1f}")
    parts = []
    for (state, function), path in sorted(paths.items()):
        way = f'd="{"".join(path)}"'
        faded = ' opacity="0.55"' if state == timeline.RUNNING else ""
        parts.append(f'<path stroke="{of_kind(function)}" stroke-width="{ROW - 4}"{faded} {way}/>')
        if state in _MARKS:  # by its shape, too: a line through it
            colour, dashes = _MARKS[state]
            parts.append(f'<path stroke="{colour}" stroke-width="4"{dashes} {way}/>')
    return parts


def _legend(lines: Sequence[FunctionTimes], left: int, y: int, width: int) -> tuple[list[str], int]:
    """The functions' colours, from a base line on; and where the image ends."""
    parts, x = [], left
    for line in lines:
        wide = 20 + 6 * min(len(line.name), 28)
        if left < x and x + wide > width:
            x, y = left, y + 15
        parts.append(f'<rect x="{x}" y="{y - 8}" width="9" height="9" rx="2" fill="{of_kind(line.number)}"/>')
        parts.append(f'<text x="{x + 13}" y="{y}">{escape(line.name, 28)}</text>')
        x += wide
    return parts, y + 6
