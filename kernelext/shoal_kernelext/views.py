"""When a live view appears under a cell: at once for ``%%remote``, else when its work has lasted a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from shoal import cluster
from shoal.context import Cell, is_numbered
from shoal.exceptions import ShoalError
from shoal.feed_rows import FeedState

if TYPE_CHECKING:
    from shoal.feed import Feed
    from shoal_widgets.cell_view import CellView
    from shoal_widgets.items import Items

PATIENCE = 0.25
"""Seconds of work until a plain cell gets its view."""
_LOOK = 0.1
"""Seconds between looks at the feed while a plain cell runs."""
_FORGET = 1.0
"""Seconds after a cell's end until its work must have shown in the feed."""


@dataclass
class _Watched:
    """A plain cell that may get a view."""

    look_at: float
    since: float | None = None
    """When its work was first seen under way."""
    ended: float | None = None


class Views:
    """The views of this notebook's cells.

    Args:
        publish: ``publish(cell, msg_type, content)`` sends a message into a cell, from any thread.
        cancel: ``cancel(cell)`` has the cell's work cancelled and does not wait for it.
        printed: who printed in a cell, how many lines, and the latest of them.
        live: whether there is a front end that shows them; there are no views where there is none.
    """

    def __init__(
        self,
        publish: Callable[[Cell, str, dict[str, Any]], None],
        cancel: Callable[[Cell], object],
        printed: Callable[[Cell], Iterable[tuple[str, int, str]]] = lambda cell: (),
        *,
        live: bool = True,
    ) -> None:
        self._publish = publish
        self._cancel = cancel
        self._printed = printed
        self._views: dict[Cell, CellView] = {}
        self._watched: dict[Cell, _Watched] = {}
        self._changed = threading.Condition()
        self._closed = not live
        self._thread: threading.Thread | None = None

    def watch(self, cell: Cell) -> None:
        """A cell starts: give it a view once work of its own has lasted long enough."""
        with self._changed:
            if self._closed:
                return
            self._watched[cell] = _Watched(time.monotonic() + PATIENCE)
            if self._thread is None and cluster.current() is not None:
                self._start()
            self._changed.notify_all()

    def open(self, cell: Cell, items: Callable[[], Items | None] = lambda: None) -> None:
        """Give a cell its view now; `items` tells how far a loop is, where its work is one."""
        with self._changed:
            self._watched.pop(cell, None)
            if self._closed or cell in self._views:
                return
        self._open(cell, PATIENCE, items=items)

    def show_again(self, session: str, number: int, at: Cell) -> None:
        """Show under the cell `at` what the cell with that execution count launched. Raises LookupError."""
        cell = numbered(session, number)
        with self._changed:
            self._watched.pop(at, None)
        self._open(cell, 0.0, at)

    def end(self, cell: Cell) -> None:
        """The cell's code has ended; its view closes when its work is done."""
        with self._changed:
            view = self._views.get(cell)
            if cell in self._watched:
                self._watched[cell].ended = time.monotonic()
                if cluster.current() is None:
                    del self._watched[cell]
        if view is not None:
            view.finish()

    def hear(self, message: Mapping[str, Any]) -> None:
        """A page speaks to one of the views; returns at once."""
        with self._changed:
            views = list(self._views.values())
        content = message["content"]
        any(view.hear(str(content["model"]), content["content"]) for view in views)

    def cluster_changed(self, to: cluster.Cluster | None) -> None:
        """Another cluster, or none: the views that show the old one show its end."""
        with self._changed:
            views = list(self._views.values())
            if to is not None and self._watched:
                self._start()
            self._changed.notify_all()
        for view in views:
            view.close()

    def close(self) -> None:
        """End all views, and the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self.cluster_changed(None)
        if self._thread is not None:
            self._thread.join()

    def _open(
        self, cell: Cell, patience: float, at: Cell | None = None, items: Callable[[], Items | None] = lambda: None
    ) -> CellView | None:
        """Start a cell's view, under another cell if `at` says so; without the lock, for it asks the hub."""
        from shoal_widgets.cell_view import CellView

        feed = _feed()
        if feed is None:
            return None
        view = CellView(
            feed,
            cell,
            partial(self._publish, at or cell),
            self._cancel,
            items=items,
            printed=partial(self._printed, cell),
            look=_look,
            patience=patience,
            on_close=partial(self._forget, at or cell),
        )
        with self._changed:
            self._views[at or cell] = view
        view.start()
        return view

    def _forget(self, cell: Cell) -> None:
        with self._changed:
            self._views.pop(cell, None)

    def _start(self) -> None:
        if self._thread is None and not self._closed:
            self._thread = threading.Thread(target=self._run, name="shoal-views", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            with self._changed:
                if self._closed:
                    return
                now = time.monotonic()
                times = [w.look_at for w in self._watched.values()]
                self._changed.wait(max(0.0, min(times) - now) if times else None)
                now = time.monotonic()
                due = [(cell, w) for cell, w in self._watched.items() if w.look_at <= now]
            for cell, watched in due:
                if not self._looked(cell, watched, now):
                    with self._changed:
                        self._watched.pop(cell, None)

    def _looked(self, cell: Cell, watched: _Watched, now: float) -> bool:
        """Look at a cell's work; whether it is to be looked at again."""
        watched.look_at = now + _LOOK
        feed = _feed()
        if feed is None:
            return watched.ended is None
        if not _under_way(feed.state, cell):
            watched.since = None
            return watched.ended is None or now < watched.ended + _FORGET
        if watched.since is None:
            watched.since = now
            watched.look_at = now + PATIENCE - _LOOK
            return True
        view = self._open(cell, 0.0)
        if view is not None and watched.ended is not None:
            view.finish(0.0)
        return False


def numbered(session: str, number: int) -> Cell:
    """The cell of a notebook with that execution count. Raises LookupError where it launched nothing that is known."""
    feed = _feed()
    state = feed.refresh() if feed is not None else None
    cells = {of for of, _ in (state.counts if state is not None else ()) if of is not None}
    cell = next((c for c in cells if is_numbered(c, session, number)), None)
    if cell is None:
        raise LookupError(f"nothing is known of work that cell [{number}] launched on this cluster")
    return cell


def _feed() -> Feed | None:
    """The feed of this process's cluster; None where there is none, or nothing to follow."""
    here = cluster.living()
    if here is None or here.folder is None:
        return None
    try:
        return here.feed()
    except ShoalError:
        return None  # it has just gone


def _look(cell: Cell) -> dict[str, Any] | None:
    """What the hub tells of a cell to whoever looks closely; None once it is gone."""
    here = cluster.living()
    if here is None:
        return None
    try:
        found: dict[str, Any] = here.engine.query("cell_closely", cell)
    except ShoalError:
        return None
    return found


def _under_way(state: FeedState | None, cell: Cell) -> bool:
    if state is None:
        return False
    return any(c.pending + c.running for (of, _), c in state.counts.items() if of == cell)
