"""The items of a parallel loop, where a cell's work is one: people count those, and not the tasks they travel in."""

from __future__ import annotations

from typing import NamedTuple

from shoal.feed_rows import Counts


class Items(NamedTuple):
    """How far a loop is at one moment."""

    total: int | None = None
    """None where nobody knows how many there will be."""
    running: int = 0
    """Sent to workers, and not back."""
    finished: int = 0
    failed: int = 0
    cancelled: int = 0
    before: int = 0
    """Of `finished`, those of an earlier run of the same loop."""

    @property
    def counts(self) -> Counts:
        """The items in the terms of tasks; those not read yet are pending, as far as their number is known."""
        known = self.running + self.finished + self.failed + self.cancelled
        pending = max(0, (self.total or 0) - known)
        return Counts(pending, self.running, self.finished, self.failed, self.cancelled)
