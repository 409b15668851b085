"""The Graph view: where nodes and edges are drawn, what a page and the file are told."""

from __future__ import annotations

import base64
import json
import re
import xml.etree.ElementTree as ET
from graphlib import CycleError, TopologicalSorter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.feed_rows import FAILED, PENDING_ARGS, RUNNING, TaskRow
from shoal_widgets.graph import SINGLE, Graph
from shoal_widgets.graph_layout import GAP, Layout, arrange

from .feeds import CELL, OTHER, HandsOff, row, state_of, tasks

SIZE = (100, 40)
Edges = list[tuple[str, str]]


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[str], Edges]:
    nodes = [f"n{i}" for i in range(draw(st.integers(0, 14)))]
    ends = st.sampled_from(nodes) if nodes else st.nothing()
    return nodes, draw(st.lists(st.tuples(ends, ends), max_size=30 if nodes else 0))


def laid(nodes: list[str], edges: Edges, most: int = 4) -> Layout:
    return arrange(nodes, edges, SIZE, most)


@given(graphs(), st.integers(1, 6))
def test_no_two_nodes_overlap_and_all_is_within_the_drawing(graph: tuple[list[str], Edges], most: int) -> None:
    found = laid(*graph, most)
    places = list(found.places.values())
    assert list(found.places) == graph[0]
    for i, (x, y) in enumerate(places):
        assert 0 <= x <= found.width - SIZE[0] and 0 <= y <= found.height - SIZE[1]
        for other_x, other_y in places[:i]:
            assert abs(x - other_x) >= SIZE[0] + GAP - 0.2 or abs(y - other_y) >= SIZE[1]
    tied = {node for edge in graph[1] if edge[0] != edge[1] for node in edge}
    for y in {y for _, y in places}:
        row = [node for node, (_, other) in found.places.items() if other == y]
        assert len(row) <= (2 * most if tied & set(row) else most)


@given(graphs())
def test_edges_go_down_but_for_one_of_each_cycle(graph: tuple[list[str], Edges]) -> None:
    nodes, edges = graph
    found = laid(nodes, edges)
    assert [(line.source, line.target) for line in found.lines] == list(dict.fromkeys(edges))
    for line in found.lines:
        top, bottom = found.places[line.source][1], found.places[line.target][1]
        if line.loop:
            assert line.points == ((found.places[line.source][0] + SIZE[0], top + SIZE[1] / 2),)
            continue
        assert top > bottom if line.back else top < bottom
        ys = [y for _, y in line.points]
        assert ys == sorted(ys, reverse=line.back)
    try:
        TopologicalSorter({n: [s for s, t in edges if t == n and s != t] for n in nodes}).prepare()
    except CycleError:
        assert any(line.back for line in found.lines)
    else:
        assert not any(line.back for line in found.lines)


@given(graphs())
def test_an_edge_runs_through_no_node(graph: tuple[list[str], Edges]) -> None:
    found = laid(*graph)
    for line in found.lines:
        for x, y in line.points[1:-1]:
            assert not any(left < x < left + SIZE[0] and top < y < top + SIZE[1]
                           for left, top in found.places.values())  # fmt: skip


@given(graphs())
def test_the_same_graph_is_drawn_the_same(graph: tuple[list[str], Edges]) -> None:
    assert laid(*graph) == laid(*graph)


def test_a_chain_is_straight_and_what_feeds_its_end_stands_beside_it() -> None:
    found = laid(["a", "b", "c", "x"], [("a", "b"), ("b", "c"), ("x", "c")])
    assert found.places["x"][1] == found.places["b"][1]
    assert found.places["a"][0] == pytest.approx(found.places["b"][0], abs=30)
    assert laid(["a", "b"], [("a", "b")]).places["a"][0] == laid(["a", "b"], [("a", "b")]).places["b"][0]


@pytest.fixture
def view() -> Graph:
    return Graph(HandsOff())


def pipeline(width: int) -> list[TaskRow]:
    """Files that are loaded, each parsed, all merged; the last merge failed, and a task of another cell starts two."""
    loads = [row(f"load{i}", name="load") for i in range(width)]
    parses = [
        row(f"parse{i}", RUNNING if i else PENDING_ARGS, name="parse")._replace(needs=[f"load{i}"])
        for i in range(width)
    ]
    merge = row("merge", FAILED, name="merge", error="ValueError")._replace(needs=[f"parse{i}" for i in range(8)])
    root = row("root", name="root", cell=OTHER)
    children = [row(f"child{i}", name="child", cell=OTHER)._replace(parent="root") for i in range(2)]
    return [*loads, *parses, merge, root, *children]


def test_many_tasks_are_drawn_by_function_and_cell_with_exact_counts(view: Graph) -> None:
    state = json.loads(json.dumps(view.picture(state_of(pipeline(40)), {}).state))
    assert state["words"] == "43 of 84 tasks done · 39 running · 1 queued · 1 failed · 5 functions"
    assert [(node["label"], node["cell"], node["words"]) for node in state["nodes"]] == [
        ("load", "In [1]", "40 done"),
        ("parse", "In [1]", "0 of 40 · 39 running"),
        ("merge", "In [1]", "0 of 1 · 1 failed"),
        ("root", "In [2]", "1 done"),
        ("child", "In [2]", "2 done"),
    ]
    assert [(line["from"], line["to"], line["words"]) for line in state["table"]] == [
        ("load In [1]", "parse In [1]", "40 values"),
        ("parse In [1]", "merge In [1]", "8 values"),
        ("root In [2]", "child In [2]", "2 tasks started"),
    ]
    assert [(edge["label"], edge["values"]) for edge in state["edges"]] == [("40", 40), ("8", 8), ("2", 0)]


def test_few_tasks_are_drawn_one_by_one(view: Graph) -> None:
    state = view.picture(state_of(pipeline(3)), {"cell": CELL}).state
    assert len(state["nodes"]) == 7 and len(state["edges"]) == 6
    assert {node["words"] for node in state["nodes"]} == {"done", "running", "waits for arguments", "failed"}
    assert [(line["from"], line["to"], line["values"]) for line in state["table"]] == [
        ("load", "parse", 3), ("parse", "merge", 3)
    ]  # fmt: skip
    assert len(view.picture(state_of(pipeline(3)), {}).state["nodes"]) == 10
    assert [cell["label"] for cell in state["cells"]] == ["In [1]", "In [2]"]


def test_a_function_that_calls_itself_has_a_loop(view: Graph) -> None:
    rows = [row(f"t{i}", name="fib")._replace(parent=f"t{i // 2}" if i else None) for i in range(SINGLE + 1)]
    state = view.picture(state_of(rows), {}).state
    (edge,) = state["edges"]
    assert edge["from"] == edge["to"] and edge["label"] == "60"


def test_edges_are_told_of_the_tasks_that_are_remembered(view: Graph) -> None:
    state = state_of(pipeline(40))
    for i in range(30):
        del state.tasks[f"load{i}"]
    found = view.picture(state, {}).state
    assert found["words"].endswith("edges of the latest 54 tasks")
    assert found["nodes"][0]["words"] == "40 done" and found["edges"][0]["values"] == 10


def test_the_record_is_an_image_and_a_table_and_the_same_in_words(view: Graph) -> None:
    found = view.record(state_of(pipeline(40)), {"cell": CELL})
    assert not re.search(r"<(script|style|svg)|class=|var\(", found.html)
    source = re.search(r'src="data:image/svg\+xml;base64,([^"]+)"', found.html)
    assert source is not None
    ET.fromstring(base64.b64decode(source.group(1)))
    assert 'alt="Task graph: 40 of 81 tasks done' in found.html
    assert found.text.splitlines()[1:] == [
        "  load: 40 tasks done",
        "  parse: 0 of 40 tasks done · 39 running · 1 queued",
        "  merge: 0 of 1 task done · 1 failed",
        "  load → parse: 40 values",
        "  parse → merge: 8 values",
    ]
    assert Graph(HandsOff()).record(state_of([]), {}).text == "No tasks yet"


@settings(max_examples=25)
@given(tasks(), st.data())
def test_any_work_can_be_drawn(rows: list[TaskRow], data: st.DataObject) -> None:
    ids = st.sampled_from([one.id for one in rows]) if rows else st.nothing()
    needy = [
        one._replace(needs=data.draw(st.lists(ids, max_size=3)), parent=data.draw(st.none() | ids)) for one in rows
    ]
    view = Graph(HandsOff())
    for want in ({}, {"cell": CELL}):
        found = view.record(state_of(needy), want)
        assert found.text
        json.dumps(view.picture(state_of(needy), want).state)


def test_names_are_no_markup(view: Graph) -> None:
    html = view.record(state_of([row("t1", name="<script>")]), {}).html
    assert "<script" not in html
