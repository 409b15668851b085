"""What the hub sends a worker: kinds of work, and each run of one."""

from __future__ import annotations

from typing import Any, NamedTuple


class Kind(NamedTuple):
    """A function with its options, an actor class with its options, or an actor's method."""

    function: bytes
    name: str
    role: str
    returns: int
    method: str
    threads: int
    retries: int


class Run(NamedTuple):
    """A task as the hub sends it. `values` are the dependencies' values, as many as `slots`."""

    task: bytes
    kind: bytes
    cell: str | None
    environment: tuple[int, int]
    payload: Any
    slots: tuple[int | str, ...]
    deps: tuple[bytes, ...]
    values: tuple[Any, ...]
