"""The report of a program's run: one file that tells what its cluster did, for a browser without a network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from time import localtime, strftime

import numpy as np

from shoal import cluster
from shoal.exceptions import ClusterError
from shoal.feed_rows import FAILED, FeedState

from . import charts, gantt
from .chronicle import Bars, Chronicle
from .kinds import cell_label, kinds, total
from .page import Section, page
from .palette import MUTED
from .record import table
from .timeline_view import Timeline, still
from .words import duration, escape, headline, size

MOST_LINES = 100
CHARTED = 30
"""Functions in the chart, what took most time first."""


def report(filename: str) -> str:
    """Write what this program's cluster did to one HTML file, and return its name.

    Tasks by function, how long they took, the timeline of the latest 10,000, actors, objects and errors; the file needs
    no network and no cluster. Call it before `shutdown`.

    Args:
        filename: where to; its name should end in ``.html``.

    Raises ClusterError when there is no cluster to tell of, OSError when the file cannot be written.
    """
    here = cluster.living()
    if here is None:
        raise ClusterError("there is nothing to report: no cluster runs. Call report() before shutdown()")
    if here.folder is None:
        raise ClusterError("the engine 'inline' keeps no record of its tasks: report() needs the engine 'local'")
    Path(filename).write_text(document(here.feed().refresh(), here.name), encoding="utf-8")
    return filename


def document(state: FeedState, name: str) -> str:
    """The report of a state of the feed, as HTML; `name` is the cluster's."""
    book = Chronicle()
    book.take(state)
    bars = gantt.chosen(book)
    when = strftime("%Y-%m-%d %H:%M:%S", localtime(state.time))
    counts = total([kind.counts for kind in kinds(state)])
    words = headline(counts) if counts.total else "no task was submitted"
    sections = [
        Section("", f'<div>{escape(words, 200)}</div><div style="color:{MUTED}">Cluster {escape(name)}, {when}</div>'),
        Section("Tasks by function", _functions(state)),
    ]
    lines = [line for line in gantt.functions(bars, book.functions) if line.ended][:CHARTED]
    if lines:
        spreads = [_spread(bars, line.number) for line in lines]
        sections.append(Section("Durations", chart=charts.durations(lines, spreads)))
    if len(bars):
        sections.append(Section("Timeline", view=Timeline.name, picture=still(book)))
    sections += [
        Section("Actors", _actors(state)),
        Section("Objects", _objects(state)),
        Section("Errors", _errors(state)),
    ]
    return page("shoal report", sections)


def _spread(bars: Bars, function: int) -> list[float]:
    mine = bars[(bars["function"] == function) & ~np.isnan(bars["end"])]
    return [float(p) for p in np.percentile(mine["end"] - mine["start"], (5, 25, 50, 75, 95))]


def _functions(state: FeedState) -> str:
    rows = (
        (escape(k.name), escape(cell_label(k.cell)), *(f"{n:,}" if n else "" for n in (k.counts.total, *k.counts)))
        for k in kinds(state)
    )
    titles = ("function", "cell", "tasks", "queued", "running", "done", "failed", "cancelled")
    return _listed(titles, list(rows), "No tasks")


def _actors(state: FeedState) -> str:
    rows = [
        (escape(actor.cls), escape(actor.name), escape(actor.state), f"{actor.mailbox:,}", escape(actor.error or ""))
        for actor in state.actors.values()
    ]
    return _listed(("class", "name", "state", "mailbox", "why it is dead"), rows, "No actors")


def _objects(state: FeedState) -> str:
    store = state.store
    spilled = f", {size(store.spilled)} on disk" if store.spilled else ""
    used = f"{size(store.used)} of {size(store.capacity)} of shared memory"
    return f"<div>{store.objects:,} objects: {used}{spilled}</div>"


def _errors(state: FeedState) -> str:
    rows = [
        (escape(row.name), escape(row.error or ""), escape(duration((row.ended or row.submitted) - row.submitted)))
        for row in state.tasks.values()
        if row.state == FAILED
    ]
    return _listed(("task", "error", "after"), rows[::-1], "No errors")


def _listed(titles: Sequence[str], rows: Sequence[Iterable[str]], none: str) -> str:
    if not rows:
        return f'<div style="color:{MUTED}">{none}</div>'
    more = len(rows) - MOST_LINES
    rest = f'<div style="color:{MUTED}">and {more:,} more</div>' if more > 0 else ""
    return f'<div style="overflow-x:auto">{table(titles, [tuple(row) for row in rows[:MOST_LINES]])}</div>{rest}'
