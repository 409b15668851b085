"""The live views that are open: under a cell until it is run again, or beside the notebook; until the cluster ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from shoal.cluster import Cluster
from shoal.context import Cell
from shoal_kernelext.hands import ClusterHands
from shoal_widgets.outputs import WIDGET

if TYPE_CHECKING:
    from shoal_widgets.live import LiveView

NOTHING: Mapping[str, Any] = {}


class LiveViews:
    """Those of this notebook.

    Args:
        publish: ``publish(cell, msg_type, content)`` sends a message into a cell, from any thread.
    """

    def __init__(self, publish: Callable[[Cell, str, dict[str, Any]], None]) -> None:
        self._publish = publish
        self._lock = threading.Lock()
        self._shown: dict[str, LiveView] = {}
        """By the cell's place in the notebook, which stays the same when it is run again, or by the widget's id."""

    def open(
        self, names: Sequence[str], cell: Cell, here: Cluster, first: str = "", wants: Mapping[str, Any] = NOTHING
    ) -> None:
        """Show views under a cell, in place of what it shows; see `LiveView` for `first` and `wants`."""
        view = _made(names, here, partial(self._publish, cell), first, wants)
        self.end(cell)
        view.start()
        with self._lock:
            self._shown[_place(cell)] = view

    def open_beside(self, names: Sequence[str], here: Cluster) -> str:
        """Make views that are in no cell; returns the id of the widget that is to be shown. `end_beside` ends them."""
        ids: list[str] = []

        def publish(kind: str, content: dict[str, Any]) -> None:
            """Only the widget is wanted: there is no file for a record to stay in."""
            ids.extend(data["model_id"] for mime, data in content["data"].items() if mime == WIDGET)

        view = _made(names, here, publish)
        view.start()
        with self._lock:
            self._shown[ids[0]] = view
        return ids[0]

    def end(self, cell: Cell) -> None:
        """The cell is run again: what it shows is over."""
        self._end(_place(cell))

    def end_beside(self, model_id: str) -> None:
        """What was shown beside the notebook has been closed."""
        self._end(model_id)

    def _end(self, key: str) -> None:
        with self._lock:
            view = self._shown.pop(key, None)
        if view is not None:
            view.close()

    def end_all(self) -> None:
        """The cluster ends, or the notebook changes to another."""
        with self._lock:
            views = list(self._shown.values())
            self._shown.clear()
        for view in views:
            view.close()

    def hear(self, message: Mapping[str, Any]) -> None:
        """A page speaks to one of the views; returns at once."""
        with self._lock:
            views = list(self._shown.values())
        content = message["content"]
        any(view.hear(str(content["model"]), content["content"]) for view in views)


def _made(
    names: Sequence[str],
    here: Cluster,
    publish: Callable[[str, dict[str, Any]], None],
    first: str = "",
    wants: Mapping[str, Any] = NOTHING,
) -> LiveView:
    from shoal_widgets.live import LiveView
    from shoal_widgets.register import make

    hands = ClusterHands(here)
    feed = here.feed()
    feed.wait_first(5.0)
    return LiveView([make(name, hands) for name in names], feed, publish, first, wants)


def _place(cell: Cell) -> str:
    return cell.rpartition("/")[0]
