"""What a magic is about: a Python expression, looked up in the notebook."""

from __future__ import annotations

from typing import Any

from IPython.core.error import UsageError


def evaluated(shell: Any, expression: str, usage: str) -> Any:
    """The value of an expression in the notebook; a UsageError says what is wrong with it."""
    if not expression.strip():
        raise UsageError(f"there is nothing to look at. Use it so: {usage}")
    try:
        return eval(compile(expression.strip(), "<magic>", "eval"), shell.user_global_ns, shell.user_ns)
    except SyntaxError:
        complaint = f"{expression.strip()!r} is no Python expression"
    except Exception as error:
        complaint = f"{expression.strip()} cannot be looked up: {type(error).__name__}: {error}"
    raise UsageError(f"{complaint}. Use it so: {usage}")
