"""Where a task may run: the order in which nodes are tried, and what can never be met."""

from __future__ import annotations

from collections.abc import Iterator

from shoal.scheduler.groups import REMOVED, Groups, Reservation
from shoal.scheduler.nodes import Node, Nodes, matches
from shoal.scheduler.resources import spelled
from shoal.scheduler.tables import Shape
from shoal.wishes import GROUP, LABELS, NODE, SPREAD, Wish

BUSY = 0.5
"""Share of a node up to which work is packed on it; beyond, the least used node is taken. Ray's default."""
CRITICAL = ("CPU", "memory")
"""What a node's share is measured by."""

Seat = Node | Reservation
"""What a task's demand is taken from."""


class Strategies:
    def __init__(self, nodes: Nodes, groups: Groups) -> None:
        self._nodes = nodes
        self._groups = groups
        self._last_spread = ""

    def seat(self, shape: Shape, wish: Wish | None) -> Seat | None:
        """Where the shape fits now, the best first; None when it has to wait."""
        if wish is None:
            only = self._nodes.only
            if only is not None:
                return only if only.resources.fits(shape) else None
            return self._first(self._by_use(self._nodes.alive, shape), shape)
        if wish.how == GROUP:
            return self._in_group(shape, wish)
        for nodes in self._allowed(wish):
            found = self._first(self._ordered(nodes, shape, wish), shape)
            if found is not None:
                return found
        return None

    def seats(self, wish: Wish | None) -> list[Seat]:
        """All where it may run at all, however much is taken of them."""
        if wish is None:
            return list(self._nodes.alive)
        if wish.how == GROUP:
            group = self._groups.table.get(wish.group)
            bundles = group.bundles if group is not None else []
            chosen = bundles if wish.bundle < 0 else bundles[wish.bundle : wish.bundle + 1]
            return [b.place for b in chosen if b.place is not None]
        allowed = list(dict.fromkeys(node for nodes in self._allowed(wish) for node in nodes))
        bound = wish.how == NODE and not wish.soft
        return [node for node in allowed if not bound or node.id == wish.node]

    def taken(self, seat: Seat, wish: Wish | None) -> None:
        """A task was given this seat."""
        if wish is not None and wish.how == SPREAD:
            self._last_spread = seat.node.id

    @staticmethod
    def _first(nodes: list[Node], shape: Shape) -> Node | None:
        return next((n for n in nodes if n.resources.fits(shape)), None)

    def _in_group(self, shape: Shape, wish: Wish) -> Reservation | None:
        group = self._groups.table.get(wish.group)
        if group is None:
            return None
        bundles = group.bundles if wish.bundle < 0 else group.bundles[wish.bundle : wish.bundle + 1]
        places = [b.place for b in bundles if b.place is not None and b.place.resources.fits(shape)]
        if len(places) > 1 and _needs_no_gpu(shape):  # those with one are for who needs it
            places.sort(key=lambda place: bool(place.resources.gpus))
        return places[0] if places else None

    def _allowed(self, wish: Wish) -> Iterator[list[Node]]:
        """The nodes whose labels satisfy the first selector, then those of the next."""
        for selector in wish.selectors or ((),):
            yield [n for n in self._nodes.alive if matches(selector, n.labels) and matches(wish.hard, n.labels)]

    def _ordered(self, nodes: list[Node], shape: Shape, wish: Wish) -> list[Node]:
        if wish.how == NODE:
            target = self._nodes.table.get(wish.node)
            if target in nodes and target is not None and (target.resources.ever_fits(shape) or not wish.soft):
                others = self._by_use([n for n in nodes if n is not target], shape) if wish.spill else []
                return [target, *others]
            return self._by_use(nodes, shape) if wish.soft else []
        if wish.how == SPREAD:
            ids = [n.id for n in nodes]
            start = ids.index(self._last_spread) + 1 if self._last_spread in ids else 0
            return nodes[start:] + nodes[:start]
        by_use = self._by_use(nodes, shape)
        if wish.how == LABELS and wish.liked:
            return sorted(by_use, key=lambda n: not matches(wish.liked, n.labels))
        return by_use

    @staticmethod
    def _by_use(nodes: list[Node], shape: Shape) -> list[Node]:
        """Work without GPUs keeps off nodes that have some; else the first that is not busy, then the least used."""
        no_gpu = _needs_no_gpu(shape)

        def cost(node: Node) -> tuple[bool, float]:
            share = max(node.resources.share(name) for name in CRITICAL)
            return no_gpu and bool(node.resources.gpus), share if share >= BUSY else 0.0

        return sorted(nodes, key=cost)

    # what cannot be

    def hopeless(self, role: str, name: str, shape: Shape, wish: Wish) -> tuple[str, str] | None:
        """The error and its message, for what can never run; what merely asks for too much waits."""
        what = "Actor" if role == "actor" else "Task"
        if wish.how == GROUP:
            group = self._groups.table.get(wish.group)
            if group is None or group.state == REMOVED:
                return f"{what}PlacementGroupRemoved", f"{name}: its placement group was removed"
        elif wish.how == NODE and not wish.soft:
            node = self._nodes.table.get(wish.node)
            why = ""
            if node is None:
                why = f"there is no node {wish.node}; shoal.nodes() tells which there are"
            elif not node.alive:
                why = f"the node {wish.node} is dead: {node.reason}"
            elif not node.resources.ever_fits(shape):
                why = f"it needs {spelled(shape)}, and the node {wish.node} has {_has(node, shape)}"
            elif wish.at_once and not node.resources.fits(shape):
                why = f"the node {wish.node} is busy"
            if why:
                return f"{what}UnschedulableError", f"{name} can run only where there is no place for it: {why}"
        return None

    def lacking(self, shape: Shape, wish: Wish | None) -> str | None:
        """What is asked and what there is, where no node has enough even when idle."""
        wish = wish or Wish()
        if wish.how == GROUP or wish.how == NODE and not wish.soft:
            return None  # checked by the caller, or an error
        matching = [n for nodes in self._allowed(wish) for n in nodes]
        if any(n.resources.ever_fits(shape) for n in matching):
            return None
        if self._nodes.alive and not matching:
            labels = "; ".join(_labels(n) for n in self._nodes.alive)
            return f"no node has the labels it asks for; the nodes have: {labels}"
        there = "; ".join(_has(n, shape) for n in matching)
        if len(matching) > 1:
            return f"it needs {spelled(shape)} on one node, and the nodes have: {there}"
        return f"it needs {spelled(shape)}, and the cluster has {there or 'no node'}"


def _needs_no_gpu(shape: Shape) -> bool:
    return all(name != "GPU" for name, _ in shape)


def _has(node: Node, shape: Shape) -> str:
    return spelled(tuple((name, node.resources.total.get(name, 0)) for name, _ in shape))


def _labels(node: Node) -> str:
    return ", ".join(f"{k}={v}" for k, v in node.labels.items() if not k.startswith("ray.io/node")) or "none"
