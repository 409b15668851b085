"""joblib's loops on the cluster."""

from __future__ import annotations

import os
from typing import Any

import pytest

from shoal.util.joblib import register_ray, register_shoal

joblib = pytest.importorskip("joblib")
pytestmark = pytest.mark.usefixtures("engine")


def invert(x: int) -> float:
    return 1 / x


@pytest.mark.parametrize("name, register", [("shoal", register_shoal), ("ray", register_ray)])
def test_a_loop_gives_its_results_in_order(name: str, register: Any) -> None:
    register()
    with joblib.parallel_config(name, n_jobs=2):
        assert joblib.Parallel()(joblib.delayed(pow)(i, 2) for i in range(30)) == [i * i for i in range(30)]


def test_an_error_is_raised_where_the_loop_is() -> None:
    register_shoal()
    with joblib.parallel_config("shoal", n_jobs=2), pytest.raises(ZeroDivisionError):
        joblib.Parallel()(joblib.delayed(invert)(i) for i in range(3))


@pytest.mark.needs_processes
def test_the_calls_run_in_workers() -> None:
    register_shoal()
    with joblib.parallel_config("shoal", n_jobs=2):
        pids = joblib.Parallel()(joblib.delayed(os.getpid)() for _ in range(10))
    assert os.getpid() not in pids


def test_large_arrays_arrive_whole() -> None:
    numpy = pytest.importorskip("numpy")
    register_shoal()
    table = numpy.arange(100_000)
    with joblib.parallel_config("shoal", n_jobs=2):
        sums = joblib.Parallel()(joblib.delayed(numpy.sum)(table) for _ in range(4))
    assert sums == [table.sum()] * 4


def test_scikit_learn_searches_with_it() -> None:
    pytest.importorskip("sklearn")
    from sklearn.datasets import make_classification
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV

    register_shoal()
    x, y = make_classification(n_samples=60, n_features=5, random_state=0)
    search = GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2)
    with joblib.parallel_config("shoal", n_jobs=2):
        search.fit(x, y)
    assert search.best_params_["C"] in (0.1, 1.0)
