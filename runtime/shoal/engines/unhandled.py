"""Errors that nobody asked for: told when the last ref to them goes, so that nothing goes wrong without a word.

As in Ray that is for exceptions of user code and for workers that crashed, not for what was cancelled or whose actor is
dead. A notebook has them in the cell that started the task.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from typing import Any

from shoal import context
from shoal.errors import unpack_error
from shoal.exceptions import ActorError, TaskCancelledError, TaskError, WorkerCrashedError
from shoal.serial import Packed

VARIABLES = ("SHOAL_IGNORE_UNHANDLED_ERRORS", "RAY_IGNORE_UNHANDLED_ERRORS")
"""Either, set to 1, has them pass in silence."""

KEPT = 10_000

logger = logging.getLogger("shoal")


class Unhandled:
    """What this process knows of them. `later(call)` has something done outside of all locks."""

    def __init__(self, later: Callable[[Callable[[], None]], None], on: bool) -> None:
        self._later = later
        self._on = on
        self._asked: set[bytes] = set()
        """Objects that somebody asked for, or may, for others have them. Invariant: they have refs here."""
        self._gone: dict[bytes, None] = {}
        """Those whose last ref went before their value came, if it ever does: the latest."""

    def asked(self, ids: Iterable[bytes]) -> None:
        if self._on:
            self._asked.update(ids)

    def dropped(self, object_id: bytes, value: tuple[Any, ...] | None) -> None:
        """The last ref is gone: to this value, or before any has come."""
        if object_id in self._asked:
            self._asked.remove(object_id)
            if value is None:
                self._gone[object_id] = None
                if len(self._gone) > KEPT:
                    del self._gone[next(iter(self._gone))]
        elif value is not None and value[0] == "e":
            self._unheard(value)

    def came_late(self, object_id: bytes, value: tuple[Any, ...]) -> None:
        """A value whose last ref had gone."""
        if object_id in self._gone:
            del self._gone[object_id]
        elif value[0] == "e":
            self._unheard(value)

    def _unheard(self, value: tuple[Any, ...]) -> None:
        if self._on and context.get_cell() is None:
            if not any(os.environ.get(variable) == "1" for variable in VARIABLES):
                self._later(lambda: _tell(value))


def _tell(value: tuple[Any, ...]) -> None:
    try:
        error = unpack_error(Packed(value[1], value[2], ()), *value[3:])
    except Exception as other:  # whatever unpickling it raises
        error = other
    if isinstance(error, (TaskCancelledError, ActorError)) or not isinstance(error, (TaskError, WorkerCrashedError)):
        return
    notes = "".join(f"\n{note}" for note in getattr(error, "__notes__", ()))
    logger.error("Unhandled error (suppress with %s=1): %s: %s%s", VARIABLES[1], type(error).__name__, error, notes)
