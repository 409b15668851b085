"""Values that a process let go of so that they could go to disk, and the room that this makes."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from shoal import spill
from shoal.exceptions import ObjectLostError, ObjectStoreFullError, OutOfDiskError

if TYPE_CHECKING:
    from shoal.engines.local import LocalEngine

AWAY = ("a",)
"""Stands for the place of a value that is ready, and that the hub has to be asked for again."""
AT_HAND = 0.05
"""Seconds that a value may take to be found again before the waiting task gives its CPU to others."""


class Away:
    """Composed into an engine: its answers to the hub's `hub.room`."""

    def __init__(self, engine: LocalEngine, values: dict[bytes, tuple[Any, ...]]) -> None:
        self._engine = engine
        self._values = values

    # room for a value of ours

    def make_room(self, size: int) -> str | None:
        """Have the hub find memory: None when there is some now, else the file to write the value to.

        Writes other objects to disk where it is told to. Raises ObjectStoreFullError where that is switched off.
        """
        engine = self._engine
        while True:
            what, *answer = engine.ask_hub("room", size)
            if what == "go":
                return None
            if what == "full":
                why, path = answer
                if path is None:
                    raise ObjectStoreFullError(why)
                return str(path)
            number, moves = answer
            self._write(number, moves)
            engine.reclaim()
            return None  # it may be ours that is free now

    def _write(self, number: int, moves: Sequence[tuple[bytes, int, int, int, str]]) -> None:
        store, link = self._engine.store, self._engine.link
        written = []
        try:
            for object_id, segment, start, size, path in moves:
                try:
                    spill.copy(store.descriptor(segment), start, size, path)
                except ObjectLostError:
                    continue  # its segment is gone, and it as well
                written.append(object_id)
        except OutOfDiskError:
            if not written:
                raise
        finally:
            link.post(("spilled", number, tuple(written)))

    def spared(self, pages: tuple[tuple[int, int], ...]) -> None:
        """Tell what memory this process does without."""
        self._engine.link.append(("spared", pages))

    # the hub asks

    def spare(self, size: int) -> None:
        self._engine.store.spare(size)
        self._engine.link.flush()

    def let_go(self, number: int, ids: Sequence[bytes]) -> None:
        """Forget where these objects lie, but for those that are looked at now."""
        values, uses = self._values, self._engine.store.uses

        def forget(object_id: bytes) -> None:
            value = values.get(object_id)
            if value is not None and value[0] == "s":
                values[object_id] = AWAY

        kept = tuple(i for i in ids if not uses.unless_used(i, lambda i=i: forget(i)))  # type: ignore[misc]
        link = self._engine.link
        link.append(("yielded", number, kept))
        link.flush()

    # asking again

    def recall(self, ids: Sequence[bytes]) -> None:
        """Have the places of these objects again, wherever they are now."""
        values, link = self._values, self._engine.link
        if link.reading == threading.get_ident():
            raise ObjectLostError("the value is gone from disk, and cannot be asked for from a future's callback")
        link.append(("fetch", tuple(ids)))

        def here() -> bool:
            return all(values.get(i) is not AWAY for i in ids)

        if not link.wait(here, AT_HAND):
            with self._engine.blocking(here):
                link.wait(here)

    def value(self, object_id: bytes) -> tuple[Any, ...]:
        """The place of an object that is ready."""
        values = self._values
        while (value := values[object_id]) is AWAY:
            self.recall((object_id,))
        return value

    def regain(self, object_id: bytes, value: tuple[Any, ...]) -> tuple[Any, ...]:
        """The file of an object is gone: its value, made again. An error where that cannot be."""
        engine = self._engine
        engine.counts.add(object_id)
        try:
            self._values[object_id] = AWAY
            engine.link.append(("vanished", object_id, value))
            return self.value(object_id)
        finally:
            engine.counts.drop(object_id)
