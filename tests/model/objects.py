"""The hub's book of objects: who holds which, and what needs it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from .process import Out


@dataclass
class Object:
    owner: str
    outcome: str = ""
    """"" until it is there."""
    pins: int = 0
    """Calls that need it, and objects that contain it."""
    holders: set[str] = field(default_factory=set)
    fetchers: set[str] = field(default_factory=set)
    waiters: list[int] = field(default_factory=list)
    contained: tuple[int, ...] = ()


@dataclass
class Objects:
    """An object that is there is freed as soon as nobody holds it and nothing needs it."""

    out: Out = field(compare=False)
    table: dict[int, Object] = field(default_factory=dict)

    def expect(self, o: int, owner: str, alive: bool) -> None:
        """An object that will be there. Whoever tells of it holds it; its release comes after that."""
        if o not in self.table:
            self.table[o] = Object(owner, holders={owner} if alive else set())

    def settle(self, o: int, outcome: str, contained: tuple[int, ...] = ()) -> list[int]:
        """It is there. Returns the calls that waited for it."""
        record = self.table[o]
        record.outcome, record.contained = outcome, contained
        for inner in contained:
            self.pin(inner)
        for name in sorted(record.fetchers):
            self.out.send(name, "ready", o, outcome)
        record.fetchers.clear()
        waiters, record.waiters = record.waiters, []
        self._free_unreachable(o)
        return waiters

    def fetch(self, name: str, o: int) -> None:
        record = self.table.get(o)
        if record is None:
            self.out.send(name, "ready", o, "gone")
        elif record.outcome:
            self.out.send(name, "ready", o, record.outcome)
        else:
            record.fetchers.add(name)

    def pin(self, o: int) -> None:
        if o in self.table:
            self.table[o].pins += 1
        else:
            self.out.note("gone", o)

    def unpin(self, objects: Iterable[int]) -> None:
        for o in objects:
            if o in self.table:
                self.table[o].pins -= 1
                self._free_unreachable(o)

    def hold(self, name: str, o: int) -> None:
        if o in self.table:
            self.table[o].holders.add(name)
        else:
            self.out.note("gone", o)

    def release(self, name: str, o: int) -> None:
        if o in self.table:
            self.table[o].holders.discard(name)
            self.table[o].fetchers.discard(name)
            self._free_unreachable(o)

    def leave(self, name: str) -> None:
        for o in list(self.table):
            self.release(name, o)

    def _free_unreachable(self, o: int) -> None:
        record = self.table.get(o)
        if record is not None and record.outcome and not record.holders and not record.pins:
            del self.table[o]
            self.out.note("freed", o)
            self.unpin(record.contained)
