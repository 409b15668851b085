"""What the live views may ask of this notebook's cluster and do to it."""

from __future__ import annotations

from typing import Any

from shoal.cluster import Cluster


class ClusterHands:
    """Those of one cluster, from any thread. Ids are in hexadecimal."""

    def __init__(self, here: Cluster) -> None:
        self._here = here
        self._engine = here.engine

    def ask(self, what: str, *args: Any) -> Any:
        """A question to the hub. Raises ClusterDiedError once that is gone."""
        return self._engine.query(what, *args)

    def why(self, task: str) -> str:
        """Why a task has not begun, in words."""
        return str(self._here.why(bytes.fromhex(task)))

    def cancel(self, task: str) -> None:
        """Cancel a task and what it has launched, as `shoal.cancel` does."""
        self._engine.cancel(bytes.fromhex(task), force=False, recursive=True)

    def kill(self, actor: str) -> None:
        """End an actor for good."""
        self._engine.kill(bytes.fromhex(actor))
