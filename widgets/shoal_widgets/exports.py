"""Files made of the views of a cluster, by a notebook or a plain script."""

from __future__ import annotations

from pathlib import Path

from shoal.cluster import Cluster
from shoal.context import Cell

from .chronicle import Chronicle
from .timeline_view import exported

FORMS = ("json", "svg", "html")


def export_timeline(here: Cluster, filename: str, cell: Cell | None = None) -> str:
    """Write the timeline of the tasks that the cluster remembers; returns the file's name.

    Args:
        here: the cluster.
        filename: ``.json`` is a trace for Perfetto, of all cells; ``.svg`` an image; ``.html`` a page of its own.
        cell: only what this cell launched.

    Raises ValueError for another ending, OSError when it cannot be written, ClusterError when the cluster is gone.
    """
    form = Path(filename).suffix.removeprefix(".").lower()
    if form not in FORMS:
        raise ValueError(f"{filename!r} is no timeline's file: let its name end in .json, .svg or .html")
    book = Chronicle()
    book.take(here.feed().refresh())
    Path(filename).write_text(exported(book, form, cell, here.engine.query), encoding="utf-8")
    return filename
