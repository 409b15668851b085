"""Which live views there are. A new one is a module and a line here; the order is that of the dashboard's tabs."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import cast

from .view import Hands, View

_MAKERS = {
    "tasks": "tasks:Tasks",
    "actors": "actors:Actors",
    "objects": "objects:Objects",
    "timeline": "timeline_view:Timeline",
    "graph": "graph:Graph",
    "cluster": "cluster_view:ClusterView",
}
"""By name, which is also that of the magic: the module and the class."""

NAMES = tuple(_MAKERS)


def make(name: str, hands: Hands) -> View:
    """A view of its own, by its name."""
    module, _, maker = _MAKERS[name].partition(":")
    made = cast("Callable[[Hands], View]", getattr(import_module(f".{module}", __package__), maker))
    return made(hands)
