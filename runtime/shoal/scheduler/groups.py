"""Placement groups: resources cut out of nodes beforehand, all bundles of a group or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shoal.scheduler.nodes import Node, Nodes, matches
from shoal.scheduler.resources import Resources, shape_of, spelled
from shoal.scheduler.tables import Shape
from shoal.wishes import Selector

# States: Ray's names.
PENDING = "PENDING"
CREATED = "CREATED"
RESCHEDULING = "RESCHEDULING"
REMOVED = "REMOVED"

PACK = "PACK"
STRICT_PACK = "STRICT_PACK"
STRICT_SPREAD = "STRICT_SPREAD"

KEPT = 1000
"""Removed groups that are remembered."""


class Reservation:
    """What was cut out of a node's resources for a bundle: a seat for work, as the node itself is."""

    def __init__(self, node: Node, shape: Shape) -> None:
        self.node = node
        self.resources = Resources(dict(shape), node.resources.take(shape))

    def end(self) -> None:
        """Give back what is free; what is still in use goes on as the node's own."""
        free = self.resources
        self.node.resources.give(tuple(free.free.items()), tuple(free.gpus.items()))


@dataclass(slots=True, eq=False)
class Bundle:
    shape: Shape
    selector: Selector = ()
    place: Reservation | None = None

    @property
    def node(self) -> Node | None:
        return None if self.place is None else self.place.node


@dataclass(slots=True, eq=False)
class Group:
    id: bytes
    bundles: list[Bundle]
    strategy: str
    name: str = ""
    detached: bool = False
    job: int = 0
    creator: bytes | None = None
    """The actor that made it, if one did."""
    namespace: str = ""
    near: str = ""
    """The node where it should be, if that can be."""
    domain: str = ""
    """The label whose value all its nodes must have in common, if any."""
    state: str = PENDING
    awaiting: list[bytes] = field(default_factory=list)
    """Objects that are ready when it is."""
    asked: float = 0.0
    """When it was asked for, by the clock of who keeps the table; and the seconds until it was placed."""
    took: float = 0.0

    @classmethod
    def of(
        cls, group: bytes, bundles: Sequence[Mapping[str, float]], selectors: Sequence[Selector], *details: Any,
        **named: Any,
    ) -> Group:  # fmt: skip
        return cls(group, [Bundle(shape_of(b), s) for b, s in zip(bundles, selectors, strict=True)], *details, **named)


class Groups:
    """The table of groups. Invariant: a group that is CREATED has a place for each of its bundles."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self.table: dict[bytes, Group] = {}
        self.pending: list[Group] = []

    def add(self, group: Group) -> None:
        self.table[group.id] = group
        self.pending.append(group)

    def named(self, name: str, namespace: str) -> Group | None:
        for group in self.table.values():
            if group.name == name and group.namespace == namespace and group.state != REMOVED:
                return group
        return None

    def place(self) -> list[Group]:
        """Reserve what can be reserved; returns the groups that are complete now."""
        done = []
        for group in self.pending:
            missing = [b for b in group.bundles if b.place is None]
            trial = {n.id: n.resources.copy() for n in self._nodes.alive}
            found = self._assign(group, missing, trial)
            if found is None:
                continue
            for bundle, node in zip(missing, found, strict=True):
                bundle.place = Reservation(node, bundle.shape)
            group.state = CREATED
            done.append(group)
        if done:
            self.pending = [g for g in self.pending if g.state != CREATED]
        return done

    def remove(self, group: Group) -> list[Reservation]:
        """Returns its reservations, which are to be ended."""
        group.state = REMOVED
        self.pending = [g for g in self.pending if g is not group]
        gone = [g for g in self.table.values() if g.state == REMOVED]
        for old in gone[: max(0, len(gone) - KEPT)]:
            del self.table[old.id]
        return self._leave(group.bundles)

    def node_died(self, node: Node) -> list[Reservation]:
        """Its bundles look for another place. Returns the reservations there, which are to be ended."""
        ended = []
        for group in self.table.values():
            lost = [b for b in group.bundles if b.node is node]
            ended += self._leave(lost)
            if lost and group.state == CREATED:
                group.state = RESCHEDULING
                self.pending.append(group)
        return ended

    @staticmethod
    def _leave(bundles: list[Bundle]) -> list[Reservation]:
        places = [b.place for b in bundles if b.place is not None]
        for bundle in bundles:
            bundle.place = None
        return places

    def possible(self, group: Group) -> bool:
        """Whether it could be placed if nothing else ran."""
        empty = {n.id: Resources(n.resources.total) for n in self._nodes.alive}
        return self._assign(group, group.bundles, empty) is not None

    def lacking(self, group: Group) -> str | None:
        """What it asks for and what there is, where it is not possible."""
        if self.possible(group):
            return None
        wanted = "; ".join(spelled(b.shape) for b in group.bundles)
        there = "; ".join(spelled(tuple(sorted(n.resources.total.items()))) for n in self._nodes.alive)
        return f"its bundles ask for {wanted} ({group.strategy}), and the nodes have: {there}"

    # where the bundles go

    def _assign(self, group: Group, missing: list[Bundle], trial: dict[str, Resources]) -> list[Node] | None:
        """A node for each missing bundle, or None when there is no way. `trial` is used up."""
        nodes = sorted(self._nodes.alive, key=lambda n: n.id != group.near)
        if not group.domain:
            return _assign(group, missing, nodes, trial)
        values = dict.fromkeys(n.labels[group.domain] for n in nodes if group.domain in n.labels)
        for b in group.bundles:
            if b.node is not None:
                values = {b.node.labels[group.domain]: None}
        for value in values:
            inside = [n for n in nodes if n.labels.get(group.domain) == value]
            found = _assign(group, missing, inside, {n.id: trial[n.id].copy() for n in inside})
            if found is not None:
                return found
        return None


def _assign(
    group: Group, missing: list[Bundle], nodes: Sequence[Node], trial: dict[str, Resources]
) -> list[Node] | None:
    used = [b.node for b in group.bundles if b.node is not None]
    choices = {id(b): [n for n in nodes if matches(b.selector, n.labels)] for b in missing}
    if group.strategy == STRICT_SPREAD:
        return _matching(missing, choices, used, trial)
    if group.strategy in (PACK, STRICT_PACK):
        together = _together(missing, choices, used or nodes, trial)
        if together is not None or group.strategy == STRICT_PACK:
            return together
    # Those with the fewest choices first, and of them the largest.
    order = sorted(missing, key=lambda b: (len(choices[id(b)]), -sum(a for _, a in b.shape)))
    count = {n.id: used.count(n) for n in nodes}
    found: dict[int, Node] = {}
    for bundle in order:
        fitting = [n for n in choices[id(bundle)] if trial[n.id].fits(bundle.shape)]
        if not fitting:
            return None
        if group.strategy == PACK:
            node = max(fitting, key=lambda n: count[n.id])
        else:
            node = min(fitting, key=lambda n: count[n.id])
        trial[node.id].take(bundle.shape)
        count[node.id] += 1
        found[id(bundle)] = node
    return [found[id(b)] for b in missing]


def _together(
    missing: list[Bundle], choices: dict[int, list[Node]], nodes: Sequence[Node], trial: dict[str, Resources]
) -> list[Node] | None:
    for node in dict.fromkeys(nodes):
        room = trial[node.id].copy() if node.id in trial else None
        if room is None:
            continue
        for bundle in missing:
            if node not in choices[id(bundle)] or not room.fits(bundle.shape):
                break
            room.take(bundle.shape)
        else:
            return [node] * len(missing)
    return None


def _matching(
    missing: list[Bundle], choices: dict[int, list[Node]], used: list[Node], trial: dict[str, Resources]
) -> list[Node] | None:
    """Each bundle a node of its own: by augmenting paths, so that one is found if there is one."""
    holder: dict[str, Bundle] = {}
    where: dict[int, Node] = {}

    def settle(bundle: Bundle, seen: set[str]) -> bool:
        for node in sorted(choices[id(bundle)], key=lambda n: n.id in holder):
            if node in used or node.id in seen or not trial[node.id].fits(bundle.shape):
                continue
            seen.add(node.id)
            other = holder.get(node.id)
            if other is None or settle(other, seen):
                holder[node.id], where[id(bundle)] = bundle, node
                return True
        return False

    if all(settle(bundle, set()) for bundle in missing):
        return [where[id(b)] for b in missing]
    return None
