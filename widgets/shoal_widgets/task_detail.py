"""One task, looked at closely: asked of the hub, for the feed tells only its row."""

from __future__ import annotations

from time import monotonic
from typing import Any

from shoal.feed_rows import FeedState, TaskRow

from .kinds import is_over, task_line, where
from .view import Hands

AGAIN = 1.0
"""Seconds until a task that is not over is asked about again."""


class TaskDetail:
    """What is known of the task that a page looks at; the hub is asked once a second at most."""

    def __init__(self, hands: Hands) -> None:
        self._hands = hands
        self._asked: tuple[tuple[str, str], float, dict[str, Any]] | None = None

    def of(self, row: TaskRow, state: FeedState) -> dict[str, Any]:
        """All that the page shows of it; see `shoal.hub.closeups`."""
        key = (row.id, row.state)
        if self._asked is None or self._asked[0] != key or (not is_over(row) and monotonic() > self._asked[1] + AGAIN):
            found = dict(self._hands.ask("task_closely", row.id))
            found["why"] = "" if is_over(row) or row.started is not None else self._hands.why(row.id)
            self._asked = (key, monotonic(), found)
        found = self._asked[2]
        parent = state.tasks.get(row.parent or "")
        return {
            **task_line(row, state),
            **found,
            "over": is_over(row),
            "parent": [parent.id, parent.name] if parent is not None else None,
            "attempts": [{**attempt, "where": where(attempt["worker"], state)} for attempt in found["attempts"]],
        }
