"""What a wait for objects counts."""

from __future__ import annotations

from collections.abc import Callable


class Waiter:
    """Counts down until enough of what it waits for is ready, or something has failed."""

    __slots__ = ("left", "failed", "call")

    def __init__(self, left: int, call: Callable[[], None] | None = None) -> None:
        self.left = left
        self.failed = False
        self.call = call
