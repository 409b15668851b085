"""Where something is to run, in the form that travels: what strategies and label selectors come down to."""

from __future__ import annotations

from typing import NamedTuple

Selector = tuple[tuple[str, str, tuple[str, ...]], ...]
"""Conditions on a node's labels: key, "in", "!in", "exists" or "!exists", values."""

# How a wish is meant.
SPREAD = "spread"
NODE = "node"
LABELS = "labels"
GROUP = "group"


class Wish(NamedTuple):
    """For what may not run just anywhere; `how` is one of the words above, or empty for label selectors alone."""

    how: str = ""
    node: str = ""
    soft: bool = False
    """Of a node: another will do where this one is gone or has not enough in all."""
    spill: bool = False
    """Of a soft one: another will do also where this one is only busy."""
    at_once: bool = False
    """Of a hard one: fail where it is busy."""
    hard: Selector = ()
    liked: Selector = ()
    group: bytes = b""
    bundle: int = -1
    capture: bool = False
    """What it submits goes to the same group."""
    selectors: tuple[Selector, ...] = ()
    """One of them must hold, the first that can be met."""
