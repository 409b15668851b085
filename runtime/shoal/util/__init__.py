"""What is built on shoal's core: pools, queues, executors, metrics and adapters, under Ray's names.

Every part loads at first use: `import shoal; shoal.util.queue.Queue()` needs no further import, and none is paid for
that is not used.
"""

from __future__ import annotations

import importlib
from typing import Any

# At once: this function's module has its name, and where both are known by it, the function is meant (as in Ray).
from shoal.util.placement_group import placement_group as placement_group

_WHERE = {
    "get_current_placement_group": "shoal.util.placement_group",
    "get_placement_group": "shoal.util.placement_group",
    "placement_group_table": "shoal.util.placement_group",
    "remove_placement_group": "shoal.util.placement_group",
}

__all__ = sorted([*_WHERE, "placement_group"])


def __getattr__(name: str) -> Any:
    where = _WHERE.get(name)
    if where is None:
        try:
            return importlib.import_module(f"shoal.util.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"shoal.util.{name}":
                raise
            raise AttributeError(f"module 'shoal.util' has no attribute {name!r}") from None
    value = getattr(importlib.import_module(where), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
