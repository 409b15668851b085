"""What is to be done, told to the hub."""

from __future__ import annotations

from typing import NamedTuple

from shoal.scheduler.tables import Shape


class StartWorker(NamedTuple):
    """`env` is the key of the runtime environment it is for; empty for none."""

    worker: int
    env: str = ""


class StopWorker(NamedTuple):
    """Let it end by itself: its atexit handlers run."""

    worker: int


class KillWorker(NamedTuple):
    worker: int


class Run(NamedTuple):
    """`number` grows with each one that the worker is sent; `caller` is the client whose call of an actor it is."""

    worker: int
    task: bytes
    number: int
    caller: int = 0


class Interrupt(NamedTuple):
    """Raise KeyboardInterrupt in the task if it runs; drop it if the worker has not started it."""

    worker: int
    task: bytes


class CancelCall(NamedTuple):
    """Drop an actor's call if it has not started; if it has, tell it: only a coroutine is stopped."""

    worker: int
    task: bytes


class TakeBack(NamedTuple):
    """Ask a worker for these tasks, unless it has started them; it answers with `Returned`."""

    worker: int
    tasks: tuple[bytes, ...]


class AskStuck(NamedTuple):
    """Ask a blocked worker whether it still waits after all that it was sent; it answers with `Stuck`."""

    worker: int
    round: int


class Deliver(NamedTuple):
    """Send an object's value to a client."""

    client: int
    object: bytes


class Fail(NamedTuple):
    """The objects' value is this error, named as in shoal.exceptions; `about` is the actor or task it tells of."""

    objects: tuple[bytes, ...]
    error: str
    message: str
    about: bytes = b""


class CopyError(NamedTuple):
    """The objects' value is the error that `source` has, which their task could not run for if it is `of_argument`."""

    objects: tuple[bytes, ...]
    source: bytes
    of_argument: bool = False


class Free(NamedTuple):
    """Nobody can reach the object any more."""

    object: bytes


class Withdraw(NamedTuple):
    """The object's value is lost: these clients know of it, and are to ask again when they need it."""

    object: bytes
    clients: tuple[int, ...]


class RunAgain(NamedTuple):
    """A task that has ended runs once more, for what was lost: its `TaskEnded` will come again."""

    task: bytes


class StoreItem(NamedTuple):
    """What a generator yielded is this object's value."""

    task: bytes
    number: int
    object: bytes


class RefuseItem(NamedTuple):
    """What a generator yielded is not wanted, or there already."""

    task: bytes
    number: int


class EndStream(NamedTuple):
    """The object is the end mark of its stream."""

    object: bytes


class Taken(NamedTuple):
    """Tell a worker how many items of the stream that it makes have been taken."""

    worker: int
    task: bytes
    items: int


class TaskEnded(NamedTuple):
    """A task is over, for the books: `error` is None, or the class name of what it ended with, and `said` its message
    where the scheduler made it.

    What it was submitted with is needed no more, unless `keep`: then `Forget` says so.
    """

    task: bytes
    error: str | None
    keep: bool = False
    said: str = ""


class AttemptOver(NamedTuple):
    """A task has failed, for the books, and runs again; where it does so `at_once`, on the same worker."""

    task: bytes
    error: str
    said: str = ""
    at_once: bool = False


class Forget(NamedTuple):
    """A task that was kept will not run again: what it was submitted with is needed no more."""

    task: bytes


class Lend(NamedTuple):
    """A driver may push tasks of this shape to a worker."""

    client: int
    worker: int
    lease: int
    shape: Shape


class Admit(NamedTuple):
    """A driver may hand over so many more of the tasks of this shape that wait with it."""

    client: int
    shape: Shape
    room: int


class CloseLease(NamedTuple):
    """Tell the worker, and the driver, that this is over."""

    client: int
    worker: int
    lease: int


class OfferLane(NamedTuple):
    """A driver may push calls to an actor, after `sent` from the hub, if `received` is all that it sent here."""

    client: int
    actor: bytes
    worker: int
    received: int
    sent: int


class LaneTold(NamedTuple):
    """A call that is on a lane has a record from here on: that of its client, with the worker that it was given."""

    task: bytes
    kind: bytes
    client: int
    cell: str | None
    parent: bytes | None
    actor: bytes | None
    worker: int


class LaneLost(NamedTuple):
    """A worker is dead; the client is to say what it had there."""

    client: int
    worker: int


class LaneAnswered(NamedTuple):
    """A call that a client has on a lane has ended the hub's way."""

    client: int
    task: bytes


class GroupPlaced(NamedTuple):
    """All bundles of a placement group are reserved."""

    group: bytes


class ActorChanged(NamedTuple):
    actor: bytes


Command = (
    StartWorker
    | StopWorker
    | KillWorker
    | Run
    | Interrupt
    | CancelCall
    | TakeBack
    | AskStuck
    | Deliver
    | Fail
    | CopyError
    | Free
    | Withdraw
    | RunAgain
    | StoreItem
    | RefuseItem
    | EndStream
    | Taken
    | TaskEnded
    | AttemptOver
    | Forget
    | ActorChanged
    | GroupPlaced
    | Lend
    | Admit
    | CloseLease
    | OfferLane
    | LaneTold
    | LaneLost
    | LaneAnswered
)
