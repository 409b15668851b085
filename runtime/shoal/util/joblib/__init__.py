"""joblib's parallel loops, and with them scikit-learn's n_jobs, on the cluster.

    from shoal.util.joblib import register_shoal

    register_shoal()
    with joblib.parallel_config("shoal"):
        search.fit(X, y)
"""

from __future__ import annotations


def register_shoal() -> None:
    """Make `joblib.parallel_config("shoal")` known. Starts nothing."""
    _register("shoal")


def register_ray() -> None:
    """Make `joblib.parallel_config("ray")` mean the same. Starts nothing."""
    _register("ray")


def _register(name: str) -> None:
    import joblib

    from shoal.util.joblib.backend import ShoalBackend

    joblib.register_parallel_backend(name, ShoalBackend)
