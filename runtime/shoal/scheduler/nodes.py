"""The nodes of the cluster: what each has, and which are alive. Several may be played on one machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shoal.scheduler.resources import Resources
from shoal.wishes import Selector


@dataclass(slots=True, eq=False)
class Node:
    id: str
    resources: Resources
    pool: int
    """Workers that are kept ready there."""
    labels: Mapping[str, str]
    name: str = ""
    address: str = ""
    alive: bool = True
    reason: str = ""
    """Why it is dead."""

    @property
    def node(self) -> Node:
        """A node is a seat for work, as a bundle on it is."""
        return self


class Nodes:
    """The table of nodes in the order of their coming; the first is the head. Dead ones stay in it."""

    def __init__(self) -> None:
        self.table: dict[str, Node] = {}
        self.alive: list[Node] = []
        self.only: Node | None = None
        """The one that is alive, where there are no others: by far the most frequent case."""

    def add(self, node: Node) -> None:
        self.table[node.id] = node
        self._count()

    def end(self, node: Node, reason: str) -> None:
        node.alive, node.reason = False, reason
        self._count()

    def _count(self) -> None:
        self.alive = [n for n in self.table.values() if n.alive]
        self.only = self.alive[0] if len(self.alive) == 1 else None

    def sum(self, what: str) -> dict[str, int]:
        """Of all that are alive: their "total", or what is "free"."""
        found: dict[str, int] = {}
        for node in self.alive:
            for name, amount in getattr(node.resources, what).items():
                found[name] = found.get(name, 0) + amount
        return found


def matches(selector: Selector, labels: Mapping[str, str]) -> bool:
    """
    >>> matches((("zone", "in", ("a", "b")), ("gpu", "!exists", ())), {"zone": "a"})
    True
    """
    for key, operator, values in selector:
        if operator in ("exists", "!exists"):
            found = key in labels
        else:
            found = labels.get(key) in values
        if found == operator.startswith("!"):
            return False
    return True
