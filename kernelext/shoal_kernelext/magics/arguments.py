"""The arguments of magics, with errors that say what would be right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from IPython.core import magic_arguments
from IPython.core.error import UsageError

Magic = TypeVar("Magic", bound=Callable[..., Any])


def arguments(*given: Any) -> Callable[[Magic], Magic]:
    """Decorate a magic with its arguments, each made by `argument`."""

    def decorate(magic: Magic) -> Magic:
        decorated: Any = magic
        for one in reversed(given):
            decorated = one(decorated)
        return magic_arguments.magic_arguments()(decorated)  # type: ignore[no-any-return,no-untyped-call]

    return decorate


def argument(*names: str, **how: Any) -> Any:
    """One argument, described as for `argparse`."""
    return magic_arguments.argument(*names, **how)  # type: ignore[no-untyped-call]


def parsed(magic: Any, line: str, usage: str) -> Any:
    """What the magic was given in `line`; a UsageError tells the usage, too."""
    try:
        return magic_arguments.parse_argstring(magic, line)  # type: ignore[no-untyped-call]
    except (UsageError, ValueError) as error:  # ValueError: an open quote
        complaint = str(error)
    raise UsageError(f"{complaint}. Use it so: {usage}")


def unquoted(text: str | None) -> str:
    """An option's value without the quotes that IPython leaves around it; empty where there is none."""
    if text and len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    return text or ""
