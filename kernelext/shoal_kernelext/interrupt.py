"""What the stop button does to the work of a cell: cancels it, and on a second press ends its actors, too."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from shoal import cluster
from shoal.context import Cell
from shoal.exceptions import ShoalError

QUIET = 0.9
"""Seconds after a press in which cancelled tasks are gone: half of one until those that do not listen are killed."""
LISTEN = 0.5
"""Seconds after which an actor does not listen: it is not killed for that."""
SECOND_PRESS = 5.0
"""Seconds in which a terminal waits for a second press; a kernel hears it whenever it comes."""
_LOOK = 0.01
"""Seconds between looks whether the work is gone."""


class Interrupts:
    """The ladder. A press is heard by a thread (`presses.py`); the main thread says at the cell's end what came of it.

    Args:
        say: ``say(cell, text)`` writes a line into a cell, from any thread.
        kernel: whose handler of SIGINT counts while no cell runs; None in a terminal.
    """

    def __init__(self, say: Callable[[Cell, str], None], kernel: Any) -> None:
        self._say = say
        self._kernel = kernel
        self._lock = threading.Lock()
        self._pressed: dict[Cell, tuple[float, int]] = {}
        """By cell that runs, when it was first pressed and how many tasks that stopped."""
        self._deaf: Cell | None = None
        """The cell with actors that did not listen: the next press ends them."""
        self._usual: Any = None

    def begin(self) -> None:
        """A cell starts: it is the one that presses are for."""
        with self._lock:
            self._deaf = None
        if self._usual is not None:
            self._kernel.saved_sigint_handler, self._usual = self._usual, None

    def press(self, cell: Cell | None) -> None:
        """The button was pressed; `cell` is the one that runs, if any. From any thread."""
        with self._lock:
            here = cluster.living()
            if here is None:
                return
            try:
                if self._deaf is not None:
                    self._end_actors(here, self._deaf)
                elif cell is not None:
                    when, count = self._pressed.get(cell, (time.monotonic(), 0))
                    self._pressed[cell] = when, max(count, here.cancel_cell(cell))
            except ShoalError as error:
                self._say(self._deaf or cell or "", str(error))

    def end(self, cell: Cell, interrupted: bool) -> None:
        """The cell ends, by an interrupt or not: wait until what a press has cancelled is gone, and say so."""
        if not interrupted and cell not in self._pressed:
            return
        main = threading.current_thread() is threading.main_thread()
        before = signal.signal(signal.SIGINT, _nothing) if main else None  # the thread hears of the next press
        try:
            if interrupted:
                self.press(cell)
            with self._lock:  # not before a press is dealt with
                when, count = self._pressed.pop(cell, (0.0, 0))
            here = cluster.living()
            if count and here is not None:
                self._say(cell, f"stopped {counted(count, 'task')} of this cell")
                self._wait(here, cell, when)
        except ShoalError as error:
            self._say(cell, str(error))
        finally:
            if before is not None and self._deaf is None:
                signal.signal(signal.SIGINT, before)

    def _wait(self, here: cluster.Cluster, cell: Cell, when: float) -> None:
        while left := here.cell_calls(cell):
            since = time.monotonic() - when
            by_actors = all(at_actor for _, at_actor, _ in left)
            if since > QUIET or (by_actors and since > LISTEN):
                break
            time.sleep(_LOOK)
        else:
            return
        names = ", ".join(sorted({name for name, _, _ in left}))
        if not any(own for _, _, own in left):
            cure = " (the actor is another cell's: shoal.kill() ends it)" if by_actors else ""
            self._say(cell, f"still in a call: {names}{cure}")
            return
        with self._lock:
            self._deaf = cell
        self._say(cell, f"still in a call: {names}. Stop again to end the actors of this cell")
        if hasattr(self._kernel, "saved_sigint_handler"):
            # What the kernel will restore when the cell is over: by itself it ignores the signal, which no thread
            # hears then.
            self._usual, self._kernel.saved_sigint_handler = self._kernel.saved_sigint_handler, _nothing
            return
        deadline = time.monotonic() + SECOND_PRESS
        while self._deaf is not None and here.cell_calls(cell) and time.monotonic() < deadline:
            time.sleep(_LOOK)
        with self._lock:
            self._deaf = None

    def _end_actors(self, here: cluster.Cluster, cell: Cell) -> None:
        """With the lock."""
        self._deaf = None
        if any(own for _, _, own in here.cell_calls(cell)):
            here.cancel_cell(cell, actors_too=True)
            self._say(cell, "ended the actors of this cell")


def _nothing(signum: int, frame: object) -> None:
    """A handler that does nothing: by it the interpreter tells the thread that listens."""


def cancel_soon(cell: Cell) -> None:
    """Have a cell's work cancelled by a thread of its own: the caller may be one that must not wait."""

    def cancel() -> None:
        here = cluster.living()
        if here is not None:
            here.cancel_cell(cell)

    threading.Thread(target=cancel, name="shoal-cancel", daemon=True).start()


def counted(count: int, what: str) -> str:
    """A number of things in words: ``1 task``, ``2 tasks``."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
