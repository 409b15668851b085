"""The timeline: a Chrome trace of what ran where and when."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

import shoal
from shoal.exceptions import TaskCancelledError

pytestmark = pytest.mark.usefixtures("engine")


@shoal.remote
def work(value: Any = None) -> Any:
    return value


@shoal.remote
def fail() -> None:
    raise ValueError("as asked")


@shoal.remote
def parent() -> int:
    child: int = shoal.get(work.remote(os.getpid()))
    return child


class PlainKeeper:
    def name(self) -> str:
        return "keeper"

    async def meet(self) -> None:
        """Returns when two calls are in it at once."""
        self.inside = getattr(self, "inside", 0) + 1
        while self.inside < 2:
            await asyncio.sleep(0)


PlainKeeper.__name__ = PlainKeeper.__qualname__ = "Keeper"
Keeper: Any = shoal.remote(PlainKeeper)


def bars(name: str) -> list[dict[str, Any]]:
    return [e for e in shoal.timeline() if e["ph"] == "X" and e["name"] == name]


def names() -> dict[Any, str]:
    """By process, and by process and thread, what they are called."""
    found: dict[Any, str] = {}
    for event in shoal.timeline():
        if event["ph"] == "M":
            key = (event["pid"], event["tid"]) if event["name"] == "thread_name" else event["pid"]
            assert key not in found
            found[key] = event["args"]["name"]
    return found


def test_nothing_ran() -> None:
    assert shoal.timeline() == []


def test_each_task_has_a_bar_with_what_is_known_of_it() -> None:
    refs = [work.remote(i) for i in range(3)]
    shoal.get(refs)
    found = bars("work")
    assert {bar["args"]["task_id"] for bar in found} == {ref.task_id().hex() for ref in refs}
    for bar in found:
        assert bar["cat"] == "task::work" and bar["dur"] >= 0
        assert bar["args"]["job_id"] == shoal.get_runtime_context().get_job_id()
        assert bar["args"]["func_or_class_name"] == "work" and bar["args"]["state"] == "FINISHED"
        assert bar["args"]["waited_us"] >= 0 and bar["args"]["error"] is None


def test_a_file_of_it_can_be_opened_elsewhere(tmp_path: Path) -> None:
    shoal.get(work.remote())
    path = tmp_path / "trace.json"
    found = shoal.timeline(str(path))
    assert json.loads(path.read_text()) == found and found


def test_rows_have_names_and_are_numbers() -> None:
    shoal.get(work.remote())
    called = names()
    for event in shoal.timeline():
        assert isinstance(event["pid"], int) and isinstance(event["tid"], int)
        assert called[event["pid"]] and (event["ph"] == "M" or called[event["pid"], event["tid"]])
    [bar] = bars("work")
    assert called[bar["pid"]] == "Node 127.0.0.1"
    assert called[bar["pid"], bar["tid"]].startswith("worker ")


def test_an_arrow_leads_from_the_submission_to_the_run() -> None:
    shoal.get(work.remote())
    events = shoal.timeline()
    [bar] = [e for e in events if e["name"] == "work" and e["ph"] == "X"]
    [start] = [e for e in events if e["ph"] == "s"]
    [end] = [e for e in events if e["ph"] == "f"]
    assert start["id"] == end["id"] and start["ts"] <= end["ts"] == bar["ts"]
    assert (end["pid"], end["tid"], end["bp"]) == (bar["pid"], bar["tid"], "e")
    [submitted] = [e for e in events if e.get("cat") == "submit" and e["ph"] == "X"]
    assert (submitted["pid"], submitted["ts"]) == (start["pid"], start["ts"])
    queued = [e for e in events if e.get("cat") == "queued"]
    assert [(e["ph"], e["ts"]) for e in queued] == [("b", start["ts"]), ("e", end["ts"])]


@pytest.mark.needs_processes
def test_a_childs_arrow_starts_in_its_parent() -> None:
    shoal.get(parent.remote())
    events = shoal.timeline()
    [above] = [e for e in events if e["name"] == "parent" and e["ph"] == "X"]
    [below] = [e for e in events if e["name"] == "work" and e["ph"] == "X"]
    assert below["args"]["parent"] == above["args"]["task_id"]
    [start] = [e for e in events if e["ph"] == "s" and e["pid"] == above["pid"]]
    assert start["tid"] == above["tid"] and above["ts"] <= start["ts"] <= above["ts"] + above["dur"]


def test_colours_tell_how_it_ended() -> None:
    shoal.get(work.remote())
    with pytest.raises(ValueError):
        shoal.get(fail.remote())
    [good], [bad] = bars("work"), bars("fail")
    assert bad["args"]["error"] == "ValueError"
    assert (good["cname"], bad["cname"]) == ("rail_response", "terrible")


@pytest.mark.needs_processes
def test_what_was_cancelled_is_grey(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    @shoal.remote
    def stay(path: str) -> None:
        with open(path, "w"):  # goes on here when its other end is opened
            import time

            time.sleep(1000)

    ref = stay.remote(str(pipe))
    with open(pipe):
        pass
    shoal.cancel(ref)
    with pytest.raises(TaskCancelledError):
        shoal.get(ref)
    assert [bar["cname"] for bar in bars("stay")] == ["grey"]


@pytest.mark.needs_processes
def test_phases_lie_inside_the_bar_in_their_order() -> None:
    large = shoal.put(b"x" * 1_000_000)
    shoal.get(work.options(num_returns=1).remote(large))
    [bar] = bars("work")
    end = bar["ts"]
    for name in ("task:deserialize_arguments", "task:execute", "task:store_outputs"):
        [phase] = bars(name)
        assert phase["cat"] == name and phase["tid"] == bar["tid"]
        assert phase["ts"] == pytest.approx(end, abs=0.5)
        end = phase["ts"] + phase["dur"]
    assert end == pytest.approx(bar["ts"] + bar["dur"], abs=0.5)


@pytest.mark.needs_processes
def test_an_actors_row_has_its_name() -> None:
    keeper = Keeper.options(name="k").remote()
    shoal.get(keeper.name.remote())
    [made], [called] = bars("Keeper.__init__"), bars("Keeper.name")
    assert made["tid"] == called["tid"]
    assert names()[called["pid"], called["tid"]].startswith("Keeper 'k', worker ")
    assert called["args"]["actor_id"] == made["args"]["actor_id"] == keeper._actor_id.hex()
    assert called["cat"] == "task::Keeper.name"


@pytest.mark.needs_processes
def test_calls_at_once_have_a_row_each() -> None:
    keeper = Keeper.remote()
    shoal.get([keeper.meet.remote() for _ in range(2)])
    first, second = bars("Keeper.meet")
    assert first["tid"] != second["tid"] and first["pid"] == second["pid"]


@pytest.mark.needs_processes
def test_what_runs_still_reaches_to_now(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    @shoal.remote
    def stay(path: str) -> None:
        with open(path, "w") as file:
            file.flush()
        with open(path):
            pass

    ref = stay.remote(str(pipe))
    with open(pipe):
        pass
    first = [bar["dur"] for bar in bars("stay")]
    second = [bar["dur"] for bar in bars("stay")]
    assert not first or first < second
    with open(pipe, "w"):
        pass
    shoal.get(ref)
    [bar] = bars("stay")
    assert bar["args"]["state"] == "FINISHED"
