"""Metrics as a cluster keeps them: each name and set of tags with what was recorded in all processes together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple


class Sample(NamedTuple):
    """What one process recorded since it last told, or what all did.

    `value` is a counter's increase, a gauge's last value, or a histogram's `(counts, sum)`: one count for each of
    `boundaries`, the upper bounds, and one above them.
    """

    kind: str
    name: str
    description: str
    tags: tuple[tuple[str, str], ...]
    boundaries: tuple[float, ...]
    value: Any

    @property
    def key(self) -> tuple[Any, ...]:
        return self.kind, self.name, self.tags, self.boundaries

    def plus(self, later: Sample) -> Sample:
        """Both together."""
        if self.kind == "counter":
            return later._replace(value=self.value + later.value)
        if self.kind == "histogram":
            (counts, total), (more, added) = self.value, later.value
            return later._replace(
                value=(tuple(a + b for a, b in zip(counts, more, strict=True)), total + added)
            )
        return later


class Series:
    """The sums, by what they are sums of."""

    def __init__(self) -> None:
        self._samples: dict[tuple[Any, ...], Sample] = {}

    def add(self, samples: Iterable[Iterable[Any]]) -> None:
        for fields in samples:
            sample = Sample(*fields)
            before = self._samples.get(sample.key)
            self._samples[sample.key] = sample if before is None else before.plus(sample)

    def take(self) -> list[tuple[Any, ...]]:
        """All of it as plain tuples; it is empty then."""
        samples, self._samples = self._samples, {}
        return [tuple(s) for s in samples.values()]

    def rows(self) -> list[tuple[Any, ...]]:
        """All of it as plain tuples, by name and tags."""
        return sorted(map(tuple, self._samples.values()), key=lambda row: (row[1], row[0], row[3], row[4]))
