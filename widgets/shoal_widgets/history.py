"""How busy a cluster and its machine were of late: samples of some minutes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from shoal.feed_rows import FeedState

EVERY = 1.0
"""Seconds between samples, at least."""
KEPT = 900
"""Samples: a quarter of an hour at that pace."""


class Machine(NamedTuple):
    """What psutil says: CPU in percent of all, memory in bytes."""

    cpu: float
    used: int
    memory: int


class Sample(NamedTuple):
    """One moment; `time` in Unix seconds, memory in bytes."""

    time: float
    busy: float
    """CPUs that tasks and actors hold."""
    cpus: float
    machine: float
    """CPUs of the machine that are busy, with whatever."""
    used: int
    """Memory of the machine."""
    workers: int
    """Memory of the workers, without what they share."""
    store: int
    """Memory of the object store."""
    ended: int
    """Tasks that have ended so far."""


class History:
    """The samples, oldest first.

    Args:
        look: says how the machine is.
        cores: of the machine.
    """

    def __init__(self, look: Callable[[], Machine], cores: int) -> None:
        self._look = look
        self._cores = cores
        self.samples: deque[Sample] = deque(maxlen=KEPT)
        self.machine = look()

    def take(self, state: FeedState) -> None:
        """A sample of now, unless there was one just before."""
        if self.samples and state.time < self.samples[-1].time + EVERY:
            return
        self.machine = self._look()
        self.samples.append(
            Sample(
                state.time,
                *state.cpus,
                self.machine.cpu / 100 * self._cores,
                self.machine.used,
                sum(worker.memory for worker in state.workers.values()),
                state.store.used,
                sum(counts.done for counts in state.counts.values()),
            )
        )

    def rates(self) -> list[float]:
        """Tasks ended a second, by sample; none before the first."""
        return rates(self.samples)


def rates(samples: Iterable[Sample]) -> list[float]:
    """The increase a second since the sample before; never below zero, for old counts are forgotten."""
    found, last = [], None
    for sample in samples:
        passed = sample.time - last.time if last is not None else 0.0
        more = sample.ended - last.ended if last is not None else 0
        found.append(max(0.0, more / passed) if passed > 0 else 0.0)
        last = sample
    return found


def watch() -> Callable[[], Machine]:
    """What says how this machine is: its CPU since it was asked last.

    psutil's `cpu_percent` keeps the last time by thread, and a view is made by another thread than it draws in.
    """
    import psutil

    busy, total = _cpu_seconds(psutil.cpu_times())
    percent = 0.0

    def look() -> Machine:
        nonlocal busy, total, percent
        now_busy, now_total = _cpu_seconds(psutil.cpu_times())
        if now_total > total:  # else it is the same tick of the clock
            percent = min(100.0, max(0.0, 100 * (now_busy - busy) / (now_total - total)))
            busy, total = now_busy, now_total
        memory = psutil.virtual_memory()
        return Machine(percent, memory.total - memory.available, memory.total)

    return look


def _cpu_seconds(times: Any) -> tuple[float, float]:
    """Seconds busy, and in all, of all CPUs; what guests take is counted in the time of users."""
    total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
    return total - times.idle - getattr(times, "iowait", 0.0), total


def cores() -> int:
    import psutil

    return psutil.cpu_count() or 1
