"""Values that a process let go of so that they could go to disk, the room that this makes, and values that are lost."""

from __future__ import annotations

import importlib
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from shoal import spill
from shoal.exceptions import GetTimeoutError, ObjectLostError, ObjectStoreFullError, OutOfDiskError

if TYPE_CHECKING:
    from shoal.engines.local import LocalEngine

AWAY = ("a",)
"""Stands for the place of a value that is ready, and that the hub has to be asked for again."""
AT_HAND = 0.05
"""Seconds that a value may take to be found again before the waiting task gives its CPU to others."""


class Away:
    """Composed into an engine: its answers to the hub's `hub.room`. `values` and `expected` are the engine's."""

    def __init__(
        self,
        engine: LocalEngine,
        values: dict[bytes, tuple[Any, ...]],
        expected: set[bytes],
        lock: threading.Lock,
    ) -> None:
        self._engine = engine
        self._values = values
        self._expected = expected
        self._lock = lock
        self.handlers: dict[str, Callable[..., None]] = {
            "withdrawn": self.withdrawn,
            "yield": self.let_go,
            "spare": self.spare,
        }
        """By the tag of what the hub says."""

    # room for a value of ours

    def make_room(self, size: int) -> str | None:
        """Have the hub find memory: None when there is some now, else the file to write the value to.

        Writes other objects to disk where it is told to. Raises ObjectStoreFullError where that is switched off,
        OutOfDiskError where the disk is as full as it may be.
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
            if what == "disk":
                raise spill.no_room(size, *answer)
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

    def recall(self, ids: Sequence[bytes], deadline: float | None = None) -> None:
        """Have the places of these objects again, wherever they are now.

        Raises GetTimeoutError if one of them has to be made again and is not there by the deadline.
        """
        values, link = self._values, self._engine.link
        if link.reading == threading.get_ident():
            raise ObjectLostError("the value is gone from disk, and cannot be asked for from a future's callback")
        link.append(("fetch", tuple(ids)))

        def here() -> bool:
            return all(values.get(i, AWAY) is not AWAY for i in ids)

        def answered() -> bool:
            """The hub has told where they are, or that one of them is lost."""
            return here() or any(i not in values for i in ids)

        if link.wait(answered, AT_HAND) and here():
            return
        with self._engine.blocking(here):
            link.wait(answered)
            if not link.wait(here, None if deadline is None else max(0.0, deadline - time.monotonic())):
                raise GetTimeoutError("a value was lost, and has not been made again in time")

    def value(self, object_id: bytes, deadline: float | None = None) -> tuple[Any, ...]:
        """The place of an object that is ready. Raises GetTimeoutError as `recall` does."""
        values = self._values
        while (value := values.get(object_id, AWAY)) is AWAY:
            self.recall((object_id,), deadline)
        return value

    def load(self, object_id: bytes, writable: bool, deadline: float | None) -> Any:
        """The Python object of a value that was ready a moment ago, and of which this process holds a ref."""
        engine = self._engine
        value = self._values.get(object_id, AWAY)
        if value[0] in ("i", "e"):
            return engine.load(object_id, value, writable)
        if "numpy" not in sys.modules:
            with engine.shield:  # what is interrupted there cannot be imported again
                importlib.import_module("numpy")
        with engine.store.uses.during(object_id):  # from here on it stays where it is
            return engine.load(object_id, self.value(object_id, deadline), writable, deadline)

    def withdrawn(self, object_id: bytes) -> None:
        """Its value is lost: whoever needs it asks for it. Items of a stream are not asked for, so it is done here."""
        engine = self._engine
        with self._lock:
            self._values.pop(object_id, None)
            wanted = engine.streams.reads(object_id)
            if not wanted:
                self._expected.discard(object_id)
        if wanted:
            engine.link.report(("fetch", (object_id,)))

    def regain(self, object_id: bytes, value: tuple[Any, ...], deadline: float | None) -> tuple[Any, ...]:
        """The file of an object is gone: its value, made again. An error where that cannot be."""
        engine = self._engine
        engine.counts.add(object_id)
        try:
            self._values[object_id] = AWAY
            engine.link.append(("vanished", object_id, value))
            return self.value(object_id, deadline)
        finally:
            engine.counts.drop(object_id)
