"""Put KeyboardInterrupt off while a message is half taken or half sent.

A KeyboardInterrupt between taking bytes out of a socket and noting them would lose or double a message. Blocking the
signal is no cure (another thread may take it and Python raises in the main thread all the same), so the main thread's
handler is replaced by one that only notes. It raises at once where a `window` is open: around the wait itself.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

# Python's own wrapper turns numbers into enums and back, which takes longer than all the rest of a shield.
_set_handler: Callable[[int, Any], Any] = _signal.signal
_SIGINT = int(signal.SIGINT)


class Shield:
    """A context manager for the main thread; in any other thread it does nothing. Nests."""

    def __init__(self) -> None:
        self._depth = 0
        self._open = False
        self._noted = False
        self._before: Any = None
        self._main = threading.main_thread().ident

    def __enter__(self) -> None:
        if threading.get_ident() != self._main:
            return
        if self._depth == 0:
            # Should the old handler raise inside signal.signal, ours is not yet in place and nothing was entered.
            self._before = self._replace()
        self._depth += 1

    def __exit__(self, *exc: object) -> None:
        if threading.get_ident() != self._main:
            return
        self._depth -= 1
        if self._depth == 0:
            self._restore(self._before)
            if self._noted:
                self._noted = False
                self._deliver()

    def open(self) -> None:
        """From here to `close` an interrupt is raised at once, also one that was put off."""
        if threading.get_ident() != self._main:
            return
        self._open = True
        if self._noted:
            self._noted = False
            self._open = False
            self._deliver()

    def close(self) -> None:
        if threading.get_ident() == self._main:
            self._open = False

    # What differs between a driver, whose handler is somebody else's, and a worker, whose handler is ours.

    def _replace(self) -> Any:
        return _set_handler(_SIGINT, self.handle)

    def _restore(self, before: Any) -> None:
        if before is not None:  # one that was not set from Python cannot be put back
            _set_handler(_SIGINT, before)

    def _deliver(self) -> None:
        if callable(self._before):
            self._before(_SIGINT, None)

    def handle(self, signum: int, frame: FrameType | None) -> None:
        if self._open:
            self._open = False
            self._deliver()
        else:
            self._noted = True


class WorkerShield(Shield):
    """For a worker: its handler stays in place, and raises only where `wanted` says so."""

    def __init__(self, wanted: Callable[[], bool]) -> None:
        super().__init__()
        self._wanted = wanted

    def install(self) -> None:
        signal.signal(signal.SIGINT, self._on_signal)

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        if self._depth:
            self.handle(signum, frame)
        else:
            self._deliver()

    def _replace(self) -> Any:
        return None

    def _restore(self, before: Any) -> None:
        pass

    def _deliver(self) -> None:
        if self._wanted():
            raise KeyboardInterrupt
