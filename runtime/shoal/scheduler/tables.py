"""The scheduler's records."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

Shape = tuple[tuple[str, int], ...]
"""A demand: sorted (resource, ten-thousandths) pairs. Tasks of one shape share a queue and a lease."""

# States of a task.
WAITING = "waiting"  # for arguments
QUEUED = "queued"  # for resources, or in an actor's mailbox
PUSHED = "pushed"  # with a worker

# States of a worker.
STARTING = "starting"
IDLE = "idle"
LEASED = "leased"
ACTOR = "actor"
ENDING = "ending"

# States of an actor: Ray's names.
PENDING_CREATION = "PENDING_CREATION"
ALIVE = "ALIVE"
DEAD = "DEAD"


@dataclass(slots=True)
class Kind:
    """A function with its options, an actor class with its options, or an actor's method."""

    id: bytes
    function: bytes
    name: str
    role: str  # "task", "actor", "method"
    shape: Shape
    held: Shape
    returns: int
    retries: int
    method: str = ""
    actor_name: str = ""
    namespace: str = ""
    detached: bool = False
    group: str = ""
    """The concurrency group of a method: each has an order of its own."""
    concurrent: bool = False
    """An actor class whose calls run at once: one that is not ready holds up no other."""
    stream: bool = False
    """Its values come one by one, nobody knows how many."""
    seconds: float | None = None
    """Measured running time, a moving average; None before the first."""


@dataclass(slots=True)
class Task:
    id: bytes
    kind: Kind
    client: int
    job: int
    cell: str | None
    parent: bytes | None
    actor: bytes | None
    deps: tuple[bytes, ...]
    holds: tuple[bytes, ...]
    returns: tuple[bytes, ...]
    retries: int
    state: str = WAITING
    missing: int = 0
    worker: int | None = None
    cancelled: bool = False
    children: set[bytes] = field(default_factory=set)
    env: str = ""
    """Key of the runtime environment that its worker must be in; empty for none."""


@dataclass(slots=True)
class Object:
    owner: int
    ready: bool = False
    failed: bool = False
    pins: int = 0
    """Tasks and containers that need it."""
    holders: set[int] = field(default_factory=set)
    fetchers: set[int] = field(default_factory=set)
    waiters: list[bytes] = field(default_factory=list)
    contained: tuple[bytes, ...] = ()
    actor: bool = False


@dataclass(slots=True)
class Worker:
    id: int
    state: str = STARTING
    env: str = ""
    """The runtime environment it was made for: it never serves another."""
    job: int = 0
    shape: Shape = ()
    running: dict[bytes, None] = field(default_factory=dict)
    """Tasks pushed to it, in order: the first is the one that runs."""
    actor: bytes | None = None
    blocked: bool = False
    taking_back: bool = False
    head_since: float = 0.0
    head: bytes | None = None
    idle_since: float | None = None


@dataclass(slots=True)
class Actor:
    id: bytes
    kind: Kind
    job: int
    cell: str | None
    state: str = PENDING_CREATION
    worker: int | None = None
    mailboxes: dict[int, deque[bytes]] = field(default_factory=dict)
    """Calls not yet sent, by caller: each caller's go out in their order."""
    reason: str = ""
    error: str = "ActorDiedError"
    """What its calls fail with once it is dead."""
