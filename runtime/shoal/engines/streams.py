"""The streams that this process reads: which items have come, which have been read."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from shoal.counts import RefCounts
from shoal.ids import TASK, value_of
from shoal.refs import ObjectRef
from shoal.wire import END, Message

MARK = b"\xff\xff\xff"
"""Ends the id by which a stream itself is counted among the refs: it is no object's."""


class LocalStream:
    """See `shoal.generators.Stream`. `read` counts the items that have been read."""

    def __init__(self, task: bytes, ahead: int, streams: Streams) -> None:
        self.task = task
        self.read = 0
        self._ahead = ahead
        self._streams = streams

    def next_id(self) -> bytes:
        return value_of(self.task, self.read + 1)

    def ended(self) -> bool:
        value = self._streams.values.get(self.next_id())
        return value is not None and value[0] == END

    def take(self) -> ObjectRef[Any]:
        object_id = self.next_id()
        ref = self._streams.ref(object_id)
        self.read += 1
        self._streams.expected.add(self.next_id())
        if self._ahead:
            self._streams.post(("taken", self.task, self.read))
        return ref

    def drop(self) -> None:
        self._streams.counts.drop(self.task[:TASK] + MARK)


class Streams:
    """`values` and `expected` are the engine's, `lock` guards both."""

    def __init__(
        self,
        values: dict[bytes, tuple[Any, ...]],
        expected: set[bytes],
        lock: threading.Lock,
        counts: RefCounts,
        ref: Callable[[bytes], ObjectRef[Any]],
        post: Callable[[Message], None],
        append: Callable[[Message], None],
    ) -> None:
        self.values = values
        self.expected = expected
        self.counts = counts
        self.post = post
        self._lock = lock
        self._ref = ref
        self._append = append
        self._open: dict[bytes, LocalStream] = {}

    def open(self, task: bytes, ahead: int) -> LocalStream:
        stream = self._open[task[:TASK]] = LocalStream(task, ahead, self)
        self.counts.add_new(task[:TASK] + MARK)
        self.expected.add(stream.next_id())
        return stream

    def ref(self, object_id: bytes) -> ObjectRef[Any]:
        self.counts.add_new(object_id)
        return self._ref(object_id)

    def reads(self, object_id: bytes) -> bool:
        """Whether somebody may still read that item."""
        return object_id[:TASK] in self._open

    def dropped(self, mark: bytes) -> None:
        """What was not read is needed no more."""
        with self._lock:
            stream = self._open.pop(mark[:TASK], None)
            if stream is None:
                return
            unread = stream.read + 1
            self.expected.discard(stream.next_id())
            while self.values.pop(value_of(stream.task, unread), None) is not None:
                unread += 1
        self._append(("stream_dropped", stream.task, stream.read + 1))
