"""`shoal.util.queue.Queue`, on every engine."""

from __future__ import annotations

import asyncio
import queue
from typing import Any

import pytest

import shoal
from shoal.util.queue import Empty, Full, Queue

pytestmark = pytest.mark.usefixtures("engine")


@shoal.remote
def _get(source: Queue, *args: Any) -> Any:
    return source.get(*args)


@shoal.remote
def _put(target: Queue, item: Any, *args: Any) -> None:
    target.put(item, *args)


get_there: Any = _get
put_there: Any = _put


def test_first_in_first_out() -> None:
    q = Queue()
    for item in range(10):
        q.put(item)
    assert [q.get() for _ in range(10)] == list(range(10))


def test_its_errors_are_the_standard_librarys() -> None:
    assert issubclass(Empty, queue.Empty) and issubclass(Full, queue.Full)


def test_sizes() -> None:
    q = Queue(2)
    assert (q.qsize(), q.size(), len(q), q.empty(), q.full()) == (0, 0, 0, True, False)
    q.put(1)
    assert (q.qsize(), q.empty(), q.full()) == (1, False, False)
    q.put(2)
    assert (q.qsize(), q.empty(), q.full()) == (2, False, True)
    q.get()
    assert (q.qsize(), q.full()) == (1, False)


def test_without_a_bound_it_is_never_full() -> None:
    q = Queue()
    q.put_nowait_batch(range(1000))
    assert not q.full()


def test_an_empty_one_does_not_wait_unless_asked() -> None:
    q = Queue()
    with pytest.raises(Empty):
        q.get_nowait()
    with pytest.raises(Empty):
        q.get(block=False)
    with pytest.raises(Empty):
        q.get(timeout=0)
    with pytest.raises(Empty):
        q.get(timeout=0.05)


def test_a_full_one_does_not_wait_unless_asked() -> None:
    q = Queue(1)
    q.put("there")
    with pytest.raises(Full):
        q.put_nowait(1)
    with pytest.raises(Full):
        q.put(1, block=False)
    with pytest.raises(Full):
        q.put(1, timeout=0)
    with pytest.raises(Full):
        q.put(1, timeout=0.05)
    assert q.get() == "there"
    assert q.empty()


@pytest.mark.parametrize("way", [lambda q: q.get(timeout=-1), lambda q: q.put(1, timeout=-1)])
def test_a_negative_timeout_is_refused(way: Any) -> None:
    with pytest.raises(ValueError, match="timeout"):
        way(Queue())


def test_batches() -> None:
    q = Queue(5)
    q.put_nowait_batch(iter([1, 2, 3]))
    with pytest.raises(Full, match="3 of 5"):
        q.put_nowait_batch([4, 5, 6])
    assert q.qsize() == 3
    q.put_nowait_batch([4, 5])
    with pytest.raises(Empty, match="5 there"):
        q.get_nowait_batch(6)
    assert q.get_nowait_batch(2) == [1, 2]
    assert q.get_nowait_batch(0) == []
    assert q.get_nowait_batch(3) == [3, 4, 5]


def test_batches_check_what_they_are_given() -> None:
    q = Queue()
    with pytest.raises(TypeError):
        q.put_nowait_batch(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        q.get_nowait_batch("3")  # type: ignore[arg-type]
    with pytest.raises(ValueError):
        q.get_nowait_batch(-1)


def test_items_of_any_kind() -> None:
    q = Queue()
    items: list[Any] = [None, [], {"a": (1, 2)}, ValueError("an item, not an error"), b"x" * 200_000]
    for item in items:
        q.put(item)
    got = [q.get() for _ in items]
    assert str(got.pop(3)) == str(items.pop(3))
    assert got == items


def test_asynchronous_methods() -> None:
    async def use() -> None:
        q = Queue(2)
        await q.put_async(1)
        await q.put_async(2, block=False)
        with pytest.raises(Full):
            await q.put_async(3, block=False)
        with pytest.raises(Full):
            await q.put_async(3, timeout=0.05)
        assert [await q.get_async(), await q.get_async(timeout=5)] == [1, 2]
        with pytest.raises(Empty):
            await q.get_async(block=False)
        with pytest.raises(Empty):
            await q.get_async(timeout=0.05)
        with pytest.raises(ValueError):
            await q.get_async(timeout=-1)

    asyncio.run(use())


def test_tasks_share_it() -> None:
    q = Queue()
    shoal.get([put_there.remote(q, item) for item in range(5)])
    assert sorted(shoal.get([get_there.remote(q) for _ in range(5)])) == list(range(5))


def test_an_actor_uses_it() -> None:
    class Producer:
        def __init__(self, target: Queue) -> None:
            self.target = target

        def produce(self, count: int) -> int:
            for item in range(count):
                self.target.put(item)
            return self.target.qsize()

    q = Queue()
    assert shoal.get(shoal.remote(Producer).remote(q).produce.remote(3)) == 3
    assert q.get_nowait_batch(3) == [0, 1, 2]


@pytest.mark.parametrize("force", [True, False])
def test_after_shutdown_it_says_so(force: bool) -> None:
    q = Queue()
    q.put(1)
    q.shutdown(force=force)
    assert q.actor is None
    with pytest.raises(shoal.exceptions.ActorDiedError, match="shut down"):
        q.get()
    q.shutdown()


@pytest.mark.needs_processes
def test_options_of_its_actor() -> None:
    q = Queue(actor_options={"num_cpus": 1, "name": "the queue"})
    q.put(7)
    assert shoal.get(shoal.get_actor("the queue").qsize.remote()) == 1
    assert shoal.available_resources()["CPU"] == 1


# waiting

waits = pytest.mark.needs_time


@waits
def test_a_get_waits_for_an_item_and_a_put_for_room() -> None:
    q = Queue(1)
    taken = [get_there.options(num_cpus=0).remote(q) for _ in range(3)]
    for item in range(3):
        q.put(item)
    assert sorted(shoal.get(taken)) == [0, 1, 2]
    put = [put_there.options(num_cpus=0).remote(q, item) for item in range(3)]
    assert sorted(q.get() for _ in range(3)) == [0, 1, 2]
    shoal.get(put)


@waits
def test_who_waits_in_vain_takes_nothing_and_leaves_nothing() -> None:
    q = Queue(1)
    with pytest.raises(Empty):
        shoal.get(get_there.remote(q, True, 0.02))
    q.put(1)
    with pytest.raises(Full):
        shoal.get(put_there.remote(q, 2, True, 0.02))
    assert q.get() == 1 and q.empty()


@waits
def test_more_may_wait_than_an_async_actor_runs_at_once_by_default() -> None:
    count = 1200

    async def use() -> list[Any]:
        q = Queue()
        waiting = [asyncio.ensure_future(q.get_async()) for _ in range(count)]
        await asyncio.sleep(0)  # each has submitted its call
        for item in range(count):
            await q.put_async(item)
        return await asyncio.gather(*waiting)

    assert sorted(asyncio.run(use())) == list(range(count))


@waits
def test_producers_and_consumers_on_few_cpus_lose_nothing() -> None:
    q = Queue(3)

    @shoal.remote
    def consume(source: Queue, count: int) -> list[Any]:
        return [source.get() for _ in range(count)]

    @shoal.remote
    def produce(target: Queue, items: list[int]) -> None:
        for item in items:
            target.put(item)

    consumers = [consume.remote(q, 10) for _ in range(4)]
    producers = [produce.remote(q, list(range(start, start + 10))) for start in range(0, 40, 10)]
    assert sorted(sum(shoal.get(consumers), [])) == list(range(40))
    shoal.get(producers)
    assert q.empty()


@waits
@pytest.mark.parametrize("force", [True, False])
def test_shutdown_ends_the_waiting(force: bool) -> None:
    q = Queue()
    ref = get_there.remote(q)
    q.shutdown(force=force, grace_period_s=1)
    with pytest.raises(shoal.exceptions.ActorDiedError):
        shoal.get(ref)
