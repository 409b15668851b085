"""Why something is pending: what is asked of a cluster, and the words."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import shoal
from shoal.reasons import Explanation
from shoal.util.placement_group import placement_group

PATIENCE = 30.0

needs_time = pytest.mark.needs_time
pytestmark = pytest.mark.usefixtures("engine")


@shoal.remote
def hold(gate: Path, *arguments: Any) -> None:
    while not gate.exists():
        time.sleep(0.01)


@shoal.remote
def quick(fail: bool = False) -> int:
    if fail:
        raise ValueError("as asked")
    return 1


class PlainHolder:
    def hold(self, gate: Path) -> None:
        while not gate.exists():
            time.sleep(0.01)

    def other(self) -> None:
        pass


PlainHolder.__name__ = PlainHolder.__qualname__ = "Holder"
Holder: Any = shoal.remote(PlainHolder)


def until(look: Callable[[], Explanation], state: str) -> Explanation:
    """The explanation, once it is of this state."""
    deadline = time.monotonic() + PATIENCE
    while (found := look()).state != state:
        assert time.monotonic() < deadline, found
        time.sleep(0.01)
    return found


def test_what_is_over_is_said_to_be_so() -> None:
    good, bad, stored = quick.remote(), quick.remote(fail=True), shoal.put(1)
    shoal.wait([good, bad], num_returns=2)
    assert not shoal.why(good).pending
    assert shoal.why(bad).state == "failed"
    assert str(shoal.why(stored)).startswith("the value is not pending: it is there")


def test_other_things_are_refused() -> None:
    with pytest.raises(TypeError, match="not int"):
        shoal.why(3)


@pytest.mark.needs_processes
def test_the_error_is_told() -> None:
    bad = quick.remote(fail=True)
    shoal.wait([bad])
    assert "quick() is not pending: it has failed" in str(shoal.why(bad))
    assert "ValueError: as asked" in str(shoal.why(bad))


@needs_time
def test_what_runs_what_waits_for_a_cpu_and_what_for_an_argument(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    running = [hold.remote(gate) for _ in range(2)]
    for ref in running:
        assert "on worker" in until(lambda ref=ref: shoal.why(ref), "running").text  # type: ignore[misc]
    queued = quick.remote()
    told = shoal.why(queued)
    assert told.state == "resources" and told.pending
    assert "it waits for 1 CPU of the 2, taken by hold() × 2 (the longest running for" in told.text
    behind = hold.remote(gate, queued)
    told = shoal.why(behind)
    assert told.state == "arguments"
    assert told.text.splitlines()[1].startswith("  - quick() waits for 1 CPU of the 2, taken by")
    shoal.cancel(queued)
    assert until(lambda: shoal.why(queued), "cancelled").text.startswith("quick() is not pending")
    gate.touch()
    shoal.get(running)


@needs_time
def test_tasks_that_wait_with_their_driver_know_how_many_are_before_them(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    many = [hold.remote(gate) for _ in range(2200)]
    told = shoal.why(many[-1])
    assert told.state in ("resources", "starting")
    assert int(told.text.rpartition("; ")[2].split()[0].replace(",", "")) > 2100, told


@needs_time
def test_what_no_cluster_of_this_size_can_run_is_told_with_the_cure() -> None:
    with pytest.warns(UserWarning, match="stays pending"):
        on_gpu = quick.options(num_gpus=1).remote()
    assert str(shoal.why(on_gpu)) == (
        "quick() is pending, and will be: it needs 1 GPU, and this cluster has 0 GPUs.\n"
        "What helps: ask for less, or start a larger cluster: shoal.init(num_gpus=1)"
    )
    with pytest.warns(UserWarning, match="stays pending"):
        actor = Holder.options(resources={"special": 2}).remote()
    call = actor.other.remote()
    assert "it needs 2 special, and this cluster has 0 special" in shoal.why(actor).text
    told = shoal.why(call)
    assert told.state == "actor" and "its actor is not there yet" in told.text
    assert "resources={'special': 2.0}" in told.cure
    with pytest.warns(UserWarning, match="no node has the labels"):
        labelled = quick.options(label_selector={"zone": "moon"}).remote()
    assert "no node has the labels it asks for" in shoal.why(labelled).text


@needs_time
def test_calls_in_a_mailbox_are_counted(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    actor = Holder.remote()
    first = actor.hold.remote(gate)
    until(lambda: shoal.why(first), "running")
    later = [actor.other.remote() for _ in range(20)]
    told = shoal.why(later[-1])
    assert told.state == "mailbox"
    assert "in the mailbox of the actor Holder, 19 ahead of it; Holder.hold() has been running" in told.text
    assert "20 calls waiting in its mailbox" in shoal.why(actor).text
    gate.touch()
    shoal.get(later)


@needs_time
def test_a_call_before_it_may_hold_one_up(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    actor = Holder.remote()
    held = actor.hold.remote(hold.remote(gate))
    last = actor.other.remote()
    told = until(lambda: shoal.why(last), "mailbox").text
    assert "Calls keep their order, and one before it is not ready:\n  - Holder.hold() waits for 1 argument" in told
    gate.touch()
    with pytest.raises(AttributeError):  # None is no path
        shoal.get(held)


@needs_time
def test_a_generator_and_what_it_has_yielded(tmp_path: Path) -> None:
    @shoal.remote
    def items(gate: Path) -> Any:
        yield 1
        while not gate.exists():
            time.sleep(0.01)
        yield 2

    stream = items.remote(tmp_path / "gate")
    first = next(stream)
    assert "items() is not pending: it has been running" in until(lambda: shoal.why(stream), "running").text
    assert "the value of items() is not pending: it is there" in shoal.why(first).text
    (tmp_path / "gate").touch()
    assert [shoal.get(ref) for ref in stream] == [2]
    assert "it has finished" in until(lambda: shoal.why(stream), "finished").text


@needs_time
def test_an_actor_that_is_being_made(tmp_path: Path) -> None:
    class Slow:
        def __init__(self, gate: Path) -> None:
            while not gate.exists():
                time.sleep(0.01)

        def there(self) -> bool:
            return True

    actor = shoal.remote(Slow).remote(tmp_path / "gate")
    until(lambda: shoal.why(actor), "creating")
    call = actor.there.remote()
    told = shoal.why(call).text
    assert told.startswith("Slow.there() is pending: its actor is not there yet.\n  - the actor Slow"), told
    (tmp_path / "gate").touch()
    assert shoal.get(call)


@needs_time
def test_groups_and_what_waits_for_them(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    busy = hold.remote(gate)
    until(lambda: shoal.why(busy), "running")
    group = placement_group([{"CPU": 2}])
    assert "waits for room for its bundles (2 CPUs), taken by hold()" in shoal.why(group.ready()).text
    inside = quick.options(placement_group=group).remote()
    told = shoal.why(inside)
    assert told.state == "group" and "its placement group is not ready" in told.text
    gate.touch()
    shoal.get(inside)


@needs_time
def test_a_dead_actor_says_why() -> None:
    actor = Holder.remote()
    shoal.get(actor.other.remote())
    assert "it lives (pid" in shoal.why(actor).text
    shoal.kill(actor)
    assert "it is dead, because it was killed by" in until(lambda: shoal.why(actor), "dead").text
