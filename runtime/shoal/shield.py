"""Put KeyboardInterrupt off while a message is half taken or half sent.

A KeyboardInterrupt between taking bytes out of a socket and noting them would lose or double a message. Blocking the
signal is no cure (another thread may take it and Python raises in the main thread all the same), so the main thread's
handler is replaced by one that only notes. It raises at once where a `window` is open: around the wait itself.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import functools
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

# Python's own wrappers turn numbers into enums and back, which takes longer than all the rest of a shield.
_set_handler: Callable[[int, Any], Any] = _signal.signal
_get_handler: Callable[[int], Any] = _signal.getsignal
_SIGINT = int(signal.SIGINT)
_raises = signal.default_int_handler
_get_ident = threading.get_ident


def _state(calls: Callable[..., Any]) -> tuple[Any, ...]:
    """The state of a partial that calls this."""
    return calls, (), {}, None


class Shield:
    """A context manager for the main thread; in any other thread it does nothing. Nests.

    Replacing a handler is a system call. So where the handler is Python's own, ours stays in place between one shield
    and the next, until `leave`: a partial, which calls Python's straight from C, so that no traceback shows it, and
    which is turned to ours and back without a system call.
    """

    def __init__(self) -> None:
        self._depth = 0
        self._open = False
        self._noted = False
        self._before: Any = None
        self._staying: functools.partial[None] | None = None
        """A partial in place of Python's handler; `_turn` gives it one of the two states."""
        self._turn: Callable[[tuple[Any, ...]], None]
        self._ours = _state(self.handle)
        self._pythons = _state(_raises)
        self._main = threading.main_thread().ident

    def __enter__(self) -> None:
        if _get_ident() != self._main:
            return
        if not self._depth:
            self._noted = False
            # Should the old handler raise in here, ours is not yet in place and nothing was entered.
            self._replace()
        self._depth += 1

    def __exit__(self, *exc: object) -> None:
        if _get_ident() != self._main:
            return
        self._depth -= 1
        if not self._depth:
            self._restore()
            if self._noted:
                self._noted = False
                self._deliver()

    def open(self) -> None:
        """From here to `close` an interrupt is raised at once, also one that was put off."""
        if _get_ident() != self._main:
            return
        self._open = True
        if self._noted:
            self._noted = False
            self._open = False
            self._deliver()

    def close(self) -> None:
        if _get_ident() == self._main:
            self._open = False

    def leave(self) -> None:
        """Put the handler back that was there: others look for it."""
        if self._staying is None or self._depth or _get_ident() != self._main:
            return
        if _get_handler(_SIGINT) is self._staying:
            _set_handler(_SIGINT, self._before)
        self._staying = None

    # What differs between a driver, whose handler is somebody else's, and a worker, whose handler is ours.

    def _replace(self) -> None:
        staying = self._staying
        found = _get_handler(_SIGINT)
        if staying is not None:
            if found is staying:
                self._turn(self._ours)
                return
            self._staying = None  # somebody has set another since
        if found is _raises:
            staying = functools.partial(self.handle)
            self._before = _set_handler(_SIGINT, staying)
            self._staying = staying
            self._turn = staying.__setstate__  # type: ignore[attr-defined]
        else:
            self._before = _set_handler(_SIGINT, self.handle)

    def _restore(self) -> None:
        if self._staying is not None:
            self._turn(self._pythons)
        elif self._before is not None:  # one that was not set from Python cannot be put back
            _set_handler(_SIGINT, self._before)

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

    def _replace(self) -> None:
        pass

    def _restore(self) -> None:
        pass

    def _deliver(self) -> None:
        if self._wanted():
            raise KeyboardInterrupt
