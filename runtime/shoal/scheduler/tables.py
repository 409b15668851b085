"""The scheduler's records."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shoal.wishes import Wish

if TYPE_CHECKING:
    from shoal.scheduler.nodes import Node
    from shoal.scheduler.strategies import Seat

Shape = tuple[tuple[str, int], ...]
"""A demand: sorted (resource, ten-thousandths) pairs. Tasks of one shape share a queue and a lease."""
Gpus = tuple[tuple[int, int], ...]
"""Which GPUs, and how much of each in ten-thousandths."""

# States of a task.
WAITING = "waiting"  # for arguments
QUEUED = "queued"  # for resources, or in an actor's mailbox
PUSHED = "pushed"  # with a worker

# States of a worker.
STARTING = "starting"
IDLE = "idle"
LEASED = "leased"
LENT = "lent"  # to a driver, who pushes by a lane
ACTOR = "actor"
ENDING = "ending"

# States of an actor: Ray's names.
PENDING_CREATION = "PENDING_CREATION"
ALIVE = "ALIVE"
RESTARTING = "RESTARTING"
DEAD = "DEAD"


# What the hub and a driver with lanes both go by, in seconds.
AHEAD = 0.005
"""Work that a worker is given at once."""
SHORT = 0.001
"""Tasks that take longer, or were never measured, are better not pushed ahead by their driver, who may hang."""
OVERDUE = 0.010
"""After so long what lies behind a running task is taken back."""


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
    wish: Wish | None = None
    plain: bool = False
    """May go by a lane."""
    restarts: int = 0
    """How often an actor is made anew after a crash; -1 is without end."""
    calls: int = 0
    """After so many calls of the function a worker ends; 0: never."""
    asynchronous: bool = False
    """An actor class whose calls are coroutines: one that is cancelled ends when it has cleaned up after itself."""
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
    orphaning: bool = False
    """Cancelled with its children, and its code does not know yet: those that are on their way are meant too."""
    children: set[bytes] = field(default_factory=set)
    depth: int = 0
    """Of a queued task: how many tasks are above it."""
    fresh: list[bytes] | None = None
    """Children that were queued since it last waited."""
    env: str = ""
    """Key of the runtime environment that its worker must be in; empty for none."""
    lane: bool = False
    """Its client has pushed it on a lane, and has not said that it ended."""
    adopted: bool = False
    """It ends the hub's way though it came by a lane."""
    size: int = 0
    """Bytes of what it was submitted with: they are kept as long as it may have to run again."""
    items: list[bytes] = field(default_factory=list)
    """What it yielded that lies in the store."""
    again: bool = False
    """It ended well once, and runs again for what was lost of its values."""


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
    size: int = 0
    home: Node | None = None
    """Where the value lies in the store, and with what it is lost; None for one that travels in messages."""
    gone: bool = False
    """The value was there, and is not any more; nobody has needed it since. See `lineage`."""
    why: str = ""
    """How it was lost."""
    lineage: int = 0
    """Tasks that would need it if they had to run again."""
    maker: str = ""
    """The name of the task that made it; empty for what was put."""
    bar: tuple[str, str] = ("", "")
    """Why its task cannot run again: an error's name and the reason."""

    @property
    def pending(self) -> bool:
        """Somebody is at it."""
        return not self.ready and not self.gone


@dataclass(slots=True)
class Worker:
    id: int
    node: Node
    state: str = STARTING
    env: str = ""
    """The runtime environment it was made for: it never serves another."""
    job: int = 0
    shape: Shape = ()
    wish: Wish | None = None
    gpus: Gpus = ()
    running: dict[bytes, int] = field(default_factory=dict)
    """Tasks pushed to it, in order: the first is the one that runs. By their numbers; 0 for one on a lane."""
    pushed: int = 0
    """The number of the last."""
    actor: bytes | None = None
    blocked: bool = False
    taking_back: bool = False
    head_since: float = 0.0
    head: bytes | None = None
    long: bytes | None = None
    """The last task there that turned out long."""
    idle_since: float | None = None
    lease: int = 0
    """The number of its last loan to a driver."""
    drivers: set[int] = field(default_factory=set)
    """To whom it was ever lent, or offered: they may have a lane to it."""
    over: set[bytes] = field(default_factory=set)
    """Calls on lanes to it that ended here first: that it adopts one may be on the way."""
    closing: bool = False
    """The loan is to end; the worker has been told."""
    calls: Counter[bytes] = field(default_factory=Counter)
    """How often it ran functions that wear it out, by function."""
    worn: bool = False
    """It ends when its lease does."""
    leaving: bool = False
    """An actor's, that was told to end when it has done what runs."""
    seat: Seat = field(init=False)
    """What its shape is taken from, while it is leased or an actor's."""

    def __post_init__(self) -> None:
        self.seat = self.node

    @property
    def held_up(self) -> bool:
        """What runs there turned out long: whatever is pushed behind it only has to be taken back."""
        return self.long is not None and next(iter(self.running), None) == self.long


@dataclass(slots=True)
class Actor:
    id: bytes
    kind: Kind
    job: int
    cell: str | None
    creation: Task
    """The constructor's; it runs again at each restart."""
    restarts: int
    """How many are left; -1 is without end."""
    namespace: str = ""
    """Where its name is."""
    home: str = ""
    """The namespace of the program that made it, and so of what it does itself."""
    born: bool = False
    restarted: int = 0
    """How often it was made anew."""
    arguments_kept: bool = True
    state: str = PENDING_CREATION
    worker: int | None = None
    mailboxes: dict[tuple[int, str], deque[bytes]] = field(default_factory=dict)
    """Calls not yet sent, by caller and concurrency group: each one's go out in their order."""
    reason: str = ""
    error: str = "ActorDiedError"
    """What its calls fail with once it is dead."""
    received: dict[int, int] = field(default_factory=dict)
    """By driver, the calls that came the hub's way."""
    sent: dict[int, int] = field(default_factory=dict)
    """By driver, the calls that were sent to its present worker."""
    silent: set[tuple[int, int]] = field(default_factory=set)
    """Drivers, and processes of it that died, of which they have not said yet what they had on a lane there: their
    later calls wait."""
