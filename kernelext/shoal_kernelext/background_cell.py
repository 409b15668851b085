"""A cell whose names are refs in the notebook while it runs: what it does on the worker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from shoal.exceptions import SerializationError
from shoal.returned import Missing
from shoal.serial import pack
from shoal_kernelext.exchange import Bundle, Request
from shoal_kernelext.facts import Facts, facts
from shoal_kernelext.remote_cell import Ran, ran

__shoal_hidden__ = True
REPORT = "shoal_report"
"""Attribute of the error that ended a cell: the lines that are shown of it."""


class Finished(NamedTuple):
    """What a background cell has to say at its end."""

    shown: Bundle | None
    figures: tuple[Bundle, ...]
    facts: dict[str, Facts]
    """Of the values that there are, by name."""
    missing: dict[str, str]
    """The names that have none, and why."""
    changed: tuple[str, ...]
    """Names of the notebook's values that the cell changed in place."""


def run_for_refs(request: Request, names: Sequence[str], *awaited: Any) -> Any:
    """Run a cell; returns `Finished` and the value of each name, so that each is an object of its own.

    Raises what the cell raises: then none of the names has a value. `awaited` is as for `run_cell`.
    """
    with ran(request) as run:
        if run.error is not None:
            raise _told(run, request)
        found = Finished(run.shown, tuple(run.figures), {}, {}, tuple(set(run.changed_in_place(request)) - {*names}))
        values = [_value(run, name, found) for name in names]
    return (found, *values) if names else found


def _told(run: Ran, request: Request) -> BaseException:
    """The cell's error, from its own lines on, with what is shown of it."""
    error = run.error
    assert error is not None and run.failure is not None, "asked where there is one"
    try:
        setattr(error, REPORT, run.failure.traceback)
    except Exception:  # a class with slots; it is shown less well
        pass
    tb = error.__traceback__
    while tb is not None and tb.tb_frame.f_code.co_filename != request.filename:
        tb = tb.tb_next
    return error.with_traceback(tb or error.__traceback__)


def _value(run: Ran, name: str, found: Finished) -> Any:
    if name not in run.namespace:
        found.missing[name] = "the cell has ended without assigning it"
        return Missing(NameError(f"name {name!r} is not defined: {found.missing[name]}"))
    value = run.namespace[name]
    try:
        packed = pack(value, repr(name))
    except SerializationError as error:
        found.missing[name] = str(error.__cause__ or error)
        return Missing(error)
    found.facts[name] = facts(value)
    return packed
