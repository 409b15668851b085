"""What people call: Ray's names and meaning. https://docs.ray.io/en/latest/ray-core/api/core.html"""

from __future__ import annotations

import math
import numbers
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, overload

from shoal import assigned, context, trace
from shoal import options as opts
from shoal.actors import ActorClass, ActorHandle
from shoal.cluster import engine
from shoal.exceptions import ClusterDiedError, NotARefError, ShoalTypeError, ShoalValueError
from shoal.functions import RemoteFunction
from shoal.generators import ObjectRefGenerator
from shoal.ids import task_of
from shoal.refs import ObjectRef, check_not_foreign, is_foreign

T = TypeVar("T")
Awaited = TypeVar("Awaited", bound=ObjectRef[Any] | ObjectRefGenerator)


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
    if not options:
        raise ShoalTypeError("@shoal.remote goes without parentheses, or with options: @shoal.remote(num_cpus=2)")
    return lambda target: _remote(target, options)


def _remote(target: Any, options: dict[str, Any]) -> Any:
    if isinstance(target, (staticmethod, classmethod)):
        raise ShoalTypeError(f"put @{type(target).__name__} above @shoal.remote, not below it")
    if isinstance(target, (RemoteFunction, ActorClass)):
        raise ShoalTypeError(f"{target.__name__} is remote already: use .options(...) for other options")  # type: ignore[union-attr]
    if isinstance(target, type):
        return ActorClass(target, opts.check("actor", options))
    if not callable(target):
        raise ShoalTypeError(f"only functions and classes can be remote, not {type(target).__name__}")
    return RemoteFunction(target, opts.check("task", options))


def put(value: T, *, _owner: Any = None) -> ObjectRef[T]:
    """Store a value; returns its ref. Raises TypeError for a ref: it is on the cluster already.

    A value lasts as long as anybody holds a ref to it, whoever made it: `_owner`, the handle of an actor that is to
    answer for it in Ray, changes nothing here.
    """
    if _owner is not None and not isinstance(_owner, ActorHandle):
        raise ShoalTypeError(f"The parameter `_owner` is the handle of an actor, not {type(_owner).__name__}")
    if isinstance(value, ObjectRef):
        raise ShoalTypeError("put() of an ObjectRef: its value is on the cluster already, pass the ref itself")
    return engine().put(value)


def get(refs: Any, *, timeout: float | None = None) -> Any:
    """The value of a ref, or the values of a list of refs, in their order.

    Large arrays are read-only views of shared memory; a generator of refs is returned as it is. Raises what the task
    raised (an instance of the user's class and of TaskError) as soon as any of the refs has failed, GetTimeoutError
    after `timeout` seconds (0: just look).
    """
    timeout = None if timeout is None or timeout == -1 else _seconds(timeout)  # -1 as in Ray
    if context.get_task() is not None:
        _warn_in_loop()
    if isinstance(refs, ObjectRef):
        return _engine_of(refs).get([refs.binary()], timeout)[0]
    if isinstance(refs, ObjectRefGenerator):  # as in Ray
        return refs
    if not isinstance(refs, (list, tuple)):
        raise NotARefError(f"get() takes an ObjectRef or a list of them, not {type(refs).__name__}")
    for ref in refs:
        if not isinstance(ref, ObjectRef):
            raise NotARefError(f"get() takes ObjectRefs; the list holds {type(ref).__name__}")
    if not refs:
        return []
    return _engine_of(*refs).get([r.binary() for r in refs], timeout)


def _seconds(timeout: float) -> float | None:
    """A timeout as the engines take it."""
    if not isinstance(timeout, numbers.Real) or isinstance(timeout, bool):
        raise ShoalTypeError(f"timeout is a number of seconds, or None to wait as long as it takes, not {timeout!r}")
    if not timeout >= 0:
        raise ShoalValueError(f"timeout={timeout} makes no sense: 0 just looks, None waits as long as it takes")
    return None if timeout == math.inf else float(timeout)


def _warn_in_loop() -> None:
    """Once a worker: a task that waits inside a coroutine stops all the others."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None or _warned.in_loop or asyncio._get_running_loop() is None:
        return
    _warned.in_loop = True
    import logging

    logging.getLogger("shoal").warning(
        "shoal.get() inside a coroutine blocks its event loop, and with it all other calls: await the ref, "
        "or asyncio.gather(*refs)"
    )


class _Warned:
    in_loop = False


_warned = _Warned()


def wait(
    refs: Sequence[Awaited], *, num_returns: int = 1, timeout: float | None = None, fetch_local: bool = True
) -> tuple[list[Awaited], list[Awaited]]:
    """Wait until `num_returns` of the refs are ready (or failed), or `timeout` seconds are over.

    Returns two lists in the order of the input: at most `num_returns` ready ones, and the rest. A generator of refs is
    ready when its next ref, or its end, is there.
    """
    if isinstance(refs, (ObjectRef, ObjectRefGenerator)) or not isinstance(refs, (list, tuple)):
        raise ShoalTypeError(f"wait() takes a list of ObjectRefs, not {type(refs).__name__}")
    timeout = None if timeout is None else _seconds(timeout)
    # Who waits for one of many again and again passes here as often as there are many: no work in Python for each ref.
    for cls in set(map(type, refs)):
        if not issubclass(cls, (ObjectRef, ObjectRefGenerator)):
            raise ShoalTypeError(f"wait() takes ObjectRefs; the list holds {cls.__name__}")
    if not refs:
        return [], []
    ids = [r.awaits() if type(r) is ObjectRefGenerator else r.binary() for r in refs]
    if len(set(ids)) != len(refs):
        raise ShoalValueError("wait() was given the same ref twice")
    if num_returns < 1 or num_returns > len(refs):
        raise ShoalValueError(f"num_returns={num_returns} of {len(refs)} refs: give a number from 1 to {len(refs)}")
    wanted = ids
    engines = {getattr(r, "_engine", None) for r in refs}
    # What is of a cluster that was left will never be ready, which is no reason not to wait for the others.
    if len(engines) > 1:
        known = [r for r in refs if not is_foreign(getattr(r, "_engine", None))] or refs
        here = _engine_of(*known)
        wanted = [i for i, r in zip(ids, refs, strict=True) if getattr(r, "_engine", None) is here]
    else:
        here = _engine_of(refs[0])
    done = here.wait(wanted, min(num_returns, len(wanted)), timeout)
    if len(done) > num_returns:
        done = set([i for i in ids if i in done][:num_returns])
    ready = [r for r, i in zip(refs, ids, strict=True) if i in done]
    rest = [r for r, i in zip(refs, ids, strict=True) if i not in done]
    return ready, rest


def cancel(ref: ObjectRef[Any] | ObjectRefGenerator, *, force: bool = False, recursive: bool = True) -> None:
    """Cancel the task of a ref, and the tasks that it started: queued it never runs, running it gets KeyboardInterrupt.

    `force` ends its worker process. A task that is done stays as it is. An actor's call is not interrupted: a coroutine
    gets CancelledError, other code sees it by `is_canceled()` of its runtime context, and whoever waits for it
    TaskCancelledError; `force` raises ValueError there.
    """
    if not isinstance(ref, (ObjectRef, ObjectRefGenerator)):
        raise ShoalTypeError(f"cancel() takes an ObjectRef, not {type(ref).__name__}")
    task = task_of(ref.awaits() if isinstance(ref, ObjectRefGenerator) else ref.binary())
    here = _engine_of(ref)
    if force and here.query("role", task) == "method":
        raise ShoalValueError("force=True is not supported for actor tasks: shoal.kill(actor) ends an actor")
    here.cancel(task, force, recursive)


def kill(actor: ActorHandle, *, no_restart: bool = True) -> None:
    """End an actor at once: its running and queued calls raise ActorDiedError."""
    if not isinstance(actor, ActorHandle):
        raise ShoalValueError(f"kill() takes an actor's handle, not {type(actor).__name__}; cancel() is for tasks")
    _engine_of(actor._ref).kill(actor._ref.binary(), not no_restart)


def _engine_of(
    first: ObjectRef[Any] | ObjectRefGenerator, *others: ObjectRef[Any] | ObjectRefGenerator
) -> Any:
    try:
        engine = first._engine
        check_not_foreign(engine)
        for ref in others:
            if ref._engine is not engine:
                raise ClusterDiedError("refs of two clusters: those of the one that was shut down are gone")
    except AttributeError:
        raise ShoalValueError("a nil ref stands for no object: refs are made by .remote() and shoal.put()") from None
    return engine


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


def get_gpu_ids() -> list[int | str]:
    """The GPUs that the running task or actor has; empty in a driver, and where none were asked for.

    Numbers, or what CUDA_VISIBLE_DEVICES called them where the cluster was started.
    """
    return list(assigned.get().gpus)


def timeline(filename: str | None = None) -> list[dict[str, Any]]:
    """What ran where and when, as Chrome trace events (ui.perfetto.dev shows them); also written to `filename`.

    Of the latest 10,000 tasks each has a bar on the row of its worker, named and coloured by how it ended, with Ray's
    phases inside, an arrow from where it was submitted, and the time that it was queued. Times are in microseconds.
    """
    found = trace.events(engine().query("timeline"))
    if filename is not None:
        trace.write(found, filename)
    return found
