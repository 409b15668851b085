"""The hub's records of calls and of workers."""

from __future__ import annotations

from dataclasses import dataclass, field

WAITING, QUEUED, PUSHED = "waiting", "queued", "pushed"
SPARE, IDLE, BUSY, LENT, ACTOR, DEAD = "spare", "idle", "busy", "lent", "actor", "dead"
ALIVE, RESTARTING, OVER = "alive", "restarting", "over"


@dataclass
class Task:
    owner: str
    job: str
    """The client for which it is done; the owner itself, or the one whose call made it."""
    retries: int
    state: str = QUEUED
    worker: str = ""
    lane: bool = False
    """It was pushed by its owner: the hub was told of it, or the worker has adopted it."""
    cancelled: bool = False
    missing: int = 0
    needs: tuple[int, ...] = ()


@dataclass
class Post:
    """A worker as the hub sees it."""

    state: str = IDLE
    tenant: str = ""
    lease: int = 0
    closing: bool = False
    blocked: bool = False
    task: int = 0
    """The call that the hub has pushed."""
    over: set[int] = field(default_factory=set)
    """Calls on lanes that were cancelled here, and of which it may speak yet."""
    lanes: set[str] = field(default_factory=set)
    """Clients with a lane to it; once it is dead, those that have not yet said what they lost."""


@dataclass
class Life:
    """An actor as the hub sees it."""

    host: str
    """Its process."""
    next: tuple[str, ...]
    """Those that it may have later."""
    state: str = ALIVE
    silent: set[tuple[str, str]] = field(default_factory=set)
    """Clients that have not yet said what they had on a lane to a process of it that died: their later calls wait."""
