"""docs/lanes.md as a model, explored exhaustively.

    python -m pytest tests/model                              what belongs to the suite
    SHOAL_MODEL=whole python -m pytest tests/model -k whole   larger plans, minutes each
"""

from __future__ import annotations

import os

import pytest

from .scenarios import SCENARIOS, WHOLE, explore


@pytest.mark.parametrize("name", SCENARIOS)
def test_whatever_the_order_of_steps_the_promises_hold(name: str) -> None:
    assert explore(SCENARIOS[name]) > 300, "the plan comes to almost nothing: is something never reached?"


@pytest.mark.skipif(os.environ.get("SHOAL_MODEL") != "whole", reason="by hand: SHOAL_MODEL=whole")
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", WHOLE)
def test_whole(name: str) -> None:
    assert explore(WHOLE[name], limit=20_000_000) > 100_000
