"""get, wait and what a ref can do: Ray's semantics, on every engine."""

from __future__ import annotations

import asyncio
import concurrent.futures
import copy
import math
import threading
import time
from typing import Any

import pytest
from simple import fail, same, sleep

import shoal
from shoal.exceptions import GetTimeoutError, ObjectLostError, TaskError

pytestmark = pytest.mark.usefixtures("engine")

ID_BYTES = 16


# get


@pytest.mark.parametrize("wrong", [1, "x", None, 1.5, b"x", {"a": 1}, {1}, object()])
def test_get_of_no_ref_is_a_type_error_and_a_value_error(wrong: Any) -> None:
    with pytest.raises(TypeError, match="ObjectRef"):
        shoal.get(wrong)
    with pytest.raises(ValueError, match=type(wrong).__name__):
        shoal.get(wrong)


def test_get_of_a_dict_of_refs_or_of_a_generator_of_refs_is_refused() -> None:
    ref = shoal.put(1)
    with pytest.raises(ValueError, match="dict"):
        shoal.get({"a": ref})
    with pytest.raises(ValueError, match="generator"):
        shoal.get(r for r in [ref])
    with pytest.raises(ValueError, match="list holds int"):
        shoal.get([ref, 1])


def test_get_of_a_list_of_lists_is_refused() -> None:
    with pytest.raises(TypeError, match="list holds list"):
        shoal.get([[shoal.put(1)]])


def test_get_of_ten_thousand_refs() -> None:
    refs = [shoal.put(i) for i in range(10_000)]
    assert shoal.get(refs) == list(range(10_000))


def test_get_of_duplicates_gives_each_its_value() -> None:
    ref = same.remote("a")
    assert shoal.get([ref] * 100) == ["a"] * 100


def test_get_twice_gives_equal_values_that_are_not_one() -> None:
    ref = shoal.put([1, [2]])
    first, second = shoal.get(ref), shoal.get(ref)
    first[1].append(3)
    assert second == [1, [2]]
    assert shoal.get(ref) == [1, [2]]


def test_get_of_a_tuple_gives_a_list() -> None:
    assert shoal.get((shoal.put(1), shoal.put(2))) == [1, 2]


def test_timeout_zero_gets_what_is_there() -> None:
    assert shoal.get(shoal.put(1), timeout=0) == 1
    assert shoal.get([shoal.put(1), shoal.put(2)], timeout=0) == [1, 2]


def test_timeout_minus_one_and_infinity_wait_as_long_as_it_takes() -> None:
    assert shoal.get(same.remote(1), timeout=-1) == 1
    assert shoal.get(same.remote(2), timeout=math.inf) == 2


@pytest.mark.parametrize("wrong", [-2, -0.5, math.nan])
def test_a_timeout_below_zero_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="makes no sense"):
        shoal.get(shoal.put(1), timeout=wrong)


@pytest.mark.parametrize("wrong", ["1", True, [1]])
def test_a_timeout_that_is_no_number_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="number of seconds"):
        shoal.get(shoal.put(1), timeout=wrong)
    with pytest.raises(TypeError, match="number of seconds"):
        shoal.wait([shoal.put(1)], timeout=wrong)


@pytest.mark.needs_time
def test_a_get_that_timed_out_can_be_repeated() -> None:
    ref = sleep.remote(0.3)
    with pytest.raises(GetTimeoutError, match="1 of 1") as raised:
        shoal.get(ref, timeout=0)
    assert isinstance(raised.value, TimeoutError)
    assert shoal.get(ref) == "slept"


@pytest.mark.needs_time
def test_a_timeout_of_a_list_tells_how_many_are_missing() -> None:
    refs = [shoal.put(1), sleep.remote(30), sleep.remote(30)]
    with pytest.raises(GetTimeoutError, match="2 of 3"):
        shoal.get(refs, timeout=0.05)
    for ref in refs[1:]:
        shoal.cancel(ref, force=True)


@pytest.mark.needs_time
def test_an_error_is_raised_though_another_ref_never_comes() -> None:
    never = sleep.remote(60)
    with pytest.raises(ValueError, match="early"):
        shoal.get([never, fail.remote("early")], timeout=30)
    shoal.cancel(never, force=True)


def test_an_error_is_raised_each_time() -> None:
    ref = fail.remote("again")
    for _ in range(3):
        with pytest.raises(TaskError, match="again"):
            shoal.get(ref)


def test_get_of_a_ref_of_nothing() -> None:
    with pytest.raises(ObjectLostError):
        shoal.get(shoal.ObjectRef.from_random(), timeout=30)
    with pytest.raises(ValueError, match="nil"):
        shoal.get(shoal.ObjectRef.nil())


def test_get_from_many_threads_at_once() -> None:
    refs = [same.remote(i) for i in range(50)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: shoal.get(refs), range(16)))
    assert found == [list(range(50))] * 16


@pytest.mark.needs_processes
def test_get_inside_a_coroutine_of_a_task_is_warned_about_once() -> None:
    @shoal.remote
    async def blocks(box: list[Any]) -> int:
        import logging

        seen: list[str] = []
        handler = logging.Handler()
        handler.emit = lambda record: seen.append(record.getMessage())  # type: ignore[method-assign]
        logging.getLogger("shoal").addHandler(handler)
        shoal.get(box[0])
        shoal.get(box[0])
        logging.getLogger("shoal").removeHandler(handler)
        return sum("blocks its event loop" in message for message in seen)

    assert shoal.get(blocks.remote([shoal.put(1)])) == 1


# put


def test_put_of_a_ref_is_refused_and_of_a_list_of_refs_is_not() -> None:
    ref = shoal.put(1)
    with pytest.raises(TypeError, match="already"):
        shoal.put(ref)
    assert shoal.get(shoal.get(shoal.put([ref]))) == [1]


def test_put_of_equal_values_makes_different_objects() -> None:
    assert shoal.put(1) != shoal.put(1)


# wait


def test_wait_without_num_returns_gives_one() -> None:
    refs = [shoal.put(i) for i in range(4)]
    ready, rest = shoal.wait(refs)
    assert (ready, rest) == (refs[:1], refs[1:])


@pytest.mark.parametrize("count", [1, 2, 10])
def test_wait_gives_at_most_num_returns_though_more_are_ready(count: int) -> None:
    refs = [shoal.put(i) for i in range(10)]
    ready, rest = shoal.wait(refs, num_returns=count)
    assert ready == refs[:count]
    assert rest == refs[count:]


def test_wait_for_nothing() -> None:
    assert shoal.wait([]) == ([], [])
    assert shoal.wait([], num_returns=5, timeout=0) == ([], [])


@pytest.mark.parametrize("count", [0, -1, 3])
def test_wait_refuses_a_num_returns_that_cannot_be(count: int) -> None:
    with pytest.raises(ValueError, match="num_returns"):
        shoal.wait([shoal.put(1), shoal.put(2)], num_returns=count)


def test_wait_refuses_duplicates() -> None:
    ref = shoal.put(1)
    with pytest.raises(ValueError, match="twice"):
        shoal.wait([ref, shoal.put(2), copy.copy(ref)])


@pytest.mark.parametrize("wrong", [1, None, "ab", {"a": 1}])
def test_wait_of_no_list_is_a_type_error(wrong: Any) -> None:
    with pytest.raises(TypeError, match="list of ObjectRefs"):
        shoal.wait(wrong)


def test_wait_of_one_ref_or_of_other_things_in_the_list_is_a_type_error() -> None:
    ref = shoal.put(1)
    with pytest.raises(TypeError, match="list of ObjectRefs"):
        shoal.wait(ref)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="list holds int"):
        shoal.wait([ref, 1])  # type: ignore[type-var]


@pytest.mark.parametrize("wrong", [-1, -0.1])
def test_wait_refuses_a_timeout_below_zero(wrong: float) -> None:
    with pytest.raises(ValueError, match="timeout"):
        shoal.wait([shoal.put(1)], timeout=wrong)


def test_wait_takes_fetch_local() -> None:
    ref = shoal.put(1)
    for local in (True, False):
        assert shoal.wait([ref], fetch_local=local) == ([ref], [])


@pytest.mark.needs_time
def test_wait_keeps_its_timeout() -> None:
    ref = sleep.remote(60)
    started = time.monotonic()
    assert shoal.wait([ref], timeout=0.2) == ([], [ref])
    assert time.monotonic() - started >= 0.2
    assert shoal.wait([ref], timeout=0) == ([], [ref])
    shoal.cancel(ref, force=True)


@pytest.mark.needs_time
def test_wait_gives_what_there_is_when_time_is_over() -> None:
    slow = sleep.remote(60)
    quick = same.remote(1)
    shoal.get(quick)
    assert shoal.wait([slow, quick], num_returns=2, timeout=0.05) == ([quick], [slow])
    shoal.cancel(slow, force=True)


@pytest.mark.needs_time
def test_wait_keeps_the_order_of_the_input_and_not_of_the_ends() -> None:
    refs = [sleep.remote(0.2), same.remote(1)]
    ready, rest = shoal.wait(refs, num_returns=2)
    assert (ready, rest) == (refs, [])


def test_wait_does_not_raise_what_a_ref_raises() -> None:
    refs = [fail.remote("a"), same.remote(1)]
    ready, _ = shoal.wait(refs, num_returns=2)
    assert ready == refs


def test_waiting_in_a_loop_gives_each_ref_once() -> None:
    rest = [same.remote(i) for i in range(100)]
    seen = []
    while rest:
        ready, rest = shoal.wait(rest)
        seen += shoal.get(ready)
    assert sorted(seen) == list(range(100))


@pytest.mark.needs_time
def test_many_threads_wait_for_the_same_ref() -> None:
    ref = sleep.remote(0.2)
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(shoal.wait([ref])[0])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[ref]] * 8


# what a ref is


def test_a_ref_tells_its_id() -> None:
    ref = same.remote(1)
    assert shoal.ObjectRef.size() == ID_BYTES
    assert len(ref.binary()) == ID_BYTES
    assert ref.hex() == ref.binary().hex()
    assert repr(ref) == f"ObjectRef({ref.hex()})"
    assert isinstance(ref.job_id(), bytes)
    assert isinstance(ref.owner_address(), bytes)
    assert ref.call_site() == ""


def test_the_refs_of_one_task_have_its_id() -> None:
    two = same.options(num_returns=2).remote([1, 2])
    assert two[0].task_id() == two[1].task_id()
    assert two[0] != two[1]
    assert same.remote(1).task_id() != two[0].task_id()


def test_refs_are_equal_by_object_and_hash_alike() -> None:
    ref = shoal.put(1)
    again: shoal.ObjectRef[Any] = shoal.ObjectRef(ref.binary())
    assert ref == again == shoal.ObjectRef.from_hex(ref.hex()) == shoal.ObjectRef.from_binary(ref.binary())
    assert len({ref, again, copy.copy(ref), copy.deepcopy(ref)}) == 1
    assert ref != 1
    assert ref != shoal.put(1)


def test_a_ref_made_of_an_id_holds_the_object() -> None:
    ref = shoal.put("kept")
    again: shoal.ObjectRef[Any] = shoal.ObjectRef(ref.binary())
    del ref
    assert shoal.get(again) == "kept"


@pytest.mark.parametrize("wrong", [b"", b"short", b"x" * 17, "x" * 16, None, 1])
def test_an_id_that_is_none_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        shoal.ObjectRef(wrong)


def test_nil_and_random_refs() -> None:
    nil = shoal.ObjectRef.nil()
    assert nil.is_nil()
    assert nil == shoal.ObjectRef.nil()
    assert not shoal.ObjectRef.from_random().is_nil()
    assert shoal.ObjectRef.from_random() != shoal.ObjectRef.from_random()
    assert not shoal.put(1).is_nil()


def test_a_nil_ref_travels() -> None:
    (back,) = shoal.get(same.remote([shoal.ObjectRef.nil()]))
    assert back.is_nil()


# futures and await


def test_a_future_of_a_ref() -> None:
    assert same.remote(3).future().result(timeout=30) == 3
    future = fail.remote("future").future()
    with pytest.raises(ValueError, match="future"):
        future.result(timeout=30)
    assert isinstance(future.exception(), TaskError)


def test_futures_work_with_concurrent_futures() -> None:
    futures = [same.remote(i).future() for i in range(20)]
    done, not_done = concurrent.futures.wait(futures, timeout=30)
    assert not not_done
    assert sorted(f.result() for f in done) == list(range(20))
    assert sorted(f.result() for f in concurrent.futures.as_completed(futures)) == list(range(20))


def test_a_future_of_a_ref_that_is_dropped_still_comes() -> None:
    future = same.remote("kept").future()
    assert future.result(timeout=30) == "kept"


@pytest.mark.needs_time
def test_cancelling_a_future_does_not_cancel_the_task() -> None:
    ref = sleep.remote(0.2)
    future = ref.future()
    assert future.cancel()
    assert shoal.get(ref) == "slept"


def test_await_gather_wait_and_wait_for() -> None:
    async def main() -> list[Any]:
        one = await same.remote(1)
        several = await asyncio.gather(*(same.remote(i) for i in range(10)))
        limited = await asyncio.wait_for(same.remote(2), 30)
        done, pending = await asyncio.wait([same.remote(3).as_future()])
        assert not pending
        return [one, several, limited, done.pop().result()]

    assert asyncio.run(main()) == [1, list(range(10)), 2, 3]


def test_a_ref_can_be_awaited_twice_and_from_several_loops() -> None:
    ref = same.remote(5)

    async def main() -> Any:
        return await ref, await ref

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: asyncio.run(main()), range(4)))
    assert found == [(5, 5)] * 4


def test_an_error_surfaces_at_the_await() -> None:
    async def main() -> Any:
        with pytest.raises(ValueError, match="awaited"):
            await fail.remote("awaited")
        return await asyncio.gather(fail.remote("gathered"), same.remote(1), return_exceptions=True)

    error, value = asyncio.run(main())
    assert isinstance(error, ValueError)
    assert value == 1


@pytest.mark.needs_time
def test_wait_for_gives_up_and_the_task_goes_on() -> None:
    ref = sleep.remote(0.3)

    async def main() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(ref, 0.02)

    asyncio.run(main())
    assert shoal.get(ref) == "slept"


# what a ref of an earlier cluster is worth


def restart(engine: str) -> None:
    shoal.shutdown()
    if engine == "inline":
        shoal.init("inline")
    else:
        shoal.init(num_cpus=1)


def test_a_ref_of_an_earlier_cluster_is_refused_where_it_is_used(engine: str) -> None:
    old = shoal.put(1)
    restart(engine)
    new = shoal.put(2)
    for use in (
        lambda: same.remote(old),
        lambda: same.remote([old]),
        lambda: shoal.get(old),
        lambda: shoal.wait([old]),
    ):
        with pytest.raises(ValueError, match="whose owner is unknown"):
            use()
    with pytest.raises(ValueError, match="nil ref"):
        same.remote(shoal.ObjectRef.nil())
    assert shoal.wait([new, old], num_returns=2) == ([new], [old])
    assert shoal.get(same.remote(new)) == 2


def test_get_of_a_generator_gives_it_back() -> None:
    @shoal.remote
    def three() -> Any:
        yield from range(3)

    first, second, third = shoal.get(three.remote())
    assert shoal.get([third, second, first]) == [2, 1, 0]


def test_a_ref_tells_its_job() -> None:
    job = shoal.get_runtime_context().get_job_id()

    @shoal.remote
    def tell(box: list[Any]) -> list[str]:
        refs = [shoal.put(1), *box]
        return [shoal.get_runtime_context().get_job_id(), *(ref.job_id().hex() for ref in refs)]

    ref = shoal.put(1)
    assert {ref.job_id().hex(), *shoal.get(tell.remote([ref]))} == {job}
    assert shoal.ObjectRef.nil().job_id().is_nil()
