"""The view under a cell while its work runs, and the record it leaves in the notebook."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from time import monotonic, thread_time, time
from typing import TYPE_CHECKING, Any, NamedTuple

from shoal.context import Cell
from shoal.feed_rows import FeedState

from .closer import Look, closer
from .items import Items
from .latest import Latest
from .ledger import CellSummary, Printed, summarise
from .outputs import Outputs, Publish
from .record import record
from .view import Feed

if TYPE_CHECKING:
    from .strip import Strip

Cancel = Callable[[Cell], object]
"""``cancel(cell)``: cancels the cell's unfinished work; called from any thread, must not block."""

RECORD_EVERY = 0.25
STRIP_EVERY = 0.1
HEARTBEAT = 1.0
"""Seconds between updates when nothing happens: a page loaded now must see the time right."""
SHARE = 0.02
"""Part of a core that a view may take from the notebook's own work."""
NOTHING_CAME = 1.0
"""Seconds after the cell's end until a view that saw no work gives up waiting for the feed."""


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
        look: asked for more while the strip is folded out; see `closer.Look`.
        items: asked in the view's thread how far a loop is, where the cell's work is one.
        printed: asked likewise who printed in the cell, how many lines, and the latest of them.
        patience: seconds of work before anything is shown; a quicker cell shows its record only,
            once its work is done.
        silence: seconds without a word of the feed after which, once the cell has ended, its
            cluster is taken for gone; a living feed speaks many times a second.
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
        items: Callable[[], Items | None] = lambda: None,
        printed: Callable[[], Iterable[tuple[str, int, str]]] = tuple,
        look: Look = lambda cell: None,
        patience: float = 0.2,
        silence: float = 10.0,
        on_close: Callable[[], None] | None = None,
    ) -> None:
        self._feed = feed
        self._cell = cell
        self._panel = _Panel(cell, publish, cancel, look, self._unfold)
        self._items = items
        self._printed = printed
        self._patience = patience
        self._silence = silence
        self._on_close = on_close
        self._told = Latest(_Told())
        self._up_to_date = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shoal-view", daemon=True)

    def start(self) -> None:
        """Listen to the feed and show what it says of the cell; returns at once."""
        self._thread.start()

    def finish(self, wait: float = 2.0) -> None:
        """Say that the cell's code has ended: the view closes once the work it left is done.

        Returns at once, unless the view is on show: then it waits, up to `wait` seconds, until the
        feed has told of this moment, because some front ends drop what a cell publishes after its
        end. Work left in the background keeps the view open.
        """
        now, moment = monotonic(), time()
        self._told.change(lambda told: told._replace(finished_at=now, ended=moment))
        if self._panel.shown:
            self._up_to_date.wait(wait)

    def close(self) -> None:
        """Write the last known state to the record and end the live strip, thread and listener.

        Safe to call twice and from any thread; for the end of the cluster or of the kernel.
        """
        self._told.change(lambda told: told._replace(closing=True))
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    def _hear(self, state: FeedState) -> None:
        now = monotonic()
        self._told.change(
            lambda told: (
                told
                if told.state is not None and told.state.seq >= state.seq
                else told._replace(state=state, heard_at=now)
            )
        )

    def hear(self, model_id: str, content: Mapping[str, Any]) -> bool:
        """Take what a page says to the widget with that id; returns at once, False if it is not this one."""
        if not self._panel.is_strip(model_id):
            return False
        if content.get("type") == "unfold":
            self._unfold(bool(content.get("open")))
        return True

    def _unfold(self, is_open: bool) -> None:
        self._told.change(lambda told: told._replace(unfolded=is_open))

    def _run(self) -> None:
        stop_listening = self._feed.listen(self._hear)
        try:
            if (state := self._feed.state) is not None:
                self._hear(state)
            self._watch()
        finally:
            stop_listening()
            self._up_to_date.set()
            if self._on_close is not None:
                self._on_close()

    def _watch(self) -> None:
        summary: CellSummary | None = None
        told, first_seen = _Told(), 0.0
        while True:
            told = self._told.wait(told, self._rest(told, summary, first_seen))
            began, spent = monotonic(), thread_time()
            if told.state is not None:
                # The feed may be silent while a long task runs; the clock is not.
                now = replace(told.state, time=told.state.time + began - told.heard_at)
                summary = summarise(now, self._cell, summary)
                if summary is not None:
                    printed = tuple(Printed(*one) for one in self._printed())
                    summary = replace(summary.of_items(self._items()), printed=printed)
                first_seen = first_seen or (began if summary else 0.0)
            if self._is_over(told, summary, began):
                if summary is not None:
                    self._panel.end(summary)
                return
            if summary is not None and began - first_seen >= self._patience:
                self._panel.show(summary, live=not self._is_awaited(), unfolded=told.unfolded)
            if told.knows_the_end:
                self._up_to_date.set()
            self._breathe(max(STRIP_EVERY, (thread_time() - spent) / SHARE))

    def _rest(self, told: _Told, summary: CellSummary | None, first_seen: float) -> float | None:
        """Seconds until there is something to do though nothing new is told."""
        if summary is None:
            if told.finished_at is None:
                return None
            return max(0.0, told.finished_at + NOTHING_CAME - monotonic())
        if not self._panel.shown:
            return max(0.0, first_seen + self._patience - monotonic())
        if self._panel.behind:
            return RECORD_EVERY
        return HEARTBEAT if summary.active else None

    def _is_over(self, told: _Told, summary: CellSummary | None, now: float) -> bool:
        if told.closing or told.finished_at is None:
            return told.closing
        if summary is None:
            return now >= told.finished_at + NOTHING_CAME
        silent = now >= max(told.heard_at, told.finished_at) + self._silence
        return silent or (told.knows_the_end and not summary.active)

    def _is_awaited(self) -> bool:
        """Whether a cell that has ended may be waiting for its view."""
        return self._told.value.finished_at is not None and not self._up_to_date.is_set()

    def _breathe(self, seconds: float) -> None:
        """Leave the core to the notebook's own work, unless a cell waits for its view to end."""
        self._told.pause(seconds, lambda: self._told.value.closing or self._is_awaited())


class _Told(NamedTuple):
    """What a view's thread has been told."""

    state: FeedState | None = None
    heard_at: float = 0.0
    finished_at: float | None = None
    ended: float = 0.0
    """The same moment in Unix seconds, as the feed tells the time."""
    closing: bool = False
    unfolded: bool = False
    """A page shows more than the strip."""

    @property
    def knows_the_end(self) -> bool:
        """Whether the feed has told of all that the cell launched: its end is in the past for it."""
        return self.finished_at is not None and self.state is not None and self.state.time >= self.ended


class _Panel:
    """The two outputs of a view: what they last said and how to bring them up to date."""

    def __init__(
        self, cell: Cell, publish: Publish, cancel: Cancel, look: Look, unfold: Callable[[bool], object]
    ) -> None:
        self._look = look
        self._unfold = unfold
        self._looked_at = 0.0
        self._closer: dict[str, Any] | None = None
        self._cell = cell
        self._cancel = cancel
        self._outputs = Outputs(publish)
        self._mark = self._outputs.mark
        self._strip: Strip | None = None
        self._last: CellSummary | None = None
        self._shown_at = 0.0
        self._recorded_at = 0.0
        self.behind = False
        """The record has yet to be told what the strip shows."""

    @property
    def shown(self) -> bool:
        return self._outputs.shown

    def is_strip(self, model_id: str) -> bool:
        return self._strip is not None and self._strip.model_id == model_id

    def _look_closer(self, summary: CellSummary, unfolded: bool, now: float) -> bool:
        """Ask for what a strip that is folded out shows, once a second; whether that was done."""
        if not unfolded:
            self._closer, self._looked_at = None, 0.0
        elif self._strip is not None and now >= self._looked_at + HEARTBEAT:
            found = self._look(self._cell)
            self._closer, self._looked_at = closer(found, summary.begun) if found else None, now
            return True
        return False

    def show(self, summary: CellSummary, live: bool, unfolded: bool = False) -> None:
        """Bring the outputs up to date; a strip is opened only if it is worth it, that is `live`."""
        now = monotonic()
        if not (self._look_closer(summary, unfolded, now) or self.behind or self._is_news(summary, now)):
            return
        self._last, self._shown_at = summary, now
        # A long wait needs no record four times a second.
        pause = max(RECORD_EVERY, summary.elapsed / 200)
        self.behind = now - self._recorded_at < pause
        last = None
        if not self.behind:
            self._recorded_at = now
            self._outputs.record(record(summary, mark=self._mark))
            last = record(summary, closed=True, mark=self._mark)
        if self._strip is None and summary.active and live:
            self._strip = self._open_strip(summary)
        elif self._strip is not None:
            from .strip import update

            update(self._strip, summary, self._mark, last, closer=self._closer)

    def _is_news(self, summary: CellSummary, now: float) -> bool:
        if self._last is None or summary.shows_more_than(self._last):
            return True
        return summary.active and now >= self._shown_at + HEARTBEAT

    def end(self, summary: CellSummary) -> None:
        final = record(summary, closed=True, mark=self._mark)
        self._outputs.record(final)
        if self._strip is not None:
            from .strip import update

            # The strip stays to be found by a page that was loaded meanwhile; it goes when a page
            # says that its outputs are settled.
            update(self._strip, summary, self._mark, final, ended=True)
            self._outputs.blank()

    def _open_strip(self, summary: CellSummary) -> Strip:
        from .strip import open_strip, update

        strip = open_strip(lambda: self._cancel(self._cell), self._unfold)
        update(strip, summary, self._mark, record(summary, closed=True, mark=self._mark))
        self._outputs.open(strip.model_id)
        return strip
