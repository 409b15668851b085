"""List, look up and sum up what is on the cluster.

Every list takes `filters` [(field, "=" or "!=", value)], `limit`, and `detail` for the fields that are told on demand
only; `address` and `timeout` are as in Ray. Each attempt at a task is a row. Those that ended are known while they are
among the latest 10,000: where some are not any more, RayStateApiException is raised unless
`raise_on_missing_output=False` (`_explain` warns then).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar, cast

from shoal.cluster import engine
from shoal.exceptions import ShoalValueError
from shoal.feed_rows import KEPT
from shoal.util.state.common import (
    DEFAULT_LIMIT,
    DEFAULT_LOG_LIMIT,
    DEFAULT_RPC_TIMEOUT,
    RAY_MAX_LIMIT_FROM_API_SERVER,
    SCHEMAS,
    ActorState,
    GetApiOptions,
    JobState,
    ListApiOptions,
    NodeState,
    ObjectState,
    PlacementGroupState,
    RuntimeEnvState,
    StateResource,
    StateSchema,
    TaskState,
    WorkerState,
)
from shoal.util.state.exception import RayStateApiException

Filters = Sequence[tuple[str, str, Any]] | None
S = TypeVar("S", bound=StateSchema)
MOST_OF_ONE = 100
"""Rows of one thing that `get` looks at."""

_ID = {
    StateResource.TASKS: "task_id",
    StateResource.ACTORS: "actor_id",
    StateResource.OBJECTS: "object_id",
    StateResource.NODES: "node_id",
    StateResource.WORKERS: "worker_id",
    StateResource.JOBS: "job_id",
    StateResource.PLACEMENT_GROUPS: "placement_group_id",
}


class StateApiClient:
    """Asks the cluster that this program uses. `address` is taken for the sake of scripts."""

    def __init__(self, address: str | None = None, cookies: Any = None, headers: Any = None) -> None:
        self.address = address

    def list(
        self, resource: StateResource, options: ListApiOptions, raise_on_missing_output: bool = True,
        _explain: bool = False,
    ) -> list[Any]:  # fmt: skip
        """Rows of one kind, in the order of their coming."""
        schema = SCHEMAS[resource]
        filters = [(key.lower(), predicate, value) for key, predicate, value in options.filters or ()]
        for key, _, _ in filters:
            if key not in schema.filterable_columns():
                raise RayStateApiException(
                    f"{resource.value} cannot be filtered by {key!r}; "
                    f"supported filter columns: {', '.join(sorted(schema.filterable_columns()))}"
                )
        if options.limit > RAY_MAX_LIMIT_FROM_API_SERVER:
            raise ShoalValueError(
                f"Given limit {options.limit} exceeds the supported limit {RAY_MAX_LIMIT_FROM_API_SERVER}. "
                "Use a lower limit, or set the filters."
            )
        if options.has_conflicting_filters():
            return []
        total, missing, rows = engine().query("state", resource.value, filters, options.limit)
        _tell_of_missing(resource, missing, raise_on_missing_output, _explain)
        if total > len(rows) and _explain:
            warnings.warn(f"{len(rows)} of {total} {resource.value} are returned: raise the limit", stacklevel=3)
        return [schema.of(row, options.detail) for row in rows]

    def get(
        self, resource: StateResource, id: str, options: GetApiOptions | None = None, _explain: bool = False
    ) -> Any:
        """The row of that id with all details; None where there is none.

        As in Ray all rows of an object, and of a task all attempts where there were several.
        """
        rows = ListApiOptions(limit=MOST_OF_ONE, detail=True, filters=[(_ID[resource], "=", id)])
        found = self.list(resource, rows, raise_on_missing_output=False)
        if resource is StateResource.OBJECTS or resource is StateResource.TASKS and len(found) > 1:
            return found
        return found[0] if found else None


def _tell_of_missing(resource: StateResource, missing: int, raising: bool, explain: bool) -> None:
    if not missing:
        return
    what = f"Failed to retrieve all {resource.value}: {missing} that ended are remembered no more (> {KEPT} of them)."
    if raising:
        raise RayStateApiException(f"{what} raise_on_missing_output=False has those that are known returned")
    if explain:
        warnings.warn(what, stacklevel=4)


def _list(
    resource: StateResource, cls: type[S], filters: Filters, limit: int, timeout: int, detail: bool, raising: bool,
    explain: bool,
) -> list[S]:  # fmt: skip
    options = ListApiOptions(limit, timeout, detail, list(filters or ()))
    return cast("list[S]", StateApiClient().list(resource, options, raising, explain))


def list_tasks(
    address: str | None = None, filters: Filters = None, limit: int = DEFAULT_LIMIT,
    timeout: int = DEFAULT_RPC_TIMEOUT, detail: bool = False, raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[TaskState]:  # fmt: skip
    """Tasks, creations of actors and their calls."""
    return _list(StateResource.TASKS, TaskState, filters, limit, timeout, detail, raise_on_missing_output, _explain)


def list_actors(
    address: str | None = None, filters: Filters = None, limit: int = DEFAULT_LIMIT,
    timeout: int = DEFAULT_RPC_TIMEOUT, detail: bool = False, raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[ActorState]:  # fmt: skip
    """Actors, dead ones too."""
    return _list(StateResource.ACTORS, ActorState, filters, limit, timeout, detail, raise_on_missing_output, _explain)


def list_objects(
    address: str | None = None, filters: Filters = None, limit: int = DEFAULT_LIMIT,
    timeout: int = DEFAULT_RPC_TIMEOUT, detail: bool = False, raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[ObjectState]:  # fmt: skip
    """Objects that somebody can reach."""
    return _list(StateResource.OBJECTS, ObjectState, filters, limit, timeout, detail, raise_on_missing_output, _explain)


def list_nodes(
    address: str | None = None, filters: Filters = None, limit: int = DEFAULT_LIMIT,
    timeout: int = DEFAULT_RPC_TIMEOUT, detail: bool = False, raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[NodeState]:  # fmt: skip
    """Nodes, dead ones too."""
    return _list(StateResource.NODES, NodeState, filters, limit, timeout, detail, raise_on_missing_output, _explain)


def list_workers(
    address: str | None = None, filters: Filters = None, limit: int = DEFAULT_LIMIT,
    timeout: int = DEFAULT_RPC_TIMEOUT, detail: bool = False, raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[WorkerState]:  # fmt: skip
    """Worker processes and drivers; the latest of the dead as well."""
    return _list(StateResource.WORKERS, WorkerState, filters, limit, timeout, detail, raise_on_missing_output, _explain)


def list_jobs(
    address: str | None = None, filters: Filters = None, limit: int = DEFAULT_LIMIT,
    timeout: int = DEFAULT_RPC_TIMEOUT, detail: bool = False, raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[JobState]:  # fmt: skip
    """Programs that use the cluster, or did."""
    return _list(StateResource.JOBS, JobState, filters, limit, timeout, detail, raise_on_missing_output, _explain)


def list_placement_groups(
    address: str | None = None, filters: Filters = None, limit: int = DEFAULT_LIMIT,
    timeout: int = DEFAULT_RPC_TIMEOUT, detail: bool = False, raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[PlacementGroupState]:  # fmt: skip
    """Placement groups."""
    return _list(
        StateResource.PLACEMENT_GROUPS, PlacementGroupState, filters, limit, timeout, detail, raise_on_missing_output,
        _explain,
    )  # fmt: skip


def list_runtime_envs(
    address: str | None = None, filters: Filters = None, limit: int = DEFAULT_LIMIT,
    timeout: int = DEFAULT_RPC_TIMEOUT, detail: bool = False, raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[RuntimeEnvState]:  # fmt: skip
    """Runtime environments that were set up, or could not be."""
    return _list(
        StateResource.RUNTIME_ENVS, RuntimeEnvState, filters, limit, timeout, detail, raise_on_missing_output,
        _explain,
    )  # fmt: skip


def list_cluster_events(
    address: str | None = None, filters: Filters = None, limit: int = DEFAULT_LIMIT,
    timeout: int = DEFAULT_RPC_TIMEOUT, detail: bool = False, raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[dict[str, Any]]:  # fmt: skip
    """Empty: what happens is told by the feed."""
    return []


def _get(resource: StateResource, id: str) -> Any:
    return StateApiClient().get(resource, id)


def get_task(
    id: Any, address: str | None = None, timeout: int = DEFAULT_RPC_TIMEOUT, _explain: bool = False
) -> Any:
    """The TaskState of that id, or of a ref that it returns; a list of them where it was attempted several times."""
    return _get(StateResource.TASKS, id if isinstance(id, str) else id.task_id().hex())


def get_actor(
    id: str, address: str | None = None, timeout: int = DEFAULT_RPC_TIMEOUT, _explain: bool = False
) -> ActorState | None:
    """The actor of that id."""
    return cast("ActorState | None", _get(StateResource.ACTORS, id))


def get_node(
    id: str, address: str | None = None, timeout: int = DEFAULT_RPC_TIMEOUT, _explain: bool = False
) -> NodeState | None:
    """The node of that id."""
    return cast("NodeState | None", _get(StateResource.NODES, id))


def get_worker(
    id: str, address: str | None = None, timeout: int = DEFAULT_RPC_TIMEOUT, _explain: bool = False
) -> WorkerState | None:
    """The worker or driver of that id."""
    return cast("WorkerState | None", _get(StateResource.WORKERS, id))


def get_job(
    id: str, address: str | None = None, timeout: int = DEFAULT_RPC_TIMEOUT, _explain: bool = False
) -> JobState | None:
    """The program of that id."""
    return cast("JobState | None", _get(StateResource.JOBS, id))


def get_placement_group(
    id: str, address: str | None = None, timeout: int = DEFAULT_RPC_TIMEOUT, _explain: bool = False
) -> PlacementGroupState | None:
    """The placement group of that id."""
    return cast("PlacementGroupState | None", _get(StateResource.PLACEMENT_GROUPS, id))


def get_objects(
    id: str, address: str | None = None, timeout: int = DEFAULT_RPC_TIMEOUT, _explain: bool = False
) -> list[ObjectState]:
    """The rows of the object of that id."""
    return cast("list[ObjectState]", _get(StateResource.OBJECTS, id))


# summaries


def _all(resource: StateResource, raising: bool, explain: bool) -> tuple[int, list[dict[str, Any]]]:
    found: tuple[int, int, list[dict[str, Any]]]
    found = engine().query("state", resource.value, [], RAY_MAX_LIMIT_FROM_API_SERVER)
    total, missing, rows = found
    _tell_of_missing(resource, missing, raising, explain)
    return total, rows


def summarize_tasks(
    address: str | None = None, timeout: int = DEFAULT_RPC_TIMEOUT, raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """How many tasks of each name are in which state."""
    summary: dict[str, dict[str, Any]] = {}
    totals = {"NORMAL_TASK": 0, "ACTOR_TASK": 0, "ACTOR_CREATION_TASK": 0}
    for row in _all(StateResource.TASKS, raise_on_missing_output, _explain)[1]:
        one = summary.setdefault(
            row["name"], {"func_or_class_name": row["name"], "type": row["type"], "state_counts": {}}
        )
        one["state_counts"][row["state"]] = one["state_counts"].get(row["state"], 0) + 1
        totals[row["type"]] += 1
    return {
        "cluster": {
            "summary": summary, "total_tasks": totals["NORMAL_TASK"], "total_actor_tasks": totals["ACTOR_TASK"],
            "total_actor_scheduled": totals["ACTOR_CREATION_TASK"], "summary_by": "func_name",
        }
    }  # fmt: skip


def summarize_actors(
    address: str | None = None, timeout: int = DEFAULT_RPC_TIMEOUT, raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """How many actors of each class are in which state."""
    summary: dict[str, dict[str, Any]] = {}
    total, rows = _all(StateResource.ACTORS, raise_on_missing_output, _explain)
    for row in rows:
        one = summary.setdefault(row["class_name"], {"class_name": row["class_name"], "state_counts": {}})
        one["state_counts"][row["state"]] = one["state_counts"].get(row["state"], 0) + 1
    return {"cluster": {"summary": summary, "total_actors": total, "summary_by": "class"}}


def summarize_objects(
    address: str | None = None, timeout: int = DEFAULT_RPC_TIMEOUT, raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """How many objects there are, how large, and what refers to them."""
    summary: dict[str, dict[str, Any]] = {}
    total, rows = _all(StateResource.OBJECTS, raise_on_missing_output, _explain)
    size = 0.0
    for row in rows:
        megabytes = max(0, row["object_size"]) / 2**20
        one = summary.setdefault(
            row["call_site"],
            {
                "total_objects": 0, "total_size_mb": 0.0, "total_num_workers": 0, "total_num_nodes": 0,
                "task_state_counts": {}, "task_attempt_number_counts": {}, "ref_type_counts": {}, "pids": set(),
            },
        )  # fmt: skip
        one["total_objects"] += 1
        one["total_size_mb"] += megabytes
        size += megabytes
        for counts, key in (
            ("task_state_counts", row["task_status"]), ("ref_type_counts", row["reference_type"]),
            ("task_attempt_number_counts", str(row["attempt_number"])),
        ):  # fmt: skip
            one[counts][key] = one[counts].get(key, 0) + 1
        one["pids"].add(row["pid"])
    for one in summary.values():
        one["total_num_workers"], one["total_num_nodes"] = len(one.pop("pids")), 1
    return {
        "cluster": {
            "summary": summary, "total_objects": total, "total_size_mb": size, "callsite_enabled": False,
            "summary_by": "callsite",
        }
    }  # fmt: skip


# logs


def get_log(
    address: str | None = None, node_id: str | None = None, node_ip: str | None = None, filename: str | None = None,
    actor_id: str | None = None, task_id: str | None = None, pid: int | None = None, follow: bool = False,
    tail: int = -1, timeout: int = DEFAULT_RPC_TIMEOUT, suffix: str = "out", encoding: str | None = "utf-8",
    errors: str | None = "strict", submission_id: str | None = None, attempt_number: int = 0, _interval: Any = None,
    filter_ansi_code: bool = False,
) -> Iterator[str]:  # fmt: skip
    """What a task, an actor or a worker printed last, as the cluster keeps it: its latest part.

    Args: one of `task_id`, `actor_id`, `pid` and `filename` (see `list_logs`); `suffix` "out" or "err"; `tail` lines,
    -1 for all. `follow` is not supported: output comes to the cell by itself.
    """
    if suffix not in ("out", "err"):
        raise ShoalValueError(f"Invalid suffix: {suffix}. Must be one of 'out' or 'err'.")
    if not (task_id or actor_id or pid or filename):
        raise ShoalValueError("one of task_id, actor_id, pid and filename is required to fetch logs")
    if follow:
        raise ShoalValueError("get_log(follow=True): what tasks print comes to the program that started them by itself")
    text = engine().query("log", task_id, actor_id, pid, filename, suffix)
    if text is None:
        raise RayStateApiException("there is no log of that: nothing was printed, or it was too long ago")
    lines = text.splitlines(keepends=True)
    yield from lines[-tail:] if tail > 0 else lines[-DEFAULT_LOG_LIMIT * 10 :]


def list_logs(
    address: str | None = None, node_id: str | None = None, node_ip: str | None = None,
    glob_filter: str | None = None, timeout: int = DEFAULT_RPC_TIMEOUT,
) -> dict[str, list[str]]:  # fmt: skip
    """The logs that there are, by kind: "worker_out" and "worker_err"."""
    import fnmatch

    found: dict[str, list[str]] = engine().query("logs")
    return {
        kind: [name for name in names if fnmatch.fnmatch(name, glob_filter or "*")] for kind, names in found.items()
    }
