"""The books of the timeline: what is kept of the feed's rows, and which rows of the timeline it stands on."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given

from shoal.feed_rows import DONE, FAILED, PENDING_NODE, RUNNING, ActorRow, TaskRow
from shoal_widgets import chronicle, timeline
from shoal_widgets.chronicle import AT_ONCE, Chronicle

from .feeds import NOW, row, state_of, tasks


def of_an_actor(task: TaskRow, actor: str = "a1") -> TaskRow:
    return task._replace(actor=actor)


@given(tasks())
def test_every_task_that_has_started_is_a_bar(rows: list[TaskRow]) -> None:
    book = Chronicle()
    book.take(state_of(rows))
    ended = [r for r in rows if r.state in DONE]
    assert len(book.ended) == len(ended)
    assert len(book.running()) == sum(r.state == RUNNING for r in rows)
    if ended:
        assert book.origin is not None
        took = sorted((r.started or 0) - book.origin for r in ended)
        assert sorted(book.ended["start"]) == pytest.approx(took)
        assert (book.ended["end"] >= book.ended["start"]).all()


@given(tasks())
def test_the_same_rows_told_anew_are_no_more_bars(rows: list[TaskRow]) -> None:
    book = Chronicle()
    book.take(state_of(rows))
    before = len(book.ended), book.version
    book.take(state_of([TaskRow(*r) for r in rows], seq=2))
    assert (len(book.ended), book.version) == before


def test_what_the_feed_forgets_is_kept() -> None:
    book = Chronicle()
    book.take(state_of([row("t1")]))
    book.take(state_of([row("t2")], seq=2))
    assert len(book.ended) == 2


def test_the_oldest_go_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chronicle, "MOST", 100)
    book = Chronicle()
    for i in range(30):
        book.take(state_of([row(f"t{i}-{k}", times=(i, i, i + k)) for k in range(7)], seq=i))
    assert 50 < len(book.ended) <= 100
    assert book.ended["start"][-1] - book.ended["start"][0] < 29
    assert book.ended["end"][-1] == 29 + 6


def test_a_task_that_runs_has_no_end_until_it_ends_on_the_same_row() -> None:
    book = Chronicle()
    book.take(state_of([of_an_actor(row("t1", RUNNING)), of_an_actor(row("t2", RUNNING))]))
    lanes = dict(zip(book.running()["start"], book.running()["lane"], strict=True)), book.running()["lane"].tolist()
    assert sorted(lanes[1]) == [0, 1]
    book.take(state_of([of_an_actor(row("t2")), of_an_actor(row("t1", RUNNING))], seq=2))
    assert book.ended["lane"].tolist() == [1]
    assert book.running()["lane"].tolist() == [0]


def test_only_as_many_run_as_the_counts_say() -> None:
    book = Chronicle()
    both = [row("lost", RUNNING, times=(0, 1, 2)), row("true", RUNNING, times=(0, 5, 6))]
    one = state_of(both[1:]).counts
    book.take(replace(state_of(both), counts=one))
    assert book.running()["start"].tolist() == [5.0]


def test_a_task_that_waits_for_its_next_attempt_is_no_bar() -> None:
    book = Chronicle()
    book.take(state_of([row("t1", RUNNING)]))
    book.take(state_of([row("t1", PENDING_NODE)._replace(started=NOW)], seq=2))
    assert len(book.running()) == len(book.ended) == 0


def test_calls_at_once_lie_below_each_other() -> None:
    book = Chronicle()
    many = [of_an_actor(row(f"t{i}", times=(0, i / 10, 5))) for i in range(AT_ONCE + 4)]
    book.take(state_of([*many, of_an_actor(row("after", times=(6, 6, 7)))]))
    assert [track.row for track in book.tracks] == list(range(AT_ONCE))
    assert book.ended["lane"][-1] == 0


def test_a_worker_keeps_its_name_when_it_is_gone() -> None:
    book = Chronicle()
    state = state_of([of_an_actor(row("t1"))])
    actor = ActorRow("a1", "store", "Store", "ALIVE", None, "w1", 0, None)
    book.take(replace(state, actors={"a1": actor}))
    book.take(replace(state, seq=2, workers={}, actors={}))
    assert [track.label for track in book.tracks] == ["store · pid 4711"]


def test_how_it_ended_is_the_bars_state() -> None:
    book = Chronicle()
    ends = [("ok", None), ("failed", "ValueError"), ("stopped", "TaskCancelledError")]
    book.take(state_of([row(name, FAILED if error else "FINISHED", error=error) for name, error in ends]))
    assert book.ended["state"].tolist() == [timeline.FINISHED, timeline.FAILED, timeline.CANCELLED]
