"""What a name of the notebook is whose value stays on the cluster: a ref that can tell what it stands for."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any

from shoal.exceptions import ShoalError
from shoal.experimental.locations import get_object_locations
from shoal.refs import ObjectRef
from shoal_kernelext.facts import Facts


@dataclass
class Told:
    """What is known of a value; whoever learns more writes it here."""

    name: str
    """What it was called in its cell."""
    state: str = "kept"
    """"kept", "under way" or "failed"."""
    of: str = ""
    """The cell that makes it, where it is under way or has failed."""
    facts: Facts = Facts()
    error: str = ""
    size: int | None = None
    """Bytes of its pickled form."""


class CellRef(ObjectRef[Any]):
    """The ref of a value that a remote cell has left, or will leave, on the cluster.

    In the notebook it is a ref: `shoal.get(ref)` fetches the value, `await ref` too, tasks take it as an argument.
    In remote cells its name means the value itself, as it did in the cell that assigned it.
    """

    __slots__ = ("told",)
    told: Told

    def __init__(self, ref: ObjectRef[Any], told: Told) -> None:
        super().__init__(ref.binary())
        self.told = told

    def __repr__(self) -> str:
        return f"<{self.told.name}: {', '.join([*self._known(), self._stands()])}; shoal.get() {self._cure()}>"

    def _repr_html_(self) -> str:
        known = " &ensp;·&ensp; ".join(html.escape(part) for part in [*self._known(), self._stands()])
        preview = f"<code>{html.escape(self.told.facts.preview)}</code>" if self.told.facts.preview else ""
        parts = [f"<b>{html.escape(self.told.name)}</b>", known, preview]
        cure = f"<code>shoal.get({html.escape(self.told.name)})</code> {self._cure()}"
        return (
            f"<div>{' &ensp; '.join(filter(None, parts))}"
            f'<div style="opacity:0.7;font-size:90%">{cure}</div></div>'
        )

    def _known(self) -> list[str]:
        told = self.told
        size = self._size() if told.state == "kept" else None
        parts = [str(told.facts), told.error, "" if size is None else _bytes(size)]
        return [part for part in parts if part]

    def _cure(self) -> str:
        return {"kept": "fetches it", "failed": "raises it"}.get(self.told.state, "waits for it")

    def _stands(self) -> str:
        if self.told.state == "kept":
            return "on the cluster"
        return f"{self.told.state} in {self.told.of}" if self.told.of else self.told.state

    def _size(self) -> int | None:
        if self.told.size is None:
            try:
                self.told.size = get_object_locations([self])[self]["object_size"]
            except (ShoalError, ValueError):
                return None  # its cluster is gone
        return self.told.size


def _bytes(size: int) -> str:
    for unit, step in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= step:
            return f"{size / step:,.1f} {unit}"
    return f"{size} bytes"
