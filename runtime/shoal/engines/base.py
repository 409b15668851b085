"""The seam between what people hold and what runs it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeVar

from shoal.refs import ObjectRef
from shoal.runs import Concurrency, Kind
from shoal.runtime_env import RuntimeEnv
from shoal.wishes import Wish

T = TypeVar("T")

Methods = tuple[tuple[Any, ...], ...]
"""Name of each method, and the fields of its `shoal.methods.MethodSpec`."""


class Found(NamedTuple):
    """An actor that somebody has made: its id, that of its class, the class's name, and the methods."""

    actor: bytes
    function: bytes
    cls_name: str
    methods: Methods


@dataclass(frozen=True, eq=False)
class Work:
    """A remote function, an actor class or an actor method, with its options: what `submit` is given.

    `role` is "task", "actor" or "method". `blob()` is the pickled function or class, made once.
    """

    id: bytes
    function: bytes
    name: str
    role: str
    blob: Callable[[], bytes]
    captured: tuple[bytes, ...] = ()
    """Ids of the refs inside the definition: what it needs is kept until its tasks are done."""
    resources: dict[str, float] = field(default_factory=dict)
    returns: int = 1
    retries: int = 0
    """How often it is repeated; of a method, when its actor's process dies and is made anew."""
    retry_on: bool | bytes = False
    """Whether it is repeated also when it raises: any exception, or one of the pickled tuple of classes."""
    restarts: int = 0
    """How often an actor is made anew when its process dies; -1 is without end."""
    calls: int = 0
    """After so many calls of the function a worker ends; 0: never."""
    method: str = ""
    actor_name: str = ""
    namespace: str = ""
    detached: bool = False
    held: dict[str, float] = field(default_factory=dict)
    """What an actor keeps while it lives; `resources` is what it needs to be placed."""
    concurrency: Concurrency | None = None
    """How many calls of an actor run at once; None: one."""
    group: str = ""
    """The concurrency group of a method; "" is the default one."""
    yields: str = ""
    """See `runs.Kind`; `returns` is 1 where it is set."""
    ahead: int = 0
    wish: Wish | None = None
    """Where it is to run; None: anywhere."""
    methods: Methods = ()
    """An actor's methods, for handles that are got by name."""
    runtime_env: RuntimeEnv | None = None
    """Its own, laid over that of the process that submits it."""
    plain: bool = False
    """A task or method with no option beyond CPUs, crash retries and a number of values: it may go by a lane."""
    listed: bool = True
    """Whether the state API tells of it (`enable_task_events`)."""

    def kind(self) -> Kind:
        """What a worker needs of it."""
        threads = max(1, int(self.resources.get("CPU", 0)))
        return Kind(
            self.function, self.name, self.role, self.returns, self.method, threads, self.retries,
            self.group, self.concurrency, self.yields, self.ahead, self.restarts, self.retry_on,
            self.calls, self.listed,
        )  # fmt: skip


class Output(NamedTuple):
    """Something a task printed (`stream` "stdout" or "stderr", `data` text) or showed ("display", a mime bundle)."""

    cell: str | None
    task: str
    stream: str
    data: Any
    source: str = ""
    """Who says it, for people: `f pid=17`."""


class Counts(Protocol):
    """Who counts the refs of this process."""

    def add(self, object_id: bytes, /) -> None: ...

    def pin(self, object_id: bytes, /) -> None: ...

    @property
    def drop(self) -> Callable[[bytes], None]: ...


class Engine(Protocol):
    """What runs work. Ids are bytes; values and errors come back as Python objects.

    Every method may be called from any thread. `get` raises the error of the first ref that failed.
    """

    name: str

    @property
    def alive(self) -> bool: ...

    @property
    def counts(self) -> Counts: ...

    def submit(self, work: Work, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        """The refs of the values; of a stream its `ObjectRefGenerator`, alone."""

    def create_actor(
        self, work: Work, args: tuple[Any, ...], kwargs: dict[str, Any], get_if_exists: bool = False
    ) -> bytes | Found:
        """The id of a new actor; one that has the name already where it is to be taken, else ActorNameTakenError."""


    def call(self, actor: bytes, work: Work, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]: ...

    def put(self, value: Any) -> ObjectRef[Any]: ...

    def get(self, ids: Sequence[bytes], timeout: float | None, writable: bool = False) -> list[Any]: ...

    def wait(self, ids: Sequence[bytes], num_returns: int, timeout: float | None) -> set[bytes]:
        """Ids that are ready, at least `num_returns` of them unless time ran out; all that are known to be."""

    def when_ready(self, object_id: bytes, call: Callable[[], None]) -> None:
        """Have `call` called when the object is ready or the cluster gone, by whoever reads: it must not wait."""

    def later(self, call: Callable[[], None]) -> None:
        """Have `call` called soon, by a thread that may wait."""

    def await_group(self, group: bytes, value: T) -> ObjectRef[T]:
        """A ref to the value that is ready when the placement group is."""

    def record(self, batch: Iterable[tuple[Any, ...]]) -> None:
        """Tell of metrics; a batch that pickles as the list of what there is by then is sent with it."""

    def blocking(self, ready: Callable[[], bool]) -> AbstractContextManager[object]:
        """Around a wait for what others do that the engine does not see: in a task, its CPU is given back meanwhile.

        `ready` says whether it is over.
        """

    def cancel(self, task: bytes, force: bool, recursive: bool) -> None: ...

    def cancel_cell(self, cell: str, actors_too: bool) -> int: ...

    def kill(self, actor: bytes, restart: bool = False) -> None: ...

    def pending_calls(self, actor: bytes) -> int:
        """How many calls of this process the actor has not finished."""

    def find_actor(self, name: str, namespace: str) -> Found | None:
        """A named actor that lives; `namespace` is empty for that of the calling code."""

    def use_namespace(self, namespace: str) -> None:
        """From now on it is that of this program: where its actors' names are, and are looked for."""

    @property
    def runtime_env(self) -> str:
        """The runtime environment that this process's work is in, as JSON; empty for none."""

    def use_runtime_env(self, env: RuntimeEnv) -> None:
        """From now on all that this process submits runs in this environment, unless it has more of its own."""

    def query(self, what: str, *args: Any) -> Any:
        """Cold questions: "resources", "nodes", "timeline", "status", …"""

    def close(self) -> None: ...
