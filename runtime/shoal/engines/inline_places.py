"""The one node of the engine `inline`, and its placement groups: the scheduler's own, with nothing ever waiting."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

from shoal import assigned, exceptions
from shoal.assigned import Assigned
from shoal.engines.base import Work
from shoal.exceptions import ShoalValueError
from shoal.ids import NodeID
from shoal.scheduler.groups import CREATED, Group, Groups
from shoal.scheduler.nodes import Node, Nodes
from shoal.scheduler.resources import Resources, amounts, shape_of, units
from shoal.scheduler.rows import group_row, node_row
from shoal.scheduler.strategies import Strategies
from shoal.wishes import Wish

ADDRESS = "127.0.0.1"


class InlinePlaces:
    """Answers the questions about nodes and groups that a hub answers."""

    def __init__(self) -> None:
        node_id = NodeID.from_random().hex()
        resources = Resources(units({"CPU": 1.0, f"node:{ADDRESS}": 1.0}))
        self.node = Node(node_id, resources, 1, {"ray.io/node-id": node_id}, ADDRESS, ADDRESS)
        self._nodes = Nodes()
        self._nodes.add(self.node)
        self._groups = Groups(self._nodes)
        self._strategies = Strategies(self._nodes, self._groups)
        self.questions: dict[str, Callable[..., Any]] = {
            "resources": lambda: (amounts(self._nodes.sum("total")), amounts(self._nodes.sum("free"))),
            "nodes": lambda: [node_row(self.node, socket.gethostname(), "")],
            "create_group": self._create,
            "remove_group": self._remove,
            "group_table": self._table,
            "find_group": self._find,
        }

    def _create(self, group: bytes, bundles: list[dict[str, float]], strategy: str, name: str, detached: bool,
                parent: bytes | None, selectors: list[Any], near: str, domain: str) -> str | None:  # fmt: skip
        if name and self._groups.named(name, "") is not None:
            raise ShoalValueError(f"there is a placement group named {name!r} already: remove it, or take another name")
        made = Group.of(group, bundles, selectors, strategy, name, near=near, domain=domain)
        self._groups.add(made)
        self._groups.place()
        return None if made.state == CREATED else self._groups.lacking(made)

    def _remove(self, group: bytes) -> None:
        found = self._groups.table.get(group)
        if found is not None:
            for place in self._groups.remove(found):
                place.end()
            self._groups.place()

    def _find(self, name: str, task: bytes | None) -> bytes | None:
        found = self._groups.named(name, "")
        return None if found is None else found.id

    def _table(self, group: bytes | None) -> dict[str, Any]:
        if group is None:
            return {g.id.hex(): group_row(g, self._groups.possible) for g in self._groups.table.values()}
        found = self._groups.table.get(group)
        return {} if found is None else group_row(found, self._groups.possible)

    def created(self, group: bytes) -> bool:
        found = self._groups.table.get(group)
        return found is not None and found.state == CREATED

    @contextlib.contextmanager
    def inside(self, work: Work) -> Iterator[None]:
        """Around what runs; raises where it cannot run anywhere."""
        shape = shape_of(work.resources)
        if work.wish is not None:
            why = self._strategies.hopeless(work.role, work.name, shape, work.wish)
            if why is not None:
                raise getattr(exceptions, why[0])(why[1])
        wish = work.wish or Wish()
        outer = assigned.get()
        labels, held = tuple(self.node.labels.items()), tuple(work.resources.items())
        assigned.assign(Assigned(self.node.id, ADDRESS, labels, held, (), wish.group, wish.capture))
        try:
            yield
        finally:
            assigned.assign(outer)
