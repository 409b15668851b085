"""Arguments checked in the caller, by a function of the same signature and an empty body.

Python's own call checks it, in a twentieth of the time that `inspect.Signature.bind` takes.
"""

from __future__ import annotations

import inspect
import keyword
from collections.abc import Callable
from typing import Any

from shoal.exceptions import ShoalTypeError

_P = inspect.Parameter


ANYTHING = "*args, **kwargs"


def spell(function: Callable[..., Any], *, drop_self: bool = False) -> str:
    """The parameters of a function as source text, defaults as `_`; it can travel where the function cannot."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (ValueError, TypeError):  # builtins without a signature: the worker will say
        return ANYTHING
    if drop_self and parameters and parameters[0].kind in (_P.POSITIONAL_ONLY, _P.POSITIONAL_OR_KEYWORD):
        parameters = parameters[1:]
    return _spelled(parameters)


def checker(name: str, spelled: str) -> Callable[..., None]:
    """A function that raises TypeError for arguments which do not fit, and else does nothing."""
    name = name if name.isidentifier() and not keyword.iskeyword(name) else "function"
    namespace: dict[str, Any] = {"_": None}
    exec(f"def {name}({spelled}): pass", namespace)
    check: Callable[..., None] = namespace[name]
    return check


def check_call(check: Callable[..., None], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Raise our own TypeError, to be shown at the caller's line, unless the arguments fit."""
    try:
        check(*args, **kwargs)
    except TypeError as error:
        raise ShoalTypeError(str(error)) from None


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
