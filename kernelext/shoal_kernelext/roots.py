"""Where a search for what keeps an object starts in a notebook: its names, `Out`, `_`, and the last error."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any

from shoal_kernelext.stock import Stock

_OUTPUT = re.compile(r"_\d+|_{1,3}|_oh|Out|_dh|_ih|_i+|_i\d+|In")
"""Names that IPython gives to what cells show and to their code."""
_FRAMES = 50


def roots(shell: Any, kept: Any, stock: Stock) -> Iterator[tuple[str, Any]]:
    """What people call each, and its value. `kept` is what `_` keeps of what was shown last."""
    hidden = shell.user_ns_hidden
    for name, value in list(shell.user_ns.items()):
        if not _OUTPUT.fullmatch(name) and not (name in hidden and hidden[name] is value) and not name.startswith("__"):
            yield f"the variable {name}", value
    if kept is not None:
        yield "_, the last value shown", kept
    outputs = shell.user_ns.get("_oh", {})
    numbers = {id(value): f"Out[{number}]" for number, value in outputs.items()}
    for number, value in list(outputs.items()):
        yield f"Out[{number}]", value
    for name in ("_", "__", "___"):
        value = shell.user_ns.get(name)
        if value is not None and id(value) not in numbers:
            yield name, value
    for value in stock.held():
        yield "what remote cells were sent of a variable, while it is the same", value
    yield from _of_error(getattr(sys, "last_value", None), shell)


def _of_error(error: Any, shell: Any) -> Iterator[tuple[str, Any]]:
    """The names in the frames of the last error, which stay for %debug and %tb."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        tb, depth = error.__traceback__, 0
        while tb is not None and depth < _FRAMES:
            frame = tb.tb_frame
            names = frame.f_locals
            if names is not shell.user_ns and shell.compile.format_code_name(frame.f_code.co_filename) is not None:
                where = f"{frame.f_code.co_name}()" if frame.f_code.co_name != "<module>" else "the cell"
                for name, value in list(names.items()):
                    yield f"{name} in {where}, where the last error came from", value
            tb, depth = tb.tb_next, depth + 1
        yield "the last error", vars(error)
        error = error.__cause__ or error.__context__
