"""The magics, and their registration."""

from __future__ import annotations

from typing import Any

from shoal_kernelext.magics import cluster, completion
from shoal_kernelext.magics.autoremote import AutoRemoteMagic
from shoal_kernelext.magics.cancel import CancelMagic
from shoal_kernelext.magics.closure import ClosureMagic
from shoal_kernelext.magics.cluster import ClusterMagic
from shoal_kernelext.magics.logs import LogsMagic
from shoal_kernelext.magics.output import OutputMagic
from shoal_kernelext.magics.remote import RemoteMagic
from shoal_kernelext.magics.retry import RetryMagic
from shoal_kernelext.magics.views import ViewMagics
from shoal_kernelext.magics.who_holds import WhoHoldsMagic
from shoal_kernelext.magics.why import WhyMagic
from shoal_kernelext.session import Session

_MAGICS: tuple[tuple[str, Any, str], ...] = (
    ("actors", ViewMagics, "line"),
    ("autoremote", AutoRemoteMagic, "line"),
    ("cancel", CancelMagic, "line"),
    ("closure", ClosureMagic, "line"),
    ("cluster", ClusterMagic, "line"),
    ("dashboard", ViewMagics, "line"),
    ("graph", ViewMagics, "line"),
    ("logs", LogsMagic, "line"),
    ("objects", ViewMagics, "line"),
    ("output", OutputMagic, "line"),
    ("remote", RemoteMagic, "line_cell"),
    ("retry", RetryMagic, "line"),
    ("tasks", ViewMagics, "line"),
    ("timeline", ViewMagics, "line"),
    ("who_holds", WhoHoldsMagic, "line"),
    ("why", WhyMagic, "line"),
)
"""By name: the class whose method of that name it is, and what it takes."""
_COMPLETIONS = {"%cluster": cluster.completions, **dict.fromkeys(completion.KEYS, completion.completions)}
"""What the tab key offers behind a magic."""


def register(shell: Any, session: Session) -> None:
    """Make the magics known to a shell."""
    for key, found in _COMPLETIONS.items():
        shell.set_hook("complete_command", found, str_key=key)
    for name, cls, kind in _MAGICS:
        shell.register_magic_function(getattr(cls(session), name), kind, name)


def unregister(shell: Any) -> None:
    """Take them back."""
    for key in _COMPLETIONS:
        shell.strdispatchers["complete_command"].strs.pop(key, None)
    for name, _, kinds in _MAGICS:
        for kind in kinds.split("_"):
            shell.magics_manager.magics[kind].pop(name, None)
