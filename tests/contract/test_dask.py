"""Dask's graphs on the cluster."""

from __future__ import annotations

import operator
from typing import Any

import pytest

dask = pytest.importorskip("dask")

from shoal.util.dask import disable_dask_on_ray, enable_dask_on_ray, ray_dask_get  # noqa: E402

pytestmark = pytest.mark.usefixtures("engine")


def invert(x: int) -> float:
    return 1 / x


def test_a_graph_is_computed() -> None:
    graph = {"a": 1, "b": (operator.add, "a", 2), "c": (sum, ["a", "b"])}
    assert ray_dask_get(graph, "c") == 4
    assert list(ray_dask_get(graph, ["b", ["c", "a"]])[1]) == [4, 1]


def test_delayed_values_take_it_as_their_scheduler() -> None:
    parts: list[Any] = [dask.delayed(operator.mul)(i, i) for i in range(5)]
    assert dask.delayed(sum)(parts).compute(scheduler=ray_dask_get) == 30


def test_an_error_is_raised_by_compute() -> None:
    with pytest.raises(ZeroDivisionError):
        dask.delayed(invert)(0).compute(scheduler=ray_dask_get)


def test_it_can_be_the_scheduler_of_all() -> None:
    with enable_dask_on_ray():
        assert dask.delayed(operator.add)(1, 2).compute() == 3
    enable_dask_on_ray()
    try:
        assert dask.config.get("scheduler") is ray_dask_get
        assert dask.delayed(operator.add)(1, 2).compute() == 3
    finally:
        disable_dask_on_ray()
    assert dask.config.get("scheduler", None) is not ray_dask_get
