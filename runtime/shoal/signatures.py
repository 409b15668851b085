"""Arguments checked in the caller, by a function of the same signature and an empty body.

Python's own call checks it, in a twentieth of the time that `inspect.Signature.bind` takes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any


def checker(function: Callable[..., Any], *, drop_self: bool = False) -> Callable[..., None]:
    """A function that raises TypeError for arguments which `function` would not take, and else does nothing."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (ValueError, TypeError):  # builtins without a signature: the worker will say
        return _anything
    if drop_self:
        parameters = parameters[1:] if parameters and parameters[0].kind < 2 else parameters
    name = getattr(function, "__name__", "function")
    if not name.isidentifier() or name.startswith("<"):
        name = "function"
    namespace: dict[str, Any] = {"_": None}
    exec(f"def {name}({_spelled(parameters)}): pass", namespace)
    check: Callable[..., None] = namespace[name]
    return check


def _anything(*args: Any, **kwargs: Any) -> None:
    pass


def _spelled(parameters: list[inspect.Parameter]) -> str:
    out: list[str] = []
    before: inspect._ParameterKind | None = None
    starred = False
    for p in parameters:
        if before == p.POSITIONAL_ONLY and p.kind != p.POSITIONAL_ONLY:
            out.append("/")
        if p.kind == p.KEYWORD_ONLY and not starred:
            out.append("*")
            starred = True
        star = "*" if p.kind == p.VAR_POSITIONAL else "**" if p.kind == p.VAR_KEYWORD else ""
        starred = starred or star == "*"
        out.append(star + p.name + ("" if p.default is p.empty else "=_"))
        before = p.kind
    if before == inspect.Parameter.POSITIONAL_ONLY:
        out.append("/")
    return ", ".join(out)
