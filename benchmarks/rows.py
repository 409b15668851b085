"""The rows of the table: what is measured, how, in which unit, and which way is better."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from benchmarks.memory import everything

Operation = Callable[..., object]
Operations = dict[str, Operation]
"""A peer's way of doing each row, by the row's key; what it cannot do is missing."""

Measure = Callable[[Operation], float]

LONG_ENOUGH = 5.0
"""Seconds one row of one peer may take before its repeats are cut short."""


def latency(operation: Operation, calls: int = 300) -> float:
    """Median microseconds of one call, after a tenth as many to warm up."""
    for _ in range(calls // 10):
        operation()
    return 1e6 * statistics.median(_repeated(operation, times=calls))


def rate(count: int) -> Measure:
    """How many a second, of ``count`` in flight at once; the best of a few repeats."""

    def measure(operation: Operation) -> float:
        operation(count // 10)
        return count / min(_repeated(operation, count, times=3))

    return measure


def growth(few: int, many: int) -> Measure:
    """How many times more one of ``many`` in flight costs than one of ``few``."""

    def measure(operation: Operation) -> float:
        operation(few)
        of_few = min(_repeated(operation, few, times=5)) / few
        return min(_repeated(operation, many, times=2)) / many / of_few

    return measure


def kept(count: int) -> Measure:
    """Megabytes that all processes, the caller's too, have more after ``count`` than after a tenth of it."""

    def measure(operation: Operation) -> float:
        operation(count // 10)
        before = everything()
        operation(count)
        return everything() - before

    return measure


def milliseconds(*args: Any) -> Measure:
    """Median milliseconds of ``operation(*args)``, the first one left out where others follow."""

    def measure(operation: Operation) -> float:
        seconds = _repeated(operation, *args, times=6)
        return 1e3 * statistics.median(seconds[1:] or seconds)

    return measure


def once(*args: Any) -> Measure:
    """Seconds of ``operation(*args)``, the first time."""
    return lambda operation: _seconds(operation, *args)


def _repeated(operation: Operation, *args: Any, times: int) -> list[float]:
    """Seconds of each call; no more are made once they took long enough to be told apart."""
    seconds: list[float] = []
    while len(seconds) < times and sum(seconds) < LONG_ENOUGH:
        seconds.append(_seconds(operation, *args))
    return seconds


def _seconds(operation: Operation, *args: Any) -> float:
    start = perf_counter()
    operation(*args)
    return perf_counter() - start


@dataclass(frozen=True)
class Row:
    """One line of the table; those without a ``measure`` are taken around a peer, not by it."""

    key: str
    title: str
    unit: str
    measure: Measure | None = None
    higher_is_better: bool = False
    operation: str = ""
    """The key of the operation that is measured, where that is another row's."""
    long: bool = False
    """It takes many minutes with the slower peers: measured where it is asked for."""


ROWS = [
    Row("start", "import + start → first result", "s"),
    Row("task", "one no-op task, there and back", "µs", latency),
    Row("tasks", "no-op tasks, 5,000 in flight", "/s", rate(5000), higher_is_better=True),
    Row("kept", "memory kept after 100,000 tasks", "MB", kept(100_000), operation="tasks", long=True),
    Row("growth", "one of 100,000 in flight, to one of 1,000", "×", growth(1_000, 100_000), False, "tasks", long=True),
    Row("call", "one actor call, there and back", "µs", latency),
    Row("calls", "actor calls, 5,000 in flight", "/s", rate(5000), higher_is_better=True),
    Row("memcpy", "copy 100 MB in memory", "ms", milliseconds()),
    Row("put", "put 100 MB", "ms", milliseconds()),
    Row("get", "get 100 MB", "ms", milliseconds()),
    Row("pass_ref", "100 MB as a ref to a task", "ms", milliseconds()),
    Row("pass_value", "100 MB by value to a task", "ms", milliseconds()),
    Row("return", "a task returns 100 MB", "ms", milliseconds()),
    Row("waits", "1,000 × wait for one of 1,000", "ms", milliseconds(1000)),
    Row("nested", "a task that runs 500 tasks", "ms", milliseconds(500)),
    Row("actors", "start 16 actors, one call each", "s", once(16)),
    Row("pss", "idle memory, 2 workers (PSS)", "MB"),
    Row("rss", "idle memory, 2 workers (RSS)", "MB"),
]
