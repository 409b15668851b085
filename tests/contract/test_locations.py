"""Where objects lie."""

from __future__ import annotations

import time
from typing import Any

import pytest

import shoal
from shoal.experimental import get_local_object_locations, get_object_locations

pytestmark = pytest.mark.usefixtures("engine")


@shoal.remote
def made(size: int) -> bytes:
    return b"x" * size


def test_objects_of_every_size_and_origin_lie_on_this_node() -> None:
    here = shoal.get_runtime_context().get_node_id()
    sizes = [3, 300_000, 3, 300_000]
    refs = [shoal.put(b"x" * sizes[0]), shoal.put(b"x" * sizes[1]), made.remote(sizes[2]), made.remote(sizes[3])]
    shoal.wait(refs, num_returns=4)
    found = get_object_locations(refs)
    assert list(found) == refs
    for ref, size in zip(refs, sizes, strict=True):
        assert found[ref]["node_ids"] == [here] and found[ref]["object_size"] >= size
    assert get_local_object_locations(refs) == found
    assert get_object_locations([]) == {}


@pytest.mark.needs_processes
def test_what_is_not_ready_lies_nowhere() -> None:
    @shoal.remote
    def never() -> None:
        time.sleep(1000)

    ref = never.remote()
    location: Any = get_object_locations([ref])[ref]
    assert location == {"node_ids": [], "object_size": None}


def test_what_failed_lies_nowhere() -> None:
    @shoal.remote
    def fail() -> None:
        raise ValueError

    ref = fail.remote()
    shoal.wait([ref])
    assert get_object_locations([ref])[ref]["object_size"] is None


@pytest.mark.needs_processes
def test_an_object_lies_on_the_node_where_it_was_made() -> None:
    shoal.shutdown()
    shoal.init(nodes=[{"num_cpus": 1}, {"num_cpus": 1, "resources": {"far": 1}}])
    node: Any = next(n for n in shoal.nodes() if "far" in n["Resources"])
    ref = made.options(resources={"far": 1}).remote(300_000)
    shoal.wait([ref])
    assert get_object_locations([ref])[ref]["node_ids"] == [node["NodeID"]]


def test_questions_that_make_no_sense() -> None:
    with pytest.raises(TypeError, match="ObjectRef"):
        get_object_locations([1])  # type: ignore[list-item]
    with pytest.raises(TimeoutError):
        get_object_locations([shoal.put(1)], timeout_ms=0)
    shoal.shutdown()
    with pytest.raises(RuntimeError, match="init"):
        get_object_locations([])
