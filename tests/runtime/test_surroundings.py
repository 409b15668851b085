"""What a task finds around it: folder, import path, environment, threads, random state, hash seed; what it prints."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import shoal
from shoal import cluster, context


@pytest.fixture(autouse=True)
def here() -> Iterator[cluster.Cluster]:
    shoal.init(num_cpus=2)
    found = cluster.current()
    assert found is not None
    yield found
    shoal.shutdown()


def run(function: Any, *args: Any, **options: Any) -> Any:
    return shoal.get(shoal.remote(function).options(**options).remote(*args), timeout=30)


def test_the_folder_is_the_drivers_as_it_is_at_submit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(os.getcwd) == os.getcwd()
    monkeypatch.chdir(tmp_path)
    assert run(os.getcwd) == str(tmp_path)


def test_modules_beside_the_driver_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "beside_me.py").write_text("def f():\n    return 'found'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import beside_me  # type: ignore[import-not-found]

    assert run(beside_me.f) == "found"


def test_environment_variables_travel_and_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_TEST_X", "1")
    assert run(lambda: os.environ.get("SHOAL_TEST_X")) == "1"
    monkeypatch.delenv("SHOAL_TEST_X")
    assert [run(lambda: os.environ.get("SHOAL_TEST_X")) for _ in range(4)] == [None] * 4


def test_blas_gets_as_many_threads_as_the_task_has_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert run(lambda: os.environ["OMP_NUM_THREADS"]) == "1"
    assert run(lambda: os.environ["OMP_NUM_THREADS"], num_cpus=2) == "2"
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert run(lambda: os.environ["OMP_NUM_THREADS"]) == "3"


def test_workers_differ_in_random_and_agree_in_hashes() -> None:
    class Probe:
        def look(self) -> tuple[float, float, int]:
            import random

            import numpy

            return random.random(), float(numpy.random.rand()), hash("shoal")

    looks = shoal.get([p.look.remote() for p in [shoal.remote(Probe).remote() for _ in range(4)]])
    assert len({r for r, _, _ in looks}) == len({n for _, n, _ in looks}) == 4
    assert len({h for _, _, h in looks}) == 1


def test_workers_hold_nothing_of_the_hub() -> None:
    def files() -> list[str]:
        return sorted(os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if int(fd) < 3)

    stdin, *rest = [f for f in run(files) if not f.startswith("pipe:")]
    assert stdin == "/dev/null" and not rest


def test_sigint_to_the_group_of_the_driver_does_not_reach_the_workers() -> None:
    assert run(os.getsid, 0) != os.getsid(0)


def test_output_comes_in_order_before_the_result_with_its_cell(here: cluster.Cluster) -> None:
    seen: list[Any] = []
    here.on_output(seen.append)

    def talk(name: str) -> None:
        for i in range(50):
            print(name, i)
        os.write(1, f"{name} raw\n".encode())
        subprocess.run(["echo", f"{name} child"], check=True)
        print(f"{name} error", file=sys.stderr)
        context.display({"data": {"text/plain": name}, "metadata": {}})
        print(name, "last", end="")

    refs = []
    for cell in ("s/a/1", "s/b/2"):
        context.set_cell(cell)
        refs.append(shoal.remote(talk).remote(cell))
    context.set_cell(None)
    shoal.get(refs)
    for cell in ("s/a/1", "s/b/2"):
        mine = [o for o in seen if o.cell == cell]
        out = "".join(o.data for o in mine if o.stream == "stdout")
        assert out == "".join(f"{cell} {i}\n" for i in range(50)) + f"{cell} raw\n{cell} child\n{cell} last"
        assert "".join(o.data for o in mine if o.stream == "stderr") == f"{cell} error\n"
        assert [o.data["data"]["text/plain"] for o in mine if o.stream == "display"] == [cell]


def test_a_flood_of_output_is_complete(here: cluster.Cluster) -> None:
    size = [0]

    def count(output: Any) -> None:
        size[0] += len(output.data)

    here.on_output(count)
    run(lambda: [print("x" * 99) for _ in range(100_000)] and None)
    assert size[0] == 10_000_000


def test_nested_tasks_inherit_the_cell(here: cluster.Cluster) -> None:
    seen: list[Any] = []
    here.on_output(seen.append)

    @shoal.remote
    def inner() -> None:
        print("inner")

    @shoal.remote
    def outer() -> None:
        shoal.get(inner.remote())

    context.set_cell("s/c/3")
    ref = outer.remote()
    context.set_cell(None)
    shoal.get(ref)
    assert [(o.cell, o.data) for o in seen] == [("s/c/3", "inner\n")]


def test_cancel_of_a_cell_stops_its_work_and_leaves_the_others(here: cluster.Cluster) -> None:
    import time

    @shoal.remote(num_cpus=0)
    def hold(stubborn: bool) -> str:
        try:
            time.sleep(100)
        except KeyboardInterrupt:
            if stubborn:
                while True:
                    try:
                        time.sleep(100)
                    except KeyboardInterrupt:
                        pass
            raise
        return "slept"

    @shoal.remote(num_cpus=0)
    def quick() -> str:
        time.sleep(1)
        return "other cell"

    context.set_cell("s/stop/1")
    stopped = [hold.remote(False), hold.remote(True), shoal.remote(hold._function).options(num_cpus=2).remote(False)]
    context.set_cell("s/go/2")
    other = quick.remote()
    context.set_cell(None)
    shoal.wait(stopped, timeout=0.3)
    assert here.cancel_cell("s/stop/1") == 3
    for ref in stopped:
        with pytest.raises(shoal.exceptions.TaskCancelledError):
            shoal.get(ref, timeout=10)
    assert shoal.get(other, timeout=10) == "other cell"


def test_the_feed_counts_what_happened(here: cluster.Cluster) -> None:
    feed = here.feed()
    context.set_cell("s/f/1")

    @shoal.remote
    def work(i: int) -> int:
        if i % 10 == 0:
            raise ValueError(i)
        return i

    refs = [work.remote(i) for i in range(3000)]
    context.set_cell(None)
    shoal.wait(refs, num_returns=len(refs))
    state = feed.refresh()
    counts = state.counts["s/f/1", "work"]
    assert (counts.finished, counts.failed, counts.pending, counts.running) == (2700, 300, 0, 0)
    rows = [t for t in state.tasks.values() if t.name == "work"]
    assert len(rows) == 3000
    assert all(t.started is not None and t.ended is not None and t.started <= t.ended for t in rows)
    assert {t.error for t in rows} == {None, "ValueError"}


def test_the_feed_tells_its_listeners_by_itself(here: cluster.Cluster) -> None:
    import threading

    seen = threading.Event()
    feed = here.feed()

    def listen(state: Any) -> None:
        if state.counts.get((None, "mark"), (0, 0, 0))[2] == 5:
            seen.set()

    stop = feed.listen(listen)
    assert feed.wait_first(10)
    mark = shoal.remote(lambda: 1).options(name="mark")
    shoal.get([mark.remote() for _ in range(5)])
    assert seen.wait(10)
    stop()
