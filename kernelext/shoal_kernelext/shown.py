"""Refs that a cell shows: IPython keeps what it shows in `Out[n]` and `_`, which is not to keep their objects.

In its place goes a stand-in that is the ref as long as somebody else holds it. What nobody else holds when its cell has
ended, `_` keeps until the next value is shown.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from shoal.actors import ActorHandle
from shoal.exceptions import ObjectLostError
from shoal.refs import ObjectRef

_MANY = 100_000
"""A longer list of refs is left as it is."""


class ShownRef(ObjectRef[Any]):
    """A ref that keeps nothing: all that it does it has done by the ref that it stands for."""

    __slots__ = ("_shown", "_home")
    holds = False

    def __init__(self, ref: ObjectRef[Any]) -> None:
        self._id = ref._id
        self._shown = weakref.ref(ref)
        self._home = ref._engine

    def __del__(self) -> None:
        """It has counted nothing."""

    def _held(self) -> ObjectRef[Any]:
        """The ref, or another that is counted, where somebody in this process holds its object."""
        ref = self._shown()
        if ref is None:
            counts: Any = self._home.counts
            counts.settle()
            if self._id not in counts:
                raise ObjectLostError(
                    "this ref was only shown, which keeps nothing, and nobody holds its object any more: "
                    "give it a name while you need it, as in x = f.remote()"
                )
            counts.add(self._id)
            ref = ObjectRef._made(self._id, self._home)
            self._shown = weakref.ref(ref)
        return ref

    @property
    def _engine(self) -> Any:  # type: ignore[override]
        return self._held()._engine

    def binary(self) -> bytes:
        return self._held().binary()

    def __repr__(self) -> str:
        ref = self._shown()
        return f"ObjectRef({self._id.hex()})" if ref is None else repr(ref)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        ref = self._shown()
        html = getattr(ref, "_repr_html_", None)
        return {"text/plain": repr(self), **({"text/html": html()} if html is not None else {})}

    def __reduce__(self) -> Any:
        return self._held().__reduce__()

    def __copy__(self) -> ObjectRef[Any]:
        return self._held()

    def __deepcopy__(self, memo: object) -> ObjectRef[Any]:
        return self._held()

    def future(self) -> Any:
        return self._held().future()

    async def _wait(self) -> Any:
        return await self._held()._wait()

    def __getattr__(self, name: str) -> Any:
        """What a ref of another kind has beyond."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._held(), name)


def stand_in(value: Any) -> Any:
    """What is to be kept of a value that was shown: itself, unless it is a ref, a handle, or a list of refs."""
    cls = type(value)
    if isinstance(value, ObjectRef):
        return value if not value.holds or getattr(value, "_engine", None) is None else ShownRef(value)
    if cls is ActorHandle:
        return ActorHandle(ShownRef(value._ref), value._class, value._function, value._methods)
    if cls in (list, tuple) and 0 < len(value) <= _MANY and all(isinstance(v, (ObjectRef, ActorHandle)) for v in value):
        return cls(map(stand_in, value))
    return value


class ShownRefs:
    """Puts stand-ins where IPython keeps what cells show."""

    def __init__(self, shell: Any) -> None:
        self._hook = shell.displayhook
        self._fresh: Any = None
        """What the cell that runs has shown; its stand-in is in `_`."""
        self.kept: Any = None
        """What `_` keeps, for nobody else does."""

    def open(self) -> Callable[[], None]:
        """Begin; returns its end."""
        usual = self._hook.update_user_ns

        def update(result: Any) -> None:
            shown = stand_in(result)
            self.kept = None
            self._fresh = None if shown is result else result
            usual(shown)

        self._hook.update_user_ns = update

        def close() -> None:
            del self._hook.update_user_ns
            self.kept = self._fresh = None

        return close

    def cell_ended(self, outcome: Any) -> None:
        """`outcome`: IPython's record of the cell, which holds what it showed as well."""
        if self._fresh is None:
            return
        if outcome is not None and getattr(outcome, "result", None) is self._fresh:
            outcome.result = self._hook._
        if sys.getrefcount(self._fresh) <= _ALONE:
            self.kept = self._fresh
        self._fresh = None


def _alone() -> int:
    """What this Python counts for an object that one attribute holds."""
    holder = SimpleNamespace(one=object())
    return sys.getrefcount(holder.one)


_ALONE = _alone()
