"""Nodes and placement groups come and go: what becomes of the work there."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from shoal.scheduler import events as ev
from shoal.scheduler.commands import Fail, GroupPlaced, KillWorker
from shoal.scheduler.groups import CREATED, REMOVED, Group
from shoal.scheduler.resources import UNIT
from shoal.scheduler.tables import ACTOR, Actor

if TYPE_CHECKING:
    from shoal.scheduler.state import Scheduler


class Places:
    """The events of nodes and groups."""

    def __init__(
        self,
        scheduler: Scheduler,
        end_actor: Callable[[Actor, str, type[KillWorker]], None],
        settled: Callable[[bytes, str | None], None],
    ) -> None:
        self._scheduler = scheduler
        self._end_actor = end_actor
        self._settled = settled
        self._placement = scheduler.placement
        self._groups = scheduler.placement.groups
        self.handlers: dict[type, Callable[[Any], None]] = {
            ev.NodeAdded: self._node_added,
            ev.NodeRemoved: self._node_removed,
            ev.NodeResized: self._node_resized,
            ev.GroupCreated: lambda e: self._groups.add(e.group),
            ev.GroupRemoved: self._group_removed,
            ev.GroupAwaited: self._group_awaited,
        }

    def _node_added(self, e: ev.NodeAdded) -> None:
        self._placement.nodes.add(e.node)
        self._placement.pool.fill()

    def _node_removed(self, e: ev.NodeRemoved) -> None:
        node = self._placement.nodes.table.get(e.node)
        if node is None or not node.alive:
            return
        for worker in self._placement.end_node(node, e.reason):
            self._scheduler.out.append(KillWorker(worker.id))
        self._scheduler.lineage.node_lost(node)
        self._placement.recheck()

    def _node_resized(self, e: ev.NodeResized) -> None:
        node = self._placement.nodes.table.get(e.node)
        if node is not None and node.alive:
            node.resources.resize("CPU", e.cpus)
            node.pool = e.pool
            self._placement.pool.fill()
            short = -node.resources.free["CPU"]
            if short > 0 and self._placement.lending:  # what is lent goes on being used by its driver otherwise
                self._placement.lending.recall(-(-short // UNIT))

    def _group_removed(self, e: ev.GroupRemoved) -> None:
        group = self._groups.table.get(e.group)
        if group is not None and group.state != REMOVED:
            self._remove(group)

    def _remove(self, group: Group) -> None:
        scheduler = self._scheduler
        reason = "its placement group was removed"
        for worker in self._placement.dissolve(self._groups.remove(group)):
            actor = scheduler.actors.table.get(worker.actor or b"") if worker.state == ACTOR else None
            if actor is not None:
                self._end_actor(actor, reason, KillWorker)
            else:
                scheduler.out.append(KillWorker(worker.id))
        self._placement.recheck()
        awaiting, group.awaiting = group.awaiting, []
        if awaiting:
            scheduler.out.append(Fail(tuple(awaiting), "TaskPlacementGroupRemoved", f"it will not be ready: {reason}"))
        for object_id in awaiting:
            self._settled(object_id, "TaskPlacementGroupRemoved")

    def _group_awaited(self, e: ev.GroupAwaited) -> None:
        group = self._groups.table.get(e.group)
        self._scheduler.objects.expect(e.object, e.client)
        if group is None or group.state == REMOVED:
            message = "there is no such placement group: it was removed"
            self._scheduler.out.append(Fail((e.object,), "TaskPlacementGroupRemoved", message))
            self._settled(e.object, "TaskPlacementGroupRemoved")
        elif group.state == CREATED:
            self._settled(e.object, None)
        else:
            group.awaiting.append(e.object)

    def place_groups(self) -> None:
        for group in self._groups.place():
            self._scheduler.out.append(GroupPlaced(group.id))
            awaiting, group.awaiting = group.awaiting, []
            for object_id in awaiting:
                self._settled(object_id, None)
        if self._groups.pending and self._placement.lending:  # what is lent may be what they wait for
            self._placement.lending.recall(sum(len(g.bundles) for g in self._groups.pending))

    def job_ended(self, job: int) -> None:
        for group in list(self._groups.table.values()):
            if group.job == job and not group.detached and group.state != REMOVED:
                self._remove(group)

    def creator_ended(self, actor: bytes) -> None:
        """What a detached actor made ends with its process; what another made, with its job."""
        for group in list(self._groups.table.values()):
            if group.creator == actor and not group.detached and group.job == 0 and group.state != REMOVED:
                self._remove(group)
