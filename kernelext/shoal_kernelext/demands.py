"""What a cell asks of the cluster: checked where it is asked, for a task that asks too much waits for ever."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from IPython.core.error import UsageError

from shoal import options
from shoal.engines.base import Engine
from shoal.exceptions import ShoalValueError

_UNITS = {"": 1, "B": 1, "K": 1000, "M": 1000**2, "G": 1000**3, "T": 1000**4}


class Demand(NamedTuple):
    """What a remote cell needs; memory in bytes."""

    cpus: float = 1.0
    gpus: float = 0.0
    memory: float = 0.0
    retries: int = 0

    def check(self, engine: Engine) -> None:
        """Raise UsageError, with the cure, for what no machine of the cluster has."""
        machines = [node["Resources"] for node in engine.query("nodes") if node["Alive"]]
        wanted = {"CPU": self.cpus, "GPU": self.gpus, "memory": self.memory}
        if any(all(machine.get(name, 0) >= amount for name, amount in wanted.items()) for machine in machines):
            return
        for name, amount in wanted.items():
            most = max((machine.get(name, 0) for machine in machines), default=0)
            if amount > most:
                raise UsageError(_too_much(name, amount, most, len(machines)))
        raise UsageError("no machine of this cluster has all that at once, the cell would wait for ever: ask for less")

    def options(self) -> dict[str, Any]:
        """As remote functions take them. A cell is repeated when it raises, too, and not only when its worker dies."""
        found: dict[str, Any] = {"num_cpus": self.cpus, "max_retries": self.retries}
        if self.gpus:
            found["num_gpus"] = self.gpus
        if self.memory:
            found["memory"] = self.memory
        if self.retries:
            found["retry_exceptions"] = True
        return found


def demand(cpus: float, gpus: float, memory: str | None, retries: int) -> Demand:
    """A demand from what the options say; UsageError for what makes no sense."""
    if cpus < 0:
        raise UsageError(f"--cpus {cpus:g} is below zero: leave it out for one CPU")
    if gpus < 0:
        raise UsageError(f"--gpus {gpus:g} is below zero: leave it out for none")
    if retries < 0:
        raise UsageError(f"--retries {retries} is below zero: give how often the cell may be run again")
    found = Demand(cpus, gpus, 0.0 if memory is None else size(memory), retries)
    try:
        options.check("task", found.options())
    except ShoalValueError as error:
        complaint = str(error)
    else:
        return found
    raise UsageError(complaint)


def size(text: str) -> float:
    """Bytes from a size as people write it; UsageError for anything else.

    >>> size("2GB"), size("1.5 MiB"), size("300")
    (2000000000.0, 1572864.0, 300.0)
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(i?)B?\s*", text, re.IGNORECASE)
    if match is None:
        raise UsageError(f"--memory {text} is no size: give bytes, or a number with a unit, like 500MB or 2GiB")
    number, unit, binary = match.groups()
    step = _UNITS[unit.upper()]
    if binary and unit:
        step = 1024 ** "KMGT".index(unit.upper()) * 1024
    return float(number) * step


def seconds(timeout: float | None) -> float | None:
    """A --timeout; UsageError where it makes no sense."""
    if timeout is not None and not 0 < timeout < float("inf"):
        raise UsageError(f"--timeout {timeout:g} makes no sense: give the seconds that the cell may take")
    return timeout


def _too_much(name: str, amount: float, most: float, machines: int) -> str:
    there = "of this cluster" if machines == 1 else "of any of its machines"
    if name == "CPU":
        return (
            f"--cpus {amount:g} is more than the {most:g} CPUs {there}, the cell would wait for ever: "
            f"give {most:g} or less, or start a larger one (%cluster stop, then %cluster start -n N)"
        )
    if name == "GPU":
        return (
            f"--gpus {amount:g} is more than the {most:g} GPUs {there}, the cell would wait for ever: "
            "leave it out, or start a cluster that has them (%cluster stop, then %cluster start --gpus N)"
        )
    return (
        f"--memory {amount / 1e9:,.1f} GB is more than the {most / 1e9:,.1f} GB {there}, the cell would wait for "
        f"ever: give {most / 1e9:,.1f}GB or less"
    )
