"""What a cell printed, showed and assigned, remembered by its code and inputs as long as the cluster lives."""

from __future__ import annotations

import ast
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from shoal import api
from shoal.engines.base import Output
from shoal.exceptions import ShoalError, ShoalValueError
from shoal.util import results
from shoal_kernelext.exchange import Result
from shoal_kernelext.fingerprint import fingerprint
from shoal_kernelext.launcher import Launch
from shoal_kernelext.parcel import Namespace

PREFIX = "memo "
KEPT = 100
"""Cells that are remembered, the latest."""


class Remembered(NamedTuple):
    """A cell's whole outcome; it lies on the cluster as a named result."""

    result: Result
    outputs: tuple[Output, ...]
    at: float
    """Unix time at which the cell ended."""
    seconds: float

    def __str__(self) -> str:
        when = time.strftime("%H:%M:%S", time.localtime(self.at))
        return (
            f"remembered from {when}, when the same code with the same inputs took {self.seconds:,.1f} s "
            "(leave out --memo to run it again)"
        )


def key(launch: Launch, namespace: Namespace) -> str | None:
    """The name under which the outcome of a cell is kept; None where its inputs cannot be told from others."""
    request = launch.request
    what = (
        ast.dump(launch.source.tree), request.flags, request.show, request.fetch, request.into, request.keep,
        sorted(request.absent), request.unread, sys.version,
    )  # fmt: skip
    try:
        return PREFIX + fingerprint(what, launch.sent.objects, namespace)
    except Exception:  # what pickles in a parcel may not pickle by itself
        return None


def find(name: str) -> Remembered | None:
    """What is remembered under a name."""
    try:
        found: Remembered = api.get(results.load(name))
    except ShoalValueError:
        return None
    return found


def keep(name: str, result: Result, outputs: list[Output], seconds: float) -> None:
    """Remember the outcome of a cell, and forget the oldest where there are too many."""
    if result.held_back:
        return  # a name would be missing the next time
    bare = result._replace(process=0)
    results.save(name, Remembered(bare, tuple(outputs), time.time(), seconds))
    for old in [n for n in results.names() if n.startswith(PREFIX)][:-KEPT]:
        results.drop(old)


def available() -> bool:
    """Whether this cluster keeps named results."""
    try:
        results.names()
    except ShoalError:
        return False
    return True


def replay(found: Remembered, cell: str, take: Callable[[Output], Any]) -> None:
    """Have what the cell printed and showed then appear in the cell that runs now."""
    for output in found.outputs:
        take(output._replace(cell=cell))
