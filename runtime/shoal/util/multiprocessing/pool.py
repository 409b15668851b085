"""`Pool`: multiprocessing's pool of processes, which are actors here."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sized
from typing import Any

from shoal import api, current, lifecycle
from shoal.exceptions import ShoalValueError
from shoal.util.multiprocessing.children import Child, Children, Chunk
from shoal.util.multiprocessing.results import AsyncResult, IMapIterator

Callback = Callable[[Any], object] | None


class Pool:
    """A pool of processes with multiprocessing's methods; functions may be lambdas or those of a notebook.

    Args: `processes` (default: the cluster's CPUs); `initializer(*initargs)` runs in each; each is replaced after
    `maxtasksperchild` tasks; `context` is ignored; `ray_address` says which cluster to join where this program has none
    (default: one of `processes` CPUs is started); `ray_remote_args` are options of the actors: `{"num_cpus": 1}`.
    Raises ValueError for more processes than the cluster has CPUs.

    Follows https://docs.python.org/3/library/multiprocessing.html#module-multiprocessing.pool
    """

    def __init__(
        self,
        processes: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] | None = None,
        maxtasksperchild: int | None = None,
        context: Any = None,
        ray_address: str | None = None,
        ray_remote_args: dict[str, Any] | None = None,
    ) -> None:
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        if maxtasksperchild is not None and (not isinstance(maxtasksperchild, int) or maxtasksperchild <= 0):
            raise ShoalValueError(f"maxtasksperchild must be a positive int or None, not {maxtasksperchild!r}")
        if context is not None:
            warnings.warn("the cluster starts the pool's processes: context= is ignored", stacklevel=2)
        count = _processes(processes, ray_address)
        cls = api.remote(**{"num_cpus": 0, **(ray_remote_args or {})})(Child)
        first = (initializer, tuple(initargs or ()))
        self._closed = False
        self._children = Children(count, lambda: cls.remote(*first), maxtasksperchild)
        self._count = count

    # one call

    def apply(
        self, func: Callable[..., Any], args: Iterable[Any] | None = None, kwargs: dict[str, Any] | None = None,
        *, kwds: dict[str, Any] | None = None,
    ) -> Any:  # fmt: skip
        """`func(*args, **kwargs)`, run by one of the processes."""
        return self.apply_async(func, args, kwargs, kwds=kwds).get()

    def apply_async(
        self,
        func: Callable[..., Any],
        args: Iterable[Any] | None = None,
        kwargs: dict[str, Any] | None = None,
        callback: Callback = None,
        error_callback: Callback = None,
        *,
        kwds: dict[str, Any] | None = None,
    ) -> AsyncResult:
        """The same, as an AsyncResult; `callback(value)` or `error_callback(exception)` is called at its end."""
        self._check_running()
        result = AsyncResult(1, callback, error_callback, single=True)
        call = (tuple(args or ()), dict(kwargs or kwds or {}))
        self._children.give(Chunk(func, "call", [call], result.taker(0)))
        return result

    # many calls

    def map(self, func: Callable[[Any], Any], iterable: Iterable[Any], chunksize: int | None = None) -> list[Any]:
        """The list of `func(item)`; `chunksize` items at a time go to a process."""
        values: list[Any] = self.map_async(func, iterable, chunksize).get()
        return values

    def map_async(
        self,
        func: Callable[[Any], Any],
        iterable: Iterable[Any],
        chunksize: int | None = None,
        callback: Callback = None,
        error_callback: Callback = None,
    ) -> AsyncResult:
        """The same, as an AsyncResult; one of the callbacks is called when all is done."""
        return self._map(func, iterable, "one", chunksize, callback, error_callback)

    def starmap(
        self, func: Callable[..., Any], iterable: Iterable[Iterable[Any]], chunksize: int | None = None
    ) -> list[Any]:
        """The list of `func(*item)`."""
        values: list[Any] = self.starmap_async(func, iterable, chunksize=chunksize).get()
        return values

    def starmap_async(
        self,
        func: Callable[..., Any],
        iterable: Iterable[Iterable[Any]],
        callback: Callback = None,
        error_callback: Callback = None,
        *,
        chunksize: int | None = None,
    ) -> AsyncResult:
        """The same, as an AsyncResult."""
        return self._map(func, iterable, "star", chunksize, callback, error_callback)

    def _map(
        self,
        func: Callable[..., Any],
        iterable: Iterable[Any],
        spread: str,
        chunksize: int | None,
        callback: Callback,
        error_callback: Callback,
    ) -> AsyncResult:
        self._check_running()
        items = list(iterable)
        size = self._chunksize(len(items)) if chunksize is None else chunksize
        if size < 1:
            raise ShoalValueError(f"chunksize={chunksize}: give 1 or more")
        chunks = [items[start : start + size] for start in range(0, len(items), size)]
        result = AsyncResult(len(chunks), callback, error_callback)
        function = api.put(func) if len(chunks) > 1 else func  # it travels once
        for index, chunk in enumerate(chunks):
            self._children.give(Chunk(function, spread, chunk, result.taker(index)))
        return result

    def _chunksize(self, items: int) -> int:
        return max(1, -(-items // (4 * self._count)))

    def imap(
        self, func: Callable[[Any], Any], iterable: Iterable[Any], chunksize: int | None = 1
    ) -> IMapIterator:
        """An iterator over `func(item)`, in order; takes items only as the results are taken.

        What an item raised comes as a value, in its place, as with Ray's pool.
        """
        return self._imap(func, iterable, chunksize, ordered=True)

    def imap_unordered(
        self, func: Callable[[Any], Any], iterable: Iterable[Any], chunksize: int | None = 1
    ) -> IMapIterator:
        """The same, in the order in which the results come."""
        return self._imap(func, iterable, chunksize, ordered=False)

    def _imap(
        self, func: Callable[[Any], Any], iterable: Iterable[Any], chunksize: int | None, ordered: bool
    ) -> IMapIterator:
        self._check_running()
        if chunksize is None:
            chunksize = self._chunksize(len(iterable)) if isinstance(iterable, Sized) else 1
        if chunksize < 1:
            raise ShoalValueError(f"chunksize={chunksize}: give 1 or more")
        return IMapIterator(self._children, api.put(func), iterable, chunksize, ordered)

    # the end

    def close(self) -> None:
        """Take no more work; what was given is done."""
        self._closed = True
        self._children.close()

    def terminate(self) -> None:
        """Kill the processes; what they had to do raises ActorDiedError."""
        self._closed = True
        self._children.terminate()

    def join(self) -> None:
        """Wait until all is done. Raises ValueError unless the pool was closed or terminated."""
        if not self._closed:
            raise ValueError("Pool is still running")
        self._children.join()

    def _check_running(self) -> None:
        if self._closed:
            raise ValueError("Pool not running")

    def __enter__(self) -> Pool:
        self._check_running()
        return self

    def __exit__(self, *exc: object) -> None:
        self.terminate()

    def __reduce__(self) -> Any:
        raise NotImplementedError("pool objects cannot be passed between processes or pickled")


def _processes(asked: int | None, address: str | None) -> int:
    if asked is not None and asked <= 0:
        raise ShoalValueError(f"processes={asked}: give a number above zero")
    if current.peek() is None:
        if address in (None, "local"):
            lifecycle.init(num_cpus=asked)
        else:
            lifecycle.init(address)
    cpus = int(api.cluster_resources().get("CPU", 0))
    if asked is None:
        return max(1, cpus)
    if asked > cpus:
        raise ShoalValueError(f"processes={asked}, but the cluster has {cpus} CPUs: ask for fewer")
    return asked
