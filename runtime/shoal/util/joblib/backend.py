"""The backend: batches of a parallel loop become tasks.

Large arrays that many calls share travel once: they are put into the store at their first use in a loop, and each
worker maps the same memory, read-only, as joblib's own memory maps are.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from joblib.parallel import (
    AutoBatchingMixin,
    BatchedCalls,
    FallbackToBackend,
    ParallelBackendBase,
    SequentialBackend,
    ThreadingBackend,
)

from shoal import api
from shoal.refs import ObjectRef
from shoal.store import LARGE
from shoal.util.executor import Executor


class ShoalBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc]
    """See https://joblib.readthedocs.io/en/stable/custom_parallel_backend.html

    Args: `ray_remote_args` are options of the tasks: `{"num_cpus": 2}`. A loop inside a call runs on the cluster too
    where that has CPUs to spare, in threads of its task where the outer loop has them all.
    """

    supports_retrieve_callback = True
    supports_inner_max_num_threads = True
    default_n_jobs = -1

    def __init__(
        self,
        nesting_level: int | None = None,
        inner_max_num_threads: int | None = None,
        ray_remote_args: dict[str, Any] | None = None,
        **backend_kwargs: Any,
    ) -> None:
        super().__init__(nesting_level=nesting_level, inner_max_num_threads=inner_max_num_threads, **backend_kwargs)
        self._options = ray_remote_args
        self._executor: Executor | None = None
        self._shared: dict[int, tuple[Any, ObjectRef[Any]]] = {}
        if nesting_level:
            self.default_n_jobs = 1  # a loop in a loop is parallel where it says so

    def __reduce__(self) -> tuple[Any, ...]:
        return _remade, (self.nesting_level, self.inner_max_num_threads, self._options)

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs is None:
            return 1
        if n_jobs < 0:
            return max(1, int(api.cluster_resources().get("CPU", 1)) + 1 + n_jobs)
        return n_jobs

    def configure(
        self,
        n_jobs: int = 1,
        parallel: Any = None,
        prefer: str | None = None,
        require: str | None = None,
        ray_remote_args: dict[str, Any] | None = None,
        **backend_kwargs: Any,
    ) -> int:
        options = self._options if ray_remote_args is None else ray_remote_args
        count = self.effective_n_jobs(n_jobs)
        if count == 1 and not options:
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        if self.nesting_level:
            spare = int(api.available_resources().get("CPU", 0))
            if not spare:
                raise FallbackToBackend(ThreadingBackend(nesting_level=self.nesting_level))
            count = min(count, spare + 1)
        self.parallel = parallel
        self._executor = Executor(count, **(options or {}))
        return count

    def submit(self, func: Any, callback: Callable[[Future[Any]], None] | None = None) -> Future[Any]:
        assert self._executor is not None
        if isinstance(func, BatchedCalls):
            batch, slots, refs = self._share(func)
            future = self._executor.submit(_run_batch, batch, slots, self.inner_max_num_threads, *refs)
        else:
            future = self._executor.submit(func)
        if callback is not None:
            future.add_done_callback(callback)
        return future

    def _share(self, batch: Any) -> tuple[Any, list[tuple[int, int | str]], list[ObjectRef[Any]]]:
        """The batch without what is shared, the places where that belongs, and the refs of it in their order."""
        slots: list[tuple[int, int | str]] = []
        refs: list[ObjectRef[Any]] = []
        items = []
        for number, (function, args, kwargs) in enumerate(batch.items):
            args, kwargs = list(args), dict(kwargs)
            for container, keys in ((args, range(len(args))), (kwargs, list(kwargs))):
                for key in keys:
                    value = container[key]
                    if _size(value) >= LARGE:
                        refs.append(self._shared_ref(value))
                        slots.append((number, key))
                        container[key] = None
            items.append((function, args, kwargs))
        if not slots:
            return batch, slots, refs
        lean = BatchedCalls(items, (batch._backend, batch._n_jobs), batch._reducer_callback, batch._pickle_cache)
        return lean, slots, refs

    def _shared_ref(self, value: Any) -> ObjectRef[Any]:
        found = self._shared.get(id(value))
        if found is None:
            found = self._shared[id(value)] = (value, api.put(value))  # held, so that its id stays its own
        return found[1]

    def retrieve_result_callback(self, out: Future[Any]) -> Any:
        return out.result()

    def get_nested_backend(self) -> tuple[Any, int | None]:
        level = (self.nesting_level or 0) + 1
        if level > 1:
            return SequentialBackend(nesting_level=level), None
        return _remade(level, self.inner_max_num_threads, self._options), None

    def abort_everything(self, ensure_ready: bool = True) -> None:
        if self._executor is not None:
            self._executor.terminate_workers()
            self._executor = None
        if ensure_ready:
            self.configure(n_jobs=self.parallel.n_jobs, parallel=self.parallel)

    def terminate(self) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=False)
            self._executor = None
        self._shared.clear()
        self.reset_batch_stats()


def _remade(level: int | None, threads: int | None, options: dict[str, Any] | None) -> ShoalBackend:
    return ShoalBackend(nesting_level=level, inner_max_num_threads=threads, ray_remote_args=options)


def _size(value: Any) -> int:
    """Bytes of arrays, sparse matrices and data frames; 0 for all else, which travels with its call."""
    try:
        if hasattr(value, "nbytes"):
            return int(value.nbytes)
        if hasattr(value, "memory_usage"):
            usage = value.memory_usage()
            return int(usage if isinstance(usage, int) else usage.sum())
        if hasattr(value, "indptr"):
            return int(value.data.nbytes)
    except Exception:  # something else of that name
        pass
    return 0


def _run_batch(batch: Any, slots: list[tuple[int, int | str]], threads: int | None, /, *values: Any) -> Any:
    for (number, key), value in zip(slots, values, strict=True):
        _, args, kwargs = batch.items[number]
        (args if isinstance(key, int) else kwargs)[key] = value
    with _limited(threads):
        return batch()


def _limited(threads: int | None) -> contextlib.AbstractContextManager[Any]:
    """As many threads as `inner_max_num_threads` says, for the libraries that threadpoolctl knows."""
    if threads is None:
        return contextlib.nullcontext()
    try:
        import threadpoolctl
    except ImportError:
        return contextlib.nullcontext()
    limits: contextlib.AbstractContextManager[Any] = threadpoolctl.threadpool_limits(threads)
    return limits
