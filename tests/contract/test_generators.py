"""Values that come one by one: Ray's semantics."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

import shoal

pytestmark = pytest.mark.usefixtures("engine")


@shoal.remote
def count(n: int, fail_at: int | None = None) -> Any:
    for i in range(n):
        if i == fail_at:
            raise ValueError(i)
        yield i


def until(condition: Any) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_items_come_in_their_order_and_end_with_stop_iteration_for_ever() -> None:
    gen = count.remote(5)
    assert [shoal.get(ref) for ref in gen] == [0, 1, 2, 3, 4]
    for _ in range(3):
        with pytest.raises(StopIteration):
            next(gen)
    assert gen.is_finished() and not gen.next_ready()
    assert shoal.get(gen.completed()) is None


def test_an_empty_generator_ends_at_once() -> None:
    assert list(count.remote(0)) == []


def test_an_error_is_the_last_item() -> None:
    gen = count.remote(5, 2)
    assert shoal.get([next(gen), next(gen)]) == [0, 1]
    with pytest.raises(ValueError):
        shoal.get(next(gen))
    with pytest.raises(StopIteration):
        next(gen)
    with pytest.raises(ValueError):
        shoal.get(gen.completed())


@pytest.mark.needs_time
def test_wait_takes_generators_and_tells_of_the_next_step(tmp_path: Path) -> None:
    @shoal.remote
    def one_then(gate: str) -> Any:
        yield 1
        while not Path(gate).exists():
            time.sleep(0.01)

    gate = tmp_path / "gate"
    gen, other = one_then.remote(str(gate)), shoal.put(0)
    assert shoal.wait([gen, other], num_returns=2) == ([gen, other], [])
    assert shoal.get(next(gen)) == 1
    assert shoal.wait([gen, other], num_returns=2, timeout=0) == ([other], [gen])
    gate.touch()
    assert shoal.wait([gen]) == ([gen], [])
    assert list(gen) == []


@pytest.mark.needs_time
def test_cancel_takes_generators() -> None:
    @shoal.remote
    def endless() -> Any:
        yield 1
        while True:
            time.sleep(0.01)

    gen = endless.remote()
    assert shoal.get(next(gen)) == 1
    shoal.cancel(gen)
    with pytest.raises(shoal.exceptions.TaskCancelledError):
        shoal.get(next(gen))
    with pytest.raises(StopIteration):
        next(gen)


def test_an_item_that_cannot_be_pickled_is_an_error() -> None:
    @shoal.remote
    def locks() -> Any:
        import threading

        yield 1
        yield threading.Lock()

    gen = locks.remote()
    assert shoal.get(next(gen)) == 1
    with pytest.raises(TypeError, match="cannot be pickled"):
        shoal.get(next(gen))


def test_async_iteration() -> None:
    async def read() -> list[int]:
        return [await ref async for ref in count.remote(4)]

    assert asyncio.run(read()) == [0, 1, 2, 3]


def test_async_generators_run_as_tasks_too() -> None:
    @shoal.remote
    async def ticks(n: int) -> Any:
        for i in range(n):
            await asyncio.sleep(0)
            yield i

    assert [shoal.get(r) for r in ticks.remote(3)] == [0, 1, 2]


def test_a_fixed_number_of_refs_is_filled() -> None:
    assert shoal.get(count.options(num_returns=3).remote(3)) == [0, 1, 2]
    assert shoal.get(count.options(num_returns=3).remote(4)) == [0, 1, 2]
    a, b, c = count.options(num_returns=3).remote(2)
    assert shoal.get([a, b]) == [0, 1]
    with pytest.raises(ValueError, match="num_returns=3"):
        shoal.get(c)
    a, b = count.options(num_returns=2).remote(2, 1)
    assert shoal.get(a) == 0
    with pytest.raises(ValueError):
        shoal.get(b)


def test_dynamic_generators_have_one_ref_of_refs() -> None:
    gen = shoal.get(count.options(num_returns="dynamic").remote(3))
    assert len(gen) == 3 and [shoal.get(ref) for ref in gen] == [0, 1, 2]


@pytest.mark.needs_processes
def test_backpressure_holds_the_producer_until_items_are_taken_or_dropped(tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.touch()

    @shoal.remote(_generator_backpressure_num_objects=2)
    def slowly(path: str) -> Any:
        for i in range(6):
            with open(path, "a") as file:
                file.write(str(i))
            yield i

    gen = slowly.remote(str(made))
    until(lambda: made.read_text() == "01")
    assert shoal.get(next(gen)) == 0
    until(lambda: made.read_text() == "012")
    del gen
    until(lambda: made.read_text() == "012345")


def test_backpressure_makes_items_as_they_are_taken() -> None:
    @shoal.remote(_generator_backpressure_num_objects=1)
    def numbers() -> Any:
        number = 0
        while True:
            yield number
            number += 1

    gen = numbers.remote()
    assert [shoal.get(next(gen)) for _ in range(5)] == [0, 1, 2, 3, 4]
    ready, _ = shoal.wait([gen])
    assert ready == [gen] and not gen.is_finished() and gen.next_ready()
    shoal.cancel(gen)


def test_a_generator_that_fails_in_its_argument_yields_that_error() -> None:
    @shoal.remote
    def fail() -> None:
        raise OSError("early")

    gen = count.remote(fail.remote())
    with pytest.raises(OSError, match="early"):
        shoal.get(next(gen))
    with pytest.raises(StopIteration):
        next(gen)


def test_items_may_hold_refs_and_outlive_their_generator() -> None:
    @shoal.remote
    def boxes() -> Any:
        for i in range(3):
            yield [shoal.put(i)]

    refs = list(boxes.remote())
    assert [shoal.get(shoal.get(ref)[0]) for ref in refs] == [0, 1, 2]


def test_a_generator_method_of_a_plain_actor() -> None:
    @shoal.remote
    class Source:
        def __init__(self) -> None:
            self.given = 0

        def items(self, n: int) -> Any:
            for _ in range(n):
                self.given += 1
                yield self.given

        @shoal.method(num_returns=2)
        def two(self) -> Any:
            yield from "ab"

    source = Source.remote()  # type: ignore[attr-defined]
    assert [shoal.get(r) for r in source.items.remote(2)] == [1, 2]
    assert [shoal.get(r) for r in source.items.remote(1)] == [3]
    assert shoal.get(source.two.remote()) == ["a", "b"]


def test_a_dropped_generator_frees_what_was_not_read() -> None:
    from shoal.cluster import engine

    def objects() -> int:
        found: int = engine().query("status")["objects"]
        return found

    before = objects()
    gen = count.remote(50)
    first = next(gen)
    shoal.get(gen.completed())
    del gen, first
    until(lambda: objects() == before)


def test_generators_do_not_travel() -> None:
    gen = count.remote(1)
    with pytest.raises(TypeError, match="cannot be passed"):
        shoal.put(gen)


def test_streams_of_an_async_actor_run_at_once() -> None:
    @shoal.remote
    class Source:
        async def items(self, n: int) -> Any:
            for i in range(n):
                await asyncio.sleep(0.001)
                yield i

        def plain(self, n: int) -> Any:
            yield from range(n)

    source = Source.remote()  # type: ignore[attr-defined]
    streams = [source.items.remote(5) for _ in range(3)] + [source.plain.remote(5)]
    assert [[shoal.get(r) for r in s] for s in streams] == [[0, 1, 2, 3, 4]] * 4


@pytest.mark.needs_time
def test_cancel_ends_a_stream() -> None:
    @shoal.remote
    def slow() -> Any:
        yield 0
        time.sleep(100)

    gen = slow.remote()
    assert shoal.get(next(gen)) == 0
    shoal.cancel(gen.completed())
    with pytest.raises(shoal.exceptions.TaskCancelledError):
        shoal.get(next(gen), timeout=10)
    with pytest.raises(StopIteration):
        next(gen)


def test_refs_in_the_error_that_ends_a_stream_live_as_long_as_its_item() -> None:
    @shoal.remote
    def fails() -> Any:
        yield 0
        raise ValueError([shoal.put("inside")])

    gen = fails.remote()
    first, last = gen
    assert shoal.get(first) == 0
    shoal.wait([gen.completed()])
    del gen
    shoal.get(shoal.put(1))
    with pytest.raises(ValueError) as caught:
        shoal.get(last)
    error: Any = caught.value
    assert shoal.get(error.cause.args[0][0]) == "inside"


def test_refs_that_a_task_made_outlive_it_in_its_values() -> None:
    @shoal.remote
    def make() -> list[Any]:
        import threading

        for _ in range(20):  # what they say is sent meanwhile, and with it what was let go
            threading.Thread(target=print, args=("made",)).start()
        return [shoal.put(i) for i in range(3)]

    @shoal.remote(num_returns="dynamic")
    def items() -> Any:
        for i in range(3):
            print("made")
            yield i

    for _ in range(10):
        assert shoal.get(shoal.get(make.remote())) == [0, 1, 2]
        assert shoal.get(list(shoal.get(items.remote()))) == [0, 1, 2]
