"""What the running code belongs to: the cell that launched it, the task it is in, where its displays go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Cell = str
"""``SESSION/CELL_ID/COUNT``: a cell's run. The runtime only carries it."""


class _Current:
    """Per process: a driver runs one cell at a time, a worker one task."""

    cell: Cell | None = None
    task: bytes | None = None
    display: Callable[[dict[str, Any]], None] | None = None
    describe: Callable[[bytes], tuple[str, str]] | None = None


_current = _Current()


def set_cell(cell: Cell | None) -> None:
    """Say which cell runs now in this process (the notebook extension does, and a worker at each task)."""
    _current.cell = cell


def get_cell() -> Cell | None:
    """The cell the calling code belongs to, or None outside a notebook."""
    return _current.cell


def set_task(task: bytes | None) -> None:
    """Say which task runs now in this worker."""
    _current.task = task


def get_task() -> bytes | None:
    """The id of the task that the calling code belongs to; None in a driver."""
    return _current.task


def on_describe(describe: Callable[[bytes], tuple[str, str]] | None) -> None:
    """Set who knows the name of a task that runs here, and of its function; the worker does at its start."""
    _current.describe = describe


def describe() -> tuple[str, str]:
    """The name of the task that the calling code belongs to, and its function's; empty where nobody knows."""
    task = get_task()
    return ("", "") if task is None or _current.describe is None else _current.describe(task)


def is_cancelled() -> bool:
    """Whether somebody has cancelled the call that the calling code belongs to, though it still runs."""
    return False


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
