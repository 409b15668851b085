"""The nodes as the hub knows them: made from settings, added, removed, and described as Ray describes them."""

from __future__ import annotations

import dataclasses
import math
import os
import socket
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from shoal.assigned import Assigned
from shoal.config import Settings, default_cpus
from shoal.exceptions import ShoalValueError
from shoal.hub.peer import Peer
from shoal.ids import NodeID
from shoal.scheduler import events as ev
from shoal.scheduler.nodes import Node
from shoal.scheduler.resources import Resources, amounts, units
from shoal.scheduler.rows import node_row
from shoal.scheduler.tables import Worker
from shoal.wishes import Wish

if TYPE_CHECKING:
    from shoal.hub.loop import Hub

NOWHERE = Wish()


def head(settings: Settings) -> Node:
    """The node that the hub and the drivers are on."""
    offered = {
        "CPU": settings.cpus,
        "GPU": settings.gpus,
        "memory": settings.memory,
        "object_store_memory": settings.store,
        **dict(settings.resources),
    }
    return _node(1, offered, dict(settings.labels), math.ceil(settings.cpus), settings.node_name)


def _node(number: int, offered: Mapping[str, float], labels: Mapping[str, str], pool: int, name: str) -> Node:
    node_id = NodeID.from_random().hex()
    # Each its own address of this machine, so that `node:ADDRESS` means one of them.
    address = f"127.0.{number >> 8}.{number & 255}"
    offered = {k: v for k, v in offered.items() if v or k == "CPU"}
    resources = Resources(units({**offered, f"node:{address}": 1.0}))
    return Node(node_id, resources, pool, {"ray.io/node-id": node_id, **labels}, name or address, address)


class HubNodes:
    """The questions and messages about nodes."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self.questions: dict[str, Callable[..., Any]] = {
            "nodes": self.rows,
            "add_node": self.add,
            "remove_node": self.remove,
            "resize": self._resize,
        }
        self._devices = [d for d in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if d.strip()]

    def assign(self, peer: Peer, worker: Worker) -> None:
        """Tell a worker what it has for what it is to run, unless it knows."""
        wish = worker.wish or NOWHERE
        lease = worker.shape, worker.gpus, wish.group, wish.capture
        if peer.lease != lease:
            peer.lease = lease
            node, devices = worker.node, self._devices
            numbers = [number for number, _ in worker.gpus]
            gpus = tuple(devices[n] if n < len(devices) else n for n in numbers)
            labels, held = tuple(node.labels.items()), tuple(amounts(dict(worker.shape)).items())
            peer.send(("assigned", Assigned(node.id, node.address, labels, held, gpus, wish.group, wish.capture)))

    def start(self) -> None:
        """The further nodes that the cluster is started with."""
        for given in self._hub.settings.nodes:
            self.add(given)

    def add(self, given: Mapping[str, Any]) -> str:
        """As `shoal.config.node_spec` has checked it; returns the id of the new node."""
        table = self._hub.scheduler.nodes.table
        cpus = given["num_cpus"]
        offered = {
            "CPU": cpus,
            "GPU": given["num_gpus"],
            "memory": given["memory"],
            "object_store_memory": given["object_store_memory"],
            **given.get("resources", {}),
        }
        # A machine plays many nodes: each keeps no more workers than the machine has use for.
        pool = min(math.ceil(cpus), default_cpus())
        node = _node(len(table) + 1, offered, given.get("labels", {}), pool, given["node_name"])
        self._hub.post(ev.NodeAdded(node))
        return node.id

    def remove(self, node_id: str) -> None:
        nodes = self._hub.scheduler.nodes
        node = nodes.table.get(node_id)
        if node is None or not node.alive:
            raise ShoalValueError(f"there is no node {node_id} that is alive")
        if node is next(iter(nodes.table.values())):
            raise ShoalValueError("the head node goes with the cluster: call shutdown()")
        self._hub.post(ev.NodeRemoved(node_id, "it was removed"))

    def _resize(self, cpus: int) -> None:
        """The head node has so many CPUs from now on."""
        hub = self._hub
        head = next(iter(hub.scheduler.nodes.table.values()))
        hub.settings = dataclasses.replace(hub.settings, cpus=cpus)
        hub.post(ev.NodeResized(head.id, units({"CPU": cpus})["CPU"], math.ceil(cpus)))

    def rows(self) -> list[dict[str, Any]]:
        """All nodes, dead ones too, with Ray's keys."""
        host = socket.gethostname()
        folder = str(self._hub.folder)
        return [node_row(node, host, folder) for node in self._hub.scheduler.nodes.table.values()]
