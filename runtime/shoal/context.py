"""What the running code belongs to: the cell that launched it, the task it is in, where its displays go.

A worker that runs several calls at once has them in threads and coroutines: each `enter`s its call, and what it says
holds there and in what it starts. Where nothing was entered (the threads of a task's own), the process's task counts.
"""

from __future__ import annotations

import contextvars
import functools
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

Cell = str
"""``SESSION/CELL_ID/COUNT``: a cell's run. The runtime only carries it."""


class Call(NamedTuple):
    task: bytes | None
    cell: Cell | None


class _Current:
    """Of the process: a driver runs one cell at a time, a worker one task, mostly."""

    cell: Cell | None = None
    task: bytes | None = None
    display: Callable[[dict[str, Any]], None] | None = None
    describe: Callable[[bytes], tuple[str, str]] | None = None
    cancelled: Callable[[bytes], bool] | None = None
    task_end: Callable[[], None] | None = None
    failure: Callable[[BaseException, bytes], None] | None = None


_current = _Current()
_leaving: dict[bytes, str] = {}
_here: contextvars.ContextVar[Call | None] = contextvars.ContextVar("shoal-call", default=None)


def enter(task: bytes, cell: Cell | None) -> None:
    """Say which call this thread or coroutine runs from now on; a worker does at each."""
    _here.set(Call(task, cell))
    _current.task, _current.cell = task, cell


def set_cell(cell: Cell | None) -> None:
    """Say which cell runs now in this process (the notebook extension does)."""
    _current.cell = cell


def get_cell() -> Cell | None:
    """The cell the calling code belongs to, or None outside a notebook."""
    here = _here.get()
    return _current.cell if here is None else here.cell


def set_task(task: bytes | None) -> None:
    """Say which task runs now in this process."""
    _current.task = task


def get_task() -> bytes | None:
    """The id of the task that the calling code belongs to; None in a driver."""
    here = _here.get()
    return _current.task if here is None else here.task


def on_cancelled(asked: Callable[[bytes], bool] | None) -> None:
    """Set who knows whether a task was cancelled; the worker does at its start."""
    _current.cancelled = asked


def is_cancelled() -> bool:
    """Whether somebody has cancelled the call that the calling code belongs to, though it still runs."""
    task = get_task()
    return task is not None and _current.cancelled is not None and _current.cancelled(task)


def leave(why: str) -> None:
    """Have the actor end with the call that the calling code belongs to, whatever becomes of the exception."""
    task = get_task()
    if task is not None:
        _leaving[task] = why


def leaves(task: bytes) -> str | None:
    """Why the actor is to end with this call, if it is; to be asked once, when it is over."""
    return _leaving.pop(task, None) if _leaving else None


def leavers() -> list[bytes]:
    """The calls with which an actor is to end and that are not over, as far as anybody has seen."""
    return list(_leaving)


def threads_inherit() -> None:
    """Have threads that are started from now on belong to the call that starts them, as Python 3.14 can do itself."""
    start = threading.Thread.start

    @functools.wraps(start)
    def start_in_context(thread: threading.Thread) -> None:
        if _here.get() is not None:
            thread.run = functools.partial(contextvars.copy_context().run, thread.run)  # type: ignore[method-assign]
        start(thread)

    threading.Thread.start = start_in_context  # type: ignore[method-assign,assignment]


def on_describe(describe: Callable[[bytes], tuple[str, str]] | None) -> None:
    """Set who knows the name of a task that runs here, and of its function; the worker does at its start."""
    _current.describe = describe


def describe() -> tuple[str, str]:
    """The name of the task that the calling code belongs to, and its function's; empty where nobody knows."""
    task = get_task()
    return ("", "") if task is None or _current.describe is None else _current.describe(task)


def on_display(send: Callable[[dict[str, Any]], None] | None) -> None:
    """Set where `display` sends to; the worker does at its start."""
    _current.display = send


def display(bundle: dict[str, Any]) -> bool:
    """Show a mime bundle ``{"data": {...}, "metadata": {...}}`` in the launching cell.

    Returns False where there is nothing to send it through (outside a worker).
    """
    if _current.display is None:
        return False
    _current.display(bundle)
    return True


def is_numbered(cell: Cell | None, session: str, number: object) -> bool:
    """Whether it is the cell of a session with that execution count."""
    return cell is not None and cell.startswith(f"{session}/") and cell.endswith(f"/{number}")


def on_task_end(call: Callable[[], None]) -> None:
    """Have `call` called in a worker after the code of each task, while what it prints is the task's still."""
    _current.task_end = call


def end_task() -> None:
    """The worker calls it."""
    if _current.task_end is not None:
        _current.task_end()


def on_failure(take: Callable[[BaseException, bytes], None]) -> None:
    """Set who keeps the frames of an exception; the worker does at its start."""
    _current.failure = take


def failed(error: BaseException) -> None:
    """Keep the frames of an exception that a task passes on in its own way."""
    task = get_task()
    if task is not None and _current.failure is not None:
        _current.failure(error, task)
