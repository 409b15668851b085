"""Marks of how stable an API is, as scripts for Ray put them on their own; they change nothing but `Deprecated`."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable
from typing import Any


class RayDeprecationWarning(DeprecationWarning):
    """What `Deprecated(warning=True)` warns with."""


def PublicAPI(*args: Any, stability: str = "stable", api_group: str = "Others") -> Any:
    """Mark a function or class as part of a public API: `@PublicAPI` or `@PublicAPI(stability="beta")`."""
    if stability not in ("alpha", "beta", "stable"):
        raise ValueError(f"stability is 'alpha', 'beta' or 'stable', not {stability!r}")
    return _marker(args)


def DeveloperAPI(*args: Any) -> Any:
    """Mark a function or class as an API for developers of libraries."""
    return _marker(args)


def Deprecated(*args: Any, message: str = "", warning: bool = False) -> Any:
    """Mark a function or class as deprecated; with `warning` its use warns."""

    def mark(target: Any) -> Any:
        text = f"{target.__name__} is deprecated. {message}".strip()
        target.__doc__ = f"{inspect.cleandoc(target.__doc__ or '')}\n\nDEPRECATED: {message}".strip()
        if not warning:
            return target
        if inspect.isclass(target):
            setattr(target, "__init__", _warning(target.__init__, text))  # noqa: B010
            return target
        return _warning(target, text)

    return mark(args[0]) if args else mark


def _warning(function: Callable[..., Any], text: str) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        warnings.warn(text, RayDeprecationWarning, stacklevel=2)
        return function(*args, **kwargs)

    return wrapper


def _marker(args: tuple[Any, ...]) -> Any:
    return args[0] if args else lambda target: target
