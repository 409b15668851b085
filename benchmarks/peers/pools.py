"""What any `concurrent.futures` executor can do: tasks by value, and waiting for them."""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, Executor, wait
from typing import TYPE_CHECKING

from benchmarks import work

if TYPE_CHECKING:
    from benchmarks.rows import Operations


def operations(pool: Executor) -> Operations:
    """How to do each row with an executor."""
    pool.submit(work.noop).result()
    def waits(count: int) -> None:
        rest = {pool.submit(work.noop) for _ in range(count)}
        while rest:
            done, rest = wait(rest, return_when=FIRST_COMPLETED)
            # One at a time, as the row says; the others stay for the next round.
            rest |= set(list(done)[1:])

    def tasks(count: int) -> None:
        for future in [pool.submit(work.noop) for _ in range(count)]:
            future.result()

    return {
        "task": lambda: pool.submit(work.noop).result(),
        "tasks": tasks,
        "pass_value": lambda: pool.submit(work.first, work.array()).result(),
        "return": lambda: pool.submit(work.large).result(),
        "waits": waits,
        "stop": lambda: pool.shutdown(),
    }
