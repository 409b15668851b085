"""A program's cluster, from `init` to `shutdown`. https://docs.ray.io/en/latest/ray-core/api/core.html"""

from __future__ import annotations

import inspect
import logging
import os
import platform
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from shoal import as_ray, cluster, current, log_config
from shoal.config import node_spec, spill_of_system
from shoal.exceptions import AlreadyInitializedError, InitOptionError, ShoalValueError
from shoal.job_config import JobConfig
from shoal.job_config import given as given_job
from shoal.job_config import leave as leave_job
from shoal.log_config import LoggingConfig
from shoal.options import name_of
from shoal.runtime_env import RuntimeEnv, checked

if TYPE_CHECKING:
    from shoal.engines.base import Engine

logger = logging.getLogger(__name__)

RAY = "2.60.0"
"""The release of Ray whose API this follows, for scripts that ask."""
ONLY_RAYS = frozenset(
    """include_dashboard dashboard_host dashboard_port configure_logging logging_level logging_format
    enable_resource_isolation cgroup_path system_reserved_cpu system_reserved_memory proxy_server_url
    _system_config _temp_dir _metrics_export_port _node_ip_address _driver_object_store_memory _plasma_directory
    _redis_username _redis_password _enable_object_reconstruction _tracing_startup_hook _skip_env_hook _node_name
    _object_spilling_directory""".split()
)
"""Options of Ray's own daemons and of its log files: taken, so that scripts run unchanged, and without effect here."""

OF_ITS_START = ("_system_config", "_enable_object_reconstruction", "_node_name")
"""Those of them that Ray refuses, too, where a cluster runs already."""


class Context:
    """What `init` returns: the cluster; as a context manager it shuts it down at the end.

    Follows https://docs.ray.io/en/latest/ray-core/api/doc/ray.init.html
    """

    dashboard_url: str | None = None
    python_version = platform.python_version()
    ray_version = RAY

    def __init__(self, engine: Engine, name: str, arguments: tuple[Any, ...]) -> None:
        self._engine = engine
        self._arguments = arguments
        self.address = name
        """The name by which others join: `shoal.init(address)`."""

    @property
    def address_info(self) -> dict[str, Any]:
        """Ray's keys that mean something here."""
        return {
            "address": self.address,
            "gcs_address": self.address,
            "node_ip_address": "127.0.0.1",
            "node_id": self._engine.query("nodes")[0]["NodeID"],
            "session_dir": self._engine.query("context", getattr(self._engine, "client", 0), None)["folder"],
            "webui_url": self.dashboard_url,
        }

    def disconnect(self) -> None:
        if current.peek() is self._engine:
            shutdown()

    def __enter__(self) -> Context:
        return self

    def __exit__(self, *exc: object) -> None:
        self.disconnect()

    def __getitem__(self, key: str) -> Any:
        return self.address_info[key]

    def __repr__(self) -> str:
        if not self._engine.alive or current.peek() is not self._engine:
            return f"shoal cluster {self.address} (left)"
        total, free = self._engine.query("resources")
        return f"shoal cluster {self.address}: {free.get('CPU', 0):g} of {total.get('CPU', 0):g} CPUs free"


class _Inited:
    context: Context | None = None


_inited = _Inited()


def init(
    address: str | None = None,
    *,
    num_cpus: int | None = None,
    num_gpus: int | None = None,
    resources: dict[str, float] | None = None,
    labels: dict[str, str] | None = None,
    nodes: Sequence[dict[str, Any]] | None = None,
    object_store_memory: int | None = None,
    object_spilling_directory: str | None = None,
    local_mode: bool = False,
    namespace: str | None = None,
    runtime_env: dict[str, Any] | RuntimeEnv | None = None,
    logging_config: LoggingConfig | None = None,
    job_config: JobConfig | dict[str, Any] | None = None,
    ignore_reinit_error: bool = False,
    log_to_driver: bool = True,
    _memory: int | None = None,
    **others: Any,
) -> Context:
    """Start a cluster on this machine, or connect to one.

    Args: `address` None or "local" starts one, "auto" joins the youngest of yours, a name joins that one, "inline" (or
    `local_mode`) runs everything in this thread. `num_cpus` tasks run at once; `object_store_memory` in bytes; objects
    that do not fit go to files in `object_spilling_directory` ("": nowhere, a full store is an error); `nodes` has
    several nodes played on this machine, `[{"num_cpus": 2, "resources": {…}, "labels": {…}}, …]`: the first is the
    head, and the sizes are given there; `_memory` in bytes is what tasks may ask for, and bounds the number of
    processes; `namespace` is where the names of this program's actors are, shared with other programs that give the
    same one (None: one of its own); `log_to_driver` whether what tasks print appears in this program's output (in a
    notebook with the extension it is in the cell, whatever is said here); `runtime_env` is what all that this program
    submits runs in; `logging_config` says how it and its tasks log, and `job_config` more of what holds for all its
    work. Run again in a notebook with equal arguments it returns the same context; in a script it raises RuntimeError,
    unless told to ignore that. Options of Ray's dashboard, logs and daemons are taken and have no effect.
    """
    _check(others)
    job = given_job(job_config)
    runtime_env, namespace = runtime_env or job.runtime_env, job.ray_namespace if namespace is None else namespace
    env = checked(runtime_env) if runtime_env else None
    namespace = None if namespace is None else name_of("a namespace", namespace)
    sizes = dict(
        num_cpus=num_cpus, num_gpus=num_gpus, resources=resources, labels=labels, nodes=nodes,
        object_store_memory=object_store_memory, object_spilling_directory=object_spilling_directory,
    )  # fmt: skip
    given = {name: value for name, value in sizes.items() if value is not None}
    arguments = (address, local_mode, repr(given), repr(env), _memory, namespace)
    plain = (None, False, repr({}), "None", None, None)
    here = current.peek()
    if here is not None and here.alive:
        before = _inited.context
        if before is not None and before._engine is here:
            if ignore_reinit_error or (cluster.interactive() and before._arguments == arguments):
                return before
        elif ignore_reinit_error or (cluster.interactive() and arguments == plain):
            return _joined(here, arguments)
        raise AlreadyInitializedError(
            "init() was called twice: this program uses a cluster already. "
            "Call shoal.shutdown() first, or pass ignore_reinit_error=True"
        )
    if here is not None:
        cluster.leave()
    address = address or os.environ.get("SHOAL_ADDRESS")
    if as_ray.installed():
        address = address or os.environ.get("RAY_ADDRESS")
    if address == "inline" or local_mode:
        made = cluster.inline()
    elif address in (None, "local"):
        system = others.get("_system_config") or {}
        spill = spill_of_system(system)
        if spill != "" and object_spilling_directory is not None:
            spill = object_spilling_directory
        made = cluster.start(**_offers(given, _memory), store=object_store_memory, spill=spill, system=system)
    else:
        for name in (*given, *(name for name in OF_ITS_START if others.get(name))):
            raise ShoalValueError(
                f"When connecting to an existing cluster, {name} must not be provided: it is set where that starts"
            )
        made = cluster.connect_to(address)
    try:
        if env is not None:
            made.engine.use_runtime_env(env)
        if namespace is not None:
            made.engine.use_namespace(namespace)
    except BaseException:
        made.close()
        raise
    made.quiet = not log_to_driver or as_ray.installed() and os.environ.get("RAY_LOG_TO_DRIVER") == "0"
    job.enter()
    if logging_config is not None:
        log_config.use(logging_config)
    made.bare = log_config.VARIABLE in os.environ  # its lines say themselves who speaks
    cluster.use(made)
    logger.info("Started or joined the shoal cluster %s.", made.name)
    return _joined(made.engine, arguments)


def _offers(given: dict[str, Any], memory: int | None) -> dict[str, Any]:
    """What `cluster.start` is told of the nodes: the head's sizes, and the others."""
    nodes = given.get("nodes")
    if nodes is None:
        return {
            "cpus": given.get("num_cpus"), "gpus": given.get("num_gpus"), "resources": given.get("resources"),
            "labels": given.get("labels"), "memory": memory,
        }  # fmt: skip
    if not isinstance(nodes, (list, tuple)) or not nodes:
        raise ShoalValueError("nodes is a list of at least one node, as in init(nodes=[{'num_cpus': 2}])")
    for name in ("num_cpus", "num_gpus", "resources", "labels"):
        if name in given:
            raise ShoalValueError(f"{name} and nodes were both given: give {name} to the first of the nodes")
    first = node_spec(nodes[0])
    return {
        "cpus": first["num_cpus"], "gpus": first["num_gpus"], "memory": int(first["memory"]) or None,
        "resources": first.get("resources"), "labels": first.get("labels"), "node_name": first["node_name"],
        "nodes": nodes[1:],
    }  # fmt: skip


def _check(others: dict[str, Any]) -> None:
    for name in others:
        if name not in ONLY_RAYS:
            known = [n for n in (*inspect.signature(init).parameters, *ONLY_RAYS) if n != "others" and n[0] != "_"]
            raise InitOptionError(f"Unknown keyword argument(s): init() has no option {name!r}; "
                                  f"there are: {', '.join(sorted(known))}")


def _joined(engine: Engine, arguments: tuple[Any, ...]) -> Context:
    here = cluster.current()
    _inited.context = Context(engine, here.name if here else "auto", arguments)
    return _inited.context


def shutdown(*, wait_for_processes: bool = False) -> None:
    """Leave the cluster, and end it if this program started it. Harmless when there is none.

    All its processes have ended when this returns, whether `wait_for_processes` or not.
    """
    if cluster.current() is None and current.peek() is not None:
        return  # a worker does not leave the cluster it belongs to
    cluster.leave()
    leave_job()
    _inited.context = None


def is_initialized() -> bool:
    """Whether this program has a cluster that lives; a task always has."""
    here = current.peek()
    return here is not None and here.alive
