"""Placement groups as the hub knows them: made, removed, awaited, described as Ray describes them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from shoal.exceptions import ShoalValueError
from shoal.hub.peer import Peer
from shoal.scheduler import commands as cmd
from shoal.scheduler import events as ev
from shoal.scheduler.groups import CREATED, Group
from shoal.scheduler.resources import shape_of
from shoal.scheduler.rows import group_row
from shoal.scheduler.tables import ACTOR
from shoal.wishes import Selector, Wish

if TYPE_CHECKING:
    from shoal.hub.loop import Hub


class HubGroups:
    """The questions and messages about placement groups."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._groups = hub.scheduler.groups
        self.questions: dict[str, Callable[..., Any]] = {
            "remove_group": self._remove,
            "group_table": self.table,
            "lacking": self._lacking,
        }

    def create(
        self,
        peer: Peer,
        group: bytes,
        bundles: list[dict[str, float]],
        strategy: str,
        name: str,
        detached: bool,
        parent: bytes | None,
        selectors: list[Selector],
        near: str,
        domain: str,
    ) -> str | None:
        """Returns what it lacks, where it cannot be placed even if nothing else runs."""
        namespace = self._hub.names.of(peer.number, parent)
        if name and self._groups.named(name, namespace) is not None:
            raise ShoalValueError(f"there is a placement group named {name!r} already: remove it, or take another name")
        worker = self._hub.scheduler.workers.get(peer.number)
        creator = worker.actor if worker is not None and worker.state == ACTOR else None
        job = self._hub.job_of(peer, parent)
        made = Group.of(
            group, bundles, selectors, strategy, name, detached, job, creator, namespace, near=near, domain=domain
        )
        made.asked = time.monotonic()
        self._hub.post(ev.GroupCreated(made))
        return None if made.state == CREATED else self._groups.lacking(made)

    def placed(self, command: cmd.GroupPlaced) -> None:
        group = self._groups.table.get(command.group)
        if group is not None:
            group.took = time.monotonic() - group.asked

    def _remove(self, group: bytes) -> None:
        self._hub.post(ev.GroupRemoved(group))

    def await_ready(self, peer: Peer, object_id: bytes, group: bytes, value: tuple[Any, ...]) -> None:
        """A message: the object is ready when the group is."""
        self._hub.values[object_id] = value
        self._hub.memory.written(value)
        self._hub.post(ev.GroupAwaited(peer.number, object_id, group))

    def find(self, peer: Peer, name: str, task: bytes | None) -> bytes | None:
        found = self._groups.named(name, self._hub.names.of(peer.number, task))
        return None if found is None else found.id

    def _lacking(self, resources: dict[str, float], wish: Wish | None) -> str | None:
        return self._hub.scheduler.placement.strategies.lacking(shape_of(resources), wish)

    def table(self, group: bytes | None) -> dict[str, Any]:
        if group is None:
            return {g.id.hex(): group_row(g, self._groups.possible) for g in self._groups.table.values()}
        found = self._groups.table.get(group)
        return {} if found is None else group_row(found, self._groups.possible)
