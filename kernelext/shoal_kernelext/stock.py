"""Large values of the notebook that lie in the object store already, so that they are sent once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from shoal import current
from shoal.refs import ObjectRef
from shoal_kernelext.exchange import fetch, put
from shoal_kernelext.parcel import Parcel, same


class _Entry(NamedTuple):
    engine: Any
    ref: ObjectRef[Any]
    parcel: Parcel
    """As it lies in the store: what the object is compared with."""


class Stock:
    """By object, what was stored of it.

    Objects are not held: an entry counts only while the object's bytes are those stored (so it may be changed in
    place, and the id may be another object's), and goes with the last name of the object.
    """

    def __init__(self) -> None:
        self._entries: dict[int, _Entry] = {}

    def ref(self, value: Any, parcel: Parcel) -> ObjectRef[Any]:
        """The ref of a value whose pickled form is `parcel`; stored now unless it was."""
        entry = self._entries.get(id(value))
        if entry is not None and entry.engine is current.peek() and same(entry.parcel, parcel):
            return entry.ref
        return self.add(value, put(parcel))

    def add(self, value: Any, ref: ObjectRef[Any]) -> ObjectRef[Any]:
        """Remember that `ref` holds the parcel of `value`."""
        (parcel,) = fetch([ref], writable=False)
        self._entries[id(value)] = _Entry(current.peek(), ref, parcel)
        return ref

    def held(self) -> Iterator[Any]:
        """The refs, and the memory of their values that is looked at."""
        for entry in list(self._entries.values()):
            yield entry.ref
            yield from (entry.parcel.stream, *entry.parcel.buffers)

    def sweep(self, values: Iterable[Any]) -> None:
        """Forget all but `values`."""
        if self._entries:
            alive = set(map(id, values))
            for key in [key for key in self._entries if key not in alive]:
                del self._entries[key]

    def __len__(self) -> int:
        return len(self._entries)
