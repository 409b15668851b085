"""The magics, and their registration."""

from __future__ import annotations

from typing import Any

from shoal_kernelext.magics.cluster import ClusterMagic
from shoal_kernelext.magics.remote import RemoteMagic
from shoal_kernelext.magics.who_holds import WhoHoldsMagic
from shoal_kernelext.magics.why import WhyMagic
from shoal_kernelext.session import Session

_NAMES = (("line", "cluster"), ("line", "remote"), ("cell", "remote"), ("line", "who_holds"), ("line", "why"))


def register(shell: Any, session: Session) -> None:
    """Make the magics known to a shell."""
    shell.register_magic_function(ClusterMagic(session).cluster, "line", "cluster")
    shell.register_magic_function(RemoteMagic(session).remote, "line_cell", "remote")
    shell.register_magic_function(WhoHoldsMagic(session).who_holds, "line", "who_holds")
    shell.register_magic_function(WhyMagic(session).why, "line", "why")


def unregister(shell: Any) -> None:
    """Take them back."""
    for kind, name in _NAMES:
        shell.magics_manager.magics[kind].pop(name, None)
