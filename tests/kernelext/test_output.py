"""What workers send reaches the cell it is of: whole, in order, whoever takes it and whenever."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.engines.base import Output
from shoal_kernelext.output import OutputRouter


class Page:
    """A front end: per parent, what it was sent."""

    lasting = True

    def __init__(self) -> None:
        self.cells: dict[Any, list[tuple[str, Any]]] = {}

    def send(self, kind: str, content: dict[str, Any], parent: Any, here: bool) -> None:
        part = (content["name"], content["text"]) if kind == "stream" else (kind, content)
        self.cells.setdefault(parent, []).append(part)

    def text(self, parent: Any) -> str:
        return "".join(text for name, text in self.cells.get(parent, []) if name == "stdout")


class Setup:
    def __init__(self) -> None:
        self.page = Page()
        self.current = "s//1"
        self.router = OutputRouter(self.page, lambda: self.current)
        self.router.begin("s//1", "one")

    def take(self, cell: str | None, stream: str, data: Any) -> None:
        self.router.take(Output(cell, "task", stream, data))


@pytest.fixture
def setup() -> Iterator[Setup]:
    made = Setup()
    yield made
    made.router.close()


def test_each_cell_gets_its_own_whichever_runs(setup: Setup) -> None:
    setup.router.begin("s//2", "two")
    setup.current = "s//2"
    setup.take("s//1", "stdout", "a")
    setup.take("s//2", "stdout", "b")
    setup.take("s//1", "stderr", "c")
    setup.router.flush()
    assert setup.page.cells == {"one": [("stdout", "a"), ("stderr", "c")], "two": [("stdout", "b")]}


def test_what_is_of_no_known_cell_goes_to_the_current_one(setup: Setup) -> None:
    setup.take(None, "stdout", "a")
    setup.take("s//99", "stdout", "b")
    setup.router.flush()
    assert setup.page.text("one") == "ab"


def test_nothing_has_to_be_flushed_by_hand(setup: Setup) -> None:
    setup.take("s//1", "stdout", "a")
    deadline = time.monotonic() + 10
    while setup.page.text("one") != "a":
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_displays_keep_their_place_and_their_ids(setup: Setup) -> None:
    setup.take("s//1", "stdout", "a")
    setup.take("s//1", "display", {"data": {"text/plain": "x"}, "metadata": {}, "transient": {"display_id": "i"}})
    setup.take("s//1", "display", {"data": {"text/plain": "y"}, "transient": {"display_id": "i"}, "update": True})
    setup.take("s//1", "stdout", "b")
    setup.router.flush()
    assert [kind for kind, _ in setup.page.cells["one"]] == ["stdout", "display_data", "update_display_data", "stdout"]
    assert setup.page.cells["one"][2][1] == {
        "data": {"text/plain": "y"}, "metadata": {}, "transient": {"display_id": "i"}
    }  # fmt: skip


def test_what_the_cell_printed_before_comes_before(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    class Buffered(io.StringIO):
        def flush(self) -> None:
            setup.page.send("stream", {"name": "stdout", "text": self.getvalue()}, "one", True)
            self.truncate(0)

    monkeypatch.setattr("sys.stdout", out := Buffered())
    out.write("mine ")
    setup.take("s//1", "stdout", "theirs")
    setup.router.flush()
    assert setup.page.text("one") == "mine theirs"


def test_closing_sends_what_is_left(setup: Setup) -> None:
    for i in range(100):
        setup.take("s//1", "stdout", f"{i} ")
    setup.router.close()
    assert setup.page.text("one") == "".join(f"{i} " for i in range(100))


@given(st.lists(st.tuples(st.sampled_from("12"), st.sampled_from(["stdout", "stderr"]), st.text(max_size=3))))
def test_no_piece_is_lost_or_changes_order(pieces: list[tuple[str, str, str]]) -> None:
    setup = Setup()
    setup.router.begin("s//2", "two")

    def flush_often() -> None:
        for _ in range(20):
            setup.router.flush()

    flusher = threading.Thread(target=flush_often)
    flusher.start()
    for cell, stream, text in pieces:
        setup.take(f"s//{cell}", stream, text)
    flusher.join()
    setup.router.close()
    for cell, parent in (("1", "one"), ("2", "two")):
        sent = [(name, char) for name, text in setup.page.cells.get(parent, []) for char in text]
        assert sent == [(stream, char) for of, stream, text in pieces if of == cell for char in text]
