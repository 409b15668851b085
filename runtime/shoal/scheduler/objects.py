"""Who holds which object: the one truth about lifetimes.

An object is reachable while a process holds a ref to it (`holders`), or a task or a container needs it (`pins`). A
process counts its refs itself and tells only its first and its last. An actor is an object too: its handles are refs
to it, so that it ends when nobody can reach it any more.

What only tasks need that would have to run again (`Object.lineage`) is not reachable, but stays in the table; its value
stays as well, unless it lies in the store and can be made again itself. See `lineage`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from shoal.scheduler.commands import Command, Deliver, Free
from shoal.scheduler.events import NOTHING, Made
from shoal.scheduler.nodes import Node
from shoal.scheduler.tables import Object


class Objects:
    """The table of objects. Invariant: one that nobody is at, with neither holders, pins nor lineage, is not in it."""

    def __init__(self, out: list[Command]) -> None:
        self._out = out
        self.can_be_made: Callable[[bytes], bool] = lambda object_id: False
        """Whether its task may run again."""
        self.deleted: Callable[[bytes], Iterable[bytes]] = lambda object_id: ()
        """Told of what is not in the table any more; returns what is needed less for that."""
        self.table: dict[bytes, Object] = {}
        self.freed_actors: list[bytes] = []
        self._held: dict[int, set[bytes]] = {}

    def join(self, client: int) -> None:
        self._held.setdefault(client, set())

    def expect(self, object_id: bytes, owner: int) -> None:
        """An object that is not there yet; its maker holds it."""
        record = Object(owner)
        self.table[object_id] = record
        held = self._held.get(owner)
        if held is not None:
            record.holders.add(owner)
            held.add(object_id)

    def settle(
        self,
        object_id: bytes,
        contained: tuple[bytes, ...],
        failed: bool,
        made: Made = NOTHING,
        node: Node | None = None,
    ) -> list[bytes]:
        """The value is there (or is an error), made on a node. Returns the tasks that waited for it."""
        record = self.table.get(object_id)
        if record is None:  # all refs were dropped meanwhile
            self._out.append(Free(object_id))
            return []
        if record.ready:  # a generator filled it, and failed later
            return []
        before, record.contained = record.contained, contained
        record.ready, record.failed, record.gone = True, failed, False
        record.size, record.home = made.size, node if made.stored else None
        for inner in contained:
            self.pin(inner)
        for inner in before:  # of a value that was lost
            self.unpin(inner)
        waiters, record.waiters = record.waiters, []
        # An error that nobody waits for any more is told to the driver whose work it was: it may want to say so.
        dropped = not record.holders and not record.pins
        unheard = failed and dropped and record.owner < 0 and record.owner in self._held
        if record.owner in record.holders or unheard:
            self._out.append(Deliver(record.owner, object_id))
        for client in record.fetchers:
            if client != record.owner:
                self._out.append(Deliver(client, object_id))
        record.fetchers.clear()
        if not record.holders and not record.pins:
            self._free(object_id)
        return waiters

    def unready(self, ids: Iterable[bytes]) -> tuple[bytes, ...]:
        """Those that have no value yet: a generator may have filled some of a task's."""
        return tuple(i for i in ids if i not in self.table or not self.table[i].ready)

    def is_gone(self, object_id: bytes) -> bool:
        return object_id in self.table and self.table[object_id].gone

    def pin(self, object_id: bytes) -> Object | None:
        record = self.table.get(object_id)
        if record is not None:
            record.pins += 1
        return record

    def unpin(self, object_id: bytes) -> None:
        record = self.table.get(object_id)
        if record is not None:
            record.pins -= 1
            if not record.pins and not record.holders:
                self._free(object_id)

    def hold(self, client: int, ids: Iterable[bytes]) -> None:
        held = self._held.get(client)
        if held is None:
            return
        for object_id in ids:
            record = self.table.get(object_id)
            if record is not None:
                record.holders.add(client)
                held.add(object_id)

    def release(self, client: int, ids: Iterable[bytes]) -> None:
        held = self._held.get(client)
        for object_id in ids:
            record = self.table.get(object_id)
            if held is not None:
                held.discard(object_id)
            if record is not None:
                record.holders.discard(client)
                record.fetchers.discard(client)
                if not record.holders and not record.pins:
                    self._free(object_id)

    def leave(self, client: int) -> None:
        self.release(client, tuple(self._held.get(client, ())))
        self._held.pop(client, None)

    def fetch(self, client: int, object_id: bytes) -> bool:
        """False when there is no such object any more."""
        record = self.table.get(object_id)
        if record is None:
            return False
        if record.ready:
            self._out.append(Deliver(client, object_id))
        else:
            record.fetchers.add(client)
        return True

    def _free(self, object_id: bytes) -> None:
        stack = [object_id]
        while stack:
            current = stack.pop()
            record = self.table.get(current)
            if record is None or record.holders or record.pins or record.pending:
                continue
            if record.lineage:
                if not record.ready or record.home is None or not self.can_be_made(current):
                    continue
                record.ready, record.gone, record.home, record.why = False, True, None, ""
            else:
                del self.table[current]
                stack += self.deleted(current)
            self._out.append(Free(current))
            inside, record.contained = record.contained, ()
            for inner in inside:
                below = self.table.get(inner)
                if below is not None:
                    below.pins -= 1
                    stack.append(inner)
            if record.actor:
                self.freed_actors.append(current)

    def need_less(self, ids: Iterable[bytes]) -> None:
        """One lineage that they were part of is over."""
        for object_id in ids:
            record = self.table.get(object_id)
            if record is not None:
                record.lineage -= 1
                self._free(object_id)
