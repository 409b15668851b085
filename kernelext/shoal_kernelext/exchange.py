"""What a remote cell is sent and what it sends back."""

from __future__ import annotations

from typing import Any, NamedTuple

from shoal import current
from shoal.refs import ObjectRef
from shoal_kernelext.facts import Facts
from shoal_kernelext.parcel import Parcel
from shoal_kernelext.report import Source

Bundle = dict[str, Any]
"""``{"data": {mime: …}, "metadata": {…}}``"""

Sent = Parcel | ObjectRef[Any]
"""A parcel by itself, or the ref of one in the object store."""


class Captured(NamedTuple):
    """One object of the notebook and the names it has there."""

    names: tuple[str, ...]
    sent: Sent
    facts: Facts | None = None
    """Of a value that lies in the object store as it is, not in a parcel; `sent` is its ref."""


class Request(NamedTuple):
    """A cell to be run."""

    code: str
    """Plain Python; its lines are numbered as the cell's."""
    filename: str
    flags: int
    """Compiler flags of ``from __future__`` imports in earlier cells."""
    show: bool
    """Whether the value of a last expression is shown."""
    fetch: bool
    """Whether the value of a last expression comes back."""
    colors: bool
    sources: dict[str, Source]
    """The texts of this cell and of the cells that its functions come from, by file name."""
    values: tuple[Captured, ...]
    absent: dict[str, str]
    """Names that could not be sent, and why."""
    unread: tuple[str, ...]
    """Names of the notebook that the cell may delete but does not read."""
    modules: tuple[str, ...]
    """Submodules that are to be there as attributes of their packages."""
    binds: frozenset[str]
    """Names that the cell assigns."""
    into: str = ""
    """A name for the value of a last expression."""
    keep: bool = False
    """Whether what the cell assigns stays in the object store."""


class Failure(NamedTuple):
    """The exception that ended a cell."""

    name: str
    message: str
    traceback: list[str]
    error: Parcel | None
    """The exception itself, where it can be pickled."""


class Result(NamedTuple):
    """What is different after the cell. What could not be pickled is named, and holds back nothing else."""

    values: tuple[Captured, ...]
    """Objects that are new or were changed in place, with the names they have now."""
    kept: dict[str, str]
    """Names that now mean another captured object, by one of that object's names before."""
    deleted: tuple[str, ...]
    held_back: dict[str, str]
    """Names whose value cannot be pickled, and why."""
    uncompared: dict[str, int]
    """Names too large to be compared, with their size in bytes: changes in place were not looked for."""
    shown: Bundle | None
    figures: tuple[Bundle, ...]
    value: Captured | None
    failure: Failure | None
    process: int
    """The id of the process that the cell ran in."""


class CellFailed(Exception):
    """Ends a task whose cell raised, so that the cluster's books say so; carries everything else."""

    def __init__(self, result: Result) -> None:
        super().__init__(result)
        self.result = result

    @classmethod
    def named(cls, result: Result) -> CellFailed:
        """An instance whose class has the name of the user's: that is what the books tell."""
        name = result.failure.name if result.failure is not None else cls.__name__
        renamed: type[CellFailed] = type(
            name, (cls,), {"__reduce__": lambda self: (CellFailed, (self.result,))}
        )
        return renamed(result)


def put(parcel: Parcel) -> ObjectRef[Any]:
    """Place a parcel in the object store."""
    return current.engine().put(parcel)


def fetch(refs: list[ObjectRef[Any]], *, writable: bool) -> list[Any]:
    """What lies in the object store, buffers in place; `writable` ones are copied as they are written to."""
    return current.engine().get([ref.binary() for ref in refs], None, writable) if refs else []


def received(captured: tuple[Captured, ...], *, writable: bool) -> list[Any]:
    """The parcels of `captured`, in order; of what lies in the store as it is, the value."""
    refs = [c.sent for c in captured if isinstance(c.sent, ObjectRef)]
    fetched = iter(fetch(refs, writable=writable))
    return [c.sent if isinstance(c.sent, Parcel) else next(fetched) for c in captured]
