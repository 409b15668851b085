"""What of the notebook goes with a cell: the names it reads, and those that the functions among them need."""

from __future__ import annotations

import builtins
import difflib
import linecache
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import CodeType, ModuleType
from typing import Any

from shoal.exceptions import SerializationError
from shoal_kernelext.capture import Names, Place
from shoal_kernelext.cell_ref import CellRef
from shoal_kernelext.errors import CellError, shown_at
from shoal_kernelext.exchange import Captured
from shoal_kernelext.parcel import LARGE, Namespace, Parcel, Site, global_names
from shoal_kernelext.report import Source
from shoal_kernelext.stock import Stock

_UNSENT = frozenset({"__builtins__", "__name__", "get_ipython", "display", "exit", "quit"})
"""Every cell has these by itself."""
_ATOMS = (type(None), bool, int, float, complex, str, bytes, ModuleType)


@dataclass
class Shipment:
    """What is captured for one cell."""

    values: list[Captured] = field(default_factory=list)
    objects: Namespace = field(default_factory=dict)
    """Each captured name's object, as it was when the cell was sent."""
    unread: list[str] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)
    sources: dict[str, Source] = field(default_factory=dict)
    modules: set[str] = field(default_factory=set)


def shipment(
    names: Names,
    namespace: Namespace,
    stock: Stock,
    source: Source,
    *,
    hidden: Mapping[str, Any],
    label: Callable[[str], str | None],
) -> Shipment:
    """Pickle the captured names, each object on its own.

    Args:
        names: what the cell does with names.
        namespace: the notebook's.
        stock: what is stored of it already.
        source: the cell, for errors.
        hidden: names that the notebook has of itself, with their values.
        label: tells the files of cells.

    Raises, shown at the cell's line, an error named NameError for a name that is certainly unbound, and one named
    SerializationError for a value that the cell certainly needs and that cannot be pickled.
    """
    made = Shipment()
    known: dict[int, list[str]] = {}
    parcels: dict[int, Parcel] = {}
    codes: list[CodeType] = []
    queue = sorted(names.reads | names.hints)
    seen: set[str] = set()
    while queue:
        name = queue.pop()
        if name in seen or name in _UNSENT or name not in namespace:
            continue
        seen.add(name)
        value = namespace[name]
        if name in hidden and hidden[name] is value:
            made.absent[name] = "it is IPython's own. Put what the cell needs of it into a variable"
            continue
        made.objects[name] = value
        if id(value) in known:
            known[id(value)].append(name)
            continue
        if isinstance(value, CellRef):
            known[id(value)] = [name]
            queue += [alias for alias, other in namespace.items() if other is value]
            continue
        site = Site(namespace)
        try:
            parcels[id(value)] = Parcel.packed(value, f"{name!r}", site)
        except SerializationError as error:
            why = str(error.__cause__ or error)
            _refuse(name, why, names, source)
            made.absent[name] = why
            del made.objects[name]
            continue
        known[id(value)] = [name]
        if not isinstance(value, _ATOMS):  # a change in place is seen under every name
            queue += [alias for alias, other in namespace.items() if other is value]
        codes += site.codes
        queue += sorted({needed for code in site.codes for needed in global_names(code)} - seen)
    _check_bound(names, namespace, codes, source)
    for key, held in known.items():
        value = made.objects[held[0]]
        if isinstance(value, CellRef):
            made.values.append(Captured(tuple(held), value, value.told.facts))
            continue
        parcel = parcels[key]
        sent = stock.ref(made.objects[held[0]], parcel) if parcel.size >= LARGE else parcel
        made.values.append(Captured(tuple(held), sent))
    made.unread = sorted(name for name in names.drops - seen if name in namespace)
    made.sources = _sources(codes, label)
    made.modules = _submodules(made.objects, names.attributes.union(*(_all_names(c) for c in codes)))
    return made


def _refuse(name: str, why: str, names: Names, source: Source) -> None:
    place = names.certain.get(name)
    if place is not None:
        message = (
            f"{name!r} cannot be sent to a worker: {why}. Make it inside the cell, or take what the cell "
            "needs of it into a variable of its own"
        )
        raise shown_at("SerializationError", message, source, *_shown(name, place, source), kind=SerializationError)


def _check_bound(
    names: Names, namespace: Namespace, codes: list[CodeType], source: Source
) -> None:
    """Raise for the first name that nothing can have bound when the cell reads it."""
    if names.dynamic:
        return
    set_elsewhere = {name for code in codes for name in _all_names(code)}
    for name, place in sorted(names.certain.items(), key=lambda item: item[1]):
        if name in namespace or name in names.binds or name in set_elsewhere or hasattr(builtins, name):
            continue
        if name in ("display", "get_ipython"):
            continue
        near = difflib.get_close_matches(name, [*namespace, *dir(builtins)], 1, 0.75)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        message = f"name {name!r} is not defined, neither in the notebook nor in this cell{hint}"
        raise shown_at("NameError", message, source, *_shown(name, place, source), kind=CellError)


def _shown(name: str, place: Place, source: Source) -> tuple[int, int | None, int]:
    """The line and columns to show; no columns where the line was written in IPython's syntax."""
    line = source.text.splitlines()[place.line - 1]
    column = len(line.encode()[: place.column].decode(errors="ignore"))  # the compiler counts bytes
    end = column + len(name)
    return (place.line, column, end) if line[column:end] == name else (place.line, None, 0)


def _all_names(code: CodeType) -> set[str]:
    """Every name in a code object and those nested in it: globals, attributes, modules."""
    nested = [c for c in code.co_consts if isinstance(c, CodeType)]
    return set(code.co_names).union(*map(_all_names, nested))


def _sources(codes: list[CodeType], label: Callable[[str], str | None]) -> dict[str, Source]:
    found = {}
    for filename in {code.co_filename for code in codes}:
        called = label(filename)
        if called is not None:
            found[filename] = Source(called, "".join(linecache.getlines(filename)))
    return found


def _submodules(objects: Namespace, used: set[str]) -> set[str]:
    """``import a.b`` binds a; what is used of it as a.b.c has to be imported by name."""
    found = set()
    for value in objects.values():
        if isinstance(value, ModuleType):
            start = value.__name__ + "."
            for name in list(sys.modules):
                if name.startswith(start) and used.issuperset(name[len(start) :].split(".")):
                    found.add(name)
    return found
