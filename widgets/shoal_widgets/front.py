"""What all widgets share: how their files become one module, and how a page reaches them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent


def script(*names: str) -> str:
    """The module of a widget: what all have in common, then the files of these names."""
    return "\n".join((_HERE / f"{name}.js").read_text("utf-8") for name in ("control", "common", *names))


def style(*names: str) -> str:
    """The colours, then the style sheets of these names, as far as there are such."""
    files = [_HERE / f"{name}.css" for name in ("theme", *names)]
    return "\n".join(file.read_text("utf-8") for file in files if file.exists())


def reachable(widget: Any) -> None:
    """Have a page's messages taken though a cell runs."""
    if hasattr(widget.comm, "_reply_subshell_for"):
        # ipykernel 7.4 hands a comm's messages to the subshell the comm last sent from: the main
        # one, which is busy with the cell. Let them go where the front end sends them.
        widget.comm._reply_subshell_for = lambda data, default: default
