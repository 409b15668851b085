"""``%cluster``: the cluster of this notebook."""

from __future__ import annotations

import contextlib
from typing import Any

from IPython.core.error import UsageError

from shoal import cluster, lifecycle
from shoal.config import default_cpus
from shoal.exceptions import ClusterDiedError, ClusterError
from shoal_kernelext.interrupt import counted
from shoal_kernelext.magics.arguments import argument, arguments, parsed
from shoal_kernelext.session import Session

_USAGE = "%cluster [status], %cluster start [-n CPUS] [--name NAME], %cluster connect NAME, %cluster stop"


class ClusterMagic:
    """Starts, shows, joins and stops the cluster that a session works on."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @arguments(
        argument("command", nargs="?", default="status", help="status, start, stop or connect"),
        argument("target", nargs="?", help="connect: the name of a running cluster, or auto"),
        argument("-n", "--cpus", type=int, help="start: as many tasks run at once"),
        argument("--name", help="start: a name by which others can connect"),
        argument("--oversubscribe", action="store_true", help="start: allow more CPUs than there are"),
    )
    def cluster(self, line: str) -> None:
        """The cluster of this notebook: shown, started, joined, stopped. It starts by itself at first use."""
        given = parsed(self.cluster, line, _USAGE)
        commands = {
            "status": self._status, "start": self._start, "stop": self._stop, "connect": self._connect
        }  # fmt: skip
        command = commands.get(given.command)
        if command is None:
            raise UsageError(f"%cluster knows no {given.command!r}. Use it so: {_USAGE}")
        if given.target is not None and given.command != "connect":
            raise UsageError(f"%cluster {given.command} takes no {given.target!r}. Use it so: {_USAGE}")
        if given.command != "start" and (given.cpus is not None or given.name or given.oversubscribe):
            raise UsageError(f"options are for %cluster start. Use it so: {_USAGE}")
        try:
            command(given)
        except (ClusterError, ValueError) as error:
            complaint = str(error)
        else:
            return
        raise UsageError(complaint)

    def _status(self, given: Any) -> None:
        here = _here()
        if here is None:
            print("no cluster yet: it starts at first use, or by %cluster start" + running())
        else:
            print(describe(here))

    def _start(self, given: Any) -> None:
        there = default_cpus()
        if given.cpus is not None and given.cpus < 1:
            raise UsageError(f"-n {given.cpus} makes no cluster: give 1 or more, or leave -n out for {there}")
        if given.cpus is not None and given.cpus > there and not given.oversubscribe:
            raise UsageError(
                f"-n {given.cpus} is more than the {there} CPUs there are: give {there} or less, "
                f"or add --oversubscribe to have them share"
            )
        here = _here()
        if here is not None:
            raise UsageError(
                f"this notebook works on the cluster {here.name} already: run %cluster stop first for a new one"
            )
        made = cluster.start(cpus=given.cpus, name=given.name)
        cluster.use(made)
        print(describe(made))

    def _connect(self, given: Any) -> None:
        if given.target is None:
            raise UsageError("%cluster connect needs a name" + (running() or ": no cluster of yours runs"))
        here = _here()
        if here is not None:
            if here.name != given.target:
                raise UsageError(
                    f"this notebook works on the cluster {here.name}: run %cluster stop first to join another"
                )
        else:
            here = cluster.connect_to(given.target)
            cluster.use(here)
        print(describe(here))

    def _stop(self, given: Any) -> None:
        here = _here()
        if here is None:
            print("no cluster to stop")
            return
        self._session.output.flush()
        name = here.name
        alone = here.folder is None or here.status()["clients"] == 1
        if alone and here.folder is not None:
            with contextlib.suppress(ClusterDiedError):  # it may be gone before it has answered
                here.engine.query("stop")
        lifecycle.shutdown()
        stopped = alone or name not in cluster.running_names()
        print(f"stopped the cluster {name}" if stopped else f"left the cluster {name}, which goes on")


def describe(here: cluster.Cluster) -> str:
    """A cluster in a line."""
    if here.folder is None:
        return f"cluster {here.name}: all work runs in the notebook's own thread"
    found = here.status()
    total, free = found["total"].get("CPU", 0), found["available"].get("CPU", 0)
    used, capacity = found["store"]
    parts = [
        f"{total - free:g} of {total:g} CPUs busy",
        counted(found["tasks"], "task"),
        counted(sum(actor["state"] != "DEAD" for actor in found["actors"]), "actor"),
        f"{used / 1e6:,.0f} of {capacity / 1e6:,.0f} MB in {counted(found['objects'], 'object')}",
        f"up {found['age']:,.0f} s",
    ]
    return f"cluster {here.name}: " + ", ".join(parts)


def running() -> str:
    """A clause on the clusters that could be joined; empty where there are none."""
    names = cluster.running_names()
    return f" (running: {', '.join(names)}; %cluster connect NAME joins one)" if names else ""


def _here() -> cluster.Cluster | None:
    here = cluster.current()
    return here if here is not None and here.alive else None
