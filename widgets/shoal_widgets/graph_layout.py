"""Where the nodes of a graph are drawn and which way its edges go: layers from above to below. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from graphlib import TopologicalSorter
from itertools import pairwise
from typing import NamedTuple

Edge = tuple[str, str]
Point = tuple[float, float]

GAP = 24
"""Between two nodes of a row, in pixels as all sizes."""
BEND = 10
"""Room for an edge that passes through a row."""
FALL = 44
"""Between two layers."""
STACKED = 12
"""Between two rows of one layer."""
LOOP = 56
"""Beside a node with an edge to itself: the loop and its number."""
MARGIN = 6
SWEEPS = 8


class Line(NamedTuple):
    """An edge: the points that it goes through, each upright. `back` goes up, against all others."""

    source: str
    target: str
    points: tuple[Point, ...]
    back: bool = False

    @property
    def loop(self) -> bool:
        """Whether it leads back to where it began; its one point is the middle of the node's right side then."""
        return self.source == self.target


class Layout(NamedTuple):
    """`places` are the upper left corners of nodes."""

    width: float
    height: float
    places: dict[str, Point]
    lines: list[Line]


class _Bend(NamedTuple):
    """Where edges pass through a row: those from one node that has many, or to one."""

    node: str
    leaves: bool
    row: int


_Item = str | _Bend


def arrange(nodes: Sequence[str], edges: Iterable[Edge], size: tuple[int, int], most: int) -> Layout:
    """Lay a graph out.

    Edges go down, each to a lower row; of a cycle one goes back, to a node that comes earlier in `nodes`.

    Args:
        nodes: all of them, each once; their order decides where nothing else does.
        edges: pairs of nodes. Those from a node to itself are loops.
        size: width and height of a node.
        most: nodes in a row; a layer that has more gets several rows. Where there are edges a row may have twice as
            many, for the sake of their order.
    """
    edges = list(dict.fromkeys(edges))
    ways = [edge for edge in edges if edge[0] != edge[1]]
    loops = {source for source, target in edges if source == target}
    back = _back(nodes, ways)
    down = dict.fromkeys((target, source) if (source, target) in back else (source, target) for source, target in ways)
    layers = _layers(nodes, list(down))
    rows: list[list[_Item]] = []
    tops: list[float] = []
    y = float(MARGIN)
    tied = {node for edge in down for node in edge}
    for layer in layers:
        for part in _parts(layer, 2 * most if layer[0] in tied else most):
            tops.append(y)
            rows.append(list(part))
            y += size[1] + STACKED
        y += FALL - STACKED
    chains = _chains(list(down), rows)
    halves: dict[_Item, float] = {
        item: BEND / 2 if isinstance(item, _Bend) else size[0] / 2 + (LOOP if item in loops else 0)
        for row in rows
        for item in row
    }
    x = _across(rows, chains.values(), halves)
    left = min((x[item] - halves[item] for item in x), default=0.0) - MARGIN
    middle = {item: round(x[item] - left, 1) for item in x}
    top = {item: tops[number] for number, row in enumerate(rows) for item in row}
    places = {node: (round(middle[node] - size[0] / 2, 1), top[node]) for node in nodes}
    lines = []
    for edge in edges:
        source, target = edge
        if source == target:
            lines.append(Line(*edge, ((middle[source] + size[0] / 2, top[source] + size[1] / 2),)))
            continue
        chain = chains[(target, source) if edge in back else edge]
        points = [(middle[chain[0]], top[chain[0]] + size[1])]
        for bend in chain[1:-1]:
            points += [(middle[bend], top[bend]), (middle[bend], top[bend] + size[1])]
        points.append((middle[chain[-1]], top[chain[-1]]))
        lines.append(Line(*edge, tuple(reversed(points) if edge in back else points), edge in back))
    width = max((middle[item] + halves[item] for item in x), default=0.0) + MARGIN
    return Layout(width, max(y - FALL, 0.0) + MARGIN, places, lines)


def _back(nodes: Sequence[str], edges: Iterable[Edge]) -> set[Edge]:
    """Edges without which there is no cycle; none if there is none."""
    after: dict[str, list[str]] = {node: [] for node in nodes}
    for source, target in edges:
        after[source].append(target)
    found = set()
    under_way: dict[str, bool] = {}
    for root in nodes:
        if root in under_way:
            continue
        under_way[root] = True
        way = [(root, iter(after[root]))]
        while way:
            node, rest = way[-1]
            for target in rest:
                if under_way.get(target):
                    found.add((node, target))
                elif target not in under_way:
                    under_way[target] = True
                    way.append((target, iter(after[target])))
                    break
            else:
                under_way[node] = False
                way.pop()
    return found


def _layers(nodes: Sequence[str], edges: Sequence[Edge]) -> list[list[str]]:
    """Each node as many layers down as the longest way to it; what no edge leads to is right above where it is
    needed; what has no edges at all is below all others."""
    before: dict[str, list[str]] = {node: [] for node in nodes}
    after: dict[str, list[str]] = {node: [] for node in nodes}
    for source, target in edges:
        before[target].append(source)
        after[source].append(target)
    depth: dict[str, int] = {}
    for node in TopologicalSorter(before).static_order():
        depth[node] = 1 + max((depth[one] for one in before[node]), default=-1)
    last = max((depth[target] for _, target in edges), default=-1)
    for node in nodes:
        if not before[node]:
            depth[node] = min((depth[one] for one in after[node]), default=last + 2) - 1
    found: dict[int, list[str]] = {}
    for node in nodes:
        found.setdefault(depth[node], []).append(node)
    return [found[number] for number in sorted(found)]


def _parts(layer: list[str], most: int) -> list[list[str]]:
    """A layer as rows of about the same length."""
    long = -(-len(layer) // -(-len(layer) // most))
    return [layer[i : i + long] for i in range(0, len(layer), long)]


def _chains(edges: Sequence[Edge], rows: list[list[_Item]]) -> dict[Edge, list[_Item]]:
    """What each edge passes on its way down; its bends are added to the rows. Edges of one node share theirs."""
    level = {item: number for number, row in enumerate(rows) for item in row}
    leaving: dict[str, int] = {}
    coming: dict[str, int] = {}
    for source, target in edges:
        leaving[source] = leaving.get(source, 0) + 1
        coming[target] = coming.get(target, 0) + 1
    chains: dict[Edge, list[_Item]] = {}
    for source, target in edges:
        leaves = leaving[source] >= coming[target]
        bends = [_Bend(source if leaves else target, leaves, row) for row in range(level[source] + 1, level[target])]
        for bend in bends:
            if bend not in level:
                level[bend] = bend.row
                rows[bend.row].append(bend)
        chains[source, target] = [source, *bends, target]
    return chains


def _across(
    rows: list[list[_Item]], chains: Iterable[list[_Item]], halves: Mapping[_Item, float]
) -> dict[_Item, float]:
    """The middle of each item: rows are swept down and up, each item drawn to the mean of those it is tied to in the
    rows that were swept before; the order in a row is that of these means."""
    above: dict[_Item, dict[_Item, None]] = {item: {} for row in rows for item in row}
    below: dict[_Item, dict[_Item, None]] = {item: {} for row in rows for item in row}
    for chain in chains:
        for upper, lower in pairwise(chain):
            below[upper][lower] = None
            above[lower][upper] = None
    x: dict[_Item, float] = {}
    for row in rows:
        x.update(_apart(row, dict.fromkeys(row, 0.0), halves))
    for sweep in range(SWEEPS):
        near, way = (below, rows[::-1]) if sweep % 2 else (above, rows)
        for row in way:
            wish = {item: _mean(x, near[item], x[item]) for item in row}
            row.sort(key=wish.__getitem__)
            x.update(_apart(row, wish, halves))
    for row in rows:
        x.update(_apart(row, {item: _mean(x, above[item] | below[item], x[item]) for item in row}, halves))
    return x


def _mean(x: Mapping[_Item, float], items: Iterable[_Item], otherwise: float) -> float:
    found = [x[item] for item in items]
    return sum(found) / len(found) if found else otherwise


def _apart(row: Sequence[_Item], wish: Mapping[_Item, float], halves: Mapping[_Item, float]) -> dict[_Item, float]:
    """As near to the wishes as the order and the room between neighbours allow (least squares): neighbours that would
    be too close become a block, which stands at the mean of its wishes."""
    offsets: list[float] = []
    for i, item in enumerate(row):
        if i == 0:
            offsets.append(0.0)
        else:
            both = not isinstance(item, _Bend) and not isinstance(row[i - 1], _Bend)
            offsets.append(offsets[-1] + halves[row[i - 1]] + halves[item] + (GAP if both else BEND))
    blocks: list[tuple[float, int]] = []
    for item, offset in zip(row, offsets, strict=True):
        mean, size = wish[item] - offset, 1
        while blocks and blocks[-1][0] >= mean:
            other, many = blocks.pop()
            mean, size = (mean * size + other * many) / (size + many), size + many
        blocks.append((mean, size))
    means = [mean for mean, size in blocks for _ in range(size)]
    return {item: mean + offset for item, mean, offset in zip(row, means, offsets, strict=True)}
