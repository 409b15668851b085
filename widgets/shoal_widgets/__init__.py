"""Live views of a shoal cluster: they see the feed and what people hold, nothing else.

Nothing is imported until a name is used: a kernel that shows no view pays for none.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cell_view import CellView as CellView
    from .ledger import CellSummary as CellSummary
    from .ledger import summarise as summarise
    from .record import record as record

_HOMES = {
    "CellSummary": "ledger",
    "CellView": "cell_view",
    "record": "record",
    "summarise": "ledger",
}
__all__ = ["CellSummary", "CellView", "record", "summarise"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
