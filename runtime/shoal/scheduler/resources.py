"""Who holds how much of what. Exact: a resource is counted in ten-thousandths, so that 0.1 ten times is one."""

from __future__ import annotations

from collections.abc import Mapping

from shoal.scheduler.tables import Shape

UNIT = 10_000


def shape_of(demand: Mapping[str, float]) -> Shape:
    """A demand as the scheduler counts it; zeros are left out.

    >>> shape_of({"GPU": 0, "CPU": 0.5})
    (('CPU', 5000),)
    """
    return tuple(sorted((n, round(v * UNIT)) for n, v in demand.items() if round(v * UNIT)))


def only_cpu(shape: Shape) -> Shape:
    return tuple(pair for pair in shape if pair[0] == "CPU")


class Resources:
    """The total, and what of it is free.

    Invariant: free + taken = total. `free` goes below zero only when a task that was blocked goes on (`take` is told
    to `force`), and then nothing new starts until it is back.
    """

    def __init__(self, total: Mapping[str, float]) -> None:
        self.total = {name: round(value * UNIT) for name, value in total.items()}
        self.free = dict(self.total)

    def fits(self, shape: Shape) -> bool:
        free = self.free
        for name, amount in shape:
            if free.get(name, 0) < amount:
                return False
        return True

    def ever_fits(self, shape: Shape) -> bool:
        return all(self.total.get(name, 0) >= amount for name, amount in shape)

    def take(self, shape: Shape) -> None:
        for name, amount in shape:
            self.free[name] -= amount

    def give(self, shape: Shape) -> None:
        for name, amount in shape:
            self.free[name] += amount

    def amounts(self, of: Mapping[str, int]) -> dict[str, float]:
        return {name: value / UNIT for name, value in of.items()}
