"""The pure parts of the Tasks, Actors and Objects views: what they make of a feed's state."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from shoal.feed_rows import FAILED, FINISHED, PENDING_NODE, RUNNING, ActorRow, StoreRow, TaskRow, WorkerRow
from shoal_widgets.actors import Actors
from shoal_widgets.kinds import kinds, total
from shoal_widgets.objects import Objects
from shoal_widgets.tasks import MOST_ROWS, Tasks

from .feeds import CELL, NOW, OTHER, row, state_of, tasks


class FakeHands:
    """A hub that answers with what a test has given, and remembers what it was asked and told."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.told: list[tuple[str, ...]] = []

    def ask(self, what: str, *args: Any) -> Any:
        self.told.append((what, *args))
        return self.answers[what]

    def why(self, task: str) -> str:
        return "it waits for a CPU"

    def cancel(self, task: str) -> None:
        self.told.append(("cancel", task))

    def kill(self, actor: str) -> None:
        self.told.append(("kill", actor))


@given(tasks())
def test_kinds_count_every_task_once(found: list[TaskRow]) -> None:
    state = state_of(found)
    lines = kinds(state)
    assert total([line.counts for line in lines]).total == len(found)
    assert {(line.cell, line.name) for line in lines} == set(state.counts)
    for line in lines:
        if line.spread is not None:
            assert list(line.spread[1:]) == sorted(line.spread[1:])
    picture = Tasks(FakeHands()).picture(state, {"list": True})
    json.dumps(picture.state)
    assert len(picture.state["rows"]) == len(found)


def test_what_is_under_way_comes_first_and_the_list_is_filtered() -> None:
    found = [row(f"a{i}", name="new", cell=CELL) for i in range(MOST_ROWS + 50)]
    found = [row("r", RUNNING, name="busy", cell=OTHER), *found, row("f", FAILED, name="new", error="KeyError")]
    view, state = Tasks(FakeHands()), state_of(found)
    assert [line["name"] for line in view.picture(state, {}).state["kinds"]] == ["busy", "new"]
    assert view.picture(state, {}).state["rows"] == []  # nobody asked for them
    shown = view.picture(state, {"list": True}).state["rows"]
    assert len(shown) == MOST_ROWS and shown[0]["id"] == "f"
    for want in ({"state": "failed"}, {"text": "keyerr"}, {"kind": [CELL, "new"], "state": "failed"}):
        assert [line["id"] for line in view.picture(state, want).state["rows"]] == ["f"]
    record = view.record(state, {})
    assert "new failed: KeyError" in record.text and not any(word in record.html for word in ("class=", "<svg", "var("))


def test_one_task_is_asked_about_once_while_nothing_changes() -> None:
    answer = {"attempts": [{"worker": "w1"}], "arguments": [], "needs": {}}
    hands = FakeHands(task_closely=answer)
    view, state = Tasks(hands), state_of([row("a", PENDING_NODE), row("b", FINISHED)])
    for _ in range(3):
        detail = view.picture(state, {"task": "a"}).state["detail"]
    assert (detail["why"], detail["over"]) == ("it waits for a CPU", False)
    assert hands.told == [("task_closely", "a")]
    assert view.picture(state, {"task": "b"}).state["detail"]["why"] == ""
    view.act({"do": "cancel", "task": "a"})
    assert hands.told[-1] == ("cancel", "a")


def test_an_actor_is_told_with_what_it_does_and_takes() -> None:
    calls = [row(f"c{i}", times=(0, 95 + i, 96 + i), name="C.step")._replace(actor="0" * 32) for i in range(5)]
    calls.append(row("now", RUNNING, name="C.run", times=(0, 99, 0))._replace(actor="0" * 32))
    actor = ActorRow("0" * 32, "boss", "C", "ALIVE", CELL, "w1", 7, None, 2)
    worker = WorkerRow("w1", 12, "actor", actor.id, 3, 4.5)
    state = replace(state_of(calls), actors={actor.id: actor}, workers={"w1": worker})
    hands = FakeHands()
    line = Actors(hands).picture(state, {}).state["actors"][0]
    told = [line[key] for key in ("label", "state", "where", "method", "mailbox", "memory", "cpu", "restarts")]
    assert told == ["boss (C)", "alive", "pid 12", "C.run", 7, 3, 4.5, 2]
    assert line["rate"] == 1.0  # five in five seconds
    record = Actors(hands).record(replace(state, time=NOW), {})
    assert record.text.startswith("1 actor · 1 alive · 7 calls in mailboxes")
    Actors(hands).act({"do": "kill", "actor": actor.id})
    assert hands.told == [("kill", actor.id)]


@pytest.mark.parametrize(
    ("holders", "said"), [(0, "2 tasks or containers"), (1, "notebook (pid 9), 2 tasks or containers")]
)
def test_objects_are_told_with_what_they_are_and_who_holds_them(holders: int, said: str) -> None:
    one = {
        "id": "o", "size": 2_400_000, "where": "memory", "task": None, "maker": "", "cell": None, "more": 0, "pins": 2,
        "holders": [{"kind": "driver", "pid": 9, "what": ""}] * holders, "stream": pickle.dumps([1, 2], 5),
    }  # fmt: skip
    answer = {"held": {"notebook": 2_400_000, "actors": 0}, "count": 1, "stored": 1, "largest": [one]}
    hands = FakeHands(largest_objects=answer)
    state = replace(state_of([]), store=StoreRow(1, 2_400_000, 4_000_000, 10_000_000, 0))
    view = Objects(hands)
    picture = view.picture(state, {})
    json.dumps(picture.state)
    assert picture.state["held"] == [["notebook", 2_400_000]]
    line = picture.state["objects"][0]
    assert (line["kind"], line["shape"], line["preview"], line["maker"]) == ("list", "of 2", "[1, 2]", "put")
    assert line["holders"] == said
    record = view.record(state, {})
    assert "2.4 MB of 10 MB in use" in record.text and "class=" not in record.html
    assert hands.told == [("largest_objects",)]  # once a second at most
