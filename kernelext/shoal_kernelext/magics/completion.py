"""What the tab key offers behind ``%%remote``: its options, and the names of namespaces."""

from __future__ import annotations

from typing import Any

from shoal import cluster
from shoal.exceptions import ShoalError
from shoal_kernelext.magics.remote import RemoteMagic

KEYS = ("%%remote", "%remote", "%autoremote")


def completions(shell: Any, event: Any) -> list[str]:
    """For IPython's completer."""
    words = event.line[: event.line.rfind(event.symbol)].split() if event.symbol else event.line.split()
    if words[-1] == "--on":
        return _namespaces()
    if event.command == "%autoremote" and len(words) == 1:
        return ["on", "off"]
    parser: Any = RemoteMagic.remote.parser  # type: ignore[attr-defined]
    options = [option for action in parser._actions for option in action.option_strings if option.startswith("--")]
    return [option for option in options if option not in words]


def _namespaces() -> list[str]:
    here = cluster.living()
    if here is None or here.folder is None:
        return []
    try:
        actors = here.status()["actors"]
    except ShoalError:
        return []
    return [a["name"] for a in actors if a["name"] and a["state"] != "DEAD" and a["class"] == "RemoteNamespace"]
