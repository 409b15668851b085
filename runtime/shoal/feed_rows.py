"""The rows of the feed: what a listener sees of tasks, workers, actors and the store.

On the wire a row is a JSON list in the order of its fields; no pickle travels on the feed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

# Ray's names: https://docs.ray.io/en/latest/ray-observability/reference/doc/ray.util.state.common.TaskState.html
PENDING_ARGS = "PENDING_ARGS_AVAIL"
PENDING_NODE = "PENDING_NODE_ASSIGNMENT"
SUBMITTED = "SUBMITTED_TO_WORKER"
RUNNING = "RUNNING"
FINISHED = "FINISHED"
FAILED = "FAILED"
DONE = frozenset({FINISHED, FAILED})

KEPT = 10_000
"""Rows of tasks that are remembered, the latest: by the cluster, and by whoever follows its feed."""
NEEDS = 8
"""As many tasks are named whose values a task needs."""


class TaskRow(NamedTuple):
    """One task (or actor call); times are Unix seconds, None until they happened."""

    id: str
    name: str
    cell: str | None
    state: str
    worker: str | None
    actor: str | None
    parent: str | None
    submitted: float
    started: float | None
    ended: float | None
    error: str | None
    """Class name of the error, e.g. ``ValueError`` or ``TaskCancelledError``; None while all is well."""
    needs: Sequence[str] = ()
    """The ids of tasks whose values it was given by reference: of the first `NEEDS` that the cluster was told of."""


class Counts(NamedTuple):
    """How many tasks of one function launched by one cell are in which state; absolute numbers."""

    pending: int = 0
    running: int = 0
    finished: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def total(self) -> int:
        return sum(self)

    @property
    def done(self) -> int:
        return self.finished + self.failed + self.cancelled


class WorkerRow(NamedTuple):
    """One worker process; ``state`` is idle, busy, blocked, actor or dead. Memory is in bytes, CPU in percent."""

    id: str
    pid: int
    state: str
    actor: str | None
    memory: int
    cpu: float
    node: str = ""
    """The id of the node it is on."""


class NodeRow(NamedTuple):
    """One node of the cluster, as long as it is alive; `used` are the CPUs that its tasks and actors hold."""

    id: str
    name: str
    used: float
    cpus: float


class ActorRow(NamedTuple):
    """One actor; states have Ray's names (PENDING_CREATION, ALIVE, DEAD)."""

    id: str
    name: str
    cls: str
    state: str
    cell: str | None
    worker: str | None
    mailbox: int
    error: str | None
    restarts: int = 0
    """How often it was made anew."""


class StoreRow(NamedTuple):
    """The object store, in bytes."""

    objects: int = 0
    used: int = 0
    committed: int = 0
    capacity: int = 0
    spilled: int = 0
    """Of objects that lie on disk."""


@dataclass(frozen=True)
class FeedState:
    """What a listener knows after a batch. The dicts are copies: nobody changes them."""

    seq: int = 0
    time: float = 0.0
    tasks: dict[str, TaskRow] = field(default_factory=dict)
    counts: dict[tuple[str | None, str], Counts] = field(default_factory=dict)
    workers: dict[str, WorkerRow] = field(default_factory=dict)
    actors: dict[str, ActorRow] = field(default_factory=dict)
    store: StoreRow = StoreRow()
    cpus: tuple[float, float] = (0.0, 0.0)
    nodes: dict[str, NodeRow] = field(default_factory=dict)
