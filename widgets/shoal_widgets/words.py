"""A cell's work in words: the same in the record, in its plain text and in the live strip."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shoal.feed_rows import Counts

    from .ledger import CellSummary

_UNITS = ("B", "kB", "MB", "GB", "TB")


def duration(seconds: float) -> str:
    """A length of time as people say it.

    >>> [duration(s) for s in (0.0004, 0.042, 3.44, 125, 3720)]
    ['<1 ms', '42 ms', '3.4 s', '2 min 05 s', '1 h 02 min']
    """
    if seconds < 0.001:
        return "<1 ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


def size(count: int) -> str:
    """A number of bytes as people say it.

    >>> [size(n) for n in (0, 999, 1_234, 56_700_000, 2_000_000_000)]
    ['0 B', '999 B', '1.2 kB', '57 MB', '2.0 GB']
    """
    scaled, unit = float(count), 0
    while scaled >= 999.5 and unit < 4:
        scaled, unit = scaled / 1000, unit + 1
    return f"{scaled:.1f} {_UNITS[unit]}" if unit and scaled < 9.95 else f"{scaled:.0f} {_UNITS[unit]}"


def headline(counts: Counts, closed: bool = False, noun: str = "task") -> str:
    """How far the work is.

    Args:
        counts: all the cell's tasks.
        closed: the view has ended, what is unfinished will not be seen to end.
        noun: what one of them is.

    >>> from shoal.feed_rows import Counts
    >>> headline(Counts(pending=6, running=2, finished=4))
    '4 of 12 tasks done · 2 running · 6 queued'
    >>> headline(Counts(finished=1))
    '1 task done'
    >>> headline(Counts(running=2, finished=4), closed=True)
    '4 of 6 tasks done · 2 unfinished when last seen'
    """
    noun = noun if counts.total == 1 else f"{noun}s"
    if counts.finished == counts.total:
        return f"{counts.total:,} {noun} done"
    parts = [f"{counts.finished:,} of {counts.total:,} {noun} done"]
    unfinished = counts.pending + counts.running
    if closed:
        parts += [f"{unfinished:,} unfinished when last seen"] if unfinished else []
    else:
        parts += [f"{counts.running:,} running"] if counts.running else []
        parts += [f"{counts.pending:,} queued"] if counts.pending else []
    parts += [f"{counts.failed:,} failed"] if counts.failed else []
    parts += [f"{counts.cancelled:,} cancelled"] if counts.cancelled else []
    return " · ".join(parts)


def tone(summary: CellSummary, closed: bool = False) -> str:
    """How it stands in one word: ``active``, ``done``, ``error`` or ``stopped``."""
    if summary.standing.failed:
        return "error"
    if summary.standing.cancelled or (closed and summary.active):
        return "stopped"
    return "active" if summary.active else "done"


def pace(summary: CellSummary) -> str:
    """How fast it goes and how long it will take, or nothing when that is not known."""
    if summary.rate is None:
        return ""
    rate = summary.rate
    each = f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s" if rate >= 1 else ""
    if summary.eta is None:
        return each if summary.items is not None else ""
    left = f"about {duration(max(1.0, summary.eta))} left"
    return f"{each} · {left}" if each else left


def gap(summary: CellSummary) -> str:
    """What the lists and the timeline leave out, or nothing when they tell of all tasks."""
    if summary.seen >= summary.counts.total:
        return ""
    return f"Workers and timeline: the last {summary.seen:,} tasks"


def escape(text: str, most: int = 80) -> str:
    """Text for HTML and XML: on one line, at most `most` characters long, nothing active in it.

    >>> escape("<b>\\n")
    '&lt;b&gt;\ufffd'
    """
    clean = "".join(c if c.isprintable() else "\ufffd" for c in text[: most + 1])
    return html.escape(clean if len(clean) <= most else clean[: most - 1] + "…")
