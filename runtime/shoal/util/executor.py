"""`Executor`: concurrent.futures on the cluster."""

from __future__ import annotations

import atexit
import collections
import concurrent.futures
import functools
import itertools
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

from shoal import api
from shoal.exceptions import ClusterError, ShoalValueError, TaskCancelledError, WorkerCrashedError
from shoal.refs import ObjectRef
from shoal.util.completions import Completions
from shoal.util.outcome import original

T = TypeVar("T")

AHEAD = 0.005
"""Seconds of work that are sent before it can run, where the cluster's CPUs are the only limit: a worker that has
finished finds the next task at hand. What is sent can no longer be cancelled, as in the standard library."""
MOST_AHEAD = 1000


class _Item:
    __slots__ = ("future", "function", "args", "kwargs")

    def __init__(self, future: Future[Any], function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.future = future
        self.function = function
        self.args = args
        self.kwargs = kwargs


class Executor(concurrent.futures.Executor):
    """A `concurrent.futures.Executor` whose work runs as tasks on the cluster.

    Args: `max_workers` that run at once (default: the cluster's CPUs); `initializer(*initargs)` runs once in each
    worker process before its first work of this executor; `options` are those of a task: `num_cpus=2`, `resources=…`.
    Functions may be lambdas or those of a notebook. A ref as an argument arrives as its value. A worker that dies, or
    an initializer that fails, breaks the executor: all futures raise BrokenProcessPool.

    Follows https://docs.python.org/3/library/concurrent.futures.html
    """

    def __init__(
        self,
        max_workers: int | None = None,
        *,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        **options: Any,
    ) -> None:
        if max_workers is not None and max_workers <= 0:
            raise ShoalValueError(f"max_workers must be greater than 0, not {max_workers}")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        options = {"max_retries": 0, **options}
        self._first = _Initializer(initializer, initargs) if initializer is not None else None
        self._remote = api.remote(**options)(_run if self._first is None else _run_initialized)
        self._named: dict[str, Any] = {}
        self._max_workers = max_workers
        self._limited = True
        self._limit = max_workers or 1
        self._sized = False
        self._condition = threading.Condition(threading.RLock())
        self._pending: collections.deque[_Item] = collections.deque()
        self._sent = 0  # tasks on the cluster
        self._open = 0  # futures that are not settled
        self._rate = _Rate()
        self._stopped = False
        self._broken: str | None = None
        self._completions = Completions("shoal-executor")

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Run `fn(*args, **kwargs)` on the cluster; returns its future at once."""
        future: Future[T] = Future()
        with self._condition:
            if self._broken is not None:
                raise _broken_pool(self._broken)
            if self._stopped:
                raise RuntimeError("cannot schedule new futures after shutdown")
            self._pending.append(_Item(future, fn, args, kwargs))
            self._open += 1
        self._feed()
        return future

    def map(  # type: ignore[override]  # later Pythons have more options
        self, fn: Callable[..., T], /, *iterables: Iterable[Any], timeout: float | None = None, chunksize: int = 1,
        **others: Any,
    ) -> Iterator[T]:  # fmt: skip
        """Like the built-in `map`, all of it submitted at once; `chunksize` items travel in one task."""
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        if chunksize == 1:
            return super().map(fn, *iterables, timeout=timeout, **others)
        chunks = _chunks(zip(*iterables, strict=False), chunksize)
        results = super().map(functools.partial(_run_chunk, fn), chunks, timeout=timeout, **others)
        return _flatten(results)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more work; with `wait` return when all of it is done. `cancel_futures` cancels what has not begun."""
        with self._condition:
            self._stopped = True
            dropped = list(self._pending) if cancel_futures else []
            if cancel_futures:
                self._pending.clear()
        for item in dropped:
            item.future.cancel()
            item.future.set_running_or_notify_cancel()
            self._settled()
        if wait:
            with self._condition:
                self._condition.wait_for(lambda: not self._open)
        self._completions.close()

    def terminate_workers(self) -> None:
        """Cancel all: what is queued never runs, what runs gets KeyboardInterrupt. The executor is shut down."""
        self._end_all(force=False)

    def kill_workers(self) -> None:
        """The same, with the worker processes killed."""
        self._end_all(force=True)

    def _end_all(self, force: bool) -> None:
        self.shutdown(wait=False, cancel_futures=True)
        for ref in self._completions.refs():
            if ref._engine.alive:
                api.cancel(ref, force=force)

    # feeding the cluster

    def _feed(self) -> None:
        """Send what there is room for. What runs here runs without the lock: it may call the user's code."""
        while True:
            with self._condition:
                if not self._pending or (self._sized and self._sent >= self._room()):
                    return
                item = self._pending.popleft()
                self._sent += 1
            if item.future.set_running_or_notify_cancel():
                try:
                    self._send(item)
                    continue
                except BaseException as error:
                    if isinstance(error, ClusterError):
                        self._break(str(error))
                    item.future.set_exception(error)
            with self._condition:
                self._sent -= 1
            self._settled()

    def _room(self) -> int:
        if self._limited:
            return self._limit
        return self._limit + 1 + min(MOST_AHEAD, int(self._rate.per_second * AHEAD))

    def _send(self, item: _Item) -> None:
        if not self._sized:
            self._size()
        name = getattr(item.function, "__name__", None) or type(item.function).__name__
        remote = self._named.get(name)
        if remote is None:
            remote = self._named[name] = self._remote.options(name=name)
        if self._first is None:
            ref = remote.remote(item.function, *item.args, **item.kwargs)
        else:
            ref = remote.remote(self._first.sent(), item.function, *item.args, **item.kwargs)
        self._completions.watch(ref, functools.partial(self._done, item.future))

    def _size(self) -> None:
        cpus = int(api.cluster_resources().get("CPU", 1)) or 1
        with self._condition:
            self._limit = self._max_workers or cpus
            self._limited = self._limit < cpus
            self._sized = True
        _at_exit(self)

    def _done(self, future: Future[Any], ref: ObjectRef[Any]) -> None:
        """In the completions' thread: the next is sent before the user's callbacks run."""
        value: Any = None
        error: BaseException | None = None
        try:
            value = ref._engine.get([ref.binary()], None, writable=True)[0]  # the caller's own
        except (WorkerCrashedError, _InitializerFailed) as broken:
            self._break(str(broken))
            error = _broken_pool(str(broken))
        except ClusterError as gone:
            self._break(str(gone))
            error = gone
        except TaskCancelledError as cancelled:
            error = cancelled if self._broken is None else _broken_pool(self._broken)
        except _Exited as left:
            error = SystemExit(left.args[0])
        except BaseException as raised:
            error = original(raised)
        del ref
        self._rate.count()
        with self._condition:
            self._sent -= 1
        self._feed()
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(value)
        self._settled()

    def _settled(self) -> None:
        with self._condition:
            self._open -= 1
            self._condition.notify_all()

    def _break(self, reason: str) -> None:
        """No work can be trusted to run any more: the queued fails, and the running may."""
        with self._condition:
            if self._broken is not None:
                return
            self._broken = reason
            dropped = list(self._pending)
            self._pending.clear()
        for item in dropped:
            if item.future.set_running_or_notify_cancel():
                item.future.set_exception(_broken_pool(reason))
            self._settled()
        for ref in self._completions.refs():
            if ref._engine.alive:
                api.cancel(ref)


class _Rate:
    """How much is done per second, by the last quarter of one."""

    def __init__(self) -> None:
        self.per_second = 0.0
        self._since = time.monotonic()
        self._done = 0

    def count(self) -> None:
        self._done += 1
        now = time.monotonic()
        if self._done >= 32 or now - self._since > 0.25:
            self.per_second = self._done / max(now - self._since, 1e-6)
            self._since, self._done = now, 0


# on the workers


class _InitializerFailed(Exception):
    """The initializer raised; its message says what."""


class _Initializer:
    """An initializer with its arguments, stored once and fetched by each process that has not run it yet."""

    def __init__(self, function: Callable[..., object], args: tuple[Any, ...]) -> None:
        self.key = os.urandom(8)
        self._call = (function, args)
        self._lock = threading.Lock()
        self._sent: tuple[bytes, list[ObjectRef[Any]]] | None = None

    def sent(self) -> tuple[bytes, list[ObjectRef[Any]]]:
        with self._lock:
            if self._sent is None:
                self._sent = (self.key, [api.put(self._call)])
            return self._sent


class _Process:
    """What this worker process has initialized."""

    done: set[bytes] = set()
    lock = threading.Lock()


class _Exited(Exception):
    """The work called `sys.exit`: in an executor that ends the work and no process."""


def _run(function: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
    try:
        return function(*args, **kwargs)
    except SystemExit as exit:
        raise _Exited(exit.code) from exit


def _run_initialized(
    first: tuple[bytes, list[ObjectRef[Any]]], function: Callable[..., T], /, *args: Any, **kwargs: Any
) -> T:
    key, stored = first
    with _Process.lock:
        if key not in _Process.done:
            initialize, initargs = api.get(stored[0])
            try:
                initialize(*initargs)
            except BaseException as error:
                raise _InitializerFailed(f"the initializer failed: {type(error).__name__}: {error}") from error
            _Process.done.add(key)
    return _run(function, *args, **kwargs)


def _run_chunk(function: Callable[..., T], chunk: list[tuple[Any, ...]]) -> list[T]:
    return [function(*args) for args in chunk]


def _chunks(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    items = iter(items)
    while chunk := list(itertools.islice(items, size)):
        yield chunk


def _flatten(chunks: Iterator[list[T]]) -> Iterator[T]:
    """Each result is let go of as it is handed out."""
    for chunk in chunks:
        chunk.reverse()
        while chunk:
            yield chunk.pop()


def _broken_pool(reason: str) -> Exception:
    from concurrent.futures.process import BrokenProcessPool

    return BrokenProcessPool(f"{reason}; the executor cannot be used any more: make another")


# the end of the program: work that was submitted is done first, as in the standard library

_alive: weakref.WeakSet[Executor] = weakref.WeakSet()


def _at_exit(executor: Executor) -> None:
    """Called when the cluster is in use, whose own handler is to run later."""
    if not _alive:
        atexit.unregister(_finish)
        atexit.register(_finish)
    _alive.add(executor)


def _finish() -> None:
    for executor in list(_alive):
        executor.shutdown(wait=True)
