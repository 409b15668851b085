"""`ActorPool`: a few actors that share a stream of work."""

from __future__ import annotations

import collections
import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from shoal import api
from shoal.actors import ActorHandle
from shoal.exceptions import ActorDiedError, GetTimeoutError, ShoalValueError

Submit = Callable[[ActorHandle, Any], Any]
"""`lambda actor, value: actor.method.remote(value)`"""


class ActorPool:
    """Gives work to whichever of its actors is free.

    Args: `actors`, handles that nobody else gives work meanwhile.

    Follows https://docs.ray.io/en/latest/ray-core/api/doc/ray.util.ActorPool.html
    """

    def __init__(self, actors: Iterable[ActorHandle]) -> None:
        self._idle = list(actors)
        self._pending_submits: collections.deque[tuple[Submit, Any]] = collections.deque()
        self._running: dict[Any, tuple[int, ActorHandle, Any]] = {}  # key -> number, actor, what submit returned
        self._by_number: dict[int, Any] = {}
        self._submitted = 0
        self._next = 0

    def map(self, fn: Submit, values: Iterable[Any]) -> Iterator[Any]:
        """The results of `fn(actor, value)` for each value, in order. All is submitted at once.

        Results of earlier `submit` calls that nobody took are dropped first.
        """
        self._drop()
        for value in values:
            self.submit(fn, value)
        return self._results(self.get_next)

    def map_unordered(self, fn: Submit, values: Iterable[Any]) -> Iterator[Any]:
        """The same, in the order in which the results come."""
        self._drop()
        for value in values:
            self.submit(fn, value)
        return self._results(self.get_next_unordered)

    def _drop(self) -> None:
        while self.has_next():
            with contextlib.suppress(Exception):  # what nobody takes fails unseen
                self.get_next(timeout=0, ignore_if_timedout=True)

    def _results(self, take: Callable[..., Any]) -> Iterator[Any]:
        while self.has_next():
            yield take()

    def submit(self, fn: Submit, value: Any) -> None:
        """Have `fn(actor, value)` called with the next free actor; it returns the ref (or refs) of a call."""
        if not self._idle:
            self._pending_submits.append((fn, value))
            return
        actor = self._idle.pop()
        try:
            made = fn(actor, value)
        except BaseException:
            self._idle.append(actor)
            raise
        key = tuple(made) if isinstance(made, list) else made
        self._running[key] = (self._submitted, actor, made)
        self._by_number[self._submitted] = key
        self._submitted += 1

    def has_next(self) -> bool:
        """Whether there are results that nobody has taken."""
        return bool(self._running)

    def get_next(self, timeout: float | None = None, ignore_if_timedout: bool = False) -> Any:
        """The next result in the order of submission. Raises TimeoutError after `timeout` seconds.

        With `ignore_if_timedout` that result is dropped then, and its actor given other work. Raises StopIteration
        when there are no more.
        """
        if not self.has_next():
            raise StopIteration("the pool has no more results: has_next() tells")
        while self._next < self._submitted and self._next not in self._by_number:
            self._next += 1  # taken by get_next_unordered
        key = self._by_number[self._next]
        made = self._running[key][2]
        refs = made if isinstance(made, list) else [made]
        if timeout is not None:
            ready, _ = api.wait(refs, num_returns=len(refs), timeout=timeout)
            if len(ready) < len(refs):
                self._timed_out(key, timeout, ignore_if_timedout)
        return self._take(key)

    def get_next_unordered(self, timeout: float | None = None, ignore_if_timedout: bool = False) -> Any:
        """The next result to come, whichever it is; the rest as in `get_next`."""
        if not self.has_next():
            raise StopIteration("the pool has no more results: has_next() tells")
        first = {(key[0] if isinstance(key, tuple) else key): key for key in self._running}
        ready, _ = api.wait(list(first), num_returns=1, timeout=timeout)
        if not ready:
            assert timeout is not None
            self._timed_out(next(iter(self._running)), timeout, ignore_if_timedout)
        return self._take(first[ready[0]])

    def _timed_out(self, key: Any, timeout: float, drop: bool) -> None:
        if drop:
            _, actor, _ = self._forget(key)
            self._free(actor)
        raise GetTimeoutError(f"no result after {timeout:g} s" + (": it was dropped" if drop else ""))

    def _forget(self, key: Any) -> tuple[int, ActorHandle, Any]:
        found = self._running.pop(key)
        del self._by_number[found[0]]
        return found

    def _take(self, key: Any) -> Any:
        _, actor, made = self._forget(key)
        try:
            value = api.get(made)
        except ActorDiedError:
            self._submit_pending()  # the others go on without it
            raise
        except BaseException:
            self._free(actor)
            raise
        self._free(actor)
        return value

    def _free(self, actor: ActorHandle) -> None:
        self._idle.append(actor)
        self._submit_pending()

    def _submit_pending(self) -> None:
        if self._pending_submits and self._idle:
            self.submit(*self._pending_submits.popleft())

    def has_free(self) -> bool:
        """Whether an actor is free and no work waits for it."""
        return bool(self._idle) and not self._pending_submits

    def pop_idle(self) -> ActorHandle | None:
        """Take a free actor out of the pool; None where there is none."""
        return self._idle.pop() if self.has_free() else None

    def push(self, actor: ActorHandle) -> None:
        """Add an actor. Raises ValueError for one that is in the pool already."""
        if actor in self._idle or any(actor == busy for _, busy, _ in self._running.values()):
            raise ShoalValueError("that actor belongs to the pool already")
        self._free(actor)
