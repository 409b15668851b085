"""The table people read: shoal's value, and each peer's with how many times better shoal is."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.rows import ROWS, Row

Values = Mapping[str, Mapping[str, float]]
"""Peer -> row key -> value."""

LEGEND = "×4.0: shoal is four times as good as this peer; ×0.5: half as good; –: not on offer."


def ratio(row: Row, ours: float, theirs: float) -> float:
    """How many times better ours is."""
    better, worse = (ours, theirs) if row.higher_is_better else (theirs, ours)
    return better / worse if worse else float("inf")


def render(values: Values) -> str:
    """The table as text; shoal, where it was measured, is the first column."""
    peers = list(values)
    lines = [["", *peers]]
    for row in ROWS:
        if any(row.key in values[peer] for peer in peers):
            cells = [_cell(row, values, peer) for peer in peers]
            lines.append([f"{row.title}, {row.unit}", *cells])
    widths = [max(len(line[column]) for line in lines) for column in range(len(peers) + 1)]
    text = [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]
    return "\n".join([text[0], "-" * len(text[0]), *text[1:], "", LEGEND])


def _cell(row: Row, values: Values, peer: str) -> str:
    value = values[peer].get(row.key)
    if value is None:
        return "–"
    ours = values.get("shoal", {}).get(row.key)
    text = number(value)
    return text if peer == "shoal" or ours is None else f"{text} ×{number(ratio(row, ours, value))}"


def number(value: float) -> str:
    """Three digits that count: 0.0123, 1.23, 12.3, 123, 12,345."""
    if value >= 100:
        return f"{value:,.0f}"
    for digits, bound in ((1, 10.0), (2, 1.0), (3, 0.1)):
        if value >= bound:
            return f"{value:.{digits}f}"
    return f"{value:.2g}"
