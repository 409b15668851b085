"""What happens in an exploration: which calls, made by whom, on how many workers, and what may go wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

Op = tuple[Any, ...]
"""A step of a program or of a task's body, with the calls or objects that it is about:

call N…   make the calls, holding their refs, in one go   get N    wait for its value, and take the refs in it
drop N…   let the refs go                                 put N    make an object
print     say something to the hub                        keep N   hold the ref beyond the call's end: an actor does
cancel N  as it says                                      sleep    until it is interrupted
hang      do nothing any more, and listen to nobody        kill A   end the actor's process: it may be made anew
"""


@dataclass(frozen=True)
class Call:
    """A call; its number stands for its ref as well. Numbers of one caller grow in the order of submission."""

    lean: bool = True
    """Plain in itself; whether it is lean also depends on its arguments."""
    retries: int = 0
    needs: tuple[int, ...] = ()
    """Refs that are arguments themselves: it gets their values."""
    holds: tuple[int, ...] = ()
    """Refs inside its arguments: it gets the refs."""
    body: tuple[Op, ...] = ()
    gives: tuple[int, ...] = ()
    """Refs in its value."""
    actor: str | None = None
    """The worker that hosts the actor whose method it is."""


@dataclass(frozen=True)
class Plan:
    calls: Mapping[int, Call]
    programs: Mapping[str, tuple[Op, ...]]
    """By client."""
    workers: tuple[str, ...] = ("w0", "w1")
    spare: tuple[str, ...] = ()
    """Workers that the hub may start later."""
    cpus: int = 2
    actors: tuple[str, ...] = ()
    """Workers that host an actor from the beginning; it is called like the first."""
    hosts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By actor, the processes that it may have one after the other, should one die."""
    handles: Mapping[str, int] = field(default_factory=dict)
    """By actor, the object that its handles are refs to, where that is looked at: clients have one at the beginning."""
    former: Mapping[str, str] = field(default_factory=dict)
    """Workers that a client has a lane to, from a loan that is over."""
    aloof: tuple[str, ...] = ()
    """Workers that no lane can be connected to."""
    depth: int = 2
    """Calls that a lane takes at once."""
    lent: Mapping[str, str] = field(default_factory=dict)
    """Leases from the beginning: worker to client."""
    mortal: tuple[str, ...] = ()
    """Who may die, at any point."""
    cancels: tuple[int, ...] = ()
    """Which calls may be cancelled by their caller, at any point."""
    tells: tuple[int, ...] = ()
    """Which calls may run so long that the client tells of them."""
    overdue: bool = False
    """Whether a lane's head may be overdue."""
    faults: int = 1
    """How many deaths and cancels in one run, together."""
    broken: str = ""
    """The rule that is not kept: for `test_mutants`."""

    def hosts_of(self, actor: str) -> tuple[str, ...]:
        return self.hosts.get(actor, (actor,))

    @cached_property
    def homes(self) -> dict[str, str]:
        """Which actor lives, or may live, in a worker."""
        return {w: actor for actor in self.actors for w in self.hosts_of(actor)}
