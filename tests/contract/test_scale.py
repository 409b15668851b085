"""A running cluster with more or fewer CPUs, restarted, and what has a name on it."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

import shoal
from shoal import cluster
from shoal.exceptions import ClusterNotFoundError, ForeignRefError
from shoal.util import results

pytestmark = [pytest.mark.usefixtures("engine"), pytest.mark.needs_processes]

PATIENCE = 30.0


@shoal.remote
def at_gate(folder: Path, number: int) -> int:
    """Says that it has begun, and waits for its gate."""
    (folder / f"begun-{number}").touch()
    while not (folder / f"gate-{number}").exists():
        time.sleep(0.005)
    return number


def begun(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("begun-*")}


def wait_for_begun(folder: Path, count: int) -> set[str]:
    deadline = time.monotonic() + PATIENCE
    while len(begun(folder)) < count:
        assert time.monotonic() < deadline, begun(folder)
        time.sleep(0.01)
    return begun(folder)


def here() -> cluster.Cluster:
    found = cluster.current()
    assert found is not None
    return found


def test_more_cpus_run_more_at_once_and_fewer_fewer(tmp_path: Path) -> None:
    refs = [at_gate.remote(tmp_path, number) for number in range(8)]
    wait_for_begun(tmp_path, 2)
    here().scale(4)
    assert shoal.cluster_resources()["CPU"] == 4
    assert len(wait_for_begun(tmp_path, 4)) == 4
    here().scale(1)
    assert shoal.cluster_resources()["CPU"] == 1 and shoal.available_resources().get("CPU", 0) <= 0
    first = wait_for_begun(tmp_path, 4)
    names = sorted(first)
    for name in names[:3]:  # three of the four that run end, and nothing takes their place
        (tmp_path / name.replace("begun", "gate")).touch()
    shoal.wait(refs, num_returns=3)
    assert "it waits for 1 CPU of the 1" in shoal.why(refs[-1]).text
    assert begun(tmp_path) == first
    (tmp_path / names[3].replace("begun", "gate")).touch()
    assert len(wait_for_begun(tmp_path, 5)) == 5
    for number in range(8):
        (tmp_path / f"gate-{number}").touch()
    assert shoal.get(refs) == list(range(8))


def test_short_tasks_go_on_while_the_number_of_cpus_changes() -> None:
    square = shoal.remote(lambda x: x * x)
    refs = []
    for cpus in (1, 3, 2, 1, 2):
        here().scale(cpus)
        refs += [square.remote(x) for x in range(500)]
    assert shoal.get(refs) == [x * x for x in range(500)] * 5
    assert shoal.cluster_resources()["CPU"] == 2


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="whole number"):
        here().scale(-1)


def test_a_restarted_cluster_has_the_same_settings_and_nothing_of_the_old() -> None:
    name = here().name
    here().scale(1)
    ref = shoal.put(1)
    made = cluster.restart(here(), gpus=2)
    assert cluster.current() is made and made.name == name
    assert shoal.cluster_resources()["CPU"] == 1 and shoal.cluster_resources()["GPU"] == 2
    with pytest.raises(ForeignRefError):
        shoal.get(ref)
    assert shoal.get(shoal.remote(lambda: 3).remote()) == 3


def test_a_cluster_answers_those_who_do_not_join_it() -> None:
    status = cluster.ask(here().name, "status")
    assert status["clients"] == 1 and status["results"] == []
    assert here().status()["clients"] == 1
    with pytest.raises(ClusterNotFoundError):
        cluster.ask("no-such", "status")


def test_what_has_a_name_stays_when_nobody_holds_it() -> None:
    results.save("value", np.ones(100_000))
    ref = shoal.remote(lambda: [4]).remote()
    results.save("of a task", ref)
    shoal.get(ref)
    del ref
    assert results.names() == ["value", "of a task"]
    assert shoal.get(results.load("of a task")) == [4]
    assert shoal.get(results.load("value")).sum() == 100_000
    [first, second] = results.table()
    assert (first.state, first.plain, second.plain) == ("ready", True, False)
    assert first.size is not None and first.size >= 800_000
    held = shoal.who_holds(results.load("value")).holders
    assert "the named result value" in [holder.what for holder in held]
    results.save("value", 3)
    assert shoal.get(results.load("value")) == 3
    results.drop("value")
    with pytest.raises(ValueError, match=r"no result is named 'value' .*of a task"):
        results.load("value")
    with pytest.raises(ValueError, match="no result is named"):
        results.drop("value")


def test_the_memory_of_a_dropped_result_is_free_again() -> None:
    results.save("big", np.ones(1_000_000))
    assert here().status()["store"][0] > 0
    results.drop("big")
    deadline = time.monotonic() + PATIENCE
    while here().status()["store"][0]:
        assert time.monotonic() < deadline
        time.sleep(0.01)
