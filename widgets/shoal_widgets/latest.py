"""What is known now: told by many threads, followed by one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Latest(Generic[T]):
    """An immutable value that is replaced; whoever follows it may miss some, never the last."""

    def __init__(self, value: T) -> None:
        self._value = value
        self._changed = threading.Condition()

    @property
    def value(self) -> T:
        return self._value

    def change(self, change: Callable[[T], T]) -> None:
        """Replace the value by what `change` makes of it."""
        with self._changed:
            self._value = change(self._value)
            self._changed.notify_all()

    def wait(self, seen: T, timeout: float | None) -> T:
        """Wait until it is another than `seen`, at most `timeout` seconds; returns what it is then."""
        with self._changed:
            self._changed.wait_for(lambda: self._value is not seen, timeout)
            return self._value

    def pause(self, seconds: float, unless: Callable[[], bool]) -> None:
        """Let `seconds` pass, or fewer once `unless` holds of the value that there is then."""
        with self._changed:
            self._changed.wait_for(unless, seconds)
