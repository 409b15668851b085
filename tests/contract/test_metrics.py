"""`shoal.util.metrics`, on every engine."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable
from typing import Any

import prometheus_client
import pytest
from prometheus_client.parser import text_string_to_metric_families

import shoal
from shoal.util import metrics
from shoal.util.metrics import Counter, Gauge, Histogram

pytestmark = pytest.mark.usefixtures("engine")


def recorded() -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """What Prometheus's own parser makes of it."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.exposition())
        for sample in family.samples
    }


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_nothing_is_recorded_at_first() -> None:
    assert metrics.exposition() == ""


def test_a_counter_counts_in_all_processes() -> None:
    hits = Counter("hits", "What was hit", ("way",)).set_default_tags({"way": "task"})

    @shoal.remote
    def hit() -> None:
        hits.inc(2)

    shoal.get([hit.remote() for _ in range(5)])
    hits.inc(tags={"way": "driver"})
    until(lambda: recorded().get(("hits_total", (("way", "task"),))) == 10)
    assert recorded()["hits_total", (("way", "driver"),)] == 1
    assert "# HELP hits_total What was hit\n# TYPE hits_total counter\n" in metrics.exposition()


def test_a_gauge_has_its_last_value() -> None:
    level = Gauge("level")
    for value in (3, 1.5, None):
        level.set(value)
    assert recorded() == {("level", ()): 1.5}


def test_a_histogram_counts_by_size() -> None:
    sizes = Histogram("sizes", boundaries=[1, 2.5])
    for value in (0.5, 1, 2, 3):
        sizes.observe(value)
    assert recorded() == {
        ("sizes_bucket", (("le", "1.0"),)): 2,
        ("sizes_bucket", (("le", "2.5"),)): 3,
        ("sizes_bucket", (("le", "+Inf"),)): 4,
        ("sizes_sum", ()): 6.5,
        ("sizes_count", ()): 4,
    }


def test_tags_of_any_text() -> None:
    Counter("odd", tag_keys=("text",)).inc(tags={"text": 'a "b"\\\n'})
    assert recorded() == {("odd_total", (("text", 'a "b"\\\n'),)): 1}


def test_an_actor_keeps_a_metric() -> None:
    class Server:
        def __init__(self) -> None:
            self.calls = Counter("calls")

        def call(self) -> None:
            self.calls.inc()

    server = shoal.remote(Server).remote()
    shoal.get([server.call.remote() for _ in range(3)])
    until(lambda: recorded() == {("calls_total", ()): 3})


@pytest.mark.parametrize(
    ("bad", "error", "says"),
    [
        (lambda: Counter(""), ValueError, "empty"),
        (lambda: Counter("a", tag_keys=["b"]), TypeError, "tuple"),  # type: ignore[arg-type]
        (lambda: Counter("a", tag_keys=(1,)), TypeError, "strings"),  # type: ignore[arg-type]
        (lambda: Counter("a").inc(0), ValueError, "must be >0"),
        (lambda: Counter("a").inc("1"), TypeError, "int or float"),  # type: ignore[arg-type]
        (lambda: Counter("a", tag_keys=("b",)).inc(), ValueError, "Missing value for tag key"),
        (lambda: Counter("a", tag_keys=("b",)).inc(tags={"b": 1}), TypeError, "must be str"),  # type: ignore[dict-item]
        (lambda: Counter("a").set_default_tags({"b": "c"}), ValueError, "Unrecognized tag key"),
        (lambda: Gauge("a").set("high"), TypeError, "int or float"),  # type: ignore[arg-type]
        (lambda: Histogram("a"), ValueError, "boundaries"),
        (lambda: Histogram("a", boundaries=[0, 1]), ValueError, "boundaries"),
    ],
)
def test_misuse_is_told(bad: Callable[[], Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        bad()


def test_a_name_that_prometheus_does_not_take_is_warned_of() -> None:
    with pytest.warns(UserWarning, match="Invalid metric name"):
        odd = Counter("not-a-name")
    odd.inc()
    assert metrics.exposition() == ""


def test_info() -> None:
    counter = Counter("a", "b", ("c",)).set_default_tags({"c": "d"})
    assert counter.info == {"name": "a", "description": "b", "tag_keys": ("c",), "default_tags": {"c": "d"}}
    assert Histogram("h", boundaries=[1.0]).info["boundaries"] == [1.0]


def test_prometheus_client_exposes_them_beside_its_own() -> None:
    registry = prometheus_client.CollectorRegistry()
    registry.register(metrics.Collector())
    assert prometheus_client.generate_latest(registry) == b""
    Counter("seen", "how many", tag_keys=("path",)).inc(2, {"path": "/"})
    Histogram("sizes", boundaries=[1.0, 2.0]).observe(1.5)
    prometheus_client.Gauge("own", "its own", registry=registry).set(3)
    text = prometheus_client.generate_latest(registry).decode()
    assert 'seen_total{path="/"} 2.0' in text and "# HELP seen_total how many" in text
    assert 'sizes_bucket{le="2.0"} 1.0' in text and "sizes_sum 1.5" in text and "sizes_count 1.0" in text
    assert "own 3.0" in text


def test_served_on_request() -> None:
    Gauge("level").set(2)
    with metrics.serve() as server, urllib.request.urlopen(server.url, timeout=30) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert answer.read().decode() == metrics.exposition() == "# TYPE level gauge\nlevel 2.0\n"
