"""``%cluster``: the cluster of this notebook."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from IPython.core.error import UsageError

from shoal import cluster
from shoal.cluster import Cluster
from shoal.config import default_cpus
from shoal.exceptions import ShoalError
from shoal.util import results
from shoal_kernelext.clusters import Listing, bring_back, describe, end, end_other, join, offer, running
from shoal_kernelext.demands import size
from shoal_kernelext.doctor import Report, examined
from shoal_kernelext.magics.arguments import argument, arguments, parsed, unquoted
from shoal_kernelext.restart import left_behind
from shoal_kernelext.session import Session

_USAGE = (
    "%cluster [status], %cluster start [-n CPUS] [--gpus N] [--memory SIZE] [--name NAME], %cluster connect [NAME], "
    "%cluster scale CPUS, %cluster keep NAMES, %cluster drop NAMES, %cluster list, %cluster doctor, %cluster restart, "
    "%cluster stop"
)
_SIZED = ("start", "restart", "scale")
_NAMES = {"connect": 1, "stop": 1, "scale": 1, "keep": 1000, "drop": 1000}
"""Commands that take words behind them, and how many."""
COMMANDS = ("status", "start", "connect", "scale", "keep", "drop", "list", "doctor", "restart", "stop")


class ClusterMagic:
    """Starts, shows, joins, scales and stops the cluster that a session works on."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._commands: dict[str, Callable[[Any], Any]] = {
            "status": self._status, "start": self._start, "stop": self._stop, "connect": self._connect,
            "scale": self._scale, "restart": self._restart, "doctor": self._doctor, "list": self._list,
            "keep": self._keep, "drop": self._drop,
        }  # fmt: skip

    @arguments(
        argument("command", nargs="?", default="status", help=f"{', '.join(COMMANDS)}; status where none is given"),
        argument("target", nargs="*", help="connect, stop: a cluster's name; scale: a number; keep, drop: names"),
        argument("-n", "--cpus", type=int, help="start, restart: as many tasks run at once"),
        argument("--gpus", type=int, help="start, restart: GPUs that tasks can ask for"),
        argument("--memory", help="start, restart: memory that tasks can ask for, like 4GB"),
        argument("--name", help="start: a name by which others can connect"),
        argument("--oversubscribe", action="store_true", help="start, restart, scale: more CPUs than there are"),
    )
    def cluster(self, line: str) -> Any:
        """The cluster of this notebook. It starts by itself at first use; nothing of it is left when the kernel ends.

        %cluster                  what it is and does; before first use, what could be joined
        %cluster start -n 4       start one; run again with equal arguments it does nothing
        %cluster connect NAME     join another of yours, or the one from before the kernel's restart: what was kept by
                                  name is in the notebook again, named actors by shoal.get_actor
        %cluster scale 8          run more or fewer tasks at once from now on; what runs goes on
        %cluster keep x y         keep these values or refs on the cluster by their names, over a kernel's restart
        %cluster drop x           and no longer
        %cluster list             the clusters of this user on this machine
        %cluster doctor           versions, front end, memory, files, CPUs, leftovers: what is wrong, and its cure
        %cluster restart          end it with all that it holds, and start it anew with the same settings
        %cluster stop             end it; one that other programs use is only left
        """
        given = parsed(self.cluster, line, _USAGE)
        command = self._commands.get(given.command)
        if command is None:
            raise UsageError(f"%cluster knows no {given.command!r}. Use it so: {_USAGE}")
        if len(given.target) > _NAMES.get(given.command, 0):
            extra = given.target[_NAMES.get(given.command, 0)]
            raise UsageError(f"%cluster {given.command} takes no {extra!r}. Use it so: {_USAGE}")
        self._check_options(given)
        try:
            return command(given)
        except (ShoalError, ValueError) as error:
            complaint = str(error)
        raise UsageError(complaint)

    @staticmethod
    def _check_options(given: Any) -> None:
        sized = given.cpus is not None or given.gpus is not None or given.memory
        if sized and given.command not in ("start", "restart"):
            raise UsageError(f"sizes are for %cluster start and restart. Use it so: {_USAGE}")
        if given.name and given.command != "start":
            raise UsageError(f"--name is for %cluster start. Use it so: {_USAGE}")
        if given.oversubscribe and given.command not in _SIZED:
            raise UsageError(f"--oversubscribe is for %cluster {', '.join(_SIZED)}. Use it so: {_USAGE}")

    # what there is

    def _status(self, given: Any) -> None:
        here = cluster.living()
        if here is not None:
            print(describe(here))
            return
        left = left_behind(self._session.kernel)
        if left:
            print("\n".join(map(offer, left)))
        else:
            print("no cluster yet: it starts at first use, or by %cluster start" + running())

    def _list(self, given: Any) -> Listing:
        here = cluster.living()
        return Listing(here.name if here is not None else None)

    def _doctor(self, given: Any) -> Report:
        return examined(cluster.living(), self._session)

    # started, joined, ended

    def _start(self, given: Any) -> None:
        _check_cpus("-n", given.cpus, given.oversubscribe)
        here = cluster.living()
        if here is None:
            here = cluster.start(
                cpus=given.cpus, gpus=given.gpus, memory=_bytes(given.memory), name=unquoted(given.name) or None
            )
            cluster.use(here)
        elif not _is_like(here, given):
            raise UsageError(
                f"this notebook works on the cluster {here.name} already: run %cluster stop first for a new one, "
                "or %cluster scale for another number of CPUs"
            )
        print(describe(here))

    def _connect(self, given: Any) -> None:
        here = cluster.living()
        name = given.target[0] if given.target else self._only(here)
        if here is not None and here.name != name:
            raise UsageError(
                f"this notebook works on the cluster {here.name}: run %cluster stop first to join another"
            )
        if here is None:
            here = join(name, self._session.kernel)
            back = bring_back(self._session.shell.user_ns)
        else:
            back = []
        print("\n".join([describe(here), *back]))

    def _only(self, here: Cluster | None) -> str:
        """The one that is meant where no name is given."""
        if here is not None:
            return here.name
        left = [found.name for found in left_behind(self._session.kernel)]
        names: list[str] = left or cluster.running_names()
        if len(names) != 1 and not left:
            raise UsageError("%cluster connect needs a name" + (running() or ": no cluster of yours runs"))
        return names[0]

    def _stop(self, given: Any) -> None:
        here = cluster.living()
        if given.target and (here is None or here.name != given.target[0]):
            self._stop_other(given.target[0])
            return
        if here is None:
            print("no cluster to stop")
            return
        self._session.output.flush()
        name = here.name
        stopped = end(here) or name not in cluster.running_names()
        print(f"stopped the cluster {name}" if stopped else f"left the cluster {name}, which goes on")

    @staticmethod
    def _stop_other(name: str) -> None:
        users = end_other(name)
        if users:
            raise UsageError(f"{users} programs use the cluster {name}" if users > 1 else f"a program uses {name}")
        print(f"stopped the cluster {name}")

    def _restart(self, given: Any) -> None:
        _check_cpus("-n", given.cpus, given.oversubscribe)
        here = cluster.living()
        if here is None or here.folder is None:
            raise UsageError("there is no cluster to restart: %cluster start makes one")
        self._session.output.flush()
        sizes = {"cpus": given.cpus, "gpus": given.gpus, "memory": _bytes(given.memory)}
        made = cluster.restart(here, **{name: value for name, value in sizes.items() if value is not None})
        print(describe(made))

    def _scale(self, given: Any) -> None:
        here = cluster.living()
        if here is None or here.folder is None:
            raise UsageError("there is no cluster to scale: %cluster start -n CPUS makes one")
        if not given.target or not given.target[0].isdigit():
            raise UsageError("%cluster scale needs a number of CPUs, as in %cluster scale 4")
        cpus = int(given.target[0])
        _check_cpus("scale", cpus, given.oversubscribe)
        here.scale(cpus)
        print(describe(here))

    # what stays by name

    def _keep(self, given: Any) -> None:
        names = self._session.shell.user_ns
        if not given.target:
            raise UsageError("%cluster keep needs names of the notebook, as in %cluster keep model scores")
        for name in given.target:
            if name not in names:
                raise UsageError(f"the notebook has no {name!r} to keep")
        for name in given.target:
            results.save(name, names[name])
        print(f"kept on the cluster until %cluster drop: {', '.join(given.target)}")

    def _drop(self, given: Any) -> None:
        if not given.target:
            raise UsageError("%cluster drop needs names, as in %cluster drop model")
        if cluster.living() is None:
            raise UsageError("there is no cluster: nothing is kept")
        for name in given.target:
            results.drop(name)
        print(f"no longer kept: {', '.join(given.target)}")


def completions(shell: Any, event: Any) -> list[str]:
    """For IPython's completer: the commands, the names of clusters and of what is kept."""
    words = event.line[: event.line.rfind(event.symbol)].split() if event.symbol else event.line.split()
    if len(words) <= 1:
        return list(COMMANDS)
    if words[1] in ("connect", "stop"):
        return cluster.running_names()
    if words[1] == "keep":
        hidden = shell.user_ns_hidden
        return [name for name in shell.user_ns if name not in hidden and not name.startswith("_")]
    if words[1] == "drop" and cluster.living() is not None:
        return results.names()
    return ["--cpus", "--gpus", "--memory", "--name", "--oversubscribe"] if words[1] in ("start", "restart") else []


def _check_cpus(what: str, cpus: int | None, oversubscribe: bool) -> None:
    there = default_cpus()
    if cpus is not None and cpus < 1:
        raise UsageError(f"{what} {cpus} makes no cluster: give 1 or more, or leave it out for {there}")
    if cpus is not None and cpus > there and not oversubscribe:
        raise UsageError(
            f"{what} {cpus} is more than the {there} CPUs there are: give {there} or less, "
            f"or add --oversubscribe to have them share"
        )


def _bytes(text: str | None) -> int | None:
    return None if not text else int(size(unquoted(text)))


def _is_like(here: Cluster, given: Any) -> bool:
    """Whether what was asked for is what there is."""
    if here.folder is None:
        return given.cpus is None and given.gpus is None and not given.memory and not given.name
    settings = here.engine.query("settings")
    name, memory = unquoted(given.name) or None, _bytes(given.memory)
    wanted = {"cpus": given.cpus, "gpus": given.gpus, "memory": memory, "name": name}
    return all(value is None or settings[field] == value for field, value in wanted.items())
