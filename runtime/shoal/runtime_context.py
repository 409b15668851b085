"""What code can learn of where it runs: its job, node, worker, task and actor.

Follows https://docs.ray.io/en/latest/ray-core/api/doc/ray.runtime_context.RuntimeContext.html. Ids are hexadecimal
strings. What changes with every task comes from this process; the rest is asked of the hub when it is wanted, so that
no task pays for what it does not look at.
"""

from __future__ import annotations

import json
import logging
import warnings
from typing import Any

from shoal import actors, context
from shoal.cluster import engine
from shoal.exceptions import ShoalRuntimeError
from shoal.ids import ActorID, JobID, NodeID, PlacementGroupID, TaskID
from shoal.lifecycle import is_initialized
from shoal.runtime_env import RuntimeEnv

logger = logging.getLogger(__name__)

_OTHERS = ("neuron_cores", "TPU", "NPU", "HPU", "RBLN")
"""Accelerators that Ray knows: a script may look for them."""


class RuntimeContext:
    """See the module; made by `get_runtime_context`."""

    def _ask(self) -> dict[str, Any]:
        here = engine()
        found: dict[str, Any] = here.query("context", getattr(here, "client", 0), context.get_task())
        return found

    def _in_worker(self, what: str) -> bool:
        """Whether a task runs here; where not, that is said, and the answer is None, as in Ray."""
        inside = context.get_task() is not None
        if not inside:
            logger.warning("%s is known in tasks and actors only, not in the program that started them.", what)
        return inside

    # ids

    def get_job_id(self) -> str:
        """The id of the program whose work this is, itself in a driver."""
        return str(self._known("Job ID")["job"])

    def get_node_id(self) -> str:
        """The id of the node that this process runs on."""
        return str(self._known("Node ID")["node"])

    def get_worker_id(self) -> str:
        """The id of this process; a driver has one as well."""
        return str(self._known("Worker ID")["worker"])

    def _known(self, what: str) -> dict[str, Any]:
        if not is_initialized():
            raise ShoalRuntimeError(f"{what} is not available: shoal has not been initialized, call shoal.init()")
        return self._ask()

    def get_task_id(self) -> str | None:
        """The id of the task that runs here; None in a driver."""
        task = context.get_task()
        return task.hex() if self._in_worker("A task's id") and task is not None else None

    def get_task_name(self) -> str | None:
        """The task's name: the option `name`, or that of its function; None in a driver."""
        if not self._in_worker("A task's name"):
            return None
        return context.describe()[0]

    def get_task_function_name(self) -> str | None:
        """The task's function as `module.qualified_name`; None in a driver."""
        if not self._in_worker("A task's function"):
            return None
        return context.describe()[1]

    def get_actor_id(self) -> str | None:
        """The id of the actor that this process is; None elsewhere."""
        if context.get_task() is None:
            return None
        found: bytes | None = self._ask()["actor"]
        return None if found is None else found.hex()

    def get_actor_name(self) -> str | None:
        """The actor's name, empty where it has none; None outside of actors."""
        if not self._in_worker("An actor's name"):
            return None
        found: str | None = self._ask()["actor_name"]
        return found

    def get_placement_group_id(self) -> str | None:
        """The id of the placement group that this runs in, if it does."""
        found: str | None = self._ask()["group"]
        return found

    # what it has

    def get_assigned_resources(self) -> dict[str, float]:
        """What this task or actor holds, by resource: `{"CPU": 1.0}` for a task, unless told otherwise."""
        assert context.get_task() is not None, "This method is only available when the process is a worker."
        found: dict[str, float] = self._ask()["resources"]
        return found

    def get_accelerator_ids(self) -> dict[str, list[str]]:
        """The accelerators that are this task's or actor's own, by kind. Of kinds but GPUs no numbers are kept."""
        return {**{kind: [] for kind in _OTHERS}, "GPU": list(self._ask()["gpus"])}

    def get_resource_ids(self) -> dict[str, list[str]]:
        """The older name of `get_accelerator_ids`."""
        _warn("get_accelerator_ids")
        return self.get_accelerator_ids()

    def get_node_labels(self) -> dict[str, str]:
        """The labels of this node."""
        found: dict[str, str] = self._ask()["labels"]
        return found

    # where it is

    def get_session_name(self) -> str:
        """The name of the cluster."""
        return str(self._known("Session name")["session"])

    def get_temp_dir(self) -> str:
        """The folder of the cluster's sockets."""
        assert is_initialized(), "Temp directory is not available because shoal has not been initialized."
        return str(self._ask()["folder"])

    def get_dashboard_url(self) -> str:
        """Empty: there is none. The live view is in the notebook."""
        return ""

    @property
    def gcs_address(self) -> str:
        """The name by which others join the cluster."""
        return str(self._ask()["session"])

    @property
    def namespace(self) -> str:
        """The namespace in which names of actors are looked up."""
        return str(self._ask()["namespace"])

    @property
    def should_capture_child_tasks_in_placement_group(self) -> bool:
        """Whether what is submitted here goes to the same placement group."""
        return bool(self._ask()["captures"])

    def get_runtime_env_string(self) -> str:
        """The runtime environment that this runs in, as JSON."""
        return engine().runtime_env or "{}"

    @property
    def runtime_env(self) -> RuntimeEnv:
        """The runtime environment that this runs in."""
        found = json.loads(self.get_runtime_env_string())
        return RuntimeEnv(_validate=False, **{name: value for name, value in found.items() if name != "_hook"})

    # the actor, the task

    @property
    def current_actor(self) -> actors.ActorHandle:
        """A handle of the actor that this process is; RuntimeError outside of actors."""
        found = self._ask()["actor"] if context.get_task() is not None else None
        if found is None:
            raise ShoalRuntimeError("This method is only available in an actor.")
        return actors.handle_of(found)

    @property
    def was_current_actor_reconstructed(self) -> bool:
        """Whether this actor has been restarted."""
        found = self._ask()
        assert found["actor"] is not None, "This method should't be called inside tasks."
        return bool(found["restarts"])

    def is_canceled(self) -> bool:
        """Whether somebody has cancelled this task, which goes on until it looks; RuntimeError in drivers."""
        if context.get_task() is None:
            raise ShoalRuntimeError("This method is only available when the process is a worker.")
        return context.is_cancelled()

    # the older names, whose values are ids as objects

    @property
    def job_id(self) -> JobID:
        _warn("get_job_id")
        return JobID.from_hex(self.get_job_id())

    @property
    def node_id(self) -> NodeID:
        _warn("get_node_id")
        return NodeID.from_hex(self.get_node_id())

    @property
    def task_id(self) -> TaskID | None:
        _warn("get_task_id")
        task = context.get_task()
        assert task is not None, "This method is only available when the process is a worker."
        return TaskID(task)

    @property
    def actor_id(self) -> ActorID | None:
        _warn("get_actor_id")
        assert context.get_task() is not None, "This method is only available when the process is a worker."
        actor = self.get_actor_id()
        return None if actor is None else ActorID.from_hex(actor)

    @property
    def current_placement_group_id(self) -> PlacementGroupID:
        _warn("get_placement_group_id")
        group = self.get_placement_group_id()
        return PlacementGroupID.nil() if group is None else PlacementGroupID.from_hex(group)

    def get(self) -> dict[str, Any]:
        """The ids as a dict; of a task and an actor where there are any."""
        _warn("get_xxx_id")
        found: dict[str, Any] = {
            "job_id": JobID.from_hex(self.get_job_id()),
            "node_id": NodeID.from_hex(self.get_node_id()),
            "namespace": self.namespace,
        }
        task = context.get_task()
        if task is not None:
            found["task_id"] = TaskID(task)
            actor = self.get_actor_id()
            if actor is not None:
                found["actor_id"] = ActorID.from_hex(actor)
        return found


def _warn(instead: str) -> None:
    warnings.warn(f"Use {instead}() instead", DeprecationWarning, stacklevel=3)


_context = RuntimeContext()


def get_runtime_context() -> RuntimeContext:
    """What surrounds the calling code; a driver's cluster is started if there is none."""
    engine()
    return _context
