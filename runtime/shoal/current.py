"""The engine of this process: what refs, remote functions and actor handles work on.

A driver's is set by `shoal.cluster`, a worker's at its start. It lies below everything that needs it, so that refs can
be unpickled anywhere without anybody importing upwards.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from shoal.exceptions import ClusterError

if TYPE_CHECKING:
    from shoal.engines.base import Engine


class _Holder:
    engine: Engine | None = None
    watches_forks: bool = False
    forked: bool = False


FORKED = (
    "this process was forked from one that uses a cluster: call shoal.init() here, "
    "or do the work in tasks instead of forks"
)

_holder = _Holder()


def set_engine(engine: Engine | None) -> None:
    if not _holder.watches_forks:
        _holder.watches_forks = True
        os.register_at_fork(after_in_child=_forget)
    _holder.engine = engine
    _holder.forked = False


def _forget() -> None:
    _holder.forked = _holder.forked or _holder.engine is not None
    _holder.engine = None


def check_fork() -> None:
    """Raise ClusterError in a fork of a process with an engine: a cluster of its own is nothing to start unasked."""
    if _holder.forked:
        raise ClusterError(FORKED)


def peek() -> Engine | None:
    """The engine, or None; a process that was forked from a driver has none."""
    return _holder.engine


def engine() -> Engine:
    """This process's engine; raises ClusterError where there is none."""
    if _holder.engine is None:
        raise ClusterError("no cluster runs here: call shoal.init() first")
    return _holder.engine
