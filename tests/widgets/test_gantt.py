"""What a page is sent of a timeline's bars, and what an image and words say of them."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.feed_rows import FAILED, RUNNING
from shoal_widgets import gantt, gantt_image, timeline
from shoal_widgets.chronicle import BAR, Bars, Chronicle, Track
from shoal_widgets.gantt import Thinned, Window

from .feeds import row, state_of


def bars(*lines: tuple[int, int, int, float, float]) -> Bars:
    """Each: lane, function, state, start, end."""
    return np.array([(lane, f, 0, state, 0.0, start, end) for lane, f, state, start, end in lines], BAR)


def many(count: int, lanes: int = 4, functions: int = 3) -> Bars:
    found = np.zeros(count, BAR)
    found["lane"] = np.arange(count) % lanes
    found["function"] = np.arange(count) % functions
    found["state"] = np.where(np.arange(count) % 1000 == 7, timeline.FAILED, timeline.FINISHED)
    found["start"] = np.arange(count) / 1000
    found["end"] = found["start"] + 0.0009
    return found


LINE = st.tuples(
    st.integers(0, 3), st.integers(0, 2), st.integers(1, 3), st.floats(0, 10, width=16), st.floats(0, 1, width=16)
)


@given(st.lists(LINE, min_size=1, max_size=60))
def test_joined_bars_stand_for_all_and_hide_no_failure(lines: list[tuple[int, int, int, float, float]]) -> None:
    told = bars(*((lane, f, state, start, start + took) for lane, f, state, start, took in lines))
    thinned = gantt.thin(told, Window(0.0, 12.0, 100), plenty=0)
    assert thinned.tasks.sum() == len(told)
    places = {(lane, state) for lane, _, state, _, _ in lines}
    assert {(int(b["lane"]), int(b["state"])) for b in thinned.bars} == places
    for lane, state in places:
        mine, drawn = (
            of[(of["lane"] == lane) & (of["state"] == state)] for of in (told, thinned.bars)
        )
        assert drawn["start"].min() == mine["start"].min()
        assert drawn["end"].max() == mine["end"].max()


def test_of_joined_bars_the_function_is_shown_that_took_most() -> None:
    told = bars((0, 2, 1, 0.0, 0.01), (0, 1, 1, 0.01, 0.03), (0, 2, 1, 0.03, 0.035))
    assert gantt.thin(told, Window(0.0, 100.0, 100), plenty=0).bars["function"].tolist() == [1]


def test_a_hundred_thousand_bars_become_few_enough() -> None:
    told = many(100_000)
    whole = gantt.thin(told, Window(0.0, 100.0, 1000))
    assert len(whole.bars) <= gantt.BINS and whole.tasks.sum() == len(told)
    near = gantt.thin(told, Window(50.0, 51.0, 1000))
    assert (near.tasks == 1).all()
    assert near.bars["start"].min() > 48 and near.bars["end"].max() < 53


def test_a_few_bars_are_all_drawn_as_they_are() -> None:
    told = many(500)
    assert (gantt.thin(told, Window(0.1, 0.2)).bars == told).all()


def test_bars_are_packed_by_column_and_exact_near_the_base() -> None:
    told = bars((1, 2, timeline.FINISHED, 5000.0001, 5000.0002), (0, 0, timeline.RUNNING, 5000.5, np.nan))
    packed = gantt.pack(Thinned(told, np.ones(2, "f4")), np.array([1, 0]), 5000.0)
    columns = np.frombuffer(packed, "<f4").reshape(8, 2)
    assert columns[0].tolist() == [0, 1]
    assert columns[5].tolist() == pytest.approx([0.0001, 0.5], abs=1e-7)
    assert np.isnan(columns[6][1])
    assert gantt.pack(Thinned(told[:0], np.ones(0, "f4")), np.zeros(0), 0.0) == b""


def test_rows_are_by_node_and_actors_come_last() -> None:
    tracks = [
        Track("w1", "a1", 0, node="n1"), Track("w2", None, 0, node="n1"), Track("w3", None, 0, node="n2"),
        Track("w1", "a1", 1, node="n1"), Track("w4", None, 0, node="n1"),
    ]  # fmt: skip
    assert gantt.rows(tracks).tolist() == [2, 0, 4, 3, 1]
    assert gantt.rows([]).tolist() == []


def test_functions_are_summed_up_what_took_most_first() -> None:
    told = bars((0, 0, 1, 0, 1), (0, 1, 1, 1, 4), (0, 1, 2, 4, 5), (0, 1, 0, 5, np.nan))
    second, first = gantt.functions(told, ["short", "long"])[::-1]
    assert (first.name, first.running, first.ended, first.failed, first.total, first.longest) == ("long", 1, 2, 1, 4, 3)
    assert (second.name, second.mean) == ("short", 1.0)
    assert gantt.summary([first, second], 1) == "4 tasks on 1 row · 1 running · 1 failed"
    assert gantt.summary([], 0) == "no task has run yet"


def test_the_image_is_svg_whatever_functions_are_called() -> None:
    book = Chronicle()
    book.take(
        state_of(
            [
                row("t1", name="<script>&"),
                row("t2", FAILED, error="ValueError", worker="w2"),
                row("t3", RUNNING, name="x" * 100, worker="w3"),
            ]
        )
    )
    tree = ET.fromstring(gantt_image.document(book, gantt.chosen(book)))
    words = "".join(tree.itertext())
    assert "<script>&" in words and "square" in words and "x" * 28 not in words
    ET.fromstring(gantt_image.document(book, gantt.chosen(book)[:0]))
