"""The items of a loop whose body is a cell: what is done with a chunk of them on a worker."""

from __future__ import annotations

import ast
import sys
import threading
import time
from collections.abc import Callable
from types import CodeType, ModuleType
from typing import Any, NamedTuple

from shoal import context, current
from shoal.exceptions import ShoalError
from shoal.refs import ObjectRef
from shoal_kernelext.exchange import Failure, Request
from shoal_kernelext.facts import Facts, facts
from shoal_kernelext.parcel import Parcel, Site
from shoal_kernelext.remote_cell import Ran, as_main, evaluate, failure_of, open_figures, opened

__shoal_hidden__ = True
_ITEM = "__shoal_item__"
IDLE = 5.0
"""Seconds after a chunk until what was captured for its loop is let go."""


class Body(NamedTuple):
    """What is sent of a loop, once: a cell, and the target that each item is assigned to."""

    request: Request
    target: str


class Kept(NamedTuple):
    """The value of an item that stays on the cluster."""

    ref: ObjectRef[Any]
    facts: Facts


class Done(NamedTuple):
    """What became of a chunk of items."""

    seconds: float
    values: Parcel
    """Of a list: an item's value, or `Kept`, or None where it failed."""
    failures: dict[int, Failure]
    """By place in the chunk."""


class _Opened:
    """A loop's body on this worker, with the names that were captured for it."""

    def __init__(self, body: Body) -> None:
        request = self.request = body.request
        self.main = ModuleType("__main__")
        self.run: Ran = opened(request, self.main)
        self.base = self.run.started
        self.shared = {item.names[0]: item.value for item in self.run.taken if not item.kept}
        flags = request.flags | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        tree = compile(request.code, request.filename, "exec", flags | ast.PyCF_ONLY_AST, dont_inherit=True)
        self._last: CodeType | None = None
        if tree.body and isinstance(tree.body[-1], ast.Expr):
            last = ast.Expression(tree.body.pop().value)
            self._last = compile(last, request.filename, "eval", flags, dont_inherit=True)
        self._body = compile(tree, request.filename, "exec", flags, dont_inherit=True)
        self._assign = compile(f"{body.target} = {_ITEM}", request.filename, "exec", dont_inherit=True)

    def value(self, item: Any) -> Any:
        """The value of the body for one item. What it assigns is gone afterwards."""
        namespace = self.run.namespace
        try:
            namespace[_ITEM] = item
            evaluate(self._assign, namespace)
            del namespace[_ITEM]
            evaluate(self._body, namespace)
            return None if self._last is None else evaluate(self._last, namespace)
        finally:
            namespace.clear()
            namespace.update(self.base)


class _Latest:
    """The loop that this worker is busy with: its chunks come one after the other.

    What was captured for it is let go when none has come for a while, for it may be large.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._key = b""
        self._opened: _Opened | None = None
        self._timer: threading.Timer | None = None

    def take(self, key: bytes, body: Body) -> _Opened:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            opened, self._opened = self._opened if self._key == key else None, None
        return opened if opened is not None else _Opened(body)

    def give_back(self, key: bytes, opened: _Opened) -> None:
        with self._lock:
            self._key, self._opened = key, opened
            self._timer = threading.Timer(IDLE, self._forget, [opened])
            self._timer.daemon = True
            self._timer.start()

    def _forget(self, opened: _Opened) -> None:
        with self._lock:
            if self._opened is opened:
                self._opened = None


_latest = _Latest()


def run_items(key: bytes, body: Body, chunk: Parcel) -> Done:
    """Run the body of a loop for a list of items. KeyboardInterrupt passes through.

    Args:
        key: tells this loop from others.
        body: what to do with each item; it lies in the store, and is opened by a worker's first chunk only.
        chunk: the items.
    """
    here = _latest.take(key, body)
    done = _run(here, chunk)
    _latest.give_back(key, here)
    return done


def _run(here: _Opened, chunk: Parcel) -> Done:
    values: list[Any] = []
    failures: dict[int, Failure] = {}
    site = Site(here.run.namespace, here.shared)
    began = time.perf_counter()
    with as_main(here.main):
        for number, item in enumerate(chunk.opened(site)):
            value, error = None, None
            try:
                value = here.value(item)
            except KeyboardInterrupt:
                raise
            except BaseException as raised:
                error = raised
            figures, drawing = open_figures(value)
            for figure in figures:
                context.display(figure)
            error = error or drawing
            if error is not None:
                failures[number] = failure_of(error, here.request, here.run)
            values.append(None if error is not None else value)
        sys.stdout.flush()
        sys.stderr.flush()
        seconds = time.perf_counter() - began
        if here.request.keep:
            values = [_each(_kept, v, n, here, failures) for n, v in enumerate(values)]
        try:
            parcel = Parcel.packed(values, "the values", site)
        except ShoalError:  # one of them cannot travel, or more
            values = [_each(lambda v: _fit(v, site), v, n, here, failures) for n, v in enumerate(values)]
            parcel = Parcel.packed(values, "the values", site)
        return Done(seconds, parcel, failures)


def _kept(value: Any) -> Kept:
    return Kept(current.engine().put(value), facts(value))


def _fit(value: Any, site: Site) -> Any:
    Parcel.packed(value, "the value", site)
    return value


def _each(
    make: Callable[[Any], Any], value: Any, number: int, here: _Opened, failures: dict[int, Failure]
) -> Any:
    """What `make` makes of a value; None, and the item has failed, where it cannot travel."""
    if number in failures:
        return None
    try:
        return make(value)
    except ShoalError as error:
        failures[number] = failure_of(error.with_traceback(None), here.request, here.run)
        return None
