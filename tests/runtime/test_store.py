"""Shared memory: zero copy, freed when the last view is gone and not before, full with a word for it."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import shoal
from shoal import cluster

MB = 1 << 20


@pytest.fixture(autouse=True)
def small() -> Iterator[None]:
    shoal.init(num_cpus=2, object_store_memory=64 * MB)
    yield
    shoal.shutdown()


def used() -> int:
    here = cluster.current()
    assert here is not None
    gc.collect()
    here.engine.reclaim()  # type: ignore[attr-defined]
    return int(here.status()["store"][0])


def test_two_gets_share_memory() -> None:
    ref = shoal.put(np.arange(MB, dtype=np.uint8))
    a, b = shoal.get(ref), shoal.get(ref)
    assert np.shares_memory(a, b)
    assert a.ctypes.data % 64 == 0


def test_memory_is_given_back_and_used_again() -> None:
    for _ in range(50):
        shoal.get(shoal.put(np.zeros(20 * MB, np.uint8)))
    assert used() == 0


def test_many_small_blocks_are_reclaimed_before_the_store_is_called_full() -> None:
    for _ in range(400):
        shoal.put(np.zeros(MB - 64, np.uint8))
    assert used() == 0


def test_a_slice_of_a_slice_keeps_its_memory_over_a_thousand_recycles() -> None:
    first = shoal.get(shoal.put(np.full(MB, 7, np.uint8)))[10:][::2]
    second = first[5:50].reshape(9, 5).T
    del first
    for i in range(1000):
        shoal.get(shoal.put(np.full(MB, i % 5, np.uint8)))
    assert (second == 7).all()
    assert used() > 0
    del second
    assert used() == 0


def test_views_made_by_others_keep_it_too() -> None:
    import pyarrow as pa

    table = shoal.get(shoal.put(pa.table({"a": np.full(MB, 3, np.int8)})))
    column = table.column("a")
    del table
    for _ in range(100):
        shoal.put(np.zeros(MB, np.int8))
    assert column[MB - 1].as_py() == 3


def test_a_tasks_result_outlives_its_worker() -> None:
    import os
    import signal

    @shoal.remote
    def make() -> Any:
        return os.getpid(), np.full(2 * MB, 9, np.uint8)

    ref = make.remote()
    pid, _ = shoal.get(ref)
    os.kill(pid, signal.SIGKILL)
    assert shoal.get(make.remote())[0] != 0
    assert (shoal.get(ref)[1] == 9).all()
    del ref, _
    assert used() == 0


def test_a_copy_on_write_value_can_be_changed_and_the_object_stays() -> None:
    here = cluster.current()
    assert here is not None
    ref = shoal.put(np.zeros(MB, np.uint8))
    (mine,) = here.engine.get([ref.binary()], None, writable=True)
    mine += 1
    assert (mine == 1).all()
    assert (shoal.get(ref) == 0).all()


def test_a_large_argument_goes_through_the_store_and_is_freed() -> None:
    @shoal.remote
    def total(a: Any, b: Any) -> float:
        return float(a.sum() + b.sum())

    assert shoal.get(total.remote(np.ones(MB), b=np.ones(MB))) == 2 * MB
    assert used() == 0


def test_a_large_value_without_buffers() -> None:
    value = {str(i): i for i in range(50_000)}
    assert shoal.get(shoal.put(value)) == value
    assert used() == 0
