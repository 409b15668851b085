"""Who holds how much of what. Exact: a resource is counted in ten-thousandths, so that 0.1 ten times is one."""

from __future__ import annotations

from collections.abc import Mapping

from shoal.scheduler.tables import Gpus, Shape

UNIT = 10_000


def units(demand: Mapping[str, float]) -> dict[str, int]:
    return {name: round(value * UNIT) for name, value in demand.items()}


def amounts(counted: Mapping[str, int]) -> dict[str, float]:
    return {name: value / UNIT for name, value in counted.items()}


def shape_of(demand: Mapping[str, float]) -> Shape:
    """A demand as the scheduler counts it; zeros are left out.

    >>> shape_of({"GPU": 0, "CPU": 0.5})
    (('CPU', 5000),)
    """
    return tuple(sorted((n, v) for n, v in units(demand).items() if v))


def only_cpu(shape: Shape) -> Shape:
    return tuple(pair for pair in shape if pair[0] == "CPU")


def spelled(shape: Shape) -> str:
    """
    >>> spelled((("CPU", 5000), ("GPU", 20000)))
    '0.5 CPU, 2 GPU'
    """
    return ", ".join(f"{amount / UNIT:.10g} {name}" for name, amount in shape) or "nothing"


class Resources:
    """A total, and what of it is free: a node's, or that of a bundle which was cut out of a node's.

    GPUs are counted one by one: half of one and half of another do not make one.
    Invariant: free + taken = total. `free` goes below zero only when a task that was blocked goes on, or when the total
    is made smaller, and then nothing new starts until it is back.
    """

    def __init__(self, total: Mapping[str, int], gpus: Gpus | None = None) -> None:
        """Amounts in ten-thousandths; `gpus` are those it consists of, by default numbered from 0."""
        self.total = dict(total)
        self.free = dict(total)
        if gpus is None:
            whole, rest = divmod(self.total.get("GPU", 0), UNIT)
            gpus = (*((i, UNIT) for i in range(whole)), *(((whole, rest),) if rest else ()))
        self.gpus = dict(gpus)
        """How much of each GPU is free."""

    def fits(self, shape: Shape) -> bool:
        free = self.free
        for name, amount in shape:
            if free.get(name, 0) < amount:
                return False
            if self.gpus and name == "GPU" and self._pick(amount) is None:
                return False
        return True

    def overdrawn(self, shape: Shape) -> bool:
        """Whether tasks that were blocked and went on have taken more than there is."""
        return any(self.free.get(name, 0) < 0 for name, _ in shape)

    def ever_fits(self, shape: Shape) -> bool:
        return all(self.total.get(name, 0) >= amount for name, amount in shape)

    def take(self, shape: Shape) -> Gpus:
        """Returns the GPUs that were taken, to be given back with it."""
        gpus: Gpus = ()
        for name, amount in shape:
            self.free[name] -= amount
            if self.gpus and name == "GPU":
                gpus = self._pick(amount) or ()
                for index, part in gpus:
                    self.gpus[index] -= part
        return gpus

    def resize(self, name: str, total: int) -> None:
        """Have another total; what is taken stays so."""
        self.free[name] = self.free.get(name, 0) + total - self.total.get(name, 0)
        self.total[name] = total

    def give(self, shape: Shape, gpus: Gpus = ()) -> None:
        for name, amount in shape:
            self.free[name] += amount
        for index, part in gpus:
            self.gpus[index] += part

    def _pick(self, amount: int) -> Gpus | None:
        """Whole GPUs that nobody uses; a part from the one where the least is left over."""
        whole, part = divmod(amount, UNIT)
        unused = [i for i, free in self.gpus.items() if free >= UNIT]
        if len(unused) < whole:
            return None
        picked = unused[:whole]
        if not part:
            return tuple((i, UNIT) for i in picked)
        fitting = [(free, i) for i, free in self.gpus.items() if free >= part and i not in picked]
        if not fitting:
            return None
        return (*((i, UNIT) for i in picked), (min(fitting)[1], part))

    def copy(self) -> Resources:
        """As it is now, to try something out."""
        other = Resources(self.total, ())
        other.free, other.gpus = dict(self.free), dict(self.gpus)
        return other

    def share(self, name: str) -> float:
        """How much of a resource is in use, from 0 to 1."""
        total = self.total.get(name, 0)
        return 1 - self.free[name] / total if total else 0.0
