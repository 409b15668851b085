"""One suite for all engines: each test runs once on each of the register."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import shoal
from shoal.engines import ENGINES

NOT_ON: dict[str, dict[str, str]] = {
    "inline": {
        "needs_processes": "inline runs in the caller's process",
        "needs_time": "on inline everything is done when .remote() returns",
    }
}
"""By engine, the marks it leaves out, with the reason."""


@pytest.fixture(params=list(ENGINES))
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of the engine that this test's calls go to."""
    name: str = request.param
    for mark, reason in NOT_ON.get(name, {}).items():
        if request.node.get_closest_marker(mark):
            pytest.skip(reason)
    if name == "inline":
        shoal.init("inline")
    else:
        shoal.init(num_cpus=2)
    yield name
    shoal.shutdown()
