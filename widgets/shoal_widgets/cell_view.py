"""The view under a cell while its work runs, and the record it leaves in the notebook."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from shoal.context import Cell
from shoal.feed_rows import FeedState

Publish = Callable[[str, dict[str, Any]], None]
"""``publish(msg_type, content)``: sends ``display_data`` or ``update_display_data`` on IOPub with
the parent header of the view's cell; called from the view's own thread, never from user code's."""

Cancel = Callable[[Cell], object]
"""``cancel(cell)``: cancels the cell's unfinished work; called from any thread, must not block."""


class Feed(Protocol):
    """What a view needs of `shoal.feed.Feed`."""

    @property
    def state(self) -> FeedState | None: ...

    def listen(self, callback: Callable[[FeedState], None], /) -> Callable[[], None]: ...


class CellView:
    """Shows one cell's work: a record that stays in the notebook, and a live strip while it runs.

    Nothing is shown before the feed has work of this cell. All work is done in one thread of its
    own, so the view moves while the kernel's main thread is blocked.

        view = CellView(cluster.feed(), cell, publish, cluster.cancel_cell)
        view.start()     # when the cell starts, or when its first work shows in the feed
        …
        view.finish()    # the cell's code has ended (post_run_cell)

    The Cancel button sends the control message ``shoal_cancel`` with content ``{"cell": cell}``,
    which the extension handles (``kernel.control_handlers``); where the front end has no control
    channel the view calls `cancel` itself.

    Args:
        feed: the cluster's feed.
        cell: the cell whose work is shown, descendants included.
        publish: sends one message into the cell; see `Publish`.
        cancel: cancels the cell's work; see `Cancel`.
        patience: seconds of work before anything is shown; a quicker cell shows its record only,
            once its work is done.
        on_close: called once, in the view's thread, after the view has closed by itself or by
            `close`.
    """

    def __init__(
        self,
        feed: Feed,
        cell: Cell,
        publish: Publish,
        cancel: Cancel,
        *,
        patience: float = 0.2,
        on_close: Callable[[], None] | None = None,
    ) -> None:
        raise NotImplementedError

    def start(self) -> None:
        """Listen to the feed and show what it says of the cell; returns at once."""
        raise NotImplementedError

    def finish(self, wait: float = 0.25) -> None:
        """Say that the cell's code has ended: the view closes once the work it left is done.

        Returns at once, unless the view is on show and its work not yet seen to end: then it
        waits up to `wait` seconds for the feed to say so, because some front ends drop what a
        cell publishes after its end. Work left in the background keeps the view open.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Write the last known state to the record and end the live strip, thread and listener.

        Safe to call twice and from any thread; for the end of the cluster or of the kernel.
        """
        raise NotImplementedError
