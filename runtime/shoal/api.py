"""What people call: Ray's names and meaning. https://docs.ray.io/en/latest/ray-core/api/core.html"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, overload

from shoal import cluster, trace
from shoal import options as opts
from shoal.actors import ActorClass, ActorHandle
from shoal.cluster import Cluster, engine
from shoal.exceptions import AlreadyInitializedError, ShoalTypeError, ShoalValueError
from shoal.functions import RemoteFunction
from shoal.refs import ObjectRef

T = TypeVar("T")


class Context:
    """What `init` returns: the cluster; as a context manager it shuts it down at the end."""

    def __init__(self, joined: Cluster, arguments: tuple[Any, ...]) -> None:
        self._cluster = joined
        self._arguments = arguments

    @property
    def address(self) -> str:
        """The name by which others join: `shoal.init(address)`."""
        return self._cluster.name

    def disconnect(self) -> None:
        if cluster.current() is self._cluster:
            shutdown()

    def __enter__(self) -> Context:
        return self

    def __exit__(self, *exc: object) -> None:
        self.disconnect()

    def __repr__(self) -> str:
        if not self._cluster.alive or cluster.current() is not self._cluster:
            return f"shoal cluster {self.address} (left)"
        total, free = self._cluster.engine.query("resources")
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
    object_store_memory: int | None = None,
    ignore_reinit_error: bool = False,
    **unknown: Any,
) -> Context:
    """Start a cluster on this machine, or connect to one.

    Args: `address` None or "local" starts one, "auto" joins the youngest of yours, a name joins that one, "inline" runs
    everything in this thread. `num_cpus` tasks run at once; `object_store_memory` in bytes. Run again in a notebook
    with equal arguments it returns the same context; in a script it raises RuntimeError, unless told to ignore that.
    """
    if unknown:
        raise ShoalValueError(
            f"init() has no option {sorted(unknown)[0]!r}; there are: address, num_cpus, num_gpus, resources, "
            "object_store_memory, ignore_reinit_error"
        )
    arguments = (address, num_cpus, num_gpus, tuple((resources or {}).items()), object_store_memory)
    here = cluster.current()
    if here is not None and here.alive:
        before = _inited.context
        if before is not None and before._cluster is here:
            if ignore_reinit_error or (cluster.interactive() and before._arguments == arguments):
                return before
        elif ignore_reinit_error or (cluster.interactive() and arguments == (None, None, None, (), None)):
            _inited.context = Context(here, arguments)
            return _inited.context
        raise AlreadyInitializedError(
            f"this program uses the cluster {here.name} already: call shoal.shutdown() first, "
            "or pass ignore_reinit_error=True"
        )
    if here is not None:
        cluster.leave()
    address = address or os.environ.get("SHOAL_ADDRESS")
    if address == "inline":
        made = cluster.inline()
    elif address in (None, "local"):
        made = cluster.start(cpus=num_cpus, gpus=num_gpus or 0, store=object_store_memory, resources=resources)
    else:
        if any(v is not None for v in (num_cpus, num_gpus, resources, object_store_memory)):
            raise ShoalValueError("the sizes of a cluster are set where it is started: leave them out with an address")
        made = cluster.connect_to(address)
    cluster.use(made)
    _inited.context = Context(made, arguments)
    return _inited.context


def shutdown() -> None:
    """Leave the cluster, and end it if this program started it. Harmless when there is none."""
    cluster.leave()
    _inited.context = None


def is_initialized() -> bool:
    """Whether this program has a cluster that lives."""
    here = cluster.current()
    return here is not None and here.alive


@overload
def remote(target: Callable[..., T], /) -> Any: ...
@overload
def remote(**options: Any) -> Callable[[Any], Any]: ...
def remote(*args: Any, **options: Any) -> Any:
    """Make a function or class remote: `@remote`, `@remote(num_cpus=2)`, or `remote(function)`.

    Raises ValueError for an unknown option, with the list of those there are.
    """
    if args:
        if len(args) > 1 or options or not callable(args[0]):
            raise ShoalTypeError("remote takes one function or class, or options by name: @shoal.remote(num_cpus=2)")
        return _remote(args[0], {})
    return lambda target: _remote(target, options)


def _remote(target: Any, options: dict[str, Any]) -> Any:
    if isinstance(target, (RemoteFunction, ActorClass)):
        raise ShoalTypeError(f"{target.__name__} is remote already: use .options(...) for other options")  # type: ignore[union-attr]
    if isinstance(target, type):
        return ActorClass(target, opts.check("actor", options))
    if not callable(target):
        raise ShoalTypeError(f"only functions and classes can be remote, not {type(target).__name__}")
    return RemoteFunction(target, opts.check("task", options))


def put(value: T) -> ObjectRef[T]:
    """Store a value; returns its ref. Raises TypeError for a ref: it is on the cluster already."""
    if isinstance(value, ObjectRef):
        raise ShoalTypeError("put() of an ObjectRef: its value is on the cluster already, pass the ref itself")
    return engine().put(value)


def get(refs: Any, *, timeout: float | None = None) -> Any:
    """The value of a ref, or the values of a list of refs, in their order.

    Large arrays are read-only views of shared memory. Raises what the task raised (an instance of the user's class and
    of TaskError), GetTimeoutError after `timeout` seconds (0: just look), as soon as any of the refs has failed.
    """
    if isinstance(refs, ObjectRef):
        return _engine_of(refs).get([refs.binary()], timeout)[0]
    if not isinstance(refs, (list, tuple)):
        raise ShoalTypeError(f"get() takes an ObjectRef or a list of them, not {type(refs).__name__}")
    if not refs:
        return []
    for ref in refs:
        if not isinstance(ref, ObjectRef):
            raise ShoalTypeError(f"get() takes ObjectRefs; the list holds {type(ref).__name__}")
    return _engine_of(refs[0]).get([r.binary() for r in refs], timeout)


def wait(
    refs: Sequence[ObjectRef[Any]], *, num_returns: int = 1, timeout: float | None = None, fetch_local: bool = True
) -> tuple[list[ObjectRef[Any]], list[ObjectRef[Any]]]:
    """Wait until `num_returns` of the refs are ready (or failed), or `timeout` seconds are over.

    Returns two lists in the order of the input: at most `num_returns` ready ones, and the rest.
    """
    if isinstance(refs, ObjectRef) or not isinstance(refs, (list, tuple)):
        raise ShoalTypeError(f"wait() takes a list of ObjectRefs, not {type(refs).__name__}")
    for ref in refs:
        if not isinstance(ref, ObjectRef):
            raise ShoalTypeError(f"wait() takes ObjectRefs; the list holds {type(ref).__name__}")
    if not refs:
        return [], []
    if len(set(refs)) != len(refs):
        raise ShoalValueError("wait() was given the same ref twice")
    if num_returns < 1 or num_returns > len(refs):
        raise ShoalValueError(f"num_returns={num_returns} of {len(refs)} refs: give a number from 1 to {len(refs)}")
    ids = [r.binary() for r in refs]
    done = _engine_of(refs[0]).wait(ids, num_returns, timeout)
    ready: list[ObjectRef[Any]] = []
    rest: list[ObjectRef[Any]] = []
    for ref, object_id in zip(refs, ids, strict=True):
        (ready if object_id in done and len(ready) < num_returns else rest).append(ref)
    return ready, rest


def cancel(ref: ObjectRef[Any], *, force: bool = False, recursive: bool = True) -> None:
    """Cancel the task of a ref, and the tasks that it started: queued it never runs, running it gets KeyboardInterrupt.

    `force` ends its worker process. A task that is done stays as it is.
    """
    if not isinstance(ref, ObjectRef):
        raise ShoalTypeError(f"cancel() takes an ObjectRef, not {type(ref).__name__}")
    _engine_of(ref).cancel(ref.task_id(), force, recursive)


def kill(actor: ActorHandle, *, no_restart: bool = True) -> None:
    """End an actor at once: its running and queued calls raise ActorDiedError."""
    if not isinstance(actor, ActorHandle):
        raise ShoalValueError(f"kill() takes an actor's handle, not {type(actor).__name__}; cancel() is for tasks")
    _engine_of(actor._ref).kill(actor._ref.binary())


def _engine_of(ref: ObjectRef[Any]) -> Any:
    return ref._engine


def cluster_resources() -> dict[str, float]:
    """What the cluster has in all, by resource."""
    total: dict[str, float] = engine().query("resources")[0]
    return total


def available_resources() -> dict[str, float]:
    """What of it is free now."""
    free: dict[str, float] = engine().query("resources")[1]
    return free


def nodes() -> list[dict[str, Any]]:
    """The machines of the cluster, with Ray's keys."""
    found: list[dict[str, Any]] = engine().query("nodes")
    return found


def timeline(filename: str | None = None) -> list[dict[str, Any]]:
    """What ran where and when (the latest 10,000 tasks) as Chrome trace events; also written to `filename`."""
    rows = engine().query("history")
    if filename is not None:
        trace.write(rows, filename)
    return trace.events(rows)
