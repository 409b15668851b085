"""What the stop button does to the work of a cell: cancels it, and on a second press ends its actors, too."""

from __future__ import annotations

import sys
import threading
import time

from shoal import cluster
from shoal.context import Cell
from shoal.exceptions import ShoalError
from shoal.feed_rows import DONE, FeedState, TaskRow

QUIET = 1.0
"""Seconds in which cancelled tasks are gone: half of one until those that do not listen are killed."""
SECOND_PRESS = 5.0
"""Seconds in which a second press ends the actors that are still in a call."""


def stop(cell: Cell) -> None:
    """Cancel a cell's work, wait until it is gone and say in a line what was stopped."""
    here = cluster.current()
    if here is None or not here.alive:
        return
    try:
        count = here.cancel_cell(cell)
        if not count:
            return
        print(f"shoal: stopped {counted(count, 'task')} of this cell", file=sys.stderr)
        if here.folder is None or _wait_quiet(here, cell, QUIET):
            return
        busy = sorted({row.name for row in _left(here.feed().state, cell) if row.actor})
        if busy:
            print(
                f"shoal: still in a call: {', '.join(busy)}. Stop again to end the actors of this cell",
                file=sys.stderr,
            )
            _wait_quiet(here, cell, SECOND_PRESS)
    except KeyboardInterrupt:
        here.cancel_cell(cell, actors_too=True)
        print("shoal: ended the actors of this cell", file=sys.stderr)
    except ShoalError as error:
        print(f"shoal: {error}", file=sys.stderr)


def cancel_soon(cell: Cell) -> None:
    """Have a cell's work cancelled by a thread of its own: the caller may be one that must not wait."""

    def cancel() -> None:
        here = cluster.current()
        if here is not None and here.alive:
            here.cancel_cell(cell)

    threading.Thread(target=cancel, name="shoal-cancel", daemon=True).start()


def _wait_quiet(here: cluster.Cluster, cell: Cell, seconds: float) -> bool:
    """Wait until nothing of the cell runs any more; False when time runs out before."""
    changed = threading.Event()
    feed = here.feed()
    stop_listening = feed.listen(lambda state: changed.set())
    deadline = time.monotonic() + seconds
    began = time.time()
    try:
        while True:
            state = feed.state
            if state is not None and state.time >= began and not _left(state, cell):
                return True
            rest = deadline - time.monotonic()
            if rest <= 0 or not changed.wait(rest):
                return state is not None and not _left(state, cell)
            changed.clear()
    finally:
        stop_listening()


def _left(state: FeedState | None, cell: Cell) -> list[TaskRow]:
    rows = state.tasks.values() if state is not None else ()
    return [row for row in rows if row.cell == cell and row.state not in DONE]


def counted(count: int, what: str) -> str:
    """A number of things in words: ``1 task``, ``2 tasks``."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
