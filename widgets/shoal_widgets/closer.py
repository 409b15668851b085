"""What a strip that is folded out shows beside its summary, asked for only then: single tasks, bytes in the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from shoal.context import Cell
from shoal.feed_rows import TaskRow

from .kinds import state_tone, state_word

Look = Callable[[Cell], Mapping[str, Any] | None]
"""``look(cell)``: what the hub answers to ``cell_closely``, or None; called in the view's thread."""


def closer(found: Mapping[str, Any], begun: float) -> dict[str, Any]:
    """The hub's answer as the page draws it; times in seconds after the cell's first task."""
    rows = [TaskRow(*row) for row in found["tasks"]]
    return {
        "tasks": [
            {
                "name": row.name,
                "state": row.error if state_tone(row) == "error" else state_word(row),
                "tone": state_tone(row),
                "started": max(0.0, (row.started or begun) - begun),
                "ended": None if row.ended is None else max(0.0, row.ended - begun),
            }
            for row in rows
        ],
        "stored": found["stored"],
        "objects": found["objects"],
    }
