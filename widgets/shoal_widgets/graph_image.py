"""The task graph's shapes: paths of its edges, and the whole as an SVG document for the record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from . import palette
from .graph_layout import Line, Point
from .words import escape

PARTS = (("finished", palette.DONE), ("running", palette.UNDER_WAY), ("failed", palette.ERROR),
         ("cancelled", palette.STOPPED))  # fmt: skip
"""Of a node's bar, from the left."""
_CARD, _EDGE, _INK, _FAINT = "#eef1f5", "#c3c9d1", "#30353d", "#5b626c"


def path(line: Line) -> str:
    """The way of an edge, up to its head."""
    if line.loop:
        ((x, y),) = line.points
        return f"M{x:g} {y - 9:g}C{x + 32:g} {y - 24:g} {x + 32:g} {y + 24:g} {x + 7:g} {y + 9:g}"
    (x, y), *rest = line.points
    parts = [f"M{x:g} {y:g}"]
    *ways, (last, end) = rest
    for to, down in [*ways, (last, end + (6 if line.back else -6))]:
        middle = (y + down) / 2
        parts.append(f"V{down:g}" if to == x else f"C{x:g} {middle:g} {to:g} {middle:g} {to:g} {down:g}")
        x, y = to, down
    return "".join(parts)


def head(line: Line) -> str:
    """The arrow's head."""
    x, y = line.points[-1]
    if line.loop:
        return f"M{x:g} {y + 9:g}l8-4v8z"
    return f"M{x:g} {y:g}l-4 {7 if line.back else -7}h8z"


def middle(line: Line) -> Point:
    """Where the edge's number begins."""
    x, y = line.points[-1]
    if line.loop:
        return x + 28, y + 4
    before, above = line.points[-2]
    return round((x + before) / 2 + 6, 1), round((y + above) / 2 + 3, 1)


def document(state: Mapping[str, Any]) -> str:
    """A picture of the Graph view as an image, whose colours suit light and dark ground."""
    width, height = state["width"], state["height"]
    wide, high = state["size"]
    return "".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
            f'height="{height:g}" font-family="sans-serif" font-size="10">',
            *(_edge(edge) for edge in state["edges"]),
            *(_node(node, wide, high) for node in state["nodes"]),
            "</svg>",
        )
    )


def _edge(edge: Mapping[str, Any]) -> str:
    dashes = "" if edge["values"] else ' stroke-dasharray="4 3"'
    x, y = edge["at"]
    text = f'<text x="{x:g}" y="{y:g}" fill="{palette.MUTED}">{edge["label"]}</text>' if edge["label"] else ""
    return (
        f'<path d="{edge["path"]}" fill="none" stroke="{palette.MUTED}" stroke-width="1.25"{dashes}/>'
        f'<path d="{edge["head"]}" fill="{palette.MUTED}"/>{text}'
    )


def _node(node: Mapping[str, Any], wide: int, high: int) -> str:
    x, y = node["x"], node["y"]
    return (
        f'<rect x="{x + 0.5:g}" y="{y + 0.5:g}" width="{wide - 1}" height="{high - 1}" rx="6" fill="{_CARD}" '
        f'stroke="{_EDGE}"/>'
        f'<text x="{x + 10:g}" y="{y + 17:g}" font-size="12" fill="{_INK}">{escape(node["label"])}</text>'
        f'<text x="{x + wide - 10:g}" y="{y + 17:g}" text-anchor="end" fill="{_FAINT}">{escape(node["cell"])}</text>'
        f'<text x="{x + 10:g}" y="{y + 31:g}" fill="{_FAINT}">{escape(node["words"])}</text>'
        f"{''.join(_bar(node['counts'], x + 10, y + high - 10, wide - 20))}"
    )


def _bar(counts: Mapping[str, int], x: float, y: float, width: float) -> Iterable[str]:
    yield f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="4" rx="2" fill="{palette.FRAME}"/>'
    total = sum(counts.values()) or 1
    for name, colour in PARTS:
        part = width * counts[name] / total
        if part:
            yield f'<rect x="{x:.1f}" y="{y:g}" width="{part:.1f}" height="4" fill="{colour}"/>'
        x += part
