"""What the side panel shows of this notebook's cluster and of the others, and what its buttons do."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Mapping
from time import monotonic
from typing import TYPE_CHECKING, Any

from shoal import cluster
from shoal.config import clusters_dir, default_cpus
from shoal.exceptions import ClusterError, ShoalError
from shoal.feed_rows import Counts, FeedState
from shoal_kernelext.clusters import bring_back, end, end_other, join
from shoal_kernelext.restart import left_behind
from shoal_widgets.register import NAMES

if TYPE_CHECKING:
    from shoal_kernelext.session import Session

_LIST_EVERY = 2.0
"""Seconds between two looks at which clusters run on this machine."""

DASHBOARD = "dashboard"

Given = Mapping[str, Any]


def counted(state: FeedState) -> dict[str, Any]:
    """The numbers of a cluster, as the panel shows them; pure."""
    sums = Counts(*(sum(column) for column in zip(*state.counts.values(), strict=True))) if state.counts else Counts()
    return {
        "running": sums.running,
        "queued": sums.pending,
        "done": sums.finished,
        "failed": sums.failed,
        "actors": sum(actor.state != "DEAD" for actor in state.actors.values()),
        "objects": state.store.objects,
        "used": state.cpus[0],
        "total": state.cpus[1],
        "bytes": state.store.used,
        "capacity": state.store.capacity,
        "spilled": state.store.spilled,
    }


class PanelHands:
    """The panel's hands in this notebook; each method is called in a thread of the panel's."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._others: list[dict[str, Any]] = []
        self._listed_at = float("-inf")

    @property
    def acts(self) -> dict[str, Callable[[Given], Given | None]]:
        """By the name that a page gives."""
        return {
            "start": self.start, "connect": self.connect, "stop": self.stop, "cancel": self.cancel,
            "scale": self.scale, "open": self.open, "close": self.close,
        }  # fmt: skip

    def state(self) -> dict[str, Any]:
        """All that is shown now."""
        here = cluster.living()
        own = here.name if here is not None else None
        return {
            "cluster": self._cluster(here) if here is not None else None,
            "others": [other for other in self._listed() if other["name"] != own],
            "views": [*NAMES, DASHBOARD],
            "cpus": default_cpus(),
        }

    @staticmethod
    def _cluster(here: cluster.Cluster) -> dict[str, Any]:
        state = None
        if here.folder is not None:
            with contextlib.suppress(ShoalError):  # it has just gone
                state = here.feed().state
        return {"name": here.name, "inline": here.folder is None, **counted(state or FeedState())}

    def _listed(self) -> list[dict[str, Any]]:
        """This user's clusters on this machine, the youngest first."""
        if monotonic() < self._listed_at + _LIST_EVERY:
            return self._others
        self._listed_at = monotonic()
        left = {found.name for found in left_behind(self._session.kernel)}
        self._others = [
            {"name": name, "since": since, "left": name in left}
            for name in reversed(cluster.running_names())
            if (since := _since(name)) is not None
        ]
        return self._others

    def start(self, given: Given) -> None:
        cpus, name = given.get("cpus"), str(given.get("name") or "")
        _check_cpus(cpus)
        if "/" in name or name.startswith("."):
            raise ValueError(f"{name} is no name for a cluster: leave out slashes and a dot at the start")
        self._check_free()
        made = cluster.start(cpus=cpus, name=name or None)
        try:
            self._check_free()  # a cell may have started one meanwhile
        except ClusterError:
            made.close()
            raise
        cluster.use(made)
        self._listed_at = float("-inf")

    def connect(self, given: Given) -> None:
        self._check_free()
        join(str(given["name"]), self._session.kernel)
        self._session.before_next_cell.append(self._bring_back)
        self._listed_at = float("-inf")

    def _bring_back(self) -> None:
        with contextlib.suppress(ShoalError):  # its cluster has gone since
            for line in bring_back(self._session.shell.user_ns):
                print(f"shoal: {line}", file=sys.stderr)

    @staticmethod
    def _check_free() -> None:
        here = cluster.living()
        if here is not None:
            raise ClusterError(f"this notebook works on the cluster {here.name} already: stop that first")

    def scale(self, given: Given) -> None:
        here = cluster.living()
        if here is None or here.folder is None:
            raise ClusterError("there is no cluster to scale")
        _check_cpus(given["cpus"])
        here.scale(int(given["cpus"]))

    def stop(self, given: Given) -> None:
        here, name = cluster.living(), str(given["name"])
        if here is not None and here.name == name:
            self._session.output.flush()
            end(here)
        else:
            _stop_other(name)
        self._listed_at = float("-inf")

    def cancel(self, given: Given) -> None:
        """Cancel all that this notebook has launched and that is not done."""
        here = cluster.living()
        state = here.feed().state if here is not None and here.folder is not None else None
        if here is None or state is None:
            return
        cells = {cell for (cell, _), counts in state.counts.items() if counts.pending + counts.running}
        for cell in cells:
            if cell is not None and cell.startswith(f"{self._session.id}/"):
                here.cancel_cell(cell)

    def open(self, given: Given) -> Given:
        """Make a live view, or all in tabs; the page shows it beside the notebook."""
        here, name = cluster.living(), str(given["name"])
        if here is None or here.folder is None:
            raise ClusterError("there is no cluster to look at")
        return {"model": self._session.live_views.open_beside(NAMES if name == DASHBOARD else (name,), here)}

    def close(self, given: Given) -> None:
        self._session.live_views.end_beside(str(given["model"]))


def _since(name: str) -> float | None:
    """When a cluster began, in Unix seconds; None when it has just gone."""
    try:
        return (clusters_dir() / name / "hub.sock").stat().st_ctime
    except OSError:
        return None


def _check_cpus(cpus: float | None) -> None:
    most = default_cpus()
    if cpus is not None and not 1 <= cpus <= most:
        raise ValueError(f"{cpus:g} CPUs make no cluster here: give 1 to {most}")


def _stop_other(name: str) -> None:
    users = end_other(name)
    if users:
        used = "another program uses" if users == 1 else f"{users} other programs use"
        raise ClusterError(f"{used} the cluster {name}: it is stopped there")
