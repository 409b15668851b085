"""A call that its client holds: queued for a lane, or pushed on one and not answered. See docs/lanes.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shoal.engines.base import Work
    from shoal.lane import Lane


class Tally:
    """How many calls of a kind, of a cell, are not finished and not known to the hub one by one."""

    __slots__ = ("cell", "kind", "left")

    def __init__(self, cell: str | None, kind: bytes) -> None:
        self.cell = cell
        self.kind = kind
        self.left = 0


class Call:
    """All that is needed to push it, or to hand it to the hub after all. Plain slots: one is made for each call."""

    __slots__ = (
        "task", "work", "actor", "cell", "parent", "environment", "payload", "slots", "deps", "values", "holds",
        "needs", "returns", "submitted", "number", "lane", "pushed_at", "told", "gone", "tally",
    )  # fmt: skip

    def __init__(
        self,
        task: bytes,
        work: Work,
        actor: bytes | None,
        cell: str | None,
        parent: bytes | None,
        environment: int,
        payload: Any,
        slots: tuple[int | str, ...],
        deps: tuple[bytes, ...],
        holds: tuple[bytes, ...],
        returns: tuple[bytes, ...],
        submitted: float,
    ) -> None:
        self.task = task
        self.work = work
        self.actor = actor
        self.cell = cell
        self.parent = parent
        self.environment = environment
        self.payload = payload
        self.slots = slots
        self.deps = deps
        self.values: tuple[Any, ...] = ()
        """The dependencies' values, when all are at hand."""
        self.holds = holds
        self.needs = (*deps, *holds) if actor is None else (*deps, *holds, actor)
        """What is kept for it while its client has it: its arguments, the refs inside them, its actor."""
        self.returns = returns
        self.submitted = submitted
        self.number = 0
        """Its number among the calls that were pushed on its lane."""
        self.lane: Lane | None = None
        self.pushed_at = 0.0
        self.told = False
        self.gone = False
        """Though it still stands in the queue: cancelled, or handed to the hub."""
        self.tally: Tally
