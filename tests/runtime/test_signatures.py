"""Argument checks agree with Python's own."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from shoal.signatures import checker, spell

FUNCTIONS: list[Callable[..., Any]] = [
    lambda: 0,
    lambda a, b=1: 0,
    lambda a, /, b, *, c: 0,
    lambda *args, c=2: 0,
    lambda a, /, *, b=1, **rest: 0,
    lambda a=1, /: 0,
    lambda **kwargs: 0,
]
CALLS: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    ((), {}),
    ((1,), {}),
    ((1, 2), {}),
    ((1, 2, 3), {}),
    ((1,), {"b": 1}),
    ((1,), {"b": 1, "c": 1}),
    ((), {"a": 1}),
    ((), {"c": 1}),
    ((1, 2), {"c": 1}),
]


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(("args", "kwargs"), CALLS)
def test_the_checker_refuses_what_python_refuses(function: Any, args: Any, kwargs: Any) -> None:
    check = checker("f", spell(function))
    try:
        inspect.signature(function).bind(*args, **kwargs)
    except TypeError:
        with pytest.raises(TypeError):
            check(*args, **kwargs)
    else:
        check(*args, **kwargs)
