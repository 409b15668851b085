"""Threads that sleep until another has read for them what they wait for."""

from __future__ import annotations

import threading
from collections.abc import Callable

from shoal.shield import Shield


class Followers:
    """Each sleeps by a bell of its own, so that what comes wakes only those whose wait it ends.

    Whoever changes what they wait for looks at `asleep` afterwards, and they put themselves there before they look:
    one sees the other.
    """

    def __init__(self, shield: Shield) -> None:
        self.asleep: dict[threading.Lock, Callable[[], bool]] = {}
        """By the bell of each, whether its wait is over; to be looked at for being empty."""
        self._shield = shield
        self._lock = threading.Lock()

    def sleep(self, over: Callable[[], bool], needless: Callable[[], bool], seconds: float | None) -> bool:
        """Until it is `over`, or woken; not at all when that is `needless`. False when it took too long.

        An interrupt is raised while it sleeps. The caller is shielded; whether it was woken or not, it sees to it
        that somebody reads.
        """
        bell = threading.Lock()
        bell.acquire()
        with self._lock:
            self.asleep[bell] = over
        try:
            if over() or needless():
                return True
            self._shield.open()
            return bell.acquire(timeout=-1 if seconds is None else min(seconds, threading.TIMEOUT_MAX))
        finally:
            self._shield.close()
            with self._lock:
                del self.asleep[bell]

    def wake(self) -> None:
        """Those whose wait is over."""
        with self._lock:
            for bell, over in self.asleep.items():
                if bell.locked() and over():
                    bell.release()

    def wake_one(self) -> None:
        """Nobody reads: have one of them do it."""
        with self._lock:
            for bell in self.asleep:
                if bell.locked():
                    bell.release()
                break  # one that was woken already will look before it leaves

    def wake_all(self) -> None:
        with self._lock:
            for bell in self.asleep:
                if bell.locked():
                    bell.release()
