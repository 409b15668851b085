"""What happened, told to the scheduler. Ids are bytes, clients and workers small numbers, times seconds."""

from __future__ import annotations

from collections.abc import Container
from typing import NamedTuple

from shoal.scheduler.groups import Group
from shoal.scheduler.nodes import Node
from shoal.scheduler.tables import Kind, Shape


class Made(NamedTuple):
    """A value's bytes, and whether it lies in the store, where it can be lost."""

    size: int
    stored: bool


NOTHING = Made(0, False)


class ClientJoined(NamedTuple):
    client: int


class ClientLeft(NamedTuple):
    """A driver's or worker's connection ended; a driver's work ends with it."""

    client: int


class KindDefined(NamedTuple):
    kind: Kind


class Submitted(NamedTuple):
    """A task, an actor's creation (its kind's role says so) or an actor call (`actor` is given)."""

    task: bytes
    kind: bytes
    client: int
    job: int
    cell: str | None
    parent: bytes | None
    actor: bytes | None
    deps: tuple[bytes, ...]
    holds: tuple[bytes, ...]
    env: str = ""
    namespace: str = ""
    home: str = ""
    """See `tables.Actor`; of an actor's creation."""
    size: int = 0


class WorkerReady(NamedTuple):
    worker: int


class WorkerDied(NamedTuple):
    """`begun` holds the numbers of those that it had begun of all that it was to run."""

    worker: int
    reason: str
    begun: Container[int]


class EnvironmentFailed(NamedTuple):
    """A runtime environment could not be set up: what waits for a worker in it fails."""

    env: str
    message: str


class Finished(NamedTuple):
    """A worker is done with a task; `contained` lists, for each return value, the refs inside it.

    `outcome` is "ok", "error", "cancelled", "retry" (a task's error that retry_exceptions names) or "exit" (the call
    ended its actor, and `error` says how).
    """

    worker: int
    task: bytes
    outcome: str
    contained: tuple[tuple[bytes, ...], ...]
    seconds: float
    error: str | None = None
    made: tuple[Made, ...] = ()


class Repeated(NamedTuple):
    """An actor's call raised what retry_exceptions names, and its worker runs it again at once, in its place."""

    worker: int
    task: bytes
    error: str


class Yielded(NamedTuple):
    """A generator's next value, the `number`-th from 0; `contained` lists the refs inside it."""

    worker: int
    task: bytes
    number: int
    contained: tuple[bytes, ...]
    made: Made = NOTHING


class ItemsTaken(NamedTuple):
    """The reader of a stream has taken so many items in all."""

    task: bytes
    items: int


class StreamDropped(NamedTuple):
    """The reader of a stream is gone; `unread` is the first item, from 1, that it has not read."""

    task: bytes
    unread: int


class Returned(NamedTuple):
    """A worker gives back tasks that it has not started."""

    worker: int
    tasks: tuple[bytes, ...]


class Blocked(NamedTuple):
    worker: int


class Unblocked(NamedTuple):
    worker: int


class Stuck(NamedTuple):
    """A worker's answer to `AskStuck`."""

    worker: int
    round: int
    stuck: bool


class Put(NamedTuple):
    client: int
    object: bytes
    contained: tuple[bytes, ...]
    failed: bool = False
    made: Made = NOTHING


class ObjectsLost(NamedTuple):
    """The values of these are not in the store any more."""

    objects: tuple[bytes, ...]
    reason: str


class Pinned(NamedTuple):
    """An object is needed, whoever holds it: it has a name."""

    object: bytes


class Unpinned(NamedTuple):
    """And no longer."""

    object: bytes


class Borrowed(NamedTuple):
    client: int
    objects: tuple[bytes, ...]


class Released(NamedTuple):
    client: int
    objects: tuple[bytes, ...]


class Fetched(NamedTuple):
    """A client wants to be sent these objects when they are ready."""

    client: int
    objects: tuple[bytes, ...]


class Cancelled(NamedTuple):
    task: bytes
    force: bool
    recursive: bool


class CancelHeard(NamedTuple):
    """The worker has told the task's code: what that submits from now on, it submits knowing of it."""

    task: bytes


class CellCancelled(NamedTuple):
    """The interrupt button: everything that this cell launched."""

    cell: str
    now: float
    actors_too: bool


class ActorKilled(NamedTuple):
    actor: bytes
    reason: str
    restart: bool = False


class NodeAdded(NamedTuple):
    node: Node


class NodeResized(NamedTuple):
    """It has another number of CPUs, in ten-thousandths, and keeps so many workers ready; what runs goes on."""

    node: str
    cpus: int
    pool: int


class NodeRemoved(NamedTuple):
    """Its workers die, and work goes on elsewhere as after any worker's death."""

    node: str
    reason: str


class GroupCreated(NamedTuple):
    group: Group


class GroupRemoved(NamedTuple):
    group: bytes


class GroupAwaited(NamedTuple):
    """A client made an object that is to be ready when the group is."""

    client: int
    object: bytes
    group: bytes


class Wanted(NamedTuple):
    """Tasks of this shape wait with a driver: it could use another worker, or hand more of them over."""

    client: int
    shape: Shape


class Told(NamedTuple):
    """A call is on a lane: its client says so, or the worker (`adopted`), who will say when it ends."""

    task: bytes
    kind: bytes
    client: int
    job: int
    cell: str | None
    parent: bytes | None
    actor: bytes | None
    worker: int
    adopted: bool


class ToldEnded(NamedTuple):
    """Its client says that a told call has ended by the lane."""

    task: bytes
    error: str | None


class LeaseClosed(NamedTuple):
    """A worker runs nothing any more of a loan that was to end."""

    worker: int
    lease: int


class Overdue(NamedTuple):
    """A driver says that a task runs long while others lie behind it."""

    worker: int
    lease: int


class Lost(NamedTuple):
    """All that a client had on its lane to a dead worker, and whether each had begun."""

    client: int
    worker: int
    calls: tuple[tuple[Submitted, bool], ...]


class Tick(NamedTuple):
    now: float


Event = (
    ClientJoined
    | ClientLeft
    | KindDefined
    | Submitted
    | WorkerReady
    | WorkerDied
    | EnvironmentFailed
    | Finished
    | Repeated
    | Yielded
    | ItemsTaken
    | StreamDropped
    | Returned
    | Blocked
    | Unblocked
    | Stuck
    | Put
    | ObjectsLost
    | Pinned
    | Unpinned
    | Borrowed
    | Released
    | Fetched
    | Cancelled
    | CancelHeard
    | CellCancelled
    | ActorKilled
    | NodeAdded
    | NodeRemoved
    | NodeResized
    | GroupCreated
    | GroupRemoved
    | GroupAwaited
    | Wanted
    | Told
    | ToldEnded
    | LeaseClosed
    | Overdue
    | Lost
    | Tick
)
