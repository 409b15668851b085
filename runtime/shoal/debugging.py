"""`shoal.post_mortem`: a debugger where a task failed."""

from __future__ import annotations

import pdb
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any

from shoal import api, cluster, frames
from shoal.exceptions import ShoalError, ShoalTypeError, ShoalValueError
from shoal.refs import ObjectRef


class _Here:
    debugger: Callable[[], Any] = pdb.Pdb


_here = _Here()


def on_debug(debugger: Callable[[], Any] | None) -> None:
    """Say what makes a debugger; a notebook has one of its own."""
    _here.debugger = debugger or pdb.Pdb


def post_mortem(ref: Any = None) -> None:
    """Open the debugger in the frame where a task failed.

    Takes a ref, for which it waits, or the exception that `get` raised; without either it is the last that was shown.
    The variables are as they were: small plain values themselves, of others what their repr said and, of objects, their
    attributes. Raises ValueError where the task did not fail, or nothing is kept of it any more.
    """
    error = getattr(sys, "last_value", None) if ref is None else ref
    if isinstance(ref, ObjectRef):
        error = _error_of(ref)
    if error is None:
        raise ShoalValueError("post_mortem(): nothing has failed here yet; give it a ref")
    if not isinstance(error, BaseException):
        raise ShoalTypeError(f"post_mortem() takes a ref or an exception, not {type(error).__name__}")
    tb = failed(error)
    if tb is None:
        raise ShoalValueError(
            "post_mortem(): nothing is kept of this error's frames: they are of the latest only, and of the first "
            "where much fails at once; or it was not raised by a task's own code"
        )
    debugger = _here.debugger()
    debugger.reset()
    debugger.interaction(None, tb)


def _error_of(ref: ObjectRef[Any]) -> BaseException:
    try:
        api.get(ref)
    except Exception as error:
        return error
    raise ShoalValueError("post_mortem(): the task did not fail")


def rows_of(error: BaseException) -> list[frames.Row]:
    """The frames of the task that raised it, and of those whose error it passed on; empty where nothing is kept."""
    here = cluster.living()
    found: list[frames.Row] = []
    attributes = getattr(error, "__dict__", {})
    task = attributes.get(frames.MARK) or getattr(attributes.get("cause"), "__dict__", {}).get(frames.MARK)
    if here is None or here.folder is None:
        return found
    while task is not None:
        try:
            snapshot = here.engine.query("frames", task)
        except ShoalError:
            break
        if snapshot is None:
            break
        task, rows = frames.opened(snapshot)
        found += rows
    return found


def failed(error: BaseException) -> TracebackType | None:
    """The traceback on the workers, made anew; where tasks run in this process, the real one."""
    rows = rows_of(error)
    if rows:
        return frames.rebuilt(rows, sys.modules["__main__"].__dict__)
    cause = getattr(error, "__dict__", {}).get("cause")
    return cause.__traceback__ if isinstance(cause, BaseException) else None
