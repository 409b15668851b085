"""Calls in all their combinations: closures, nesting, threads."""

# mypy: disallow-untyped-defs=False, check-untyped-defs=False, disallow-untyped-decorators=False

from __future__ import annotations

import concurrent.futures
import itertools
import random
import threading
import time

import numpy as np
import pytest

import shoal

pytestmark = pytest.mark.usefixtures("engine")


@shoal.remote
def plus_one(x):
    return x + 1


# calls


def test_any_result_is_an_argument_of_any_call():
    def make(large):
        return np.ones(50_000) if large else 1

    def use(x):
        return shoal.get(x[0]) if isinstance(x, list) else x

    class Both:
        def make(self, large):
            return make(large)

        def use(self, x):
            return use(x)

    actor = shoal.remote(Both)
    source, target = actor.remote(), actor.remote()
    for from_actor, to_actor, in_a_list, large in itertools.product((False, True), repeat=4):
        made = source.make.remote(large) if from_actor else shoal.remote(make).remote(large)
        given = [made] if in_a_list else made
        used = shoal.get(target.use.remote(given) if to_actor else shoal.remote(use).remote(given))
        assert np.sum(used) == (50_000 if large else 1), (from_actor, to_actor, in_a_list, large)


def test_functions_close_over_data_and_modules():
    data = [np.zeros((3, 5)), (1, 2, "a"), 1 << 60, {"a": np.ones(3)}]

    @shoal.remote
    def captured():
        return data, np.ones(3).sum(), time.time() > 0

    back, total, _ = shoal.get(captured.remote())
    assert back[1:3] == data[1:3]
    assert (back[3]["a"] == 1).all()
    assert total == 3


def test_a_name_that_is_missing_is_found_after_it_was_defined():
    def define():
        @shoal.remote
        def g():
            return late()

        return g

    with pytest.raises(NameError, match="late"):
        shoal.get(define().remote())

    def late():
        return "here"

    assert shoal.get(define().remote()) == "here"


def test_a_redefined_function_is_the_new_one():
    for i in range(5):

        @shoal.remote
        def f(x, i=i):
            return x + i

        assert shoal.get(f.remote(0)) == i


def test_functions_defined_inside_tasks():
    @shoal.remote
    def outer(i):
        @shoal.remote
        def inner():
            return i

        return inner.remote()

    assert [shoal.get(shoal.get(outer.remote(i))) for i in range(10)] == list(range(10))


def test_five_functions_of_one_name_called_by_turns():
    made = []
    for i in range(5):

        @shoal.remote(num_returns=1 + i % 2)
        def same_name(i=i):
            return (i, i) if i % 2 else i

        made.append(same_name)
    for _ in range(3):
        assert [shoal.get(f.remote()) for f in made] == [0, [1, 1], 2, [3, 3], 4]


def test_a_remote_function_calls_others_three_deep():
    @shoal.remote
    def k2(x):
        return shoal.get(plus_one.remote(x))

    @shoal.remote
    def k3(x):
        return shoal.get(k2.remote(x))

    assert shoal.get(k3.remote(1)) == 2


@pytest.mark.needs_processes
def test_nested_calls_with_one_cpu_do_not_starve_each_other():
    shoal.shutdown()
    shoal.init(num_cpus=1)

    @shoal.remote
    def middle(x):
        return shoal.get(plus_one.remote(x))

    @shoal.remote
    def outer(x):
        return shoal.get(middle.remote(x))

    assert shoal.get([outer.remote(i) for i in range(40)]) == [i + 1 for i in range(40)]


def test_a_task_waits_for_its_children_in_every_way():
    @shoal.remote
    def by_get(n):
        return sum(shoal.get([plus_one.remote(i) for i in range(n)]))

    @shoal.remote
    def by_wait(n):
        refs = [plus_one.remote(i) for i in range(n)]
        total = 0
        while refs:
            (ready,), refs = shoal.wait(refs)
            total += shoal.get(ready)
        return total

    assert shoal.get([by_get.remote(8), by_wait.remote(8), by_get.remote(3)]) == [36, 36, 6]


def test_one_large_ref_in_many_places_of_a_call():
    @shoal.remote
    def total(a, b, *rest, **others):
        return sum(x.sum() for x in (a, b, *rest, *others.values()))

    ref = shoal.put(np.ones(50_000))
    assert shoal.get(total.remote(ref, ref, ref, x=ref, y=ref)) == 250_000


def test_a_list_of_a_thousand_refs_is_got_at_once():
    refs = [shoal.put(i) for i in range(1000)]
    picks = random.Random(0).choices(range(1000), k=1500)
    assert shoal.get([refs[i] for i in picks]) == picks


def test_a_diamond_of_tasks():
    @shoal.remote
    def join(*xs):
        return sum(xs)

    top = plus_one.remote(0)
    middle = [plus_one.remote(top) for _ in range(5)]
    assert shoal.get(join.remote(*middle, join.remote(*middle))) == 20


def test_a_tree_of_tasks():
    @shoal.remote
    def add(a, b):
        return a + b

    refs = [shoal.put(i) for i in range(32)]
    while len(refs) > 1:
        refs = [add.remote(a, b) for a, b in zip(refs[::2], refs[1::2], strict=True)]
    assert shoal.get(refs[0]) == sum(range(32))


def test_options_chain_and_the_last_one_counts():
    @shoal.remote(num_returns=2)
    def pair():
        return 1, 2

    assert shoal.get(pair.options(num_returns=1).remote()) == (1, 2)
    assert shoal.get(pair.options(num_returns=1).options(num_returns=2).remote()) == [1, 2]
    assert shoal.get(pair.options(name="x").remote()) == [1, 2]
    assert pair.options(num_returns=0).remote() is None


def test_a_hundred_and_one_returns():
    @shoal.remote(num_returns=101)
    def many():
        return list(range(101))

    refs = many.remote()
    assert shoal.get(refs) == list(range(101))
    assert len(set(refs)) == 101


def test_returns_that_are_arrays_are_counted_as_values():
    @shoal.remote(num_returns=2)
    def two():
        return np.zeros(3), [1]

    zeros, ones = shoal.get(two.remote())
    assert list(zeros) == [0, 0, 0]
    assert ones == [1]


# threads


def test_threads_of_a_driver_submit_get_and_wait_at_once():
    def work(seed):
        refs = [plus_one.remote(seed + i) for i in range(10)]
        ready, rest = shoal.wait(refs, num_returns=10)
        assert not rest
        return sum(shoal.get(ready)) + shoal.get(shoal.put(seed))

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = list(pool.map(work, range(24)))
    assert found == [sum(s + i + 1 for i in range(10)) + s for s in range(24)]


def test_threads_of_a_task_submit_and_get_while_it_runs():
    @shoal.remote
    def threaded():
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            return sum(pool.map(lambda i: shoal.get(plus_one.remote(i)), range(8)))

    assert shoal.get(threaded.remote()) == 36


def test_threads_of_an_actor_do_too():
    @shoal.remote
    class Background:
        def __init__(self):
            self.got = []
            self.thread = threading.Thread(target=self.work)
            self.thread.start()

        def work(self):
            for i in range(5):
                self.got.append(shoal.get(plus_one.remote(shoal.put(i))))

        def join(self):
            self.thread.join()
            return self.got

    assert shoal.get(Background.remote().join.remote()) == [1, 2, 3, 4, 5]


def test_many_threads_wait_for_one_ref():
    @shoal.remote
    def slow():
        time.sleep(0.1)
        return 5

    ref = slow.remote()
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        assert list(pool.map(lambda _: shoal.get(ref), range(10))) == [5] * 10
