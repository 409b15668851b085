"""Ids: 16 bytes, made without asking anybody.

    8 bytes  who made it (random, a process)
    6 bytes  counter
    2 bytes  which return value; 0 is the task itself and its first value
"""

from __future__ import annotations

import itertools
import os

TASK = 14
"""The first 14 bytes tell the task of an object."""


class IdMaker:
    """Makes ids that no other process makes."""

    def __init__(self) -> None:
        self._prefix = os.urandom(8)
        self._count = itertools.count(1)

    def next(self) -> bytes:
        return self._prefix + next(self._count).to_bytes(6, "big") + b"\0\0"


def returns(task: bytes, count: int) -> tuple[bytes, ...]:
    """The ids of a task's return values, the first of which is the task's own."""
    if count == 1:
        return (task,)
    head = task[:TASK]
    return tuple(head + i.to_bytes(2, "big") for i in range(count))


def task_of(object_id: bytes) -> bytes:
    return object_id[:TASK] + b"\0\0"
