"""Who keeps an object: what the cluster knows, and what is found in this process."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import shoal

pytestmark = pytest.mark.usefixtures("engine")


@shoal.remote
def hold(gate: Path, *arguments: Any) -> None:
    while not gate.exists():
        time.sleep(0.01)


class PlainKeeper:
    def keep(self, refs: list[Any]) -> None:
        self.refs = refs


PlainKeeper.__name__ = PlainKeeper.__qualname__ = "Keeper"
Keeper: Any = shoal.remote(PlainKeeper)


def kept_by(thing: Any) -> list[str]:
    return [holder.what for holder in shoal.who_holds(thing).holders]


def test_other_things_are_refused() -> None:
    with pytest.raises(TypeError, match="this ndarray does not"):
        shoal.who_holds(np.ones(10))


@pytest.mark.needs_processes
def test_actors_tasks_and_other_objects(tmp_path: Path) -> None:
    ref = shoal.put(np.ones(1_000_000))
    actor = Keeper.options(name="one").remote()
    shoal.get(actor.keep.remote([ref]))
    inside = shoal.put({"ref": ref})
    gate = tmp_path / "gate"
    waits = hold.remote(gate, ref)
    found = shoal.who_holds(ref)
    assert found.size is not None and found.size >= 8_000_000
    assert str(found).startswith("the value, 8.0 MB, in shared memory, kept by\n")
    what = [holder.what for holder in found.holders]
    assert "the actor Keeper 'one'" in what
    assert "an argument of hold()" in what
    assert "a ref inside another object" in what
    assert kept_by(shoal.get(ref)[3:7]) == kept_by(ref)
    gate.touch()
    shoal.get([waits, inside])


@pytest.mark.needs_processes
def test_a_thread_that_runs_a_function_with_it() -> None:
    gate, started = threading.Event(), threading.Event()

    def wait(mine: Any) -> None:
        started.set()
        gate.wait()

    ref = shoal.put(1)
    thread = threading.Thread(target=wait, args=(ref,), name="patient")
    thread.start()
    started.wait()
    what = kept_by(ref)
    gate.set()
    thread.join()
    assert "mine in wait(), which the thread patient runs" in what


@pytest.mark.needs_processes
def test_a_detached_actor_is_kept_by_its_lifetime() -> None:
    actor = Keeper.options(name="stays", lifetime="detached").remote()
    assert "its lifetime: detached" in kept_by(actor)
    shoal.kill(actor)
