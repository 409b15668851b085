"""The processes of a pool: actors, each with a place in the pool that outlives it."""

from __future__ import annotations

import collections
import contextlib
import threading
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from shoal import api
from shoal.errors import pack_error, unpack_error
from shoal.exceptions import ActorDiedError
from shoal.refs import ObjectRef
from shoal.serial import Packed
from shoal.util.completions import Completions
from shoal.util.outcome import original

AHEAD = 2
"""Chunks that a process has at once: it finds the next at hand when one is done."""


class Failure(NamedTuple):
    """What one item raised, as it travels."""

    stream: bytes
    buffers: list[bytes]

    def exception(self) -> BaseException:
        return original(unpack_error(Packed(self.stream, self.buffers, ())))


class Child:
    """The actor: runs chunks of items, and reports each item's value or failure."""

    def __init__(self, initializer: Callable[..., object] | None, initargs: Sequence[Any]) -> None:
        if initializer is not None:
            initializer(*initargs)

    def ready(self) -> None:
        pass

    def run(self, function: Callable[..., Any], spread: str, items: list[Any]) -> list[Any]:
        results: list[Any] = []
        for item in items:
            try:
                if spread == "one":
                    results.append(function(item))
                elif spread == "star":
                    results.append(function(*item))
                else:
                    args, kwargs = item
                    results.append(function(*args, **kwargs))
            except Exception as error:
                packed = pack_error(error, getattr(function, "__name__", "a function"))
                results.append(Failure(packed.stream, [bytes(b) for b in packed.buffers]))
        return results


class Chunk(NamedTuple):
    """Some items to be run by one process; `done` is called with their values, or with what failed them all."""

    function: Any
    spread: str
    items: list[Any]
    done: Callable[[list[Any] | BaseException], None]


class Place:
    """One of the pool's places: the actor that has it now, and its work."""

    def __init__(self, actor: Any) -> None:
        self.actor = actor
        self.load = 0
        self.given = 0


class Children:
    """Gives chunks to the processes: to the one with the least to do, no more ahead than keeps it busy.

    After `most` chunks a process is replaced by a new one, and so is one that died.
    """

    def __init__(self, count: int, make: Callable[[], Any], most: int | None) -> None:
        self._make = make
        self._most = most
        self._condition = threading.Condition(threading.RLock())
        self._waiting: collections.deque[Chunk] = collections.deque()
        self._open = 0
        self._ended: str | None = None
        self._completions = Completions("shoal-pool")
        self._places = [Place(make()) for _ in range(count)]
        try:
            api.get([place.actor.ready.remote() for place in self._places])
        except ActorDiedError:
            self._places.clear()
            raise

    def __len__(self) -> int:
        return len(self._places)

    def give(self, chunk: Chunk) -> None:
        with self._condition:
            self._open += 1
            self._waiting.append(chunk)
        self._feed()

    def _feed(self) -> None:
        while True:
            with self._condition:
                free = [p for p in self._places if p.load < AHEAD and (self._most is None or p.given < self._most)]
                if not self._waiting or not free:
                    return
                chunk = self._waiting.popleft()
                place = min(free, key=lambda p: p.load)
                place.load += 1
                place.given += 1
                actor = place.actor
            try:
                ref = actor.run.remote(chunk.function, chunk.spread, chunk.items)
            except Exception as error:  # what cannot be pickled fails its own chunk
                with self._condition:
                    place.load -= 1
                    place.given -= 1
                self._finish(chunk, error)
            else:
                self._completions.watch(ref, self._watcher(chunk, place, actor))

    def _watcher(self, chunk: Chunk, place: Place, actor: Any) -> Callable[[ObjectRef[Any]], None]:
        return lambda ref: self._took(chunk, place, actor, ref)

    def _took(self, chunk: Chunk, place: Place, actor: Any, ref: ObjectRef[Any]) -> None:
        outcome: list[Any] | BaseException
        died = False
        try:
            outcome = ref._engine.get([ref.binary()], None, writable=True)[0]  # the caller's own
        except BaseException as error:
            outcome = original(error)
            died = isinstance(error, ActorDiedError)
        del ref
        with self._condition:
            if place.actor is actor:
                place.load -= 1
                worn_out = place.given == self._most and not place.load
                if (died or worn_out) and (self._ended is None or self._waiting):
                    place.actor, place.load, place.given = self._make(), 0, 0
        self._feed()
        self._finish(chunk, outcome)

    def _finish(self, chunk: Chunk, outcome: list[Any] | BaseException) -> None:
        try:
            chunk.done(outcome)
        except Exception:  # the user's callback: nobody else hears of it
            traceback.print_exc()
        with self._condition:
            self._open -= 1
            self._condition.notify_all()
            if not self._open and self._ended is not None:
                self._places.clear()  # with their last handle the actors end

    def close(self) -> None:
        """What was given is done; then the processes end."""
        with self._condition:
            self._ended = self._ended or "the pool was closed"
            if not self._open:
                self._places.clear()

    def terminate(self) -> None:
        """The processes are killed; what they had, and what waited, fails."""
        with self._condition:
            self._ended = "the pool was terminated"
            places, waiting = list(self._places), list(self._waiting)
            self._waiting.clear()
            self._places.clear()
        for place in places:
            with contextlib.suppress(Exception):  # its cluster has gone already
                api.kill(place.actor)
        for chunk in waiting:
            self._finish(chunk, ActorDiedError("the pool was terminated before this was run"))

    def join(self) -> None:
        with self._condition:
            self._condition.wait_for(lambda: not self._open)
        self._completions.close()
