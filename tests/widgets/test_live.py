"""The frame of live views: what it publishes, when it draws, how it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from ipywidgets import Widget

from shoal.feed_rows import FINISHED, RUNNING, FeedState
from shoal_widgets import live
from shoal_widgets.live import LiveView
from shoal_widgets.outputs import WIDGET
from shoal_widgets.view import Picture, Record

from .feeds import NOW, HandFeed, row, state_of
from .test_cell_view import Page


class Numbers:
    """A view that says how many tasks there are."""

    def __init__(self, name: str = "tasks") -> None:
        self.name, self.title = name, name.title()
        self.acted = threading.Event()

    def picture(self, state: FeedState, want: Mapping[str, Any]) -> Picture:
        return Picture({"tasks": len(state.tasks)})

    def record(self, state: FeedState, want: Mapping[str, Any]) -> Record:
        return Record(f"<div>{len(state.tasks)} tasks</div>", f"{len(state.tasks)} tasks")

    def act(self, content: Mapping[str, Any]) -> Mapping[str, Any] | None:
        self.acted.set()
        return None


class Desk:
    """Views on a feed and a page of the test's own."""

    def __init__(self, *names: str) -> None:
        self.feed = HandFeed()
        self.page = Page()
        self.views = [Numbers(name) for name in names or ("tasks",)]
        self.view = LiveView(self.views, self.feed, self.page.publish, self.views[-1].name)
        self.seq = 0

    def say(self, count: int, state: str = RUNNING) -> None:
        self.seq += 1
        self.feed.say(state_of([row(f"t{i}", state) for i in range(count)], self.seq, NOW + self.seq))

    def stage(self, name: str = "tasks") -> Any:
        assert self.view._set is not None
        return self.view._set.stages[name]

    def hear(self, content: dict[str, Any], name: str = "tasks") -> None:
        assert self.view.hear(self.stage(name).model_id, content)

    def drawn(self, holds: Callable[[dict[str, Any]], object], name: str = "tasks") -> None:
        """Wait until what the stage shows holds."""
        stage = self.stage(name)
        seen = threading.Event()

        def look(change: Any) -> None:
            if holds(stage.state):
                seen.set()

        stage.observe(look, "state")
        look(None)
        assert seen.wait(20), stage.state


@pytest.fixture
def open_desk() -> Iterator[Callable[..., Desk]]:
    desks = []

    def open_one(*names: str) -> Desk:
        desk = Desk(*names)
        desk.say(1)
        desk.view.start()
        desks.append(desk)
        return desk

    yield open_one
    for desk in desks:
        desk.view.close()
        assert desk.feed.listeners == []
    Widget.close_all()


def test_it_shows_the_state_at_once_and_leaves_a_record(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk()
    assert desk.stage().state["tasks"] == 1
    assert desk.page.live and desk.page.record.endswith("1 tasks")
    desk.say(3, FINISHED)
    desk.view.close()
    assert desk.page.record.endswith("3 tasks")
    record, live = desk.page.outputs.values()
    assert live == {"text/plain": ""}
    assert "3 tasks" in record["text/html"] and "class" not in record["text/html"]
    assert desk.stage().frame["ended"] and "3 tasks" in desk.stage().last["text/html"]


def test_it_draws_only_while_a_page_looks(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk()
    desk.hear({"type": "looks", "page": "a", "looks": True})
    desk.say(2)
    desk.drawn(lambda state: state["tasks"] == 2)
    desk.hear({"type": "looks", "page": "a", "looks": False})
    desk.hear({"type": "want", "want": {"text": "x"}})
    desk.say(3)
    desk.hear({"type": "looks", "page": "b", "looks": True})
    # What was wanted meanwhile comes with it, for a page that is loaded later.
    desk.drawn(lambda state: state["tasks"] == 3 and state["want"] == {"text": "x"})


def test_of_a_dashboard_only_the_view_that_is_looked_at_moves(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk("tasks", "actors")
    assert desk.page.record.startswith("Actors,")  # the first to be seen
    desk.hear({"type": "looks", "page": "a", "looks": True})
    desk.say(4)
    desk.drawn(lambda state: state["tasks"] == 4)
    assert desk.stage("actors").state["tasks"] == 1
    desk.view.close()
    html = next(iter(desk.page.outputs.values()))["text/html"]
    assert html.count("4 tasks") == 2 and html.count("data-shoal") == 1
    assert desk.page.record.startswith("Tasks,")


def test_a_button_is_answered_and_a_stranger_is_not_heard(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk()
    desk.hear({"type": "act", "question": "q"})
    assert desk.views[0].acted.wait(20)
    assert not desk.view.hear("of another view", {"type": "act"})


def test_its_widgets_go_when_a_page_has_settled_what_they_leave(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk("tasks", "actors")
    ids = [stage.model_id for stage in desk.view._set.stages.values()]  # type: ignore[union-attr]
    desk.hear({"type": "settled"})
    known = Widget.get_manager_state()["state"]
    assert all(each in known for each in ids)  # it lives
    desk.view.close()
    desk.hear({"type": "settled"})
    known = Widget.get_manager_state()["state"]
    assert not any(each in known for each in ids)
    assert not any(WIDGET in data for data in desk.page.outputs.values())


def test_it_ends_when_its_cluster_is_heard_no_more(
    open_desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "SILENCE", 0.0)
    desk = open_desk()
    desk.page.wait_for(lambda: not desk.page.live)
    assert desk.stage().frame["ended"]
