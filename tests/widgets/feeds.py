"""Feed states for the tests of the views: made up here, in the shapes the hub sends."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from hypothesis import strategies as st

from shoal.feed_rows import (
    DONE,
    FAILED,
    FINISHED,
    PENDING_ARGS,
    PENDING_NODE,
    RUNNING,
    SUBMITTED,
    Counts,
    FeedState,
    TaskRow,
    WorkerRow,
)

CELL = "session/cell/1"
OTHER = "session/other/2"
NOW = 1_800_000_000.0
"""A moment after all that the rows tell of."""
TWO_NAMES = st.sampled_from(["square", "parse"])


def row(
    id: str,
    state: str = FINISHED,
    *,
    name: str = "square",
    cell: str | None = CELL,
    worker: str | None = "w1",
    times: tuple[float, float, float] = (0.0, 1.0, 2.0),
    error: str | None = None,
) -> TaskRow:
    """A task; `times` are those of submission, start and end, in seconds before `NOW` - 100."""
    submitted, started, ended = (NOW - 100 + t for t in times)
    ran = state == RUNNING or state in DONE
    return TaskRow(
        id=id,
        name=name,
        cell=cell,
        state=state,
        worker=worker if ran else None,
        actor=None,
        parent=None,
        submitted=submitted,
        started=started if ran else None,
        ended=ended if state in DONE else None,
        error=error,
    )


def counts_of(rows: Iterable[TaskRow]) -> dict[tuple[str | None, str], Counts]:
    """What the hub would count."""
    kinds: dict[tuple[str | None, str], Counter[str]] = {}
    for task in rows:
        kinds.setdefault((task.cell, task.name), Counter())[kind(task)] += 1
    return {key: Counts(**found) for key, found in kinds.items()}


def kind(task: TaskRow) -> str:
    """The name of the count that a task belongs to."""
    if task.state == FAILED:
        return "cancelled" if task.error == "TaskCancelledError" else "failed"
    return {RUNNING: "running", FINISHED: "finished"}.get(task.state, "pending")


def state_of(rows: Iterable[TaskRow], seq: int = 1, time: float = NOW) -> FeedState:
    """The feed after these tasks."""
    rows = list(rows)
    workers = {
        task.worker: WorkerRow(task.worker, 4711, "busy", None, 0, 0.0) for task in rows if task.worker is not None
    }
    return FeedState(
        seq=seq,
        time=time,
        tasks={task.id: task for task in rows},
        counts=counts_of(rows),
        workers=workers,
    )


@st.composite
def tasks(draw: st.DrawFn, names: st.SearchStrategy[str] = TWO_NAMES) -> list[TaskRow]:
    """Any tasks of two cells, in any states, on a few workers."""
    found = []
    for i in range(draw(st.integers(0, 30))):
        submitted = draw(st.floats(0, 30))
        started = submitted + draw(st.floats(0, 10))
        found.append(
            row(
                f"t{i}",
                draw(st.sampled_from([PENDING_ARGS, PENDING_NODE, SUBMITTED, RUNNING, FINISHED, FAILED])),
                name=draw(names),
                cell=draw(st.sampled_from([CELL, CELL, OTHER, None])),
                worker=draw(st.sampled_from(["w1", "w2", "w3"])),
                times=(submitted, started, started + draw(st.floats(0, 20))),
                error=draw(st.sampled_from(["ValueError", "TaskCancelledError"])),
            )
        )
    return [task if task.state == FAILED else task._replace(error=None) for task in found]


class HandFeed:
    """A feed that says what a test tells it to."""

    def __init__(self) -> None:
        self.state: FeedState | None = None
        self.listeners: list[Callable[[FeedState], None]] = []
        self.listened = threading.Event()

    def listen(self, callback: Callable[[FeedState], None], /) -> Callable[[], None]:
        self.listeners.append(callback)
        self.listened.set()
        return lambda: self.listeners.remove(callback)

    def say(self, state: FeedState) -> None:
        self.state = state
        for listener in list(self.listeners):
            listener(state)


class HandsOff:
    """A view's hands that do nothing, and note what is asked; `answer` is made of the question."""

    def __init__(self, answer: Callable[..., Any] = lambda *question: None) -> None:
        self.questions: list[tuple[Any, ...]] = []
        self._answer = answer

    def ask(self, *question: Any) -> Any:
        self.questions.append(question)
        return self._answer(*question)

    def why(self, task: str) -> str:
        return ""

    def cancel(self, task: str) -> None: ...
    def kill(self, actor: str) -> None: ...
