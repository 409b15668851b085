"""The Cluster view: the history it keeps, what a page and the file are told, the chart it sends."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from time import process_time

import pytest

from shoal.feed_rows import FeedState, NodeRow, StoreRow
from shoal_widgets import history
from shoal_widgets.cluster_view import ClusterView, columns
from shoal_widgets.history import History, Machine, Sample, rates

from .feeds import NOW, HandsOff, row, state_of


def machine() -> Machine:
    return Machine(50.0, 3_000_000_000, 8_000_000_000)


def state(ended: int, at: float) -> FeedState:
    told = state_of([row(f"t{i}") for i in range(ended)], time=NOW + at)
    workers = {name: worker._replace(node="n1", memory=10_000_000, cpu=40.0) for name, worker in told.workers.items()}
    nodes = {"n1": NodeRow("n1", "head", 1.0, 2.0)}
    return replace(told, workers=workers, nodes=nodes, cpus=(1.0, 2.0), store=StoreRow(3, 5_000_000, 0, 9_000_000))


@pytest.fixture
def hands() -> HandsOff:
    return HandsOff()


@pytest.fixture
def view(hands: HandsOff) -> ClusterView:
    return ClusterView(hands, machine, lambda: 4)


def test_a_sample_is_taken_once_a_second() -> None:
    book = History(machine, 4)
    for at in (0, 0.2, 0.4, 1.1, 3.1):
        book.take(state(int(at * 10), at))
    assert [sample.time - NOW for sample in book.samples] == pytest.approx([0, 1.1, 3.1])
    assert book.rates() == pytest.approx([0, 10, 10])
    assert book.samples[0][1:5] == (1.0, 2.0, 2.0, 3_000_000_000)


def test_a_rate_is_never_negative() -> None:
    one = Sample(NOW, 0, 1, 0, 0, 0, 0, 10)
    assert rates([one, one._replace(time=NOW + 1, ended=4), one._replace(time=NOW + 1)]) == [0, 0, 0]


def test_a_page_is_told_of_nodes_and_the_history(view: ClusterView) -> None:
    view.picture(state(0, 0), {})
    found = json.loads(json.dumps(view.picture(state(8, 2), {}).state))
    assert found["words"] == (
        "1 of 2 CPUs held · 1 node · 1 worker · objects 5.0 MB of 9.0 MB · "
        "machine: CPU 50 %, memory 3.0 GB of 8.0 GB"
    )
    node = {"id": "n1", "name": "head", "used": 1.0, "cpus": 2.0, "workers": 1, "memory": 10_000_000, "percent": 40.0}
    assert found["nodes"] == [node]
    assert found["columns"]["rate"] == [0, 4]
    assert {len(column) for column in found["columns"].values()} == {2}


def test_the_record_has_the_history_as_an_image(view: ClusterView) -> None:
    assert "<img" not in view.record(state(0, 0), {}).html
    found = view.record(state(8, 2), {})
    assert 'alt="History of 2 s: up to 1 CPUs held, 4.0 tasks a second"' in found.html
    assert "head" in found.html and found.text.startswith("1 of 2 CPUs held")


def test_the_chart_comes_with_its_library_where_the_page_has_none(view: ClusterView) -> None:
    view.picture(state(0, 0), {})
    whole, only = view.act({"chart": "whole"}), view.act({"chart": "only"})
    assert whole is not None and only is not None
    assert "Bokeh" in whole["script"] and "script" not in only
    assert '"history"' in json.dumps(only["item"])


def test_the_size_is_asked_for(view: ClusterView, hands: HandsOff) -> None:
    view.act({"cpus": 3})
    assert hands.questions == [("resize", 3)]


def test_the_machine_says_how_it_is_to_whichever_thread_asks() -> None:
    look = history.watch()
    began = process_time()
    while process_time() < began + 0.05:
        pass
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(look).result()
    assert 0 < found.cpu <= 100 and 0 < found.used < found.memory and history.cores() >= 1
    assert columns(History(look, 1))["time"] == []
