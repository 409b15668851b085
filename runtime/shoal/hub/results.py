"""Named results: objects that stay while the cluster does, for whoever asks for them by name."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from shoal.exceptions import ShoalValueError
from shoal.hub.memory import bytes_of
from shoal.scheduler import events as ev

if TYPE_CHECKING:
    from shoal.hub.loop import Hub


class Result(NamedTuple):
    object: bytes
    plain: bool
    """It was saved as a value, and not as a ref."""
    since: float


class Results:
    """The questions about them. Invariant: each object of the table is pinned."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self.table: dict[str, Result] = {}
        self.questions: dict[str, Callable[..., Any]] = {
            "save_result": self._save,
            "find_result": self._find,
            "results": self._list,
            "drop_result": self._drop,
        }

    def _save(self, name: str, object_id: bytes, plain: bool) -> None:
        """One that has the name already gives it up."""
        if object_id not in self._hub.scheduler.objects.table:
            raise ShoalValueError("the cluster does not know the object: it is of another one, or gone")
        self._hub.post(ev.Pinned(object_id))
        before = self.table.pop(name, None)
        self.table[name] = Result(object_id, plain, time.time())
        if before is not None:
            self._hub.post(ev.Unpinned(before.object))

    def _find(self, name: str) -> tuple[bytes, bool] | None:
        found = self.table.get(name)
        return None if found is None else (found.object, found.plain)

    def _list(self) -> list[dict[str, Any]]:
        return [self._row(name, result) for name, result in self.table.items()]

    def _row(self, name: str, result: Result) -> dict[str, Any]:
        value = self._hub.values.get(result.object)
        record = self._hub.scheduler.objects.table.get(result.object)
        size = None if value is None else bytes_of(value)
        state = "failed" if record is None or record.failed else "ready" if record.ready else "pending"
        return {"name": name, "bytes": size, "age": time.time() - result.since, "state": state, "plain": result.plain}

    def _drop(self, name: str) -> bool:
        found = self.table.pop(name, None)
        if found is not None:
            self._hub.post(ev.Unpinned(found.object))
        return found is not None

    def of(self, object_id: bytes) -> list[str]:
        """The names of an object."""
        return [name for name, result in self.table.items() if result.object == object_id]
