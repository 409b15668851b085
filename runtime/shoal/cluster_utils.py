"""Clusters of several nodes played on this machine, for teaching and tests: nodes come, and nodes die.

Follows https://docs.ray.io/en/latest/ray-core/examples/testing-tips.html
"""

from __future__ import annotations

import atexit
import weakref
from typing import Any

from shoal import cluster, lifecycle
from shoal.config import node_spec, spill_of_system
from shoal.exceptions import ClusterDiedError, EngineUnavailable, ShoalValueError

RAYS = frozenset(
    """_system_config dashboard_host dashboard_port include_dashboard min_worker_port max_worker_port worker_port_list
    enable_object_reconstruction env_vars runtime_env_agent_port node_manager_port object_manager_port redis_port
    gcs_server_port metrics_export_port dashboard_agent_listen_port dashboard_grpc_port dashboard_agent_grpc_port
    ray_client_server_port node_ip_address temp_dir plasma_directory""".split()
)
"""Options of Ray's daemons: taken, and without effect here."""
cluster_not_supported = False
"""For scripts that ask whether they can have one."""


class ClusterNode:
    """One node of a `Cluster`."""

    def __init__(self, node_id: str, row: dict[str, Any], address: str, head: bool) -> None:
        self.address = address  # of its cluster
        self._head = head
        self.node_id = node_id
        self.unique_id = node_id
        self.node_ip_address: str = row["NodeManagerAddress"]
        self.node_name: str = row["NodeName"]
        self.labels: dict[str, str] = row["Labels"]

    def is_head(self) -> bool:
        return self._head

    def __repr__(self) -> str:
        return f"ClusterNode({self.node_id})"


class AutoscalingCluster:
    """Ray's cluster whose nodes come and go with the load; there is none on one machine, whose size is fixed."""

    def __init__(self, *args: Any, **options: Any) -> None:
        raise EngineUnavailable("nodes of one machine do not come by themselves: Cluster().add_node() adds one")


class Cluster:
    """A cluster that this program holds without using it: `shoal.init(cluster.address)` does.

    The first node is the head; it lives as long as the cluster.
    """

    def __init__(
        self,
        initialize_head: bool = False,
        connect: bool = False,
        head_node_args: dict[str, Any] | None = None,
        shutdown_at_exit: bool = True,
    ) -> None:
        self.head_node: ClusterNode | None = None
        self.worker_nodes: list[ClusterNode] = []
        self.connected = False
        self._cluster: cluster.Cluster | None = None
        self._at_exit = shutdown_at_exit
        if connect and not initialize_head:
            raise RuntimeError("Cannot connect to uninitialized cluster: pass initialize_head=True")
        if initialize_head:
            self.add_node(**(head_node_args or {}))
            if connect:
                self.connect()

    @property
    def address(self) -> str | None:
        """What `shoal.init` takes to join; None before there is a head."""
        return None if self._cluster is None else self._cluster.name

    gcs_address = address

    def connect(self, namespace: str | None = None) -> None:
        """Have this program use the cluster."""
        if self.address is None:
            raise RuntimeError("the cluster has no head yet: call add_node() first")
        named: dict[str, Any] = {} if namespace is None else {"namespace": namespace}
        lifecycle.init(self.address, ignore_reinit_error=True, **named)
        self.connected = True

    def add_node(self, wait: bool = True, **options: Any) -> ClusterNode:
        """Add a node: `num_cpus` (1), `num_gpus` (0), `memory`, `resources`, `labels`, `node_name`.

        The first is the head, and takes `enable_object_reconstruction=False` as well. The node is there when this
        returns, whether `wait` or not.
        """
        spec = node_spec({k: v for k, v in options.items() if k not in RAYS})
        if self._cluster is None:
            self._cluster = cluster.start(
                cpus=spec["num_cpus"], gpus=spec["num_gpus"], memory=int(spec["memory"]) or None,
                store=int(spec["object_store_memory"]) or None, resources=spec.get("resources"),
                labels=spec.get("labels"), node_name=spec["node_name"], system=_system(options),
                spill=spill_of_system(_system(options)),
            )  # fmt: skip
            if self._at_exit:
                atexit.register(_shutdown, weakref.ref(self))
            row = self._rows()[0]
            self.head_node = ClusterNode(row["NodeID"], row, self._cluster.name, True)
            return self.head_node
        node_id: str = self._cluster.engine.query("add_node", spec)
        row = next(row for row in self._rows() if row["NodeID"] == node_id)
        node = ClusterNode(node_id, row, self._cluster.name, False)
        self.worker_nodes.append(node)
        return node

    def _rows(self) -> list[dict[str, Any]]:
        if self._cluster is None:
            return []
        rows: list[dict[str, Any]] = self._cluster.engine.query("nodes")
        return rows

    def remove_node(self, node: ClusterNode, allow_graceful: bool = True) -> None:
        """Have a node die, with all that runs and lies there; the head takes the whole cluster with it."""
        if node is self.head_node:
            self.shutdown()
            return
        if self._cluster is None or node not in self.worker_nodes:
            raise ShoalValueError(f"{node!r} is not a node of this cluster, or is dead already")
        self._cluster.engine.query("remove_node", node.node_id)
        self.worker_nodes.remove(node)
        here = cluster.current()
        if here is not None and here.name == self._cluster.name:
            here.engine.query("ping")  # what this program holds of that node is lost when this returns

    def wait_for_nodes(self, timeout: float = 30) -> None:
        """Nodes are there when `add_node` returns; this makes sure. Raises TimeoutError where one is not."""
        alive = sum(row["Alive"] for row in self._rows())
        if alive != len(self.list_all_nodes()):
            raise TimeoutError(f"{alive} nodes are alive, and {len(self.list_all_nodes())} should be")

    def remaining_processes_alive(self) -> bool:
        """Whether the cluster lives, with all nodes that were not removed."""
        try:
            alive = {row["NodeID"] for row in self._rows() if row["Alive"]}
        except ClusterDiedError:
            return False
        return all(node.node_id in alive for node in self.list_all_nodes())

    def list_all_nodes(self) -> list[ClusterNode]:
        return [*([] if self.head_node is None else [self.head_node]), *self.worker_nodes]

    def shutdown(self) -> None:
        """End the cluster, and leave it first if this program uses it."""
        held, self._cluster = self._cluster, None
        if held is None:
            return
        here = cluster.current()
        if here is not None and here.name == held.name:
            lifecycle.shutdown()
        held.close()
        self.head_node, self.connected = None, False
        self.worker_nodes.clear()


def _system(options: dict[str, Any]) -> dict[str, Any]:
    """What of Ray's system configuration has a meaning here."""
    system = dict(options.get("_system_config") or {})
    if options.get("enable_object_reconstruction") is False:
        system["lineage_pinning_enabled"] = False
    return system


def _shutdown(reference: weakref.ref[Cluster]) -> None:
    found = reference()
    if found is not None:
        found.shutdown()
