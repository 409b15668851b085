"""Metrics recorded in drivers, tasks and actors, summed up by the cluster, in Prometheus's text format.

    requests = Counter("requests", description="…", tag_keys=("path",))
    requests.inc(tags={"path": "/"})
    print(exposition())

Nothing listens on a port unless `serve` is called. A program that has prometheus_client expose its own metrics adds the
cluster's by `prometheus_client.REGISTRY.register(Collector())`.
"""

from __future__ import annotations

import bisect
import itertools
import re
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from shoal import cluster, current
from shoal.exceptions import ShoalTypeError, ShoalValueError
from shoal.series import Sample, Series

if TYPE_CHECKING:
    from shoal.engines.base import Engine

M = TypeVar("M", bound="Metric")
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


class Metric:
    """What counters, gauges and histograms have in common."""

    _kind = ""
    _boundaries: tuple[float, ...] = ()

    def __init__(self, name: str, description: str = "", tag_keys: tuple[str, ...] | None = None) -> None:
        if not name:
            raise ShoalValueError("a metric's name is not empty")
        tag_keys = () if tag_keys is None else tag_keys
        if not isinstance(tag_keys, tuple):
            raise ShoalTypeError(f"tag_keys is a tuple of strings, not {type(tag_keys).__name__}")
        for key in tag_keys:
            if not isinstance(key, str):
                raise ShoalTypeError(f"tag_keys is a tuple of strings; it holds {key!r}")
        self._valid = _NAME.fullmatch(name) is not None
        if not self._valid:
            warnings.warn(
                f"Invalid metric name: {name!r} has more than letters, digits, _ and :, or starts with a digit; "
                "nothing will be recorded for it",
                stacklevel=3,
            )
        self._name = name
        self._description = description
        self._tag_keys = tag_keys
        self._default_tags: dict[str, str] = {}

    def set_default_tags(self: M, default_tags: dict[str, str]) -> M:
        """Tags that each record has unless it says otherwise; returns the metric itself."""
        for key, value in default_tags.items():
            if key not in self._tag_keys:
                raise ShoalValueError(f"Unrecognized tag key {key!r}: tag_keys is {self._tag_keys}")
            _check_tag(value)
        self._default_tags = dict(default_tags)
        return self

    @property
    def info(self) -> dict[str, Any]:
        """Name, description, tag keys and default tags."""
        return {
            "name": self._name,
            "description": self._description,
            "tag_keys": self._tag_keys,
            "default_tags": self._default_tags,
        }

    def _record(self, value: Any, tags: dict[str, str] | None) -> None:
        for given in (tags or {}).values():
            _check_tag(given)
        merged = {**self._default_tags, **(tags or {})}
        missing = [key for key in self._tag_keys if key not in merged]
        if missing:
            raise ShoalValueError(f"Missing value for tag key(s): {', '.join(missing)}")
        if self._valid:
            pairs = tuple((key, merged[key]) for key in self._tag_keys)
            _recorder.record(
                Sample(self._kind, self._name, self._description, pairs, self._boundaries, value)
            )


class Counter(Metric):
    """A sum that only grows. https://docs.ray.io/en/latest/ray-core/api/doc/ray.util.metrics.Counter.html"""

    _kind = "counter"

    def inc(self, value: float = 1.0, tags: dict[str, str] | None = None) -> None:
        """Add `value`, which is above zero."""
        _check_number(value)
        if value <= 0:
            raise ShoalValueError(f"value must be >0, got {value}")
        self._record(float(value), tags)


class Gauge(Metric):
    """The last value set. https://docs.ray.io/en/latest/ray-core/api/doc/ray.util.metrics.Gauge.html"""

    _kind = "gauge"

    def set(self, value: float | None, tags: dict[str, str] | None = None) -> None:
        """Set the value; None changes nothing."""
        if value is not None:
            _check_number(value)
            self._record(float(value), tags)


class Histogram(Metric):
    """Counts of values by size. https://docs.ray.io/en/latest/ray-core/api/doc/ray.util.metrics.Histogram.html

    Args: `boundaries` the upper bounds of the buckets, above zero; values above the last have one of their own.
    """

    _kind = "histogram"

    def __init__(
        self,
        name: str,
        description: str = "",
        boundaries: Sequence[float] | None = None,
        tag_keys: tuple[str, ...] | None = None,
    ) -> None:
        super().__init__(name, description, tag_keys)
        if not boundaries:
            raise ShoalValueError("boundaries argument should be provided: Histogram('name', boundaries=[1.0, 2.0])")
        for boundary in boundaries:
            if boundary <= 0:
                raise ShoalValueError(f"Invalid `boundaries` argument: {boundary} in {boundaries} is not above zero")
        self.boundaries = list(boundaries)
        self._boundaries = tuple(sorted(float(b) for b in boundaries))

    def observe(self, value: float, tags: dict[str, str] | None = None) -> None:
        """Count a value."""
        _check_number(value)
        counts = [0] * (len(self._boundaries) + 1)
        counts[bisect.bisect_left(self._boundaries, value)] = 1
        self._record((tuple(counts), float(value)), tags)

    @property
    def info(self) -> dict[str, Any]:
        return {**super().info, "boundaries": self.boundaries}


def _check_number(value: Any) -> None:
    if not isinstance(value, (int, float)):
        raise ShoalTypeError(f"value must be int or float, got {type(value).__name__}")


def _check_tag(value: Any) -> None:
    if not isinstance(value, str):
        raise ShoalTypeError(f"Tag values must be str, got {type(value).__name__}")


class _Recorder:
    """What this process has recorded and not told yet. It tells at once, of all there is when the message leaves."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._series = Series()
        self._told: Engine | None = None

    def record(self, sample: Sample) -> None:
        here = current.peek()
        with self._lock:
            self._series.add([sample])
            tell = here is not None and here.alive and self._told is not here
            if tell:
                self._told = here
        if tell:
            assert here is not None
            here.record(_Batch(self.take))

    def take(self) -> list[tuple[Any, ...]]:
        with self._lock:
            self._told = None
            return self._series.take()


class _Batch:
    """A message that is filled when it is sent."""

    def __init__(self, take: Callable[[], list[tuple[Any, ...]]]) -> None:
        self._take = take

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (self._take(),)

    def __iter__(self) -> Any:
        return iter(self._take())


_recorder = _Recorder()


# what was recorded


def samples() -> list[Sample]:
    """What all processes of the cluster have recorded, by name and tags. What tasks record comes with their results."""
    return [Sample(*row) for row in cluster.engine().query("metrics")]


def exposition() -> str:
    """The same in Prometheus's text format, version 0.0.4."""
    lines: list[str] = []
    told = ""
    for sample in samples():
        name = sample.name
        if sample.kind == "counter" and not name.endswith("_total"):
            name += "_total"
        if name != told:
            told = name
            if sample.description:
                text = sample.description.replace("\\", r"\\").replace("\n", r"\n")
                lines.append(f"# HELP {name} {text}")
            lines.append(f"# TYPE {name} {sample.kind}")
        if sample.kind == "histogram":
            lines += _histogram(name, sample)
        else:
            lines.append(f"{name}{_tags(sample.tags)} {sample.value!r}")
    return "".join(line + "\n" for line in lines)


def _histogram(name: str, sample: Sample) -> list[str]:
    counts, total = sample.value
    lines = []
    below = 0
    for bound, count in zip([*map(repr, sample.boundaries), "+Inf"], counts, strict=True):
        below += count
        lines.append(f"{name}_bucket{_tags((*sample.tags, ('le', bound)))} {below}")
    lines.append(f"{name}_sum{_tags(sample.tags)} {total!r}")
    lines.append(f"{name}_count{_tags(sample.tags)} {below}")
    return lines


def _tags(tags: tuple[tuple[str, str], ...]) -> str:
    if not tags:
        return ""
    quoted = (
        key + '="' + value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n") + '"' for key, value in tags
    )
    return "{" + ",".join(quoted) + "}"


class Collector:
    """For prometheus_client, whose exposition has the cluster's metrics as well after `REGISTRY.register(Collector())`.

    Made for each scrape, of what the cluster knows then; nothing while there is no cluster.
    Follows https://prometheus.github.io/client_python/collector/custom/
    """

    def describe(self) -> list[Any]:
        """Nothing is known of them before they are recorded; and registering starts no cluster."""
        return []

    def collect(self) -> Iterator[Any]:
        """One metric family of prometheus_client's for each metric."""
        from prometheus_client import core

        here = current.peek()
        found = samples() if here is not None and here.alive else []
        kinds = {
            "counter": core.CounterMetricFamily,
            "gauge": core.GaugeMetricFamily,
            "histogram": core.HistogramMetricFamily,
        }
        for (name, kind), group in itertools.groupby(found, key=lambda s: (s.name, s.kind)):
            rows = list(group)
            family = kinds[kind](name, rows[0].description, labels=[key for key, _ in rows[0].tags])
            for sample in rows:
                labels = [value for _, value in sample.tags]
                if kind == "histogram":
                    counts, total = sample.value
                    bounds = [*map(repr, sample.boundaries), "+Inf"]
                    family.add_metric(labels, list(zip(bounds, itertools.accumulate(counts), strict=True)), total)
                else:
                    family.add_metric(labels, sample.value)
            yield family


class Server:
    """What `serve` returns: `url` to scrape, and `close()`; a context manager too."""

    def __init__(self, host: str, port: int) -> None:
        import http.server

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                try:
                    status, text = 200, exposition()
                except Exception as error:
                    status, text = 503, f"{error}\n"
                body = text.encode()
                self.send_response(status)
                self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer((host, port), Handler)
        self.url = f"http://{host}:{self._server.server_address[1]}/metrics"
        self._thread = threading.Thread(target=self._server.serve_forever, name="shoal-metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def serve(port: int = 0, host: str = "127.0.0.1") -> Server:
    """Answer a Prometheus server's requests on a port of this machine (0: any free one) until it is closed."""
    return Server(host, port)
