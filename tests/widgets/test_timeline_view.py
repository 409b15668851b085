"""The timeline's view: what a page is told, what stays in the file, what is exported."""

from __future__ import annotations

import base64
import json
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from shoal.feed_rows import FAILED, RUNNING
from shoal.trace import History, Span
from shoal_widgets.page import Section, page
from shoal_widgets.timeline_view import Timeline

from .feeds import CELL, NOW, OTHER, HandsOff, row, state_of

ROWS = [
    row("t1"),
    row("t2", FAILED, name="parse", cell=OTHER, worker="w2", times=(1, 2, 6), error="ValueError"),
    row("t3", RUNNING, name="parse", worker="w2", times=(6, 7, 8)),
]


def one_task(what: str) -> History:
    """What a cluster answers whose history is one task's."""
    assert what == "timeline"
    return History(NOW, [Span(list(ROWS[0]), "01", "square", None)], {"w1": ("id", 4711, "here")}, {})


@pytest.fixture
def view() -> Timeline:
    return Timeline(HandsOff(one_task))


def test_a_page_is_told_all_it_draws(view: Timeline) -> None:
    found = view.picture(state_of(ROWS), {})
    state = json.loads(json.dumps(found.state))
    assert state["words"] == "3 tasks on 2 rows · 1 running · 1 failed"
    assert state["rows"] == ["pid 4711", "pid 4711"]
    assert [line["name"] for line in state["functions"]] == ["parse", "square"]
    assert [(cell["id"], cell["label"]) for cell in state["cells"]] == [("cell", "[1]"), ("other", "[2]")]
    columns = np.frombuffer(found.buffer, "<f4").reshape(8, 3)
    assert columns[5].tolist() == [1, 2, 7]
    assert "now" not in state


def test_a_picture_is_the_same_until_there_is_news(view: Timeline) -> None:
    first = view.picture(state_of(ROWS), {})
    assert view.picture(state_of(ROWS, seq=2, time=NOW + 5), {}) == first
    assert view.picture(state_of([*ROWS, row("t4")], seq=3), {}) != first


def test_a_page_may_look_at_one_cell(view: Timeline) -> None:
    found = view.picture(state_of(ROWS), {"cell": OTHER})
    assert found.state["words"] == "1 task on 1 row in 6.0 s · 1 failed"
    assert [line["name"] for line in found.state["functions"]] == ["parse"]
    assert len(found.state["cells"]) == 2
    assert view.picture(state_of(ROWS), {"cell": "unknown"}).state["tasks"] == 0


def test_many_bars_are_joined_until_the_page_looks_closely(view: Timeline) -> None:
    for part in range(3):
        rows = [row(f"t{part}-{i}", times=(0, part * 10 + i / 800, part * 10 + i / 800 + 0.001)) for i in range(8000)]
        view.picture(state_of(rows, seq=part + 1), {})
    whole = view.picture(state_of([], seq=9), {"width": 800})
    assert whole.state["joined"] and whole.state["tasks"] == 24_000
    assert len(whole.buffer) < 24_000 * 8 * 4 / 5
    near = view.picture(state_of([], seq=10), {"from": 10.0, "to": 10.02, "width": 800})
    assert near.state["base"] == 10.0
    assert set(np.frombuffer(near.buffer, "<f4").reshape(8, -1)[7]) == {1.0}
    followed = view.picture(state_of([], seq=11), {"last": 1.0, "width": 800})
    assert np.frombuffer(followed.buffer, "<f4").reshape(8, -1)[6].max() >= 29


def test_the_record_is_an_image_and_a_table_and_the_same_in_words(view: Timeline) -> None:
    found = view.record(state_of(ROWS), {})
    assert not re.search(r"<(script|style|svg)|class=|var\(", found.html)
    source = re.search(r'src="data:image/svg\+xml;base64,([^"]+)"', found.html)
    assert source is not None
    ET.fromstring(base64.b64decode(source.group(1)))
    ET.fromstring('<div>' + re.sub(r"(<img[^>]*)>", r"\1/>", found.html).replace("&ensp;", " ") + "</div>")
    assert found.text.splitlines()[1:] == ["  parse: 1 in 4.0 s", "  square: 1 in 1.0 s"]
    assert Timeline(HandsOff(one_task)).record(state_of([]), {}).text == "no task has run yet"


def test_it_is_exported_as_a_trace_an_image_and_a_page(view: Timeline) -> None:
    view.picture(state_of(ROWS), {})
    trace = view.act({"export": "json"})
    assert trace is not None and trace["name"] == "shoal-timeline.json"
    assert [e["name"] for e in json.loads(trace["text"]) if e["ph"] == "X" and e["args"].get("name")] == ["square"]
    image, alone = view.act({"export": "svg"}), view.act({"export": "html", "cell": CELL})
    assert image is not None and alone is not None
    ET.fromstring(image["text"])
    assert "views.timeline.render" in alone["text"]


def test_a_page_of_its_own_needs_nothing_else_and_runs_no_names(view: Timeline) -> None:
    view.picture(state_of([row("t1", name="</script><script>alert(1)")]), {})
    text = page("<Title>", [Section("Timeline", view="timeline", picture=view.picture(state_of([]), {}))])
    assert "<h1>&lt;Title&gt;</h1>" in text
    assert text.count("<script") == text.count("</script>") == 1
    assert not re.search(r'(src|href)="http', text)
