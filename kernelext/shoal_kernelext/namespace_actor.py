"""A namespace that lasts, on the cluster: the actor in which cells run by its name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

from shoal_kernelext.demands import Demand
from shoal_kernelext.exchange import CellFailed, Request, Result
from shoal_kernelext.parcel import global_names
from shoal_kernelext.remote_cell import Ran, going, opened, running

__shoal_hidden__ = True


class Outline(NamedTuple):
    """What the notebook has to know before it sends a cell."""

    names: frozenset[str]
    needs: frozenset[str]
    """What the functions here read and the namespace has not: the notebook may have it."""
    demand: Demand | None
    """What it was made with; None where nothing was asked for."""


class RemoteNamespace:
    """Runs cells one after the other, in one module that stays."""

    def __init__(self, demand: Demand | None) -> None:
        self._main = ModuleType("__main__")
        self._demand = demand

    @property
    def _names(self) -> dict[str, Any]:
        return self._main.__dict__

    def outline(self) -> Outline:
        """Its names, and those that its functions miss."""
        own = frozenset(name for name in self._names if name != "__builtins__")
        needs = frozenset(name for code in _codes(self._names.values()) for name in global_names(code))
        return Outline(own, needs - own, self._demand)

    def run(self, request: Request, *awaited: Any) -> Result:
        """Run a cell. What it assigns or changes in place stays; what was only lent by the notebook goes.

        Raises CellFailed, with the result in it, when the cell raises. KeyboardInterrupt passes through.
        """
        own = set(self._names)
        lent = (c._replace(names=tuple(name for name in c.names if name not in own)) for c in request.values)
        request = request._replace(
            values=tuple(captured for captured in lent if captured.names),
            unread=tuple(name for name in request.unread if name not in own),
        )
        run = opened(request, self._main)
        try:
            with running(request, self._main, run):
                value, why = None, ""
                if request.fetch and run.failure is None:
                    value, why = going(run.value, ("the value",), run.site, keep=False)
        finally:
            changed = set(run.changed_in_place(request))
            self._give_back(run, set(request.binds) | changed)
        result = Result(
            (), {}, (), {"the value": why} if why else {}, {}, run.shown, tuple(run.figures), value, run.failure, 0
        )
        if run.failure is not None:
            raise CellFailed.named(result)
        return result

    def _give_back(self, run: Ran, stays: set[str]) -> None:
        """Forget what the notebook lent, but for what the cell has made its own."""
        for item in run.taken:
            for name in item.names:
                if name not in stays and self._names.get(name, run) is item.value:
                    del self._names[name]


def _codes(values: Iterable[Any]) -> Iterator[CodeType]:
    """The code of the functions among the values, and of the methods of classes and instances."""
    for value in list(values):
        if isinstance(value, FunctionType):
            yield value.__code__
        elif not isinstance(value, ModuleType):
            cls = value if isinstance(value, type) else type(value)
            if cls.__module__ == "__main__":
                members = (getattr(member, "__func__", member) for member in vars(cls).values())
                yield from _codes(member for member in members if isinstance(member, FunctionType))
