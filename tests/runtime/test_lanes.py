"""Calls by lanes (docs/lanes.md) with real processes: nothing is lost, doubled or out of order, whoever dies."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import shoal
from shoal import cluster
from shoal.backlog import WINDOW
from shoal.engines.local import LocalEngine
from shoal.exceptions import ActorDiedError, ActorUnavailableError, TaskCancelledError, WorkerCrashedError
from shoal.lanes import Lanes
from shoal.util.state import list_tasks

PATIENCE = 20.0


def wait_until(true: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "it has not come true"
        time.sleep(0.01)


@pytest.fixture
def lanes() -> Iterator[Lanes]:
    yield from started(2)


@pytest.fixture
def one() -> Iterator[Lanes]:
    yield from started(1)


def started(cpus: int) -> Iterator[Lanes]:
    shoal.init(num_cpus=cpus)
    engine = here()
    assert engine.lanes is not None
    yield engine.lanes
    wait_until(nothing_is_left)
    shoal.shutdown()


def here() -> LocalEngine:
    engine = cluster.ensure().engine
    assert isinstance(engine, LocalEngine)
    return engine


def nothing_is_left() -> bool:
    engine = here()
    status = cluster.ensure().status()
    assert engine.lanes is not None
    left = (status["tasks"], status["objects"], engine.lanes.busy, engine._values, engine._private, engine._waiting)
    return not any(left)


@shoal.remote
def add(a: int, b: int) -> int:
    return a + b


@shoal.remote
def pid() -> int:
    return os.getpid()


def warm(lanes: Lanes) -> None:
    """Until a worker is lent to us, and `add` is known to be short."""
    while not any(backlog.lanes for backlog in lanes._backlogs.values()):
        shoal.get([add.remote(1, 2) for _ in range(50)])
    shoal.get([add.remote(1, 2) for _ in range(50)])


def goes_by_lane(lanes: Lanes, ref: shoal.ObjectRef[Any]) -> bool:
    return ref.binary() in here()._private


def test_a_lean_task_goes_by_a_lane_and_the_hub_knows_no_object_of_it(lanes: Lanes) -> None:
    warm(lanes)
    ref = add.remote(2, 3)
    assert goes_by_lane(lanes, ref)
    assert shoal.get(ref) == 5


def test_a_value_that_came_by_a_lane_can_be_passed_on(lanes: Lanes) -> None:
    warm(lanes)
    ref = add.remote(2, 3)
    shoal.get(ref)

    @shoal.remote
    def inner(refs: list[shoal.ObjectRef[int]]) -> int:
        return sum(shoal.get(refs))

    assert shoal.get(inner.remote([ref, ref])) == 10
    assert shoal.get(add.remote(ref, ref)) == 10
    assert shoal.get(shoal.get(shoal.put([ref]))[0]) == 5


def test_a_ref_that_leaves_while_its_task_is_on_a_lane(lanes: Lanes) -> None:
    warm(lanes)
    refs: list[Any] = [add.remote(0, 0)]
    for _ in range(200):
        refs.append(add.remote(refs[-1], 1))
    assert shoal.get(refs) == list(range(201))
    boxes = [shoal.put([add.remote(i, i)]) for i in range(100)]
    assert [shoal.get(box[0]) for box in shoal.get(boxes)] == [2 * i for i in range(100)]


def test_a_task_that_printed_ends_behind_its_output(lanes: Lanes) -> None:
    said: list[str] = []
    stop = cluster.ensure().on_output(lambda output: said.append(output.data))

    @shoal.remote
    def say(text: str) -> None:
        print(text)

    for i in range(30):
        shoal.get(say.remote(f"<{i}>"))
        assert f"<{i}>" in "".join(said)
    stop()


def test_a_parent_on_a_lane_gives_its_cpu_to_its_child(one: Lanes) -> None:
    @shoal.remote
    def parent(x: int) -> int:
        child: int = shoal.get(add.remote(x, 1))
        return child

    warm(one)
    for i in range(10):
        assert shoal.get(parent.remote(i)) == i + 1
    assert shoal.get([parent.remote(i) for i in range(20)]) == list(range(1, 21))


def test_what_lies_behind_a_task_that_turns_out_long_runs_elsewhere(lanes: Lanes, tmp_path: Path) -> None:
    @shoal.remote
    def maybe(path: str | None) -> int:
        while path is not None and not os.path.exists(path):
            time.sleep(0.01)
        return 1

    shoal.get([maybe.remote(None) for _ in range(300)])
    stuck = maybe.remote(str(tmp_path / "go"))
    assert shoal.get([maybe.remote(None) for _ in range(300)]) == [1] * 300
    (tmp_path / "go").touch()
    assert shoal.get(stuck) == 1


def test_a_wait_that_is_over_leaves_nothing_with_what_is_not_ready(one: Lanes, tmp_path: Path) -> None:
    @shoal.remote
    def maybe(path: Path) -> None:
        while not path.exists():
            time.sleep(0.005)

    refs = [maybe.remote(tmp_path / str(i)) for i in range(3)]
    waiting: dict[bytes, Any] = here()._waiting
    thread = threading.Thread(target=shoal.wait, args=(refs,))
    thread.start()
    wait_until(lambda: len(waiting) == 3)
    (tmp_path / "0").touch()
    thread.join()
    assert not waiting
    for i in (1, 2):
        (tmp_path / str(i)).touch()
    shoal.get(refs)


def test_tasks_beyond_the_window_wait_with_the_driver_and_those_asked_for_run_first(
    lanes: Lanes, tmp_path: Path
) -> None:
    @shoal.remote
    def maybe(path: Path | None, *_: int) -> int:
        while path is not None and not path.exists():
            time.sleep(0.005)
        return 1

    stuck = [maybe.remote(tmp_path / "go") for _ in range(2)]
    many = [maybe.remote(None) for _ in range(3 * WINDOW)]
    assert goes_by_lane(lanes, many[-1])
    assert not goes_by_lane(lanes, many[WINDOW // 2])
    assert cluster.ensure().status()["tasks"] < 2 * WINDOW
    behind = [maybe.remote(None, ref) for ref in many[-3:]]  # by which the hub hears of them
    assert not any(goes_by_lane(lanes, ref) for ref in many[-3:])
    shoal.cancel(many[-4])
    with pytest.raises(TaskCancelledError):
        shoal.get(many[-4], timeout=PATIENCE)
    (tmp_path / "go").touch()
    assert shoal.get([*stuck, *many[:-4], *many[-3:], *behind], timeout=PATIENCE) == [1] * (3 * WINDOW + 4)


def test_a_task_waits_for_tasks_that_its_driver_has_kept_back(one: Lanes) -> None:
    @shoal.remote
    def total(refs: list[Any]) -> int:
        return sum(shoal.get(refs))

    many = [add.remote(1, 0) for _ in range(2 * WINDOW)]
    assert shoal.get(total.remote(many[-100:]), timeout=PATIENCE) == 100
    assert shoal.get(many, timeout=PATIENCE) == [1] * len(many)


def test_the_values_of_quick_tasks_do_not_wait_for_a_long_one_behind_them(lanes: Lanes, tmp_path: Path) -> None:
    @shoal.remote
    def maybe(path: Path | None) -> int:
        while path is not None and not path.exists():
            time.sleep(0.005)
        return 1

    for i in range(10):
        shoal.get([maybe.remote(None) for _ in range(50)])
        quick = [maybe.remote(None) for _ in range(7)]
        long = maybe.remote(tmp_path / str(i))
        quick += [maybe.remote(None) for _ in range(i % 3)] if i % 2 else []
        assert shoal.get(quick[:7], timeout=PATIENCE) == [1] * 7
        (tmp_path / str(i)).touch()
        assert shoal.get([long, *quick[7:]]) == [1] * (1 + len(quick[7:]))


def test_who_needs_a_cpu_gets_that_of_an_idle_loan_though_a_busy_one_was_asked_first(
    lanes: Lanes, tmp_path: Path
) -> None:
    @shoal.remote
    def maybe(path: Path | None) -> int:
        while path is not None and not path.exists():
            time.sleep(0.005)
        return 1

    @shoal.remote(retry_exceptions=True)  # not for lanes
    def other() -> int:
        return 2

    for i in range(10):
        shoal.get([maybe.remote(None) for _ in range(200)])
        long = maybe.remote(tmp_path / str(i))
        assert shoal.get(other.remote(), timeout=PATIENCE) == 2
        (tmp_path / str(i)).touch()
        assert shoal.get(long) == 1


def test_no_task_is_lost_when_a_worker_is_killed(lanes: Lanes) -> None:
    @shoal.remote
    def who(i: int) -> tuple[int, int]:
        return i, os.getpid()

    for _ in range(5):
        shoal.get([who.remote(i) for i in range(200)])
        victim = shoal.get(who.remote(0))[1]
        refs = [who.remote(i) for i in range(1000)]
        os.kill(victim, signal.SIGKILL)
        assert [i for i, _ in shoal.get(refs)] == list(range(1000))


def test_a_task_without_retries_is_begun_once(lanes: Lanes, tmp_path: Path) -> None:
    @shoal.remote(max_retries=0)
    def mark(i: int, last: int) -> int:
        with open(tmp_path / str(i), "a") as file:
            file.write("x")
        if i == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return i

    shoal.get([mark.remote(i, -1) for i in range(100)])
    refs = [mark.remote(i, 150) for i in range(100, 300)]
    crashed = []
    for i, ref in enumerate(refs, 100):
        try:
            assert shoal.get(ref) == i
        except WorkerCrashedError:
            crashed.append(i)
    assert crashed == [150]
    assert all((tmp_path / str(i)).read_text() == "x" for i in range(300))


def test_a_killed_driver_sends_back_what_it_held_though_it_hangs(one: Lanes) -> None:
    """The worker is asked for the lease, not the driver: one that hangs holds nobody up."""
    hung = subprocess.Popen(
        [
            sys.executable, "-c",
            f"""
import shoal, sys, time
shoal.init({cluster.ensure().name!r})
@shoal.remote
def f(x): return x
while not any(b.lanes for b in shoal.cluster.current().engine.lanes._backlogs.values()): shoal.get(f.remote(1))
print('lent', flush=True)
time.sleep(1000)
""",
        ],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert hung.stdout is not None
    assert hung.stdout.readline() == "lent\n"
    hung.send_signal(signal.SIGSTOP)
    assert shoal.get([add.remote(i, 1) for i in range(10)], timeout=PATIENCE) == list(range(1, 11))
    hung.kill()
    hung.wait()
    hung.stdout.close()
    wait_until(lambda: cluster.ensure().status()["clients"] == 1)


def test_cancel_reaches_what_is_queued_pushed_and_running(one: Lanes, tmp_path: Path) -> None:
    @shoal.remote
    def maybe(path: str | None) -> int:
        if path is not None:
            Path(path).touch()
            time.sleep(1000)
        return 1

    shoal.get([maybe.remote(None) for _ in range(200)])
    running = maybe.remote(str(tmp_path / "runs"))
    while not (tmp_path / "runs").exists():
        pass  # as soon as it has the only worker, so that what follows is pushed behind it: tasks have no order
    behind = [maybe.remote(None) for _ in range(2000)]
    for ref in behind:
        shoal.cancel(ref)
    shoal.cancel(running)
    with pytest.raises(TaskCancelledError):
        shoal.get(running)
    for ref in behind:
        with pytest.raises(TaskCancelledError):
            shoal.get(ref)
    assert shoal.get(maybe.remote(None)) == 1


class _Log:
    def __init__(self) -> None:
        self.seen: list[int] = []

    def note(self, i: int, *_: Any) -> int:
        self.seen.append(i)
        return i

    def dump(self) -> list[int]:
        return self.seen

    def pid(self) -> int:
        return os.getpid()


Log = shoal.remote(_Log)


class _Marks:
    """Writes down what begins."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def mark(self, name: str, until: str | None = None) -> str:
        with open(self.folder / name, "a") as file:
            file.write("x")
        while until is not None and not (self.folder / until).exists():
            time.sleep(0.005)
        return name

    def note(self, number: int, dies: int | None) -> int:
        with open(self.folder / "notes", "a") as file:
            file.write(f"{number}\n")
        if dies == os.getpid():
            os.kill(dies, signal.SIGKILL)
        return number

    def pid(self) -> int:
        return os.getpid()


Marks = shoal.remote(_Marks)


def begun(folder: Path, name: str) -> int:
    return len((folder / name).read_text()) if (folder / name).exists() else 0


def test_a_cancelled_call_that_waits_behind_another_does_not_have_that_run_twice(lanes: Lanes, tmp_path: Path) -> None:
    marks = Marks.options(max_restarts=1).remote(tmp_path)
    process = shoal.get(marks.pid.remote())
    runs = marks.mark.remote("runs", "never")
    behind = [marks.mark.remote(f"behind {i}") for i in range(6)]
    wait_until(lambda: begun(tmp_path, "runs"))
    for ref in behind[:3]:
        shoal.cancel(ref)
        with pytest.raises(TaskCancelledError):
            shoal.get(ref)
    os.kill(process, signal.SIGKILL)
    with pytest.raises(ActorUnavailableError):
        shoal.get(runs)
    for ref in behind[3:]:
        with pytest.raises(ActorUnavailableError):
            shoal.get(ref, timeout=PATIENCE)
    assert begun(tmp_path, "runs") == 1
    assert [begun(tmp_path, f"behind {i}") for i in range(6)] == [0] * 6


@pytest.mark.parametrize("seed", range(4))
def test_after_a_crash_the_calls_of_a_caller_are_repeated_in_their_order(
    lanes: Lanes, tmp_path: Path, seed: int
) -> None:
    """Some may be repeated and go the hub's way; the others go by the lane, and fail where they were in flight."""
    chance = random.Random(seed)
    marks = Marks.options(max_restarts=2).remote(tmp_path)
    process = shoal.get(marks.pid.remote())
    retried = [chance.random() < 0.4 for _ in range(200)]
    refs = [
        marks.note.options(max_task_retries=3 if again else 0).remote(i, process if i in (70, 130) else None)
        for i, again in enumerate(retried)
    ]
    lost = []
    for i, ref in enumerate(refs):
        try:
            assert shoal.get(ref, timeout=PATIENCE) == i
        except ActorUnavailableError:
            lost.append(i)
    noted = [int(line) for line in (tmp_path / "notes").read_text().split()]
    first = list(dict.fromkeys(noted))
    assert first == sorted(first), "those that have begun did so in their order"
    assert not any(retried[i] for i in lost)
    assert set(range(200)) - set(first) <= set(lost), "all others have begun"
    assert len(set(lost) & set(first)) + len(noted) - len(first) <= 2, "who died, and one whose end is not told"


def test_cancelled_calls_among_others_leave_those_as_they_are(lanes: Lanes, tmp_path: Path) -> None:
    marks = Marks.remote(tmp_path)
    shoal.get(marks.pid.remote())
    runs = marks.mark.remote("runs", "go")
    behind = [marks.mark.remote(f"behind {i}") for i in range(100)]
    for ref in behind[::2]:
        shoal.cancel(ref)
    cluster.ensure().status()  # the hub has heard of all: what has run before that is over already
    (tmp_path / "go").touch()
    assert shoal.get(runs) == "runs"
    assert shoal.get(behind[1::2]) == [f"behind {i}" for i in range(1, 100, 2)]
    assert [begun(tmp_path, f"behind {i}") for i in range(1, 100, 2)] == [1] * 50
    for ref in behind[::2]:
        with pytest.raises(TaskCancelledError):
            shoal.get(ref)


def test_a_call_that_ended_before_it_was_sent_holds_up_nothing_on_the_lane(lanes: Lanes) -> None:
    log = Log.remote()
    shoal.get(log.note.remote(0))
    for i in range(20):
        shoal.put(i)  # what follows goes out together, so that the hub hears of both at once
        shoal.cancel(log.note.options(max_task_retries=1).remote(i))
        for _ in range(5):
            assert shoal.get(log.note.remote(i), timeout=PATIENCE) == i


def test_calls_keep_their_order_behind_one_that_ended_before_it_was_sent(lanes: Lanes) -> None:
    """Where its worker had not counted it, a later call by the hub came before one by the lane."""
    log = Log.remote()
    shoal.get(log.note.remote(-1))
    for i in range(0, 90, 3):
        shoal.put(i)
        shoal.cancel(log.note.options(max_task_retries=1).remote(-1))
        shoal.get(log.note.remote(i), timeout=PATIENCE)
        log.note.remote(i + 1)
        log.note.remote(i + 2, [shoal.put(i)])
    assert [i for i in shoal.get(log.dump.remote()) if i >= 0] == list(range(90))


def test_a_value_that_has_come_by_a_lane_stands_though_its_call_is_cancelled_meanwhile(
    lanes: Lanes, tmp_path: Path
) -> None:
    class Patient:
        def answer(self, until: Path | None = None) -> int:
            while until is not None and not until.exists():
                time.sleep(0.001)
            return 7

    cls: Any = shoal.remote(Patient)
    actor = cls.remote()
    shoal.get(actor.answer.remote())
    shoal.get(actor.answer.remote())
    ref = actor.answer.remote(tmp_path / "go")
    assert goes_by_lane(lanes, ref)
    hub = cluster.ensure()._process
    assert hub is not None
    os.kill(hub.pid, signal.SIGSTOP)
    try:
        shoal.cancel(ref)
        (tmp_path / "go").touch()
        assert shoal.get(ref) == 7
    finally:
        os.kill(hub.pid, signal.SIGCONT)
    cluster.ensure().status()  # all that it was told has been dealt with
    assert shoal.get(ref) == 7


def test_a_call_that_is_told_of_after_its_end_leaves_no_row(one: Lanes, tmp_path: Path) -> None:
    @shoal.remote
    def say(path: Path | None) -> None:
        print("said", flush=True)  # so it ends the hub's way
        if path is not None:
            path.touch()

    shoal.get([say.remote(None) for _ in range(20)])
    warm(one)
    engine = here()
    with engine.link._reader:  # nobody reads here, so we do not hear that it has ended
        ref = say.remote(tmp_path / "over")
        assert goes_by_lane(one, ref)
        one.tick()
        wait_until((tmp_path / "over").exists)
        look = (
            f"import shoal, time; shoal.init({cluster.ensure().name!r})\n"
            "while shoal.cluster.current().status()['tasks']: time.sleep(0.01)"
        )
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        subprocess.run([sys.executable, "-c", look], env=env, check=True, timeout=PATIENCE)
        shoal.put([ref])
    shoal.get(ref)
    rows = list_tasks(filters=[("name", "=", "say")])
    assert [row.state for row in rows] == ["FINISHED"] * 21


def test_calls_keep_their_order_whichever_way_they_go(lanes: Lanes) -> None:
    log = Log.remote()
    warm(lanes)
    large = b"x" * 200_000
    for i in range(400):
        match i % 10:
            case 3:
                log.note.remote(i, add.remote(1, 2))  # an argument that is not there yet
            case 5:
                log.note.remote(i, [shoal.put(i)])  # a ref inside
            case 7 if i % 50 == 7:
                log.note.remote(i, large)
            case _:
                log.note.remote(i)
        if i % 40 == 0:
            shoal.get(log.note.remote(-1))
    assert [i for i in shoal.get(log.dump.remote()) if i >= 0] == list(range(400))


def test_callers_in_many_threads_each_keep_their_order(lanes: Lanes) -> None:
    log = Log.remote()
    shoal.get(log.note.remote(0))

    def call(first: int) -> None:
        for i in range(first, first + 200):
            log.note.remote(i)

    threads = [threading.Thread(target=call, args=(1000 * n,)) for n in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seen = shoal.get(log.dump.remote())
    for n in range(1, 5):
        assert [i for i in seen if 1000 * n <= i < 1000 * n + 200] == list(range(1000 * n, 1000 * n + 200))


def test_the_calls_of_an_actor_that_is_killed_fail_and_those_before_stand(lanes: Lanes) -> None:
    log = Log.remote()
    process = shoal.get(log.pid.remote())
    shoal.get([log.note.remote(i) for i in range(10)])
    refs = [log.note.remote(i) for i in range(500)]
    os.kill(process, signal.SIGKILL)
    values = 0
    for i, ref in enumerate(refs):
        try:
            assert shoal.get(ref, timeout=PATIENCE) == i
            values += 1
        except ActorDiedError:
            break
    for ref in refs[values:]:
        with pytest.raises(ActorDiedError):
            shoal.get(ref, timeout=PATIENCE)
    with pytest.raises(ActorDiedError):
        shoal.get(log.note.remote(1), timeout=PATIENCE)


def test_what_was_answered_before_a_crash_stands_though_it_waited_for_more_to_be_sent(lanes: Lanes) -> None:
    @shoal.remote
    class Counter:
        def __init__(self) -> None:
            self.count = 0

        def add(self) -> int:
            self.count += 1
            return self.count

        def crash(self) -> None:
            os._exit(1)

    for calls in (1, 10, 300, 3000):
        counter = Counter.remote()  # type: ignore[attr-defined]
        assert shoal.get(counter.add.remote()) == 1
        counted = [counter.add.remote() for _ in range(calls)]
        crashed = counter.crash.remote()
        behind = [counter.add.remote() for _ in range(3)]
        assert shoal.get(counted) == list(range(2, calls + 2))
        for ref in (crashed, *behind):
            with pytest.raises(ActorDiedError):
                shoal.get(ref)


def test_an_answer_does_not_wait_for_the_call_behind_it(lanes: Lanes, tmp_path: Path) -> None:
    @shoal.remote
    class Worker:
        def quick(self, size: int) -> bytes:
            return b"x" * size

        def until(self, path: Path) -> None:
            while not path.exists():
                time.sleep(0.01)

    worker = Worker.remote()  # type: ignore[attr-defined]
    shoal.get(worker.quick.remote(1))
    for calls, size in ((1, 10), (40, 10), (500, 10), (40, 50_000)):
        path = tmp_path / f"{calls}-{size}"
        quick = [worker.quick.remote(size) for _ in range(calls)]
        until = worker.until.remote(path)
        assert shoal.get(quick, timeout=PATIENCE) == [b"x" * size] * calls
        path.touch()
        shoal.get(until)


def test_an_actor_ends_after_the_calls_that_were_made(lanes: Lanes) -> None:
    log = Log.remote()
    shoal.get(log.note.remote(0))
    refs = [log.note.remote(i) for i in range(300)]
    del log
    assert shoal.get(refs) == list(range(300))
    wait_until(lambda: not cluster.ensure().status()["actors"])


def test_what_is_free_does_not_count_workers_that_wait_for_us(lanes: Lanes) -> None:
    warm(lanes)
    wait_until(lambda: shoal.available_resources().get("CPU") == 2)


def test_the_feed_counts_what_went_by_lanes(lanes: Lanes) -> None:
    warm(lanes)

    @shoal.remote
    def counted() -> None:
        pass

    shoal.get([counted.remote() for _ in range(3000)])
    feed = cluster.ensure().feed()
    wait_until(lambda: feed.refresh().counts[None, "counted"].finished == 3000)
    assert feed.refresh().counts[None, "counted"].pending == 0
