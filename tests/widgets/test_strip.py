from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from ipywidgets import Widget

from shoal.feed_rows import FAILED, PENDING_NODE, RUNNING
from shoal_widgets.ledger import CellSummary, summarise
from shoal_widgets.strip import Strip, open_strip, update

from .feeds import CELL, row, state_of


class Desk:
    """A strip and the requests to cancel it passed on."""

    def __init__(self) -> None:
        self.cancelled = 0
        self.strip: Strip = open_strip(self.cancel)
        self.id: str = self.strip.model_id

    def cancel(self) -> None:
        self.cancelled += 1

    def hear(self, content: dict[str, Any]) -> None:
        """As if a page had sent it."""
        message = {"content": {"data": {"method": "custom", "content": content}}, "buffers": []}
        self.strip.comm.handle_msg(message)

    @property
    def is_known(self) -> bool:
        return self.id in Widget.get_manager_state()["state"]


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    Widget.close_all()


def summary() -> CellSummary:
    rows = [row("a", RUNNING), row("b", FAILED, error="ValueError"), row("c", PENDING_NODE)]
    found = summarise(state_of(rows), CELL)
    assert found is not None
    return found


def test_its_state_tells_all_that_is_shown(desk: Desk) -> None:
    update(desk.strip, summary(), "mark")
    state = desk.strip.state
    json.dumps(state)
    assert (state["cell"], state["mark"], state["active"]) == (CELL, "mark", True)
    assert state["id"] == desk.id
    assert state["words"] == "0 of 3 tasks done · 1 running · 1 queued · 1 failed"
    assert [line["label"] for line in state["workers"]] == state["lanes"] == ["pid 4711"]
    assert len(desk.strip.bars) == 2 * 16


def test_a_page_can_ask_to_cancel(desk: Desk) -> None:
    desk.hear({"type": "cancel"})
    assert desk.cancelled == 1


def test_it_goes_when_a_page_has_settled_what_it_leaves(desk: Desk) -> None:
    update(desk.strip, summary(), "mark")
    desk.hear({"type": "settled"})
    assert desk.is_known  # another page may still need it
    update(desk.strip, summary(), "mark", {"text/plain": "done"}, ended=True)
    before = len(Widget.get_manager_state()["state"])
    desk.hear({"type": "settled"})
    assert not desk.is_known
    assert len(Widget.get_manager_state()["state"]) == before - 2  # its layout too


def test_its_files_are_those_of_the_package(desk: Desk) -> None:
    state = desk.strip.get_state()
    assert "export default" in state["_esm"]
    assert ".shoal-cell" in state["_css"]
