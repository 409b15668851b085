"""Small tables, as text and as plain HTML that a notebook keeps: no script, no class."""

from __future__ import annotations

import html
from collections.abc import Sequence

Row = Sequence[str]

_SHORT = 40
"""Characters of a cell that are never broken into lines."""
_CELL = "padding:2px 12px 2px 0;text-align:{};vertical-align:top;white-space:{}"


def as_text(head: Row, rows: Sequence[Row], right: Sequence[int] = ()) -> str:
    """Columns under their names; `right` tells which are flush right. The last may be as long as it wants.

    >>> print(as_text(("size", "what"), [("4 MB", "x"), ("12 MB", "y")], right=(0,)))
     size  what
     4 MB  x
    12 MB  y
    """
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    told = []
    for line in lines:
        cells = [c.rjust(w) if i in right else c.ljust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True))]
        told.append("  ".join(cells).rstrip())
    return "\n".join(told)


def as_html(head: Row, rows: Sequence[Row], right: Sequence[int] = (), caption: str = "") -> str:
    """The same as a table, in which long cells wrap."""

    def cells(row: Row, tag: str) -> str:
        told = ""
        for i, cell in enumerate(row):
            style = _CELL.format("right" if i in right else "left", "nowrap" if len(cell) <= _SHORT else "normal")
            scope = ' scope="col"' if tag == "th" else ""
            told += f'<{tag}{scope} style="{style}">{html.escape(cell)}</{tag}>'
        return f"<tr>{told}</tr>"

    above = f'<caption style="text-align:left;padding:0 0 4px">{html.escape(caption)}</caption>' if caption else ""
    body = "".join(cells(row, "td") for row in rows)
    return f'<table style="margin:0">{above}<thead>{cells(head, "th")}</thead><tbody>{body}</tbody></table>'
