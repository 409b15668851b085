"""Clusters in words: this notebook's, those that run, the one that was left behind; and what comes back with it."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from shoal import cluster, lifecycle, tables
from shoal.actors import list_named_actors
from shoal.exceptions import ClusterDiedError, ClusterError, ShoalError
from shoal.reasons import counted, lasting, sized
from shoal.refs import ObjectRef
from shoal.util import results
from shoal_kernelext.restart import LeftBehind, left_behind


def describe(here: cluster.Cluster) -> str:
    """A cluster in a line, and another for each kind of thing that stays there by a name."""
    if here.folder is None:
        return f"cluster {here.name}: all work runs in the notebook's own thread"
    found = here.status()
    lines = [f"cluster {here.name}: " + ", ".join(_figures(found))]
    named = results.table()
    if named:
        lines.append(f"named results: {', '.join(map(_result, named))}")
    detached = [a["name"] or a["class"] for a in _actors(found) if a["detached"]]
    if detached:
        lines.append(f"detached actors: {', '.join(detached)}")
    return "\n".join(lines)


def _figures(found: dict[str, Any]) -> list[str]:
    total, free = found["total"].get("CPU", 0), found["available"].get("CPU", 0)
    used, capacity = found["store"]
    return [
        f"{total - free:g} of {total:g} CPUs busy",
        counted(found["tasks"], "task"),
        counted(len(_actors(found)), "actor"),
        f"{used / 1e6:,.0f} of {capacity / 1e6:,.0f} MB in {counted(found['objects'], 'object')}",
        f"up {found['age']:,.0f} s",
    ]


def _actors(found: dict[str, Any]) -> list[dict[str, Any]]:
    return [actor for actor in found["actors"] if actor["state"] != "DEAD"]


def _result(row: results.NamedResult) -> str:
    return f"{row.name} ({sized(row.size) if row.size is not None else row.state})"


def running(but: str = "") -> str:
    """A clause on the clusters that could be joined; empty where there are none."""
    names = [name for name in cluster.running_names() if name != but]
    return f" (running: {', '.join(names)}; %cluster connect NAME joins one)" if names else ""


def offer(left: LeftBehind) -> str:
    """The cluster that this kernel held before its restart: what lives there, and how to have it again."""
    told = [f"The cluster {left.name} of before the restart still runs"]
    try:
        found = cluster.ask(left.name, "status")
    except ShoalError:
        found = None
    if found is not None:
        actors, names = [a["name"] or a["class"] for a in _actors(found)], found["results"]
        parts = [f"left {lasting(time.time() - left.at)} ago"]
        parts += [f"{counted(len(actors), 'actor')} ({', '.join(actors)})"] if actors else []
        parts += [f"{counted(len(names), 'named result')} ({', '.join(names)})"] if names else []
        parts += [f"{sized(found['store'][0])} in {counted(found['objects'], 'object')}"] if found["objects"] else []
        parts += [f"{counted(found['tasks'], 'task')} under way"] if found["tasks"] else []
        told.append(f" ({'; '.join(parts)})")
    return "".join(told) + f": %cluster connect {left.name} takes it up again, %cluster stop {left.name} ends it"


def join(name: str, kernel: Any) -> cluster.Cluster:
    """Join a running cluster; one that this kernel left behind with the names of its actors."""
    here = cluster.connect_to(name)
    for left in left_behind(kernel):
        if left.name == here.name:
            here.engine.use_namespace(left.namespace)
    cluster.use(here)
    return here


def bring_back(names: dict[str, Any]) -> list[str]:
    """Have the named results again, each as it was saved, under the names that are free; in words."""
    told = []
    taken = []
    for row in results.table():
        if not row.name.isidentifier() or row.state == "failed":
            continue
        if row.name in names:
            taken.append(row.name)
            continue
        ref: ObjectRef[Any] = results.load(row.name)
        names[row.name] = ref._engine.get([ref.binary()], None)[0] if row.plain else ref
        told.append(row.name)
    lines = [f"here again: {', '.join(told)}"] if told else []
    if taken:
        lines.append(f"not taken, for the notebook has such a name: {', '.join(taken)} (shoal.util.results.load)")
    actors = list_named_actors()
    if actors:
        lines.append(f"actors: {', '.join(f'shoal.get_actor({name!r})' for name in actors)}")
    return lines


def end(here: cluster.Cluster) -> bool:
    """End this notebook's cluster, or leave it to the other programs that use it; whether it was ended."""
    alone = here.folder is None or here.status()["clients"] == 1
    if alone and here.folder is not None:
        with contextlib.suppress(ClusterDiedError):  # it may be gone before it has answered
            here.engine.query("stop")
    lifecycle.shutdown()
    return alone


def end_other(name: str) -> int:
    """End one that nobody uses: it waits for a kernel that restarts, or for who wants what is kept there.

    Returns how many programs use it: while there are such it goes on.
    """
    users: int = cluster.ask(name, "status")["clients"]
    if not users:
        with contextlib.suppress(ClusterError):  # it may be gone before it has answered
            cluster.ask(name, "stop")
    return users


class Listing:
    """This user's clusters, as a table."""

    def __init__(self, here: str | None) -> None:
        self._rows = [row for name in cluster.running_names() if (row := _row(name, here)) is not None]

    _HEAD = ("cluster", "CPUs", "tasks", "actors", "results", "objects", "programs", "up")
    _RIGHT = tuple(range(1, 8))

    def __repr__(self) -> str:
        if not self._rows:
            return "no cluster of yours runs on this machine: %cluster start makes one"
        return tables.as_text(self._HEAD, self._rows, self._RIGHT)

    def _repr_html_(self) -> str | None:
        return tables.as_html(self._HEAD, self._rows, self._RIGHT) if self._rows else None


def _row(name: str, here: str | None) -> tuple[str, ...] | None:
    try:
        found = cluster.ask(name, "status")
    except ShoalError:
        return None  # it has just gone
    total, free = found["total"].get("CPU", 0), found["available"].get("CPU", 0)
    return (
        f"{name} (this notebook's)" if name == here else name, f"{total - free:g} of {total:g}", f"{found['tasks']:,}",
        f"{len(_actors(found)):,}", f"{len(found['results']):,}", sized(found["store"][0]), f"{found['clients']:,}",
        lasting(found["age"]),
    )  # fmt: skip
