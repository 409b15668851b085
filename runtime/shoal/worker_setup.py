"""What the program that submits work wants done in each worker first: a function, named in a variable that travels.

The notebook's extension names one by which `display()` and figures find their way home; the runtime knows of neither.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping

VARIABLE = "SHOAL_WORKER_SETUP"
"""`module:function`."""

_done: set[str] = set()


def follow(environ: Mapping[str, str]) -> None:
    """Call the function that is named there, once in this process; where it cannot be found things stay as they are."""
    name = environ.get(VARIABLE, "")
    if not name or name in _done:
        return
    _done.add(name)
    module, _, function = name.partition(":")
    try:
        call = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError):
        return
    call()
