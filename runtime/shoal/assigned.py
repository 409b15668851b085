"""What the running code was given: the node it is on, what of its resources it holds, the group that it belongs to."""

from __future__ import annotations

from typing import NamedTuple


class Assigned(NamedTuple):
    """Of a worker; a driver has nothing. The hub sends it with each new lease."""

    node: str = ""
    """The node's id in hexadecimal."""
    address: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    resources: tuple[tuple[str, float], ...] = ()
    gpus: tuple[int | str, ...] = ()
    """Which GPUs: their numbers, or what CUDA_VISIBLE_DEVICES called them where the cluster was started."""
    group: bytes = b""
    """The placement group; empty outside of one."""
    capture: bool = False
    """What is submitted here goes to the same group."""


class _Here:
    assigned: Assigned = Assigned()


_here = _Here()


def get() -> Assigned:
    return _here.assigned


def assign(given: Assigned) -> None:
    _here.assigned = given
