"""How much of what tasks print a notebook shows and keeps; the environment of the kernel says otherwise.

SHOAL_OUTPUT_LINES  lines of a stream that a cell shows (default: 10000); of what comes after, it shows the latest
SHOAL_OUTPUT_KEPT   bytes of output that are kept for `%output`, of all cells together (default: 67108864)
SHOAL_OUTPUT_NAMES  0: where several tasks print in one cell, their lines are not preceded by who says them
"""

from __future__ import annotations

import os
from typing import NamedTuple

WIDTH = 100
"""Characters of a line, on the average, that a cell shows; a flood may be of long lines."""


class Limits(NamedTuple):
    lines: int = 10_000
    kept: int = 64 << 20
    names: bool = True

    @property
    def characters(self) -> int:
        return self.lines * WIDTH


def limits() -> Limits:
    """As the environment says; what makes no sense there counts as unsaid."""
    usual = Limits()
    return Limits(
        _number("SHOAL_OUTPUT_LINES", usual.lines),
        _number("SHOAL_OUTPUT_KEPT", usual.kept),
        os.environ.get("SHOAL_OUTPUT_NAMES") != "0",
    )


def _number(name: str, usual: int) -> int:
    said = os.environ.get(name, "")
    return int(said) if said.isdigit() else usual
