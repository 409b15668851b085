"""Values that come one by one: the items of streams, and of generators that fill a fixed number of refs.

A stream's items are objects of the task's caller, numbered from 1; behind the last stands an end mark, or the error and
then an end mark. What a generator yields again in another run is refused unless it was lost: it was delivered. What
nobody will read is refused too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shoal.ids import value_of
from shoal.scheduler import events as ev
from shoal.scheduler.commands import Command, CopyError, EndStream, RefuseItem, StoreItem, Taken
from shoal.scheduler.nodes import Node
from shoal.scheduler.objects import Objects
from shoal.scheduler.tables import PUSHED, Task

ENDLESS = 1 << 62
"""So many items count as taken when nobody will read them."""


@dataclass(slots=True)
class Stream:
    client: int
    made: int = 0
    taken: int = 0
    over: bool = False
    dropped: bool = False


class Streams:
    """The streams that somebody may still read, or that are still made. `tasks` is the scheduler's table."""

    def __init__(self, out: list[Command], objects: Objects, tasks: Mapping[bytes, Task]) -> None:
        self._out = out
        self._objects = objects
        self._tasks = tasks
        self.table: dict[bytes, Stream] = {}

    def open(self, task: Task) -> None:
        self.table[task.id] = Stream(task.client)

    def item(self, e: ev.Yielded, node: Node) -> list[bytes]:
        """An item came from a worker on a node; returns the tasks that waited for it."""
        task = self._tasks.get(e.task)
        object_id = None
        if task is not None and task.worker == e.worker and task.state == PUSHED and node.alive:
            object_id = self._next(task, e.number)
        if task is None or object_id is None:
            self._out.append(RefuseItem(e.task, e.number))
            return []
        if e.made.stored and object_id not in task.items:
            task.items.append(object_id)
        self._out.append(StoreItem(e.task, e.number, object_id))
        return self._objects.settle(object_id, e.contained, False, e.made, node)

    def _next(self, task: Task, number: int) -> bytes | None:
        """The object that the item is; None where it is not wanted."""
        if not task.kind.stream:
            return self._unless_there(task.returns[number])
        stream = self.table.get(task.id)
        if task.again or stream is None or number < stream.made:  # it was yielded before, but may be lost since
            return self._unless_there(value_of(task.id, number + 1))
        if number != stream.made or stream.dropped:
            return None
        return self._expect(task.id, stream)

    def _unless_there(self, object_id: bytes) -> bytes | None:
        record = self._objects.table.get(object_id)
        return object_id if record is not None and not record.ready else None

    def _expect(self, task: bytes, stream: Stream) -> bytes:
        stream.made += 1
        object_id = value_of(task, stream.made)
        self._objects.expect(object_id, stream.client)
        return object_id

    def end(self, task: Task, failed: bool, contained: tuple[bytes, ...]) -> None:
        """The task is over; `failed`: its first value is the error, and `contained` the refs inside."""
        stream = self.table.get(task.id)
        if stream is None or stream.over:
            return
        stream.over = True
        if stream.dropped:
            del self.table[task.id]
            return
        if failed:
            last = self._expect(task.id, stream)
            self._out.append(CopyError((last,), task.id))
            self._objects.settle(last, contained, failed=True)
        mark = self._expect(task.id, stream)
        self._out.append(EndStream(mark))
        self._objects.settle(mark, (), failed=False)

    def taken(self, e: ev.ItemsTaken) -> None:
        """The reader has got so far."""
        stream = self.table.get(e.task)
        if stream is not None:
            stream.taken = e.items
            self._tell(e.task, e.items)

    def how_many_taken(self, task: Task) -> int:
        """One that runs again for what was lost waits for nobody."""
        stream = self.table.get(task.id)
        return ENDLESS if task.again or stream is None else stream.taken

    def dropped(self, e: ev.StreamDropped) -> None:
        """Nobody will read from item `unread` on."""
        stream = self.table.get(e.task)
        if stream is None:
            return
        unread = tuple(value_of(e.task, n) for n in range(e.unread, stream.made + 1))
        self._drop(e.task, stream)
        self._objects.release(stream.client, unread)

    def leave(self, client: int) -> None:
        """A reader is gone; what it held was released with it."""
        for task, stream in [(t, s) for t, s in self.table.items() if s.client == client]:
            self._drop(task, stream)

    def _drop(self, task: bytes, stream: Stream) -> None:
        stream.dropped, stream.taken = True, ENDLESS
        if stream.over:
            del self.table[task]
        else:
            self._tell(task, ENDLESS)

    def _tell(self, task_id: bytes, count: int) -> None:
        task = self._tasks.get(task_id)
        if task is not None and task.state == PUSHED and task.worker is not None:
            self._out.append(Taken(task.worker, task_id, count))
