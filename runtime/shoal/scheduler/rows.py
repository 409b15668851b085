"""Nodes and placement groups as Ray describes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shoal.scheduler.groups import CREATED, REMOVED, Group
from shoal.scheduler.nodes import Node
from shoal.scheduler.resources import amounts

PORT = 0
"""Nothing listens on a port: everything goes by Unix sockets. Ray's rows have the key."""


def node_row(node: Node, host: str, folder: str) -> dict[str, Any]:
    return {
        "NodeID": node.id,
        "Alive": node.alive,
        "NodeManagerAddress": node.address,
        "NodeManagerHostname": host,
        "NodeManagerPort": PORT,
        "ObjectManagerPort": PORT,
        "ObjectStoreSocketName": folder,
        "RayletSocketName": folder,
        "MetricsExportPort": PORT,
        "NodeName": node.name,
        "RuntimeEnvAgentPort": PORT,
        "DeathReason": 0 if node.alive else 1,
        "DeathReasonMessage": node.reason,
        "alive": node.alive,
        "Resources": amounts(node.resources.total) if node.alive else {},
        "Labels": dict(node.labels),
    }


def group_row(group: Group, possible: Callable[[Group], bool]) -> dict[str, Any]:
    if group.state in (CREATED, REMOVED):
        scheduling = "FINISHED" if group.state == CREATED else "REMOVED"
    else:
        scheduling = "NO_RESOURCES" if possible(group) else "INFEASIBLE"
    return {
        "placement_group_id": group.id.hex(),
        "name": group.name,
        "bundles": {i: amounts(dict(b.shape)) for i, b in enumerate(group.bundles)},
        "bundles_to_node_id": {i: "" if b.node is None else b.node.id for i, b in enumerate(group.bundles)},
        "strategy": group.strategy,
        "state": group.state,
        "stats": {
            "end_to_end_creation_latency_ms": group.took * 1000,
            "scheduling_latency_ms": group.took * 1000,
            "scheduling_attempt": 1,
            "highest_retry_delay_ms": 0.0,
            "scheduling_state": scheduling,
        },
    }
