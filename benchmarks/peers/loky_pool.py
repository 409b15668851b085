"""loky's reusable executor, which joblib stands on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.peers import pools

if TYPE_CHECKING:
    from benchmarks.rows import Operations


def connect(workers: int) -> Operations:
    from loky import get_reusable_executor

    return pools.operations(get_reusable_executor(max_workers=workers))
