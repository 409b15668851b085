from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.feed_rows import DONE, FAILED, FINISHED, PENDING_NODE, RUNNING, Counts, TaskRow
from shoal_widgets import timeline
from shoal_widgets.items import Items
from shoal_widgets.ledger import STEPS, summarise
from shoal_widgets.timeline import Bar, pack, thin
from shoal_widgets.words import headline, pace, tone

from .feeds import CELL, NOW, OTHER, counts_of, row, state_of, tasks


def test_a_cell_without_work_has_no_summary() -> None:
    assert summarise(state_of([row("t", cell=OTHER)]), CELL) is None


@given(tasks())
def test_counts_are_those_of_the_cell(rows: list[TaskRow]) -> None:
    own = [task for task in rows if task.cell == CELL]
    summary = summarise(state_of(rows), CELL)
    if not own:
        assert summary is None
        return
    assert summary is not None
    by_name = {line.name: line.counts for line in summary.functions}
    assert by_name == {name: counts for (_, name), counts in counts_of(own).items()}
    assert summary.counts.total == len(own)
    assert summary.counts.done == sum(task.state in DONE for task in own)
    assert summary.active == (summary.counts.done < len(own))


@given(tasks(), st.data())
def test_counts_stay_right_when_the_feed_forgets_tasks(rows: list[TaskRow], data: st.DataObject) -> None:
    whole = state_of(rows)
    kept = data.draw(st.sets(st.sampled_from(rows))) if rows else set()
    before = summarise(whole, CELL)
    after = summarise(replace(whole, tasks={t.id: t for t in kept}), CELL, before)
    if before is None:
        assert after is None
        return
    assert after is not None
    assert after.counts == before.counts
    assert after.begun == before.begun
    assert after.elapsed >= 0
    assert [line.name for line in after.functions] == [line.name for line in before.functions]
    assert after.errors == before.errors
    assert after.lanes == before.lanes


@given(tasks())
def test_rate_and_time_left_are_sane(rows: list[TaskRow]) -> None:
    summary = summarise(state_of(rows), CELL)
    if summary is None or summary.rate is None:
        return
    assert summary.active and summary.counts.total > 1
    assert 0 < summary.rate < math.inf
    assert summary.eta is not None
    left = summary.counts.total - summary.counts.done
    assert summary.eta * summary.rate == pytest.approx(left)


@given(tasks())
def test_every_task_that_ran_is_on_its_workers_lane(rows: list[TaskRow]) -> None:
    summary = summarise(state_of(rows), CELL)
    if summary is None:
        return
    workers = [lane.worker for lane in summary.lanes]
    step = summary.elapsed / STEPS
    for task in rows:
        if task.cell != CELL or task.started is None or task.worker is None:
            continue
        start = task.started - summary.begun
        end = None if task.ended is None else task.ended - summary.begun
        lane = workers.index(task.worker)
        assert any(_covers(bar, lane, start, end, step) for bar in summary.bars)


def _covers(bar: Bar, lane: int, start: float, end: float | None, step: float) -> bool:
    if bar.lane != lane or bar.start > start + 1e-6:
        return False
    return bar.end is None if end is None else bar.end is not None and bar.end >= end - step


def test_the_clock_runs_to_now_and_stops_with_the_last_task() -> None:
    done = row("a", times=(0, 1, 5))
    running = row("b", RUNNING, times=(0, 1, 0))
    live = summarise(state_of([done, running], time=NOW - 90), CELL)
    assert live is not None and live.elapsed == pytest.approx(10)
    ended = summarise(state_of([done, row("b", times=(0, 1, 7))]), CELL, live)
    assert ended is not None and ended.elapsed == pytest.approx(7)


def test_work_of_a_second_start_keeps_the_beginning() -> None:
    first = summarise(state_of([row("a")]), CELL)
    again = state_of([row("b", RUNNING, times=(50, 51, 0))])
    summary = summarise(again, CELL, first)
    assert summary is not None and first is not None
    assert summary.begun == first.begun


def test_cancelled_is_no_error() -> None:
    rows = [
        row("a", FAILED, error="TaskCancelledError"),
        row("b", FAILED, error="ZeroDivisionError", name="divide", times=(0, 1, 3)),
    ]
    summary = summarise(state_of(rows), CELL)
    assert summary is not None
    assert summary.counts == Counts(failed=1, cancelled=1)
    assert [(e.name, e.error, e.at) for e in summary.errors] == [("divide", "ZeroDivisionError", 3)]
    assert [bar.state for bar in summary.bars].count(timeline.CANCELLED) == 1


def test_the_last_errors_are_the_latest() -> None:
    rows = [row(f"t{i}", FAILED, error="ValueError", times=(0, 1, 2 + i)) for i in range(9)]
    summary = summarise(state_of(rows), CELL)
    assert summary is not None
    assert [error.task for error in summary.errors] == ["t4", "t5", "t6", "t7", "t8"]


def test_workers_say_what_they_run_and_for_how_long() -> None:
    rows = [
        row("a", worker="w1", times=(0, 0, 4)),
        row("b", RUNNING, worker="w1", name="parse", times=(0, 4, 0)),
        row("c", PENDING_NODE),
    ]
    summary = summarise(state_of(rows, time=NOW - 90), CELL)
    assert summary is not None
    (line,) = summary.workers
    assert (line.lane.pid, line.ended, line.task, line.since) == (4711, 1, "parse", 4)
    assert line.busy == pytest.approx(10)


def test_a_task_that_waits_for_its_retry_is_not_on_the_timeline() -> None:
    retried = row("a")._replace(state=PENDING_NODE, worker="w1")
    summary = summarise(state_of([retried]), CELL)
    assert summary is not None
    assert summary.bars == ()


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.floats(0, 100), st.floats(0, 10), st.integers(0, 3)),
        max_size=200,
    )
)
def test_thinning_keeps_what_can_be_seen(shapes: list[tuple[int, float, float, int]]) -> None:
    bars = [Bar(lane, start, start + length, state) for lane, start, length, state in shapes]
    steps = 20
    thinned = thin(bars, 110.0, steps)
    for bar in bars:
        assert bar.end is not None
        assert any(
            kept.lane == bar.lane
            and kept.state == bar.state
            and kept.start <= bar.start
            and kept.end is not None
            and kept.end >= bar.end
            for kept in thinned
        )
    for kept in thinned:
        same = [b for b in bars if (b.lane, b.state) == (kept.lane, kept.state)]
        assert kept.start in {b.start for b in same}
        assert kept.end in {b.end for b in same}


def test_thinning_leaves_no_more_than_can_be_drawn() -> None:
    many = [Bar(i % 2, i / 1000, (i + 0.9) / 1000, timeline.FINISHED) for i in range(100_000)]
    assert len(thin(many, 100.0, 500)) <= 2 * 501


def test_packed_bars_are_quadruples_of_float32() -> None:
    packed = memoryview(pack([Bar(1, 0.5, None, 0), Bar(2, 1.0, 2.0, 1)])).cast("f")
    assert packed.tolist()[:2] == [1, 0.5]
    assert math.isnan(packed.tolist()[2])
    assert packed.tolist()[4:] == [2, 1, 2, 1]


def test_a_lost_end_leaves_no_task_running() -> None:
    lost = row("a", RUNNING, worker="w1", times=(0, 1, 0))
    rows = [lost, row("b", RUNNING, worker="w1", times=(0, 5, 0))]
    state = replace(state_of(rows), counts={(CELL, "square"): Counts(running=1, finished=1)})
    summary = summarise(state, CELL)
    assert summary is not None
    assert [bar.start for bar in summary.bars] == [5]
    over = replace(state, counts={(CELL, "square"): Counts(finished=2)})
    summary = summarise(over, CELL, summary)
    assert summary is not None
    assert summary.bars == ()
    assert [line.task for line in summary.workers] == [None]


def test_only_the_clock_moves_while_nothing_happens() -> None:
    rows = [row("a"), row("b", RUNNING), row("c", PENDING_NODE)]
    first = summarise(state_of(rows, time=NOW), CELL)
    later = summarise(state_of(rows, time=NOW + 1), CELL, first)
    moved = summarise(state_of([rows[0], row("b"), rows[2]], time=NOW + 1), CELL, first)
    assert first is not None and later is not None and moved is not None
    assert not later.shows_more_than(first)
    assert moved.shows_more_than(first)


def test_finished_is_the_only_state_that_has_a_mean() -> None:
    rows = [row("a", FINISHED, times=(0, 1, 3)), row("b", FAILED, error="E", times=(0, 1, 9))]
    summary = summarise(state_of(rows), CELL)
    assert summary is not None
    assert summary.functions[0].mean == pytest.approx(2)


def test_a_loop_is_told_by_its_items() -> None:
    summary = summarise(state_of([row("a"), row("b", RUNNING)]), CELL)
    assert summary is not None
    half = summary.of_items(Items(total=100, running=10, finished=40, before=20))
    assert headline(half.standing, noun=half.noun) == "40 of 100 items done · 10 running · 50 queued"
    assert half.rate == 20 / half.elapsed and half.eta == 60 / half.rate
    endless = summary.of_items(Items(running=2, finished=997, failed=1))
    assert headline(endless.standing, noun=endless.noun) == "997 of 1,000 items done · 2 running · 1 failed"
    assert endless.eta is None and pace(endless).endswith("/s") and tone(endless) == "error"
