"""Runs a cell on a worker. What the notebook's process asks for is in `exchange.Request`.

The cell runs as the main module of a namespace of its own, filled with the captured names. Afterwards that
namespace is compared with what it was: what is new, or no longer the same, goes back.
"""

from __future__ import annotations

import ast
import asyncio
import builtins
import contextlib
import importlib
import inspect
import io
import os
import sys
import threading
from collections.abc import Iterator
from contextvars import copy_context
from dataclasses import dataclass, field
from types import CodeType, FunctionType, ModuleType
from typing import Any

from shoal import context, current
from shoal.exceptions import ShoalError
from shoal.refs import ObjectRef
from shoal_kernelext import rich
from shoal_kernelext.exchange import (
    Bundle,
    Captured,
    CellFailed,
    Failure,
    Request,
    Result,
    put,
    received,
)
from shoal_kernelext.facts import facts
from shoal_kernelext.last import bind_last
from shoal_kernelext.parcel import LARGE, Parcel, Site, same
from shoal_kernelext.report import remember, report
from shoal_kernelext.worker_display import take_over_ipython
from shoal_kernelext.worker_shell import WorkerShell

__shoal_hidden__ = True
COMPARED = 64_000_000
"""Bytes of a pickle stream up to which a captured value is compared with what it was."""
_UNCHANGING = (type(None), bool, int, float, complex, str, bytes, range, ModuleType, ObjectRef)
_DEFINED = (ModuleType, FunctionType, type, ObjectRef)
"""What a name is for rather than what it holds: never kept, for the notebook needs it."""
_BACKEND = "module://shoal_kernelext.figures"
_FIGURES = _BACKEND.removeprefix("module://")


def run_cell(request: Request, *awaited: Any) -> Result:
    """Run a cell and say what is different afterwards.

    `awaited` are values that other cells were still making when this one was sent; they are taken from the request.

    Raises CellFailed, with the result in it, when the cell raises. KeyboardInterrupt passes through.
    """
    with ran(request) as run:
        result = _difference(request, run)
        sent = None
        if request.fetch and run.failure is None:
            sent, why = going(run.value, ("the value",), run.site, keep=request.keep)
            if why:
                result.held_back["the value"] = why
    _let_go(run.namespace, result.values)
    result = result._replace(shown=run.shown, figures=tuple(run.figures), value=sent, failure=run.failure)
    if run.failure is not None:
        raise CellFailed.named(result)
    return result


@dataclass
class Ran:
    """A cell that has run, and the namespace that it ran in."""

    site: Site
    started: dict[str, Any]
    """The namespace as it was before."""
    taken: list[_Taken]
    absent: dict[str, str]
    """Names that could not be sent, or opened, and why."""
    value: Any = None
    """Of its last expression, where somebody wants it."""
    shown: Bundle | None = None
    figures: list[Bundle] = field(default_factory=list)
    failure: Failure | None = None
    error: BaseException | None = None
    """The exception that ended it."""

    @property
    def namespace(self) -> dict[str, Any]:
        return self.site.namespace

    def changed_in_place(self, request: Request) -> list[str]:
        """Names of captured objects that are no longer what they were."""
        changed = _compared(request, self.site, self.taken).changed
        return [name for item in self.taken if id(item.value) in changed for name in item.names]


@contextlib.contextmanager
def ran(request: Request) -> Iterator[Ran]:
    """Run a cell as the main module, which it still is inside. KeyboardInterrupt passes through."""
    main = ModuleType("__main__")
    run = opened(request, main)
    try:
        with running(request, main, run):
            yield run
    finally:
        run.error = None  # whose traceback leads to the frames that hold the run, and all of the cell
    _let_go(run.namespace, request.values)


@contextlib.contextmanager
def running(request: Request, main: ModuleType, run: Ran) -> Iterator[None]:
    """Run what was `opened`; inside, its module is the main one still."""
    with as_main(main):
        try:
            run.value = _run(request, run.namespace)
            run.shown = rich.bundle(run.value) if request.show else None
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            run.shown, run.error = None, error
        run.figures, drawing = open_figures(run.value)
        sys.stdout.flush()
        sys.stderr.flush()
        run.error = run.error or drawing
        if run.error is not None:
            run.failure = failure_of(run.error, request, run)
        yield


# before


def opened(request: Request, main: ModuleType) -> Ran:
    """A cell that has not run yet: its module, filled with what was captured for it."""
    site = Site(main.__dict__)
    remember(request.sources)
    _import(request.modules)
    absent = dict(request.absent)
    taken = [*_taken(request, site, absent), *_stand_ins(request.unread, main.__dict__)]
    return Ran(site, dict(main.__dict__), taken, absent)


@dataclass
class _Taken:
    """A captured object, as it was before the cell ran."""

    names: tuple[str, ...]
    value: Any
    before: Parcel | None
    """Its pickled form; None when it is not compared."""
    too_large: int = 0
    """Its size in bytes, when that is why."""
    kept: bool = False
    """The notebook has its ref only."""


def _taken(request: Request, site: Site, absent: dict[str, str]) -> Iterator[_Taken]:
    """Fill the namespace with the captured objects; those that cannot be opened become `absent`."""
    kept = tuple(captured for captured in request.values if captured.facts is not None)
    # the other copy may be written to as well: a pickle tells whether its buffers may
    for captured, value, other in zip(
        kept, received(kept, writable=True), received(kept, writable=True), strict=True
    ):
        site.namespace.update(dict.fromkeys(captured.names, value))
        yield _kept_before(captured, value, other, site)
    sent = tuple(captured for captured in request.values if captured.facts is None)
    for captured, parcel, original in zip(
        sent, received(sent, writable=True), received(sent, writable=False), strict=True
    ):
        try:
            value = parcel.opened(site)
        except Exception as error:
            absent.update(dict.fromkeys(captured.names, f"{type(error).__name__}: {error}"))
            continue
        site.namespace.update(dict.fromkeys(captured.names, value))
        yield _before(captured, value, original, site)


def _kept_before(captured: Captured, value: Any, original: Any, site: Site) -> _Taken:
    """Of a value that lies in the store as it is: compared with another copy of it."""
    if isinstance(value, _UNCHANGING):
        return _Taken(captured.names, value, None, kept=True)
    try:
        before = Parcel.packed(original, captured.names[0], Site(site.namespace))
    except ShoalError:
        return _Taken(captured.names, value, None, kept=True)
    if memoryview(before.stream).nbytes > COMPARED:
        return _Taken(captured.names, value, None, before.size, kept=True)
    return _Taken(captured.names, value, before, kept=True)


def _before(captured: Captured, value: Any, original: Parcel, site: Site) -> _Taken:
    if isinstance(value, _UNCHANGING):
        return _Taken(captured.names, value, None)
    if memoryview(original.stream).nbytes > COMPARED:
        return _Taken(captured.names, value, None, original.size)
    try:
        # not the parcel that came: an object pickles a little differently once it was unpickled
        now = Parcel.packed(value, captured.names[0], Site(site.namespace))
    except ShoalError:
        return _Taken(captured.names, value, None, original.size)
    in_place = original.buffers if isinstance(captured.sent, ObjectRef) else ()
    if [len(b) for b in in_place] != [len(b) for b in now.buffers]:
        in_place = tuple(bytes(b) for b in now.buffers)
    return _Taken(captured.names, value, Parcel(now.stream, tuple(in_place), ()))


def _stand_ins(names: tuple[str, ...], namespace: dict[str, Any]) -> Iterator[_Taken]:
    """Something for the cell to delete."""
    for name in names:
        value = namespace[name] = object()
        yield _Taken((name,), value, None)


def _import(modules: tuple[str, ...]) -> None:
    for module in modules:
        with contextlib.suppress(Exception):  # the cell will say so where it uses it
            importlib.import_module(module)


@contextlib.contextmanager
def as_main(main: ModuleType) -> Iterator[None]:
    """Let the cell be the main module, with what a notebook adds to it."""
    shell = WorkerShell(main.__dict__)
    added = {"display": rich.display, "get_ipython": lambda: shell}
    missing = object()
    saved = {name: getattr(builtins, name, missing) for name in added}
    saved_main, saved_backend = sys.modules.get("__main__"), os.environ.get("MPLBACKEND")
    sys.modules["__main__"] = main
    os.environ["MPLBACKEND"] = _BACKEND
    vars(builtins).update(added)
    take_over_ipython()
    pyplot_backend = saved_backend
    if "matplotlib" in sys.modules:
        pyplot_backend = sys.modules["matplotlib"].get_backend()
        sys.modules["matplotlib"].use(_BACKEND)
    try:
        yield
    finally:
        for name, value in saved.items():
            if value is missing:
                delattr(builtins, name)
            else:
                setattr(builtins, name, value)
        if saved_main is not None:
            sys.modules["__main__"] = saved_main
        os.environ.pop("MPLBACKEND")
        if saved_backend is not None:
            os.environ["MPLBACKEND"] = saved_backend
        engine = current.peek()
        notebook = engine is not None and engine.name == "inline"
        if notebook and pyplot_backend and "matplotlib" in sys.modules:
            sys.modules["matplotlib"].use(pyplot_backend)


# the cell


def _run(request: Request, namespace: dict[str, Any]) -> Any:
    """Execute the cell; returns the value of its last expression where somebody wants it."""
    flags = request.flags | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    filename = request.filename
    tree = compile(request.code, filename, "exec", flags | ast.PyCF_ONLY_AST, dont_inherit=True)
    last = None
    if request.into:
        bind_last(tree, request.into)
    elif (request.show or request.fetch) and tree.body and isinstance(tree.body[-1], ast.Expr):
        last = ast.Expression(tree.body.pop().value)
    evaluate(compile(tree, filename, "exec", flags, dont_inherit=True), namespace)
    if last is None:
        return None
    return evaluate(compile(last, filename, "eval", flags, dont_inherit=True), namespace)


def evaluate(code: CodeType, namespace: dict[str, Any]) -> Any:
    """The value of a cell's code, which may be a coroutine."""
    value = eval(code, namespace)
    return _awaited(value) if code.co_flags & inspect.CO_COROUTINE else value


def _awaited(coroutine: Any) -> Any:
    """The value of a coroutine, also where a loop runs already (a task may share the notebook's thread)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    outcome: list[Any] = []
    inherited = copy_context()

    def run() -> None:
        try:
            outcome.extend((inherited.run(asyncio.run, coroutine), None))
        except BaseException as error:
            outcome.extend((None, error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    value, error = outcome
    if error is not None:
        raise error
    return value


def failure_of(error: BaseException, request: Request, run: Ran) -> Failure:
    """What is to be told of the exception that ended a cell."""
    context.failed(error)
    tb = error.__traceback__
    inside = tb
    while inside is not None and inside.tb_frame.f_code.co_filename != request.filename:
        inside = inside.tb_next
    if isinstance(error, NameError) and error.name in run.absent:
        error.add_note(f"{error.name!r} of the notebook was not sent: {run.absent[error.name]}")
    labels = {name: source.label for name, source in request.sources.items()}
    lines = report(error, inside or tb, labels.get, colors=request.colors)
    try:
        parcel = Parcel.packed(error, "the exception", Site(run.namespace))
        parcel.opened(run.site)  # some pickle well and come back wrong
    except Exception:
        parcel = None
    return Failure(type(error).__name__, str(error), lines, parcel)


def open_figures(value: Any) -> tuple[list[Bundle], BaseException | None]:
    """The figures left open, but for one that is shown as the cell's value."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is None:
        return [], None
    figures = importlib.import_module(_FIGURES)
    if value is not None and type(value).__module__ == "matplotlib.figure":
        pyplot.close(value)
    try:
        return figures.open_bundles(), None
    except Exception as error:  # what was plotted cannot be drawn
        return [], error


# after


def _difference(request: Request, run: Ran) -> Result:
    """What the namespace holds that it did not hold before, and what it holds no more."""
    site, started, taken, namespace = run.site, run.started, run.taken, run.namespace
    compared = _compared(request, site, taken)
    # equal atoms are often one object: of a kept one the notebook would get a ref where it wants a value
    known = {
        id(value): name
        for name, value in compared.same.items()
        if name not in compared.kept or not isinstance(value, _UNCHANGING)
    }
    kept: dict[str, str] = {}
    fresh: dict[int, list[str]] = {}
    for name, value in list(namespace.items()):
        if name == "__builtins__" or (started.get(name, site) is value and id(value) not in compared.changed):
            continue
        if id(value) in known:
            kept[name] = known[id(value)]
        else:
            fresh.setdefault(id(value), []).append(name)
    home = Site(namespace, {name: value for name, value in compared.same.items() if name not in compared.kept})
    values, held_back = [], compared.held_back
    for names in fresh.values():
        sent, why = going(namespace[names[0]], tuple(names), home, keep=request.keep)
        if sent is not None:
            values.append(sent)
        elif not _is_closed_file(namespace[names[0]]):
            held_back.update(dict.fromkeys(names, why))
    deleted = tuple(name for item in taken for name in item.names if name not in namespace)
    return Result(
        tuple(values), kept, deleted, held_back, compared.too_large, None, (), None, None, os.getpid()
    )


@dataclass
class _Compared:
    """The captured objects after the cell."""

    same: dict[str, Any] = field(default_factory=dict)
    """Those that are as they were, by one of their names."""
    changed: set[int] = field(default_factory=set)
    """The ids of those that are not."""
    held_back: dict[str, str] = field(default_factory=dict)
    """Names of those that cannot be pickled any more, and why."""
    too_large: dict[str, int] = field(default_factory=dict)
    """A name of those that could not be compared, and their sizes."""
    kept: set[str] = field(default_factory=set)
    """The names in `same` of those that the notebook has the refs of."""


def _compared(request: Request, site: Site, taken: list[_Taken]) -> _Compared:
    found = _Compared()
    for item in taken:
        if item.too_large and request.binds.intersection(item.names):
            found.changed.add(id(item.value))  # assigned to itself, so that it comes back
            continue
        if item.too_large:
            found.too_large[item.names[0]] = item.too_large
        elif item.before is not None:
            try:
                now = Parcel.packed(item.value, item.names[0], Site(site.namespace))
            except ShoalError as error:
                found.held_back.update(dict.fromkeys(item.names, str(error.__cause__ or error)))
                continue
            if not same(now, item.before):
                found.changed.add(id(item.value))
                continue
        found.same[item.names[0]] = item.value
        if item.kept:
            found.kept.add(item.names[0])
    return found


def _let_go(namespace: dict[str, Any], captured: tuple[Captured, ...]) -> None:
    """Drop what lies in the store: a function of the cell would keep the whole namespace until some collection."""
    for item in captured:
        if isinstance(item.sent, ObjectRef):
            for name in item.names:
                namespace.pop(name, None)


def going(
    value: Any, names: tuple[str, ...], site: Site, *, keep: bool
) -> tuple[Captured | None, str]:
    """A value ready to go back, or to be kept, under its names; or why it cannot."""
    try:
        if keep and not isinstance(value, _DEFINED):
            return Captured(names, current.engine().put(value), facts(value)), ""
        parcel = Parcel.packed(value, names[0], site)
        return Captured(names, put(parcel) if parcel.size >= LARGE else parcel), ""
    except ShoalError as error:
        return None, str(error.__cause__ or error)


def _is_closed_file(value: Any) -> bool:
    """What ``with open(…) as f`` leaves behind: nobody misses it."""
    return isinstance(value, io.IOBase) and value.closed
