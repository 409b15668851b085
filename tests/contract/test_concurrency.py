"""Actors that run several calls at once, and what waits without a `get`."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

import shoal

pytestmark = [pytest.mark.usefixtures("engine"), pytest.mark.needs_processes]


def test_calls_of_an_async_actor_wait_for_one_another_on_one_loop() -> None:
    @shoal.remote
    class Batch:
        def __init__(self) -> None:
            self.full = asyncio.Event()
            self.items: list[int] = []

        async def add(self, item: int) -> tuple[list[int], int]:
            self.items.append(item)
            if len(self.items) == 3:
                self.full.set()
            await self.full.wait()
            return sorted(self.items), threading.get_ident()

        def thread(self) -> int:
            return threading.get_ident()

    batch = Batch.remote()  # type: ignore[attr-defined]
    found = shoal.get([batch.add.remote(i) for i in range(3)], timeout=30)
    assert [items for items, _ in found] == [[0, 1, 2]] * 3
    assert {ident for _, ident in found} == {shoal.get(batch.thread.remote())}


def test_max_concurrency_of_an_async_actor() -> None:
    @shoal.remote(max_concurrency=1)
    class Recorder:
        def __init__(self) -> None:
            self.history: list[str] = []

        async def work(self) -> None:
            self.history.append("started")
            await asyncio.sleep(0)
            self.history.append("ended")

        def told(self) -> list[str]:
            return self.history

    recorder = Recorder.remote()  # type: ignore[attr-defined]
    shoal.get([recorder.work.remote() for _ in range(5)])
    assert shoal.get(recorder.told.remote()) == ["started", "ended"] * 5


def test_threads_of_an_actor_meet_and_are_no_more_than_asked_for() -> None:
    @shoal.remote(max_concurrency=3)
    class Meeting:
        def __init__(self) -> None:
            self.barrier = threading.Barrier(3)

        def meet(self) -> int:
            self.barrier.wait(20)
            return threading.get_ident()

    meeting = Meeting.remote()  # type: ignore[attr-defined]
    assert len(set(shoal.get([meeting.meet.remote() for _ in range(9)], timeout=30))) <= 3


def test_a_blocked_group_blocks_no_other_and_has_its_own_thread() -> None:
    @shoal.remote(concurrency_groups={"io": 1, "other": 1})
    class Grouped:
        def __init__(self) -> None:
            self.event = threading.Event()

        @shoal.method(concurrency_group="io")
        def hold(self) -> bool:
            return self.event.wait(20)

        @shoal.method(concurrency_group="other")
        def thread(self) -> int:
            return threading.get_ident()

        def release(self) -> int:
            self.event.set()
            return threading.get_ident()

    grouped = Grouped.remote()  # type: ignore[attr-defined]
    held = grouped.hold.remote()
    other = shoal.get(grouped.thread.remote(), timeout=20)
    assert other != shoal.get(grouped.release.remote(), timeout=20)
    assert shoal.get(held, timeout=20)
    assert shoal.get(grouped.release.options(concurrency_group="other").remote()) == other
    with pytest.raises(ValueError, match="no concurrency group"):
        shoal.get(grouped.thread.options(concurrency_group="absent").remote())


def test_cancel_stops_a_coroutine() -> None:
    @shoal.remote
    class Sleeper:
        async def sleep(self) -> None:
            await asyncio.sleep(100)

        async def ping(self) -> str:
            return "pong"

    sleeper = Sleeper.remote()  # type: ignore[attr-defined]
    ref = sleeper.sleep.remote()
    assert shoal.get(sleeper.ping.remote()) == "pong"
    shoal.cancel(ref)
    with pytest.raises(shoal.exceptions.TaskCancelledError):
        shoal.get(ref, timeout=20)
    assert shoal.get(sleeper.ping.remote()) == "pong"


def test_a_cancelled_coroutine_has_cleaned_up_when_its_caller_is_told() -> None:
    @shoal.remote
    class Careful:
        cleaned = 0

        async def work(self) -> None:
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                await asyncio.sleep(0.1)
                self.cleaned += 1
                raise

        async def count(self) -> int:
            return self.cleaned

    careful = Careful.remote()  # type: ignore[attr-defined]
    for times in range(1, 4):
        ref = careful.work.remote()
        assert shoal.get(careful.count.remote()) == times - 1
        shoal.cancel(ref)
        with pytest.raises(shoal.exceptions.TaskCancelledError):
            shoal.get(ref, timeout=20)
        assert shoal.get(careful.count.remote()) == times


def test_await_and_futures_give_the_cpu_back() -> None:
    @shoal.remote(num_cpus=2)
    def one() -> int:
        return 1

    @shoal.remote(num_cpus=2)
    def awaits() -> tuple[int, int]:
        async def main() -> int:
            found: int = await one.remote()
            return found

        return asyncio.run(main()), one.remote().future().result()

    assert shoal.get(awaits.remote(), timeout=30) == (1, 1)


def test_a_callback_of_a_future_may_get() -> None:
    @shoal.remote
    def one() -> int:
        return 1

    seen: list[int] = []
    done = threading.Event()

    def call(_: Any) -> None:
        seen.append(shoal.get(one.remote(), timeout=20))
        done.set()

    one.remote().future().add_done_callback(call)
    assert done.wait(30) and seen == [1]
