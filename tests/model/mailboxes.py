"""The hub's book of actors' calls: what waits for its turn, what was sent, and what that means for lanes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

Key = tuple[str, str]
"""Actor and caller: these calls have an order."""
Before = tuple[str, int]
"""A worker, and how many calls on the lane to it go first."""


@dataclass
class Mailboxes:
    waiting: dict[Key, list[tuple[int, Before]]] = field(default_factory=dict)
    """Calls not yet sent, in their order."""
    dealt: dict[Key, int] = field(default_factory=dict)
    """Calls that came the hub's way, ever."""
    sent: dict[Key, int] = field(default_factory=dict)
    """Calls sent to the actor's present process, of those that may get the lane offered."""

    def received(self, key: Key) -> None:
        self.dealt[key] = self.dealt.get(key, 0) + 1

    def add(self, key: Key, t: int, before: Before) -> None:
        self.waiting.setdefault(key, []).append((t, before))

    def add_again(self, key: Key, t: int) -> None:
        """Before the later ones of its caller."""
        calls = self.waiting.setdefault(key, [])
        calls.insert(sum(u < t for u, _ in calls), (t, ("", 0)))

    def take(self, key: Key, is_ready: Callable[[int], bool]) -> list[tuple[int, Before]]:
        """Those whose turn it is. One that is not ready holds up the later ones."""
        calls = self.waiting[key]
        count = next((i for i, (t, _) in enumerate(calls) if not is_ready(t)), len(calls))
        out, self.waiting[key] = calls[:count], calls[count:]
        if not self.waiting[key]:
            del self.waiting[key]
        return out

    def send(self, key: Key) -> None:
        self.sent[key] = self.sent.get(key, 0) + 1

    def moved(self, actor: str) -> None:
        """It has a new process."""
        for key in [k for k in self.sent if k[0] == actor]:
            del self.sent[key]

    def emptied(self, actor: str) -> list[int]:
        """It is over: what was not sent yet."""
        return [t for key in [k for k in self.waiting if k[0] == actor] for t, _ in self.waiting.pop(key)]
