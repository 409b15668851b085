from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from shoal.feed_rows import FAILED, FINISHED, PENDING_NODE, RUNNING
from shoal_widgets.cell_view import CellView

from .feeds import CELL, NOW, OTHER, HandFeed, row, state_of

WIDGET = "application/vnd.jupyter.widget-view+json"
PATIENCE = 20.0


class Page:
    """What a front end would hold of the cell: its outputs by display id, in their order."""

    def __init__(self) -> None:
        self.outputs: dict[str, dict[str, Any]] = {}
        self.records: list[str] = []
        self.threads: set[str] = set()
        self._changed = threading.Condition()

    def publish(self, msg_type: str, content: dict[str, Any]) -> None:
        shown = content["transient"]["display_id"]
        with self._changed:
            assert (msg_type == "update_display_data") == (shown in self.outputs)
            self.outputs[shown] = content["data"]
            if "text/html" in content["data"]:
                self.records.append(content["data"]["text/plain"])
            self.threads.add(threading.current_thread().name)
            self._changed.notify_all()

    def wait_for(self, holds: Callable[[], Any]) -> None:
        with self._changed:
            assert self._changed.wait_for(holds, PATIENCE), (self.outputs, self.records)

    @property
    def record(self) -> str:
        return self.records[-1] if self.records else ""

    @property
    def live(self) -> bool:
        return any(WIDGET in data for data in self.outputs.values())


class Stage:
    """A view of CELL on a feed and a page of the test's own."""

    def __init__(self, patience: float = 0.0, silence: float = PATIENCE) -> None:
        self.feed = HandFeed()
        self.page = Page()
        self.cancelled: list[str] = []
        self.closed = threading.Event()
        self.seq = 0
        self.view = CellView(
            self.feed,
            CELL,
            self.page.publish,
            self.cancelled.append,
            patience=patience,
            silence=silence,
            on_close=self.closed.set,
        )

    def say(self, *states: str, cell: str = CELL, at: float = NOW) -> None:
        self.seq += 1
        rows = [
            row(f"t{i}", state, cell=cell, error="ValueError" if state == FAILED else None)
            for i, state in enumerate(states)
        ]
        self.feed.say(state_of(rows, self.seq, at + self.seq))

    def wait_until_closed(self) -> None:
        assert self.closed.wait(PATIENCE)


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.view.close()
    assert stage.feed.listeners == []


def test_it_shows_what_the_feed_says_and_ends_with_the_work(stage: Stage) -> None:
    stage.view.start()
    stage.say(FINISHED, RUNNING, PENDING_NODE)
    stage.page.wait_for(lambda: stage.page.live)
    assert stage.page.record.startswith("1 of 3 tasks done · 1 running · 1 queued")
    stage.say(FINISHED, FINISHED, RUNNING)
    stage.page.wait_for(lambda: stage.page.record.startswith("2 of 3 tasks done · 1 running"))
    stage.view.finish(wait=0)
    stage.say(FINISHED, FINISHED, FINISHED)
    stage.wait_until_closed()
    assert stage.page.record.startswith("3 tasks done")
    assert len(stage.page.outputs) == 2
    record, live = stage.page.outputs.values()
    assert set(record) == {"text/html", "text/plain"}
    assert live == {"text/plain": ""}  # no widget is left in the notebook
    assert stage.page.threads == {"shoal-view"}


def test_finish_waits_for_the_last_word(stage: Stage) -> None:
    stage.view.start()
    stage.say(RUNNING, at=0.0)  # by the feed's clock before the cell's end
    stage.page.wait_for(lambda: stage.page.live)
    threading.Timer(0.1, lambda: stage.say(FINISHED)).start()
    stage.view.finish(wait=PATIENCE)
    assert stage.page.record.startswith("1 task done")
    assert not stage.page.live


def test_finish_does_not_wait_for_work_in_the_background(stage: Stage) -> None:
    stage.view.start()
    stage.say(RUNNING)
    stage.page.wait_for(lambda: stage.page.live)
    stage.view.finish(wait=1e6)
    assert stage.page.record.startswith("0 of 1 task done · 1 running")


def test_work_left_in_the_background_keeps_the_view_open(stage: Stage) -> None:
    stage.view.start()
    stage.say(RUNNING, RUNNING)
    stage.page.wait_for(lambda: stage.page.live)
    stage.view.finish(wait=0)
    stage.say(FINISHED, RUNNING)
    stage.page.wait_for(lambda: stage.page.record.startswith("1 of 2 tasks done · 1 running"))
    assert not stage.closed.is_set()
    stage.say(FINISHED, FINISHED)
    stage.wait_until_closed()
    assert stage.page.record.startswith("2 tasks done")


def test_work_launched_at_the_very_end_is_waited_for(stage: Stage) -> None:
    stage.view.start()
    stage.say(FINISHED, at=0.0)  # told before the cell's end, by the feed's clock
    stage.page.wait_for(lambda: stage.page.record.startswith("1 task done"))
    stage.view.finish(wait=0.1)
    assert not stage.closed.is_set()
    stage.say(FINISHED, RUNNING)
    stage.page.wait_for(lambda: stage.page.record.startswith("1 of 2 tasks done · 1 running"))
    stage.say(FINISHED, FINISHED)
    stage.wait_until_closed()


def test_a_pause_between_two_works_does_not_end_the_view(stage: Stage) -> None:
    stage.view.start()
    stage.say(FINISHED)
    stage.page.wait_for(lambda: stage.page.record.startswith("1 task done"))
    stage.say(FINISHED, RUNNING)
    stage.page.wait_for(lambda: stage.page.live)
    assert not stage.closed.is_set()


def test_a_quick_cell_gets_its_record_only() -> None:
    stage = Stage(patience=PATIENCE)
    stage.view.start()
    stage.say(RUNNING)
    stage.say(FINISHED)
    stage.view.finish()
    stage.wait_until_closed()
    (record,) = stage.page.outputs.values()
    assert record["text/plain"].startswith("1 task done")


def test_a_cell_without_work_shows_nothing(stage: Stage) -> None:
    stage.view.start()
    stage.say(RUNNING, cell=OTHER)
    stage.view.finish()
    stage.wait_until_closed()
    assert stage.page.outputs == {}


def test_what_was_before_the_view_is_shown(stage: Stage) -> None:
    stage.say(RUNNING)
    stage.view.start()
    stage.page.wait_for(lambda: stage.page.live)


def test_the_clock_of_the_record_runs_while_the_feed_is_silent(stage: Stage) -> None:
    stage.view.start()
    stage.say(RUNNING)
    stage.page.wait_for(lambda: len(set(stage.page.records)) > 2)


def test_closing_early_says_what_was_unfinished(stage: Stage) -> None:
    stage.view.start()
    stage.say(FINISHED, RUNNING)
    stage.page.wait_for(lambda: stage.page.live)
    stage.view.close()
    assert stage.closed.is_set()
    assert "1 of 2 tasks done · 1 unfinished when last seen" in stage.page.record
    assert not stage.page.live
    stage.view.close()


def test_a_view_does_not_outlive_its_cluster() -> None:
    stage = Stage(silence=0.2)
    stage.view.start()
    stage.say(FINISHED, RUNNING)
    stage.page.wait_for(lambda: stage.page.live)
    stage.view.finish(wait=0)
    stage.wait_until_closed()
    assert "1 unfinished when last seen" in stage.page.record


def test_an_older_state_does_not_undo_a_newer_one(stage: Stage) -> None:
    stage.view.start()
    assert stage.feed.listened.wait(PATIENCE)
    stage.seq = 5
    stage.say(FINISHED, FINISHED)
    stage.page.wait_for(lambda: stage.page.record.startswith("2 tasks done"))
    stage.seq = 2
    stage.say(RUNNING, RUNNING)
    stage.view.finish(wait=PATIENCE)
    assert stage.page.record.startswith("2 tasks done")


def test_no_widget_library_is_loaded_before_there_is_something_to_show() -> None:
    code = (
        "import sys, shoal_widgets; from shoal_widgets import CellView, record, summarise\n"
        "print([name for name in ('anywidget', 'ipywidgets', 'IPython') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_more_is_asked_for_only_while_the_strip_is_folded_out(stage: Stage) -> None:
    asked = threading.Event()

    def look(cell: str) -> dict[str, Any]:
        assert cell == CELL
        asked.set()
        tasks = [list(row("a", RUNNING)), list(row("b", FAILED, error="ValueError"))]
        return {"tasks": tasks, "stored": 5, "objects": 1}

    stage.view._panel._look = look
    stage.view.start()
    stage.say(RUNNING)
    stage.page.wait_for(lambda: stage.page.live)
    strip = stage.view._panel._strip
    assert strip is not None and not asked.is_set() and not strip.state["closer"]
    assert not stage.view.hear("of another", {"type": "unfold", "open": True})
    shown = threading.Event()
    strip.observe(lambda change: shown.set() if change["new"]["closer"] else None, "state")
    assert stage.view.hear(strip.model_id, {"type": "unfold", "open": True})
    assert shown.wait(PATIENCE)
    closer = strip.state["closer"]
    assert [task["state"] for task in closer["tasks"]] == ["running", "ValueError"]
    assert closer["stored"] == 5
