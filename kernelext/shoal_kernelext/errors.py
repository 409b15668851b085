"""Errors that people see at a line of their cell, whatever front end they use."""

from __future__ import annotations

from typing import Any

from IPython.core.error import UsageError as IPythonUsageError

from shoal.exceptions import ShoalError, TaskError
from shoal_kernelext.report import Source, at_line


class UsageError(IPythonUsageError):
    """A magic was used wrongly; says what to do instead."""


class CellError(ShoalError):
    """A cell cannot be run on the cluster; nothing was sent."""


class CellTimeoutError(ShoalError, TimeoutError):
    """A cell was not done in the time that its --timeout gives it; its work was stopped."""


def rendered(error: BaseException, lines: list[str]) -> BaseException:
    """Let IPython show `lines` when `error` reaches it.

    Syntax errors and exception groups it renders in its own way, with our frames: for these a stand-in of the same
    name is returned, with the error as its `cause`.
    """
    if isinstance(error, (SyntaxError, BaseExceptionGroup)):
        name = type(error).__name__
        error = type(name, (TaskError,), {})(str(error), error)
    error._render_traceback_ = lambda: lines  # type: ignore[attr-defined]
    return error


def shown_at(
    name: str,
    message: str,
    source: Source,
    line: int,
    column: int | None = None,
    end: int = 0,
    *,
    kind: Any = CellError,
    cause: BaseException | None = None,
) -> BaseException:
    """An error found in a cell before anything ran, to be raised and shown at its line.

    It is a `kind`, named `name`; or `cause` itself, where that can be shown so.
    """
    error = cause if cause is not None else type(name, (kind,), {})(message)
    return rendered(error, at_line(name, message, source, line, column, end))
