"""What a worker is sent: kinds of work, and each run of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from shoal.incoming import IncomingLane


class Concurrency(NamedTuple):
    """How many calls of an actor run at once: by groups, each with its own limit and order; "" is the default one."""

    asynchronous: bool
    """A group has an event loop in one thread, else so many threads."""
    groups: tuple[tuple[str, int], ...]


class Kind(NamedTuple):
    """A function with its options, an actor class with its options, or an actor's method: what is needed to run it.

    The hub passes it on as it is.
    """

    function: bytes
    name: str
    role: str
    returns: int
    method: str
    threads: int
    retries: int
    group: str = ""
    concurrency: Concurrency | None = None
    """Of an actor class; None where calls run one by one."""
    yields: str = ""
    """What becomes of a generator's items: "stream" and "dynamic" as in num_returns, "" they fill its refs."""
    ahead: int = 0
    """Items of a stream that nobody has taken yet, at most; 0 for any number."""
    restarts: int = 0
    retry_on: bool | bytes = False
    calls: int = 0
    """See `engines.base.Work`; so is what follows."""
    listed: bool = True


class Run(NamedTuple):
    """A task as the hub, or a driver by its lane, sends it. `values` are those of the `deps`, for their `slots`."""

    task: bytes
    kind: bytes
    cell: str | None
    environment: tuple[int, int]
    payload: Any
    slots: tuple[int | str, ...]
    deps: tuple[bytes, ...]
    values: tuple[Any, ...]
    before: int = 0
    """Calls of its client that came by the lane and are to begin before it."""
    number: int = 0
    """Among those of the hub, or of its lane."""
    retries: int = 0
    """How often an actor's call that raises may be repeated; -1 is without end."""
    lane: IncomingLane | None = None
