"""The frame of live views: one thread that follows the feed, draws while somebody looks, and leaves a record."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import replace
from time import localtime, monotonic, strftime, thread_time
from typing import TYPE_CHECKING, Any, NamedTuple

from shoal.exceptions import ShoalError
from shoal.feed_rows import FeedState

from . import palette
from .latest import Latest
from .outputs import Outputs, Publish
from .view import Feed, Picture, Record, View
from .words import escape

if TYPE_CHECKING:
    from .stage import Set

EVERY = 0.2
"""Seconds between pictures, at least."""
SHARE = 0.02
"""Part of a core that the views of one cell may take from the notebook's own work."""
RECORD_EVERY = 2.0
UNSEEN_EVERY = 15.0
"""The record's pace while nobody looks."""
HEARTBEAT = 5.0
"""Seconds until a picture that has not changed is sent again: a page's clocks are put right."""
SILENCE = 10.0
"""Seconds without a word of the feed after which its cluster is taken for gone; it speaks many times a second."""
GLANCE = 16.0
"""Seconds until a page that has not said again that it looks is taken for gone."""

Want = Mapping[str, Any]
NOTHING: Mapping[str, Want] = {}


class LiveView:
    """Some views under one cell, live until they are closed; then their record stays.

        view = LiveView([Tasks(hands)], cluster.feed(), publish)
        view.start()
        …
        view.close()     # the cell is run again, or the cluster ends, or the kernel

    What a page says comes by `hear`: that it looks or no longer does, what it wants to see, which
    button was pressed. Nothing is drawn while no page looks.

    Args:
        views: what is shown: one alone, several in tabs.
        feed: the cluster's feed.
        publish: sends one message into the cell; see `outputs.Publish`.
        first: the name of the view that is seen at first.
        wants: by view, what a page wants to see of it at first.
    """

    def __init__(
        self,
        views: Sequence[View],
        feed: Feed,
        publish: Publish,
        first: str = "",
        wants: Mapping[str, Want] = NOTHING,
    ) -> None:
        self._views = {view.name: view for view in views}
        self._feed = feed
        self._outputs = Outputs(publish)
        self._told = Latest(_Told(seen=first or next(iter(self._views)), wants=wants))
        self._set: Set | None = None
        self._sent: dict[str, _Sent] = {}
        self._at_fault: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="shoal-live-view", daemon=True)

    def start(self) -> None:
        """Show the views, and follow the feed; returns when they are on their way to the page."""
        from .stage import Set

        names = list(self._views)
        self._set = Set(list(self._views.values()), self._outputs.mark, self._told.value.seen, self._say)
        if (state := self._feed.state) is not None:
            self._hear_feed(state)
            for name in names:
                self._draw(name, self._told.value)
        self._record(self._told.value)
        self._outputs.open(self._set.id)
        self._thread.start()

    def close(self) -> None:
        """Write the last state to the record and end the live part, thread and listener.

        Safe to call twice and from any thread.
        """
        self._told.change(lambda told: told._replace(closing=True))
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    def hear(self, model_id: str, content: Mapping[str, Any]) -> bool:
        """Take what a page says to the widget with that id; returns at once, False if it is none of these."""
        name = self._set.named(model_id) if self._set is not None else None
        if name is not None:
            self._say(name, content)
        return name is not None

    def _say(self, name: str, content: Mapping[str, Any]) -> None:
        kind = content.get("type")
        if kind == "looks":
            page, looks = str(content.get("page")), bool(content.get("looks"))
            self._told.change(lambda told: told.looked(name, page, looks, monotonic()))
        elif kind == "want":
            self._told.change(lambda told: told.wanted(name, content.get("want") or {}))
        elif kind == "act":
            threading.Thread(target=self._act, args=(name, content), name="shoal-view-act", daemon=True).start()
        elif kind == "settled" and self._set is not None and self._told.value.closing:
            self._set.close()

    def _act(self, name: str, content: Mapping[str, Any]) -> None:
        try:
            answer = dict(self._views[name].act(content) or {})
        except ShoalError as error:
            answer = {"error": str(error)}
        if self._set is not None and not self._told.value.closing:
            self._set.stages[name].send({"type": "answer", "question": content.get("question"), **answer})

    def _hear_feed(self, state: FeedState) -> None:
        now = monotonic()
        self._told.change(lambda told: told._replace(state=state, heard_at=now))

    def _run(self) -> None:
        stop_listening = self._feed.listen(self._hear_feed)
        try:
            self._watch()
        finally:
            stop_listening()

    def _watch(self) -> None:
        told = self._told.value
        recorded = monotonic()
        while not told.closing:
            told = self._told.wait(told, HEARTBEAT)
            now, began = monotonic(), thread_time()
            if told.state is not None and now > told.heard_at + SILENCE:
                self._told.change(lambda told: told._replace(closing=True))
                break
            looked_at = told.looked_at(now) if told.state is not None else ()
            for name in looked_at:
                self._draw(name, told)
            if not told.closing and now - recorded >= (RECORD_EVERY if looked_at else UNSEEN_EVERY):
                recorded = now
                self._record(told)
            self._rest(max(EVERY, (thread_time() - began) / SHARE))
        self._end(self._told.value)

    def _rest(self, seconds: float) -> None:
        """Leave the core to the notebook's own work; who presses a button is not kept waiting."""
        wants = self._told.value.wants
        self._told.pause(seconds, lambda: self._told.value.closing or self._told.value.wants is not wants)

    def _draw(self, name: str, told: _Told) -> None:
        """Bring a stage up to date, if there is news for it."""
        assert self._set is not None and told.state is not None
        want, now = told.wants.get(name, {}), monotonic()
        if name in self._at_fault:
            return
        try:
            picture = self._views[name].picture(told.now(now), want)
        except ShoalError:
            return  # the cluster is going
        except Exception:  # one view's fault must not stop the others, nor fill the cell
            self._at_fault.add(name)
            traceback.print_exc()
            return
        sent = self._sent.get(name)
        if sent is not None and sent.picture == picture and sent.want == want and now < sent.at + HEARTBEAT:
            return
        self._sent[name] = _Sent(picture, want, now)
        self._set.stages[name].show(picture, told.state.time + now - told.heard_at, want)

    def _record(self, told: _Told) -> None:
        assert self._set is not None
        last = self._bundle(told)
        if last is not None:
            self._outputs.record(last)
            self._set.keep(last)

    def _bundle(self, told: _Told) -> dict[str, str] | None:
        """The record as a mime bundle: a view in a fold, or several."""
        state = told.now(monotonic()) if told.state is not None else FeedState()
        parts, words = [], []
        mark = f' data-shoal="{self._outputs.mark}"'
        when = strftime("%Y-%m-%d %H:%M:%S", localtime(state.time)) if told.state is not None else ""
        for name, view in self._views.items():
            try:
                found = view.record(state, told.wants.get(name, {}))
            except ShoalError:
                return None  # the cluster is going; what was recorded last stays
            parts.append(_fold(view.title, when, found, name == told.seen, mark if len(self._views) == 1 else ""))
            if name == told.seen:
                words.append(f"{view.title}, {when}\n{found.text}")
        html = "".join(parts)
        if len(parts) > 1:
            html = f'<details open{mark}><summary style="cursor:pointer">Dashboard</summary>{html}</details>'
        return {"text/html": html, "text/plain": "\n".join(words)}

    def _end(self, told: _Told) -> None:
        assert self._set is not None
        if told.state is not None:
            for name in told.looked_at(monotonic()):
                self._draw(name, told)
        self._record(told)
        # The stages stay to be found by a page that was loaded meanwhile; they go when a page says
        # that its outputs are settled.
        self._set.end()
        self._outputs.blank()


def _fold(title: str, when: str, found: Record, is_open: bool, mark: str) -> str:
    return (
        f'<details{" open" if is_open else ""}{mark} style="font-size:13px;line-height:20px;margin:2px 0">'
        f'<summary style="cursor:pointer"><b>{escape(title)}</b>'
        f'<span style="color:{palette.MUTED}">&ensp;{when}</span></summary>'
        f'<div style="padding:4px 0 4px 16px;overflow-x:auto">{found.html}</div></details>'
    )


class _Sent(NamedTuple):
    picture: Picture
    want: Want
    at: float


class _Told(NamedTuple):
    """What the thread has been told."""

    state: FeedState | None = None
    heard_at: float = 0.0
    wants: Mapping[str, Want] = {}
    looks: Mapping[str, Mapping[str, float]] = {}
    """By view, which page has said when that it looks."""
    seen: str = ""
    """The view that was looked at last."""
    closing: bool = False

    def now(self, moment: float) -> FeedState:
        """The state, by a clock that goes on while the feed is silent."""
        assert self.state is not None
        return replace(self.state, time=self.state.time + moment - self.heard_at)

    def looked_at(self, moment: float) -> tuple[str, ...]:
        return tuple(
            name for name, pages in self.looks.items() if any(at > moment - GLANCE for at in pages.values())
        )

    def looked(self, name: str, page: str, looks: bool, moment: float) -> _Told:
        pages = {p: at for p, at in self.looks.get(name, {}).items() if p != page and at > moment - GLANCE}
        if looks:
            pages[page] = moment
        return self._replace(looks={**self.looks, name: pages}, seen=name if looks else self.seen)

    def wanted(self, name: str, want: Want) -> _Told:
        return self._replace(wants={**self.wants, name: {**self.wants.get(name, {}), **want}})
