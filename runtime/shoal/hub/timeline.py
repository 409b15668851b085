"""What `shoal.timeline()` draws: the recorder's rows, and who the workers and actors in them are."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from shoal.feed_rows import TaskRow
from shoal.hub.state import full_name
from shoal.trace import History, Span

if TYPE_CHECKING:
    from shoal.hub.loop import Hub


class Timeline:
    """Reads the hub's tables when it is asked; nothing is done for it before."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self.questions = {"timeline": self.history}

    def history(self) -> History:
        hub, state = self._hub, self._hub.state
        spans: list[Span] = []
        workers: dict[str, tuple[str, int, str]] = {}
        actors: dict[str, tuple[str, str | None]] = {}
        for row in hub.recorder.rows():
            kind = hub.scheduler.kinds.get(row.kind)
            role = kind.role if kind is not None else "task"
            task = TaskRow(*row)
            function = full_name(kind.name if kind is not None else task.name, role)
            named = task._replace(name=full_name(task.name, role))
            spans.append(Span(list(named), state.job(row.job), function, row.phases, row.attempt))
            if task.worker is not None and task.worker not in workers:
                workers[task.worker] = state.worker(int(task.worker))
            if task.actor is not None and task.actor not in actors:
                known = state.actor(bytes.fromhex(task.actor))
                if known is not None:
                    actors[task.actor] = known
        return History(time.time(), spans, workers, actors)
