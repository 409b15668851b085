"""What a pool's asynchronous methods return."""

from __future__ import annotations

import collections
import itertools
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import TimeoutError
from typing import Any

from shoal.util.multiprocessing.children import Children, Chunk, Failure


class AsyncResult:
    """The result of `apply_async` (`single`) or of a `..._async` map, chunk by chunk."""

    def __init__(
        self,
        chunks: int,
        callback: Callable[[Any], object] | None,
        error_callback: Callable[[BaseException], object] | None,
        single: bool = False,
    ) -> None:
        self._values: list[list[Any]] = [[] for _ in range(chunks)]
        self._left = chunks
        self._error: BaseException | None = None
        self._callback = callback
        self._error_callback = error_callback
        self._single = single
        self._event = threading.Event()
        if not chunks:
            self._settle()

    def taker(self, index: int) -> Callable[[list[Any] | BaseException], None]:
        """What is to be called with the outcome of the chunk; by one thread at a time."""
        return lambda outcome: self._take(index, outcome)

    def _take(self, index: int, outcome: list[Any] | BaseException) -> None:
        if isinstance(outcome, BaseException):
            self._error = self._error or outcome
        else:
            failed = next((v for v in outcome if isinstance(v, Failure)), None)
            if failed is not None:
                self._error = self._error or failed.exception()
            self._values[index] = outcome
        self._left -= 1
        if not self._left:
            self._settle()

    def _settle(self) -> None:
        try:
            if self._error is not None:
                if self._error_callback is not None:
                    self._error_callback(self._error)
            elif self._callback is not None:
                self._callback(self._value())
        finally:
            self._event.set()

    def _value(self) -> Any:
        values = list(itertools.chain.from_iterable(self._values))
        return values[0] if self._single else values

    def wait(self, timeout: float | None = None) -> None:
        """Wait until all is done, `timeout` seconds at most."""
        self._event.wait(timeout)

    def get(self, timeout: float | None = None) -> Any:
        """The value, or the list of values. Raises what the function raised, TimeoutError after `timeout` seconds."""
        if not self._event.wait(timeout):
            raise TimeoutError
        if self._error is not None:
            raise self._error
        return self._value()

    def ready(self) -> bool:
        """Whether all is done."""
        return self._event.is_set()

    def successful(self) -> bool:
        """Whether nothing failed. Raises ValueError when it is not ready."""
        if not self.ready():
            raise ValueError(f"{self!r} not ready")
        return self._error is None


class IMapIterator:
    """The results of `imap` and `imap_unordered`; takes items from the iterable only as its results are taken.

    As with Ray's pool, what an item raised comes as a value, in its place. What the iterable itself raises is raised,
    when what came before it has been taken.
    """

    def __init__(
        self, children: Children, function: Any, iterable: Iterable[Any], chunksize: int, ordered: bool
    ) -> None:
        self._children = children
        self._function = function
        self._items: Iterator[Any] = iter(iterable)
        self._chunksize = chunksize
        self._ordered = ordered
        self._came: queue.SimpleQueue[tuple[int, list[Any] | BaseException]] = queue.SimpleQueue()
        self._early: dict[int, list[Any]] = {}
        self._ready: collections.deque[Any] = collections.deque()
        self._given = 0
        self._taken = 0
        self._broken: Exception | None = None
        """What the iterable raised."""
        for _ in range(2 * len(children)):
            self._give()

    def _give(self) -> None:
        try:
            items = list(itertools.islice(self._items, self._chunksize))
        except Exception as error:
            self._items, self._broken = iter(()), error
            return
        if items:
            number = self._given
            self._given += 1
            self._children.give(
                Chunk(self._function, "one", items, lambda outcome: self._came.put((number, outcome)))
            )

    def __iter__(self) -> IMapIterator:
        return self

    def __next__(self) -> Any:
        return self.next()

    def next(self, timeout: float | None = None) -> Any:
        """The next result; raises TimeoutError after `timeout` seconds, StopIteration at the end."""
        while not self._ready:
            if self._taken == self._given:
                broken, self._broken = self._broken, None
                raise broken or StopIteration
            if self._ordered and self._taken in self._early:
                self._ready.extend(self._early.pop(self._taken))
                self._taken += 1
                continue
            try:
                number, outcome = self._came.get(timeout=timeout)
            except queue.Empty:
                raise TimeoutError from None
            self._give()
            values = [outcome] if isinstance(outcome, BaseException) else outcome
            values = [v.exception() if isinstance(v, Failure) else v for v in values]
            if self._ordered:
                self._early[number] = values
            else:
                self._ready.extend(values)
                self._taken += 1
        return self._ready.popleft()


