"""The rows of the state API. Fields and states have Ray's names.

Follows https://docs.ray.io/en/latest/ray-observability/reference/api.html#state-apis-schema
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from enum import Enum
from typing import Any, ClassVar, Self

DEFAULT_LIMIT = 100
DEFAULT_RPC_TIMEOUT = 30
DEFAULT_LOG_LIMIT = 1000
RAY_MAX_LIMIT_FROM_API_SERVER = RAY_MAX_LIMIT_FROM_DATA_SOURCE = 10_000


class StateResource(Enum):
    """What can be listed."""

    ACTORS = "actors"
    JOBS = "jobs"
    PLACEMENT_GROUPS = "placement_groups"
    NODES = "nodes"
    WORKERS = "workers"
    TASKS = "tasks"
    OBJECTS = "objects"
    RUNTIME_ENVS = "runtime_envs"


class StateSchema:
    """A row: its fields are attributes, and items as of a dict. `DETAIL` are those that `detail=True` adds."""

    DETAIL: ClassVar[frozenset[str]] = frozenset()
    UNFILTERED: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def list_columns(cls, detail: bool = True) -> list[str]:
        names = [f.name for f in fields(cls)]  # type: ignore[arg-type]
        return names if detail else [name for name in names if name not in cls.DETAIL]

    @classmethod
    def columns(cls) -> set[str]:
        return set(cls.list_columns())

    @classmethod
    def base_columns(cls) -> set[str]:
        return set(cls.list_columns(detail=False))

    @classmethod
    def detail_columns(cls) -> set[str]:
        return set(cls.list_columns())

    @classmethod
    def filterable_columns(cls) -> set[str]:
        """The fields that a filter can name."""
        return cls.columns() - cls.UNFILTERED

    @classmethod
    def of(cls, row: dict[str, Any], detail: bool) -> Self:
        """From the hub's row; without `detail` only what is always told."""
        names = cls.list_columns(detail)
        return cls(**{name: row.get(name) for name in names})

    def asdict(self) -> dict[str, Any]:
        return asdict(self)  # type: ignore[call-overload,no-any-return]

    def __getitem__(self, name: str) -> Any:
        try:
            return getattr(self, name)
        except AttributeError:
            raise KeyError(name) from None

    def __setitem__(self, name: str, value: Any) -> None:
        setattr(self, name, value)

    def __contains__(self, name: object) -> bool:
        return name in self.columns()

    def get(self, name: str, default: Any = None) -> Any:
        return getattr(self, name, default)


@dataclass
class TaskState(StateSchema):
    """A task, an actor's creation or a call of an actor; times are Unix milliseconds."""

    task_id: str
    attempt_number: int
    name: str
    state: str
    job_id: str
    actor_id: str | None
    type: str
    func_or_class_name: str
    parent_task_id: str
    node_id: str | None
    worker_id: str | None
    worker_pid: int | None
    error_type: str | None
    language: str | None = None
    required_resources: dict[str, Any] | None = None
    runtime_env_info: dict[str, Any] | None = None
    placement_group_id: str | None = None
    events: list[dict[str, Any]] | None = None
    profiling_data: dict[str, Any] | None = None
    creation_time_ms: int | None = None
    start_time_ms: int | None = None
    end_time_ms: int | None = None
    task_log_info: dict[str, Any] | None = None
    error_message: str | None = None
    is_debugger_paused: bool | None = None
    call_site: str | None = None
    label_selector: dict[str, Any] | None = None
    fallback_strategy: Any = None

    DETAIL = frozenset(
        """language required_resources runtime_env_info placement_group_id events profiling_data creation_time_ms
        start_time_ms end_time_ms task_log_info error_message is_debugger_paused call_site label_selector
        fallback_strategy""".split()
    )
    UNFILTERED = DETAIL - {"language", "placement_group_id", "is_debugger_paused"}


@dataclass
class ActorState(StateSchema):
    """An actor, alive or dead."""

    actor_id: str
    class_name: str
    state: str
    job_id: str
    name: str | None
    node_id: str | None
    pid: int | None
    ray_namespace: str | None
    serialized_runtime_env: str | None = None
    required_resources: dict[str, Any] | None = None
    death_cause: dict[str, Any] | None = None
    is_detached: bool | None = None
    placement_group_id: str | None = None
    repr_name: str | None = None
    num_restarts: int | None = None
    num_restarts_due_to_lineage_reconstruction: int | None = None
    num_restarts_due_to_node_preemption: int | None = None
    call_site: str | None = None
    label_selector: dict[str, Any] | None = None
    fallback_strategy: Any = None

    DETAIL = frozenset(
        """serialized_runtime_env required_resources death_cause is_detached placement_group_id repr_name num_restarts
        num_restarts_due_to_lineage_reconstruction num_restarts_due_to_node_preemption call_site label_selector
        fallback_strategy""".split()
    )
    UNFILTERED = DETAIL - {"placement_group_id", "repr_name"}


@dataclass
class ObjectState(StateSchema):
    """An object; its size in bytes, -1 while that is not known."""

    object_id: str
    object_size: int
    task_status: str
    attempt_number: int
    reference_type: str
    call_site: str
    type: str
    pid: int
    ip: str


@dataclass
class NodeState(StateSchema):
    """A node, alive or dead."""

    node_id: str
    node_ip: str
    is_head_node: bool
    state: str
    state_message: str | None
    node_name: str
    resources_total: dict[str, float]
    labels: dict[str, str]
    start_time_ms: int | None = None
    end_time_ms: int | None = None

    DETAIL = frozenset({"start_time_ms", "end_time_ms"})
    UNFILTERED = DETAIL | {"state_message", "resources_total", "labels"}


@dataclass
class WorkerState(StateSchema):
    """A worker process or a driver."""

    worker_id: str
    is_alive: bool
    worker_type: str
    exit_type: str | None
    node_id: str
    ip: str
    pid: int
    exit_detail: str | None = None
    worker_launch_time_ms: int | None = None
    worker_launched_time_ms: int | None = None
    start_time_ms: int | None = None
    end_time_ms: int | None = None
    debugger_port: int | None = None
    num_paused_threads: int | None = None

    DETAIL = frozenset(
        """exit_detail worker_launch_time_ms worker_launched_time_ms start_time_ms end_time_ms debugger_port
        num_paused_threads""".split()
    )
    UNFILTERED = DETAIL - {"debugger_port", "num_paused_threads"}


@dataclass
class JobState(StateSchema):
    """A program that uses the cluster, or did."""

    job_id: str
    submission_id: str | None
    entrypoint: str
    type: str
    status: str
    message: str | None
    error_type: str | None
    driver_info: dict[str, Any] | None
    start_time: int | None = None
    end_time: int | None = None
    metadata: dict[str, Any] | None = None
    runtime_env: dict[str, Any] | None = None
    driver_agent_http_address: str | None = None
    driver_node_id: str | None = None
    driver_exit_code: int | None = None

    DETAIL = frozenset(
        """start_time end_time metadata runtime_env driver_agent_http_address driver_node_id driver_exit_code""".split()
    )

    @classmethod
    def filterable_columns(cls) -> set[str]:
        return {"job_id", "type", "status", "submission_id"}


@dataclass
class PlacementGroupState(StateSchema):
    """A placement group; removed ones stay for a while."""

    placement_group_id: str
    name: str
    creator_job_id: str
    state: str
    bundles: list[dict[str, Any]] | None = None
    is_detached: bool | None = None
    stats: dict[str, Any] | None = None
    topology_strategy: dict[str, Any] | None = None
    topology_assignments: dict[str, Any] | None = None

    DETAIL = frozenset({"bundles", "is_detached", "stats", "topology_strategy", "topology_assignments"})
    UNFILTERED = DETAIL - {"is_detached"}


@dataclass
class RuntimeEnvState(StateSchema):
    """A runtime environment that was set up, or could not be."""

    runtime_env: dict[str, Any]
    success: bool
    creation_time_ms: float | None
    node_id: str
    ref_cnt: int | None = None
    error: str | None = None

    DETAIL = frozenset({"ref_cnt", "error"})
    UNFILTERED = frozenset({"ref_cnt", "creation_time_ms"})


SCHEMAS: dict[StateResource, type[StateSchema]] = {
    StateResource.TASKS: TaskState,
    StateResource.ACTORS: ActorState,
    StateResource.OBJECTS: ObjectState,
    StateResource.NODES: NodeState,
    StateResource.WORKERS: WorkerState,
    StateResource.JOBS: JobState,
    StateResource.PLACEMENT_GROUPS: PlacementGroupState,
    StateResource.RUNTIME_ENVS: RuntimeEnvState,
}


@dataclass
class ListApiOptions:
    """How much to list. Filters are (field, "=" or "!=", value); all must hold."""

    limit: int = DEFAULT_LIMIT
    timeout: int = DEFAULT_RPC_TIMEOUT
    detail: bool = False
    filters: list[tuple[str, str, Any]] | None = field(default_factory=list)
    exclude_driver: bool = True

    def __post_init__(self) -> None:
        self.filters = list(self.filters or [])
        for _, predicate, _ in self.filters:
            if predicate not in ("=", "!="):
                raise ValueError(
                    f"Unsupported filter predicate {predicate} is given. Available predicates: =, !=."
                )

    def has_conflicting_filters(self) -> bool:
        """Whether two of them ask one field for two values: nothing can pass."""
        wanted: dict[str, str] = {}
        return any(
            wanted.setdefault(key.lower(), str(value).lower()) != str(value).lower()
            for key, predicate, value in self.filters or ()
            if predicate == "="
        )


@dataclass
class SummaryApiOptions:
    timeout: int = DEFAULT_RPC_TIMEOUT


@dataclass
class GetApiOptions:
    timeout: int = DEFAULT_RPC_TIMEOUT
