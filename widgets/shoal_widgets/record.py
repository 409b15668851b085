"""The record a cell's work leaves in the notebook: a mime bundle of HTML and plain text.

It must read the same years later, in a notebook that is not trusted and without a kernel. So it
has nothing that a front end strips there: no script, style sheet, class, inline SVG or ``var()``;
only tables, ``details``, images, and inline styles whose colours suit light and dark.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from . import palette, timeline
from .ledger import CellSummary, FunctionLine
from .words import duration, escape, gap, headline, pace, tone

MOST_LINES = 12
_COLUMNS = ("finished", "running", "pending", "failed", "cancelled")
_TITLES = ("done", "running", "queued", "failed", "cancelled")
_COLOURS = (palette.DONE, palette.UNDER_WAY, palette.FRAME, palette.ERROR, palette.STOPPED)
_CELL = "padding:2px 14px 2px 0;border:none;white-space:nowrap"


def record(summary: CellSummary, *, closed: bool = False, mark: str = "") -> dict[str, str]:
    """The mime bundle of a cell's work, ``{"text/html": …, "text/plain": …}``.

    Args:
        summary: what to show.
        closed: the view has ended; what is unfinished is said to be so "when last seen".
        mark: by which the live strip finds the record on its page, to stand in for it.
    """
    return {"text/html": _html(summary, closed, mark), "text/plain": _plain(summary, closed)}


def _plain(summary: CellSummary, closed: bool) -> str:
    lines = [f"{headline(summary.standing, closed, summary.noun)} · {duration(summary.elapsed)}"]
    if len(summary.functions) > 1:
        lines += [f"  {f.name}: {headline(f.counts, closed)}" for f in _first(summary.functions)]
    lines += [f"  {e.name} failed after {duration(e.at)}: {e.error}" for e in summary.errors]
    return "\n".join(lines)


def _html(summary: CellSummary, closed: bool, mark: str) -> str:
    tail = duration(summary.elapsed)
    if not closed and pace(summary):
        tail += f" · {pace(summary)}"
    strip = (
        f'<span style="color:{palette.TONES[tone(summary, closed)]}">●</span>&ensp;'
        f"{headline(summary.standing, closed, summary.noun)}{_bar(summary)}"
        f'<span style="color:{palette.MUTED}">&ensp;{tail}</span>'
    )
    parts = (_timeline(summary), _functions(summary), _workers(summary), _errors(summary), _printed(summary))
    body = "".join(parts) + (_aside(gap(summary)) if gap(summary) else "")
    return (
        f'<details data-shoal="{escape(mark)}" style="font-size:13px;line-height:20px">'
        f'<summary style="cursor:pointer">{strip}</summary>'
        f'<div style="padding:6px 0 4px 16px;overflow-x:auto">{body}</div></details>'
    )


def _bar(summary: CellSummary) -> str:
    """How the tasks stand, or the items, as one strip; a single one has none."""
    total = summary.standing.total
    if total <= 1:
        return ""
    # What waits is the ground the others lie on.
    parts = "".join(
        f'<span style="display:inline-block;vertical-align:top;height:6px;'
        f'width:{100 * count / total:.4f}%;background:{colour}"></span>'
        for name, colour in zip(_COLUMNS, _COLOURS, strict=True)
        if name != "pending" and (count := getattr(summary.standing, name))
    )
    return (
        f'&ensp;<span style="display:inline-block;vertical-align:middle;width:120px;height:6px;'
        f"line-height:6px;white-space:nowrap;overflow:hidden;border-radius:3px;"
        f'background:{palette.FRAME}">{parts}</span>'
    )


def _functions(summary: CellSummary) -> str:
    shown = [(name, title) for name, title in zip(_COLUMNS, _TITLES, strict=True) if getattr(summary.counts, name)]
    rows = [
        (
            escape(line.name),
            *(f"{getattr(line.counts, name):,}" for name, _ in shown),
            "" if line.mean is None else duration(line.mean),
        )
        for line in _first(summary.functions)
    ]
    return table(("function", *(title for _, title in shown), "mean"), rows) + _more(
        len(summary.functions), "functions"
    )


def _workers(summary: CellSummary) -> str:
    now = any(line.task is not None for line in summary.workers)
    rows = [
        (
            escape(line.lane.label),
            f"{line.ended:,}",
            duration(line.busy),
            *((escape(line.task or ""),) if now else ()),
        )
        for line in summary.workers[:MOST_LINES]
    ]
    titles = ("worker", "tasks ended", "time in tasks", *(("runs",) if now else ()))
    return (table(titles, rows) + _more(len(summary.workers), "workers")) if rows else ""


def _printed(summary: CellSummary) -> str:
    """Folded by who printed it, where these are several; the whole of it stands in the cell, as it came."""
    parts = [
        f'<details><summary style="cursor:pointer">{escape(one.name)}'
        f'<span style="color:{palette.MUTED}">&ensp;{one.lines:,} {"line" if one.lines == 1 else "lines"}'
        f'{", the latest:" if one.latest.count(chr(10)) + 1 < one.lines else ""}</span></summary>'
        f'<pre style="margin:0 0 4px 16px;font-size:12px;line-height:17px;background:none">{escape(one.latest)}</pre>'
        "</details>"
        for one in summary.printed[:MOST_LINES]
    ]
    more = _more(len(summary.printed), "others that printed")
    return f'<div style="margin-top:6px">{_aside("printed")}{"".join(parts)}{more}</div>' if len(parts) > 1 else ""


def _errors(summary: CellSummary) -> str:
    rows = [
        (
            escape(line.name),
            f'<span style="color:{palette.ERROR}">{escape(line.error)}</span>',
            duration(line.at),
        )
        for line in summary.errors
    ]
    return table(("last errors", "", "after"), rows) if rows else ""


def _timeline(summary: CellSummary) -> str:
    if not summary.bars:
        return ""
    source = timeline.image(summary.bars, summary.lanes, summary.elapsed)
    many = len(summary.workers)
    alt = f"Timeline: {headline(summary.counts)} on {many} worker{'s' * (many != 1)}"
    return f'<div><img alt="{escape(alt)}" src="{source}" style="max-width:100%;margin:0"></div>'


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; its cells are HTML already."""

    def cells(tag: str, row: Sequence[str], style: str = "") -> str:
        aligned = ("left", *("right",) * (len(row) - 1))
        return "".join(
            f'<{tag} style="{_CELL};text-align:{side}{style}">{cell}</{tag}>'
            for side, cell in zip(aligned, row, strict=True)
        )

    head = cells("th", titles, f";font-weight:normal;color:{palette.MUTED}")
    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return (
        '<table style="margin:2px 0 6px 0;border:none;border-collapse:collapse;font-size:12px">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def _more(count: int, noun: str) -> str:
    rest = count - MOST_LINES
    return _aside(f"and {rest:,} more {noun}") if rest > 0 else ""


def _aside(text: str) -> str:
    return f'<div style="color:{palette.MUTED};font-size:12px">{text}</div>'


def _first(functions: Sequence[FunctionLine]) -> list[FunctionLine]:
    """Those with failures first, then the largest: what a short list must not leave out."""
    if len(functions) <= MOST_LINES:
        return list(functions)
    return sorted(functions, key=lambda f: (-f.counts.failed, -f.counts.total))[:MOST_LINES]
