"""`num_returns`: how many values a call has, and whether they come one by one."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, NamedTuple

from shoal.exceptions import ShoalValueError

STREAMS = ("streaming", "dynamic")


class Missing(NamedTuple):
    """In place of one of several values of a task that has the others: `get` of it raises."""

    error: BaseException


def is_generator(function: Any) -> bool:
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)


def check(function: Any, num_returns: Any) -> None:
    """ValueError where a function that yields nothing is to have a stream of values."""
    if num_returns in STREAMS and not is_generator(function):
        name = getattr(function, "__name__", function)
        raise ShoalValueError(f"num_returns={num_returns!r} is for generator functions, and {name}() has no yield")


def given(function: Any, num_returns: int | str | None) -> int | str:
    """`num_returns` with its default: one value, or a generator's as they come."""
    if num_returns is None:
        return "streaming" if is_generator(function) else 1
    return num_returns


def values(num_returns: int | str, options: Mapping[str, Any]) -> dict[str, Any]:
    """What `Work` says of it: how many values, or that they come one by one and how many of them may lie unread."""
    if isinstance(num_returns, int):
        return {"returns": num_returns}
    ahead = options.get("_generator_backpressure_num_objects") or 0
    return {"yields": "stream" if num_returns == "streaming" else num_returns, "ahead": max(0, ahead)}


def is_plain(values: Mapping[str, Any]) -> bool:
    """Whether what `values` says is a fixed number of values, one at least: such calls may go by a lane."""
    returns: int = values.get("returns", 0)
    return returns > 0
