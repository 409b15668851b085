"""Everything at once, with real processes: work of all sorts from two threads while processes are killed, calls
cancelled, refs dropped. Each value is the right one or an error that may be, orders are kept, and nothing is left.

    SHOAL_CHAOS=600 python -m pytest tests/runtime/test_chaos.py    as many seconds of it, other seeds each time
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import shoal
from shoal import cluster
from shoal.engines.local import LocalEngine
from shoal.exceptions import (
    ActorDiedError,
    ActorUnavailableError,
    ObjectLostError,
    TaskCancelledError,
    WorkerCrashedError,
)

PATIENCE = 30.0
LARGE = 200_000
MAY_BE = (ActorDiedError, ActorUnavailableError, ObjectLostError, TaskCancelledError, WorkerCrashedError)
"""What a value may be instead, in a world where processes are killed; never anything else."""


@shoal.remote
def add(a: int, b: int) -> int:
    return a + b


@shoal.remote
def slow(x: int) -> int:
    time.sleep(0.01 * random.random())
    return x


@shoal.remote
def nested(x: int) -> int:
    value: int = shoal.get(add.remote(x, 1))
    return value


@shoal.remote
def total(refs: list[Any]) -> int:
    return sum(shoal.get(refs))


@shoal.remote
def say(x: int) -> int:
    print("said", x)
    return x


@shoal.remote(max_retries=0)
def fragile(x: int) -> int:
    return x


@shoal.remote
def large(x: int) -> bytes:
    return x.to_bytes(8, "big") * (LARGE // 8)


@shoal.remote
def yields(n: int) -> Any:
    for i in range(n):
        yield i if i % 2 else shoal.put(i)


class _Log:
    """Notes the calls as they begin, each process in a file of its own."""

    def __init__(self, folder: Path) -> None:
        self._file = (folder / f"{os.getpid()} {time.monotonic_ns()}").open("a", buffering=1)

    def note(self, i: int, *_: Any) -> int:
        self._file.write(f"{i}\n")
        return i


def check_notes(folder: Path, repeated: set[int], done: set[int]) -> None:
    """The rule of docs/lanes.md, "Actor calls" and "Deaths": `repeated` may run again, `done` have a value."""
    processes = [[int(line) for line in path.read_text().split()] for path in folder.iterdir()]
    for begun in processes:
        assert begun == sorted(set(begun)), "in each process the calls of a caller begin in their order, and once"
    times = Counter(i for begun in processes for i in begun)
    assert all(times[i] == 1 for i in times.keys() - repeated), "what has no retries begins once"
    assert done <= times.keys(), "what has a value has run"


Log: Any = shoal.remote(_Log)


class Caller:
    """One thread's work: `wanted` is what each ref stands for."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.chance = random.Random(seed)
        self.folder = folder / f"caller {seed}"
        self.refs: list[Any] = []
        self.wanted: list[Any] = []
        self.values = 0

    def expect(self, ref: Any, value: Any) -> None:
        self.refs.append(ref)
        self.wanted.append(value)

    def round(self, number: int) -> None:
        chance = self.chance
        restarts = chance.random() < 0.5
        notes = self.folder / str(number)
        notes.mkdir(parents=True)
        log = Log.options(max_restarts=-1 if restarts else 0).remote(notes)
        calls: dict[str, int] = {}
        repeated: set[int] = set()
        steps: list[Callable[[int], None]] = [
            lambda i: self.expect(add.remote(i, number), i + number),
            lambda i: self.expect(add.remote(i, number), i + number),
            lambda i: self.expect(slow.remote(i), i),
            lambda i: self.expect(nested.remote(i), i + 1),
            lambda i: self.expect(say.remote(i), i),
            lambda i: self.expect(fragile.remote(i), i),
            lambda i: self.expect(large.remote(i), i.to_bytes(8, "big") * (LARGE // 8)),
            lambda i: self.expect(shoal.put(bytes([i % 256]) * LARGE), bytes([i % 256]) * LARGE),
            self.depend,
            self.sum_up,
            self.cancel_one,
            self.drop_one,
            self.wait_for_some,
            lambda i: self.read(yields.remote(i % 6)),
        ]
        for i in range(chance.choice([1, 4, 30, 150])):
            if chance.random() < 0.3:
                i = len(calls)
                options = {}
                if restarts and chance.random() < 0.5:
                    options = {"max_task_retries": -1}
                    repeated.add(i)
                arguments = chance.choice([(), (), (add.remote(1, 1),), ([shoal.put(1)],)])
                self.expect(log.note.options(**options).remote(i, *arguments), i)
                calls[self.refs[-1].hex()] = i
            else:
                chance.choice(steps)(i)
        if chance.random() < 0.1:
            shoal.kill(log, no_restart=chance.random() < 0.5)
        done = set()
        for ref, wanted in zip(self.refs, self.wanted, strict=True):
            value = self.value_of(ref)
            assert value in (wanted, None)
            if value is not None and ref.hex() in calls:
                done.add(calls[ref.hex()])
            self.values += 1
        check_notes(notes, repeated, done)
        self.refs.clear()
        self.wanted.clear()

    def value_of(self, ref: Any) -> Any:
        """None for an error that may be."""
        try:
            return shoal.get(ref, timeout=PATIENCE)
        except MAY_BE:
            return None

    def depend(self, i: int) -> None:
        if numbers := [n for n, value in enumerate(self.wanted) if type(value) is int]:
            n = self.chance.choice(numbers)
            self.expect(add.remote(self.refs[n], 1), self.wanted[n] + 1)

    def sum_up(self, i: int) -> None:
        if numbers := [n for n, value in enumerate(self.wanted) if type(value) is int]:
            some = self.chance.sample(numbers, min(3, len(numbers)))
            self.expect(total.remote([self.refs[n] for n in some]), sum(self.wanted[n] for n in some))

    def cancel_one(self, i: int) -> None:
        if self.refs:
            shoal.cancel(self.chance.choice(self.refs), recursive=self.chance.random() < 0.5)

    def drop_one(self, i: int) -> None:
        if self.refs:
            n = self.chance.randrange(len(self.refs))
            del self.refs[n], self.wanted[n]

    def wait_for_some(self, i: int) -> None:
        if self.refs:
            count = self.chance.randint(1, min(5, len(self.refs)))
            done, left = shoal.wait(self.refs, num_returns=count, timeout=PATIENCE)
            assert len(done) >= count and len(done) + len(left) == len(self.refs)

    def read(self, gen: Any) -> None:
        for n, ref in enumerate(gen):
            value = self.value_of(ref)
            assert (self.value_of(value) if isinstance(value, shoal.ObjectRef) else value) in (n, None)
            if self.chance.random() < 0.1:
                break  # what is not read is dropped


def processes(engine: LocalEngine) -> list[int]:
    return [row[1] for row in engine.query("snapshot")["workers"] if row[1]]


def left(engine: LocalEngine) -> dict[str, Any]:
    """Records of work that is over; there are to be none."""
    status, lanes = cluster.ensure().status(), engine.lanes
    assert lanes is not None
    found = {
        "tasks": status["tasks"], "objects": status["objects"], "calls": lanes._calls, "held": lanes.held,
        "values": engine._values, "private": engine._private, "waiting": engine._waiting,
    }  # fmt: skip
    return {name: what for name, what in found.items() if what}


def run(seed: int, seconds: float, folder: Path) -> int:
    """Returns the number of values that were looked at."""
    shoal.init(num_cpus=2)
    engine = cluster.ensure().engine
    assert isinstance(engine, LocalEngine)
    callers = [Caller(2 * seed, folder), Caller(2 * seed + 1, folder)]
    wrong: list[BaseException] = []
    end = time.monotonic() + seconds

    def work(caller: Caller) -> None:
        try:
            number = 0
            while time.monotonic() < end and not wrong:
                caller.round(number)
                number += 1
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(caller,)) for caller in callers]
    for thread in threads:
        thread.start()
    chance = random.Random(seed)
    while time.monotonic() < end and not wrong:
        time.sleep(0.4 * chance.random())
        if alive := processes(engine):
            try:
                os.kill(chance.choice(alive), signal.SIGKILL)
            except ProcessLookupError:
                pass
    for thread in threads:
        thread.join()
    if wrong:
        shoal.shutdown()
        raise wrong[0]
    deadline = time.monotonic() + PATIENCE
    while found := left(engine):
        assert time.monotonic() < deadline, f"left: {found}"
        time.sleep(0.05)
    shoal.shutdown()
    return sum(caller.values for caller in callers)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(2))
def test_whatever_dies_the_values_are_right_and_nothing_is_left(seed: int, tmp_path: Path) -> None:
    assert run(seed, 3, tmp_path) > 0


@pytest.mark.skipif("SHOAL_CHAOS" not in os.environ, reason="by hand: SHOAL_CHAOS=seconds")
@pytest.mark.timeout(0)
def test_for_a_long_time(tmp_path: Path) -> None:
    end = time.monotonic() + float(os.environ["SHOAL_CHAOS"])
    while time.monotonic() < end:
        seed = int.from_bytes(os.urandom(4), "big")
        print(f"seed {seed}: {run(seed, 15, tmp_path)} values", flush=True)
