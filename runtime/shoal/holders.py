"""`shoal.who_holds`: what keeps an object, in this process and on the cluster."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from shoal import cluster, current, reach, tables
from shoal.actors import ActorHandle
from shoal.exceptions import ShoalTypeError
from shoal.reasons import counted, sized
from shoal.refs import ObjectRef
from shoal.serial import pack

Root = tuple[str, Any]
"""What people call it, and the value: where a search in this process starts."""


_OURS = ("shoal.engines", "shoal.lane", "shoal.link", "shoal.store", "shoal_kernelext.session")
_MACHINERY = frozenset(
    "IPython ipykernel traitlets zmq tornado asyncio concurrent jupyter_client ipywidgets comm".split()
)
"""Packages whose objects lead to all of a notebook, and whose functions say nothing of whose the values are."""


class Holder(NamedTuple):
    """One that keeps the object. `kind`: "variable", "task", "actor", "process", "object" or "other"."""

    kind: str
    what: str
    where: str = ""


@dataclass(frozen=True)
class Holders:
    """Who keeps an object; printed, it reads as a table."""

    __module__ = "shoal"

    what: str
    """The object, in words."""
    size: int | None
    """Bytes that it takes; None where they are not known yet, and for an actor."""
    holders: tuple[Holder, ...]

    def __str__(self) -> str:
        if not self.holders:
            return f"{self.what}: nobody holds it any more."
        return f"{self.what}, kept by\n{tables.as_text(*self._table(), right=(0,))}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        if not self.holders:
            return tables.as_html(("kept by",), [("nobody",)], caption=self.what)
        return tables.as_html(*self._table(), right=(0,), caption=self.what)

    def _table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        size = "" if self.size is None else sized(self.size)
        return ("bytes", "kept by", "where"), [(size, holder.what, holder.where) for holder in self.holders]


class _Here:
    roots: tuple[Callable[[], Iterable[Root]], ...] = ()


_here = _Here()


def add_roots(roots: Callable[[], Iterable[Root]]) -> Callable[[], None]:
    """Have a search start from these too, instead of from the main program's names; returns their removal."""
    _here.roots = (*_here.roots, roots)

    def remove() -> None:
        _here.roots = tuple(r for r in _here.roots if r is not roots)

    return remove


def who_holds(thing: Any) -> Holders:
    """Who keeps an object: variables of this program, tasks, actors, other processes, values with refs to it.

    Takes a ref, an actor's handle, or a value that `get` has returned and that lies in the object store, which a view
    of it keeps as a ref does. Raises TypeError for other things.
    """
    engine, object_id = _object_of(thing)
    told = engine.query("holders", object_id, getattr(engine, "client", 0)) or {}
    rows = list(_in_this_process(engine, object_id))
    rows += _on_the_cluster(told, lambda other: [h.what for h in _in_this_process(engine, other)])
    rows = list(dict.fromkeys(rows))
    size = None if told.get("actor") else told.get("bytes")
    if size is None and not told.get("actor") and told.get("ready") is not False:
        size = _size_here(engine, object_id)
    return Holders(_named(told, size), size, tuple(rows))


def _object_of(thing: Any) -> tuple[Any, bytes]:
    if isinstance(thing, ActorHandle):
        thing = thing._ref
    if isinstance(thing, ObjectRef):
        thing.check()
        return thing._engine, thing.binary()
    here = current.peek()
    store = getattr(here, "store", None)
    found = store.object_of(_buffers(thing)) if store is not None else None
    if found is None:
        raise ShoalTypeError(
            "who_holds() takes an ObjectRef, an actor's handle, or a value that lies in the object store; "
            f"this {type(thing).__name__} does not"
        )
    return here, found


def _buffers(value: Any) -> Iterator[Any]:
    """What the memory of a value belongs to."""
    try:
        parts: Iterable[Any] = pack(value).buffers
    except Exception:  # what cannot be pickled did not come from the store
        parts = ()
    for part in (value, *parts):
        yield from _bases(part)


def _bases(part: Any) -> Iterator[Any]:
    while part is not None:
        yield part
        part = part.obj if isinstance(part, memoryview) else getattr(part, "base", None)


def _named(told: dict[str, Any], size: int | None) -> str:
    if told.get("actor"):
        return f"the actor {told['maker']}" + (" (detached: it stays until it is killed)" if told["detached"] else "")
    made = f" of {told['maker']}()" if told.get("maker") else ""
    where = {"store": ", in shared memory", "disk": ", on disk"}.get(told.get("where", ""), "")
    took = f", {sized(size)}" if size is not None else ", not ready yet" if told.get("ready") is False else ""
    return f"the value{made}{took}{where}"


def _size_here(engine: Any, object_id: bytes) -> int | None:
    """Of a value that only this process knows."""
    if not engine.wait([object_id], 1, 0):
        return None
    try:
        return pack(engine.get([object_id], 0)[0]).size
    except Exception:  # what its task raised
        return None


# this process


def _in_this_process(engine: Any, object_id: bytes) -> Iterator[Holder]:
    store = getattr(engine, "store", None)
    views: set[int] = store.views_of(object_id) if store is not None else set()
    met: set[int] = set()

    def found(value: Any) -> bool:
        if isinstance(value, ObjectRef):
            hit = value._id == object_id and value.holds
        else:
            hit = id(value) in views
        if hit:
            met.add(id(value))
        return hit

    for name, value in _roots():
        for way in _some(reach.paths(value, found, _is_leaf)):
            view = " (a view of its memory)" if not way and not isinstance(value, ObjectRef) else ""
            yield Holder("variable", f"{name}{way.removesuffix('._ref')}{view}", "this process")
    for ref in (o for o in gc.get_objects() if isinstance(o, ObjectRef)):
        if id(ref) not in met and getattr(ref, "_id", None) == object_id and ref.holds:
            who = _referrer(ref)
            if who is not None:
                yield Holder("other", who, "this process")
    if len(views - met):
        yield Holder("other", counted(len(views - met), "view") + " of its memory in something else", "this process")
    if object_id in getattr(engine.counts, "_pinned", ()):
        yield Holder("other", "a ref that was pickled by hand: kept until this process leaves", "this process")
    lanes = getattr(engine, "lanes", None)
    for name, count in (lanes.needing(object_id) if lanes is not None else {}).items():
        yield Holder("task", f"an argument of {counted(count, 'call')} of {name}()", "waiting in this process")


def _some(ways: Iterator[str], most: int = 5) -> Iterator[str]:
    for number, way in enumerate(ways):
        if number == most:
            yield " and more"
            return
        yield way


def _is_leaf(value: Any) -> bool:
    """What is ours leads everywhere."""
    if isinstance(value, (ObjectRef, cluster.Cluster, threading.Thread)):
        return True
    module = type(value).__module__
    return module.startswith(_OURS) or module.partition(".")[0] in _MACHINERY


def _roots() -> Iterator[Root]:
    for roots in _here.roots:
        yield from roots()
    if not _here.roots:
        main = sys.modules.get("__main__")
        for name, value in list(vars(main).items()) if main is not None else ():
            if not name.startswith("__"):
                yield f"the variable {name}", value
    mine = threading.get_ident()
    threads = {thread.ident: thread.name for thread in threading.enumerate()}
    for ident, frame in sys._current_frames().items():
        at: Any = frame if ident != mine else None
        while at is not None:
            module = str(at.f_globals.get("__name__", "")).partition(".")[0]
            foreign = module in _MACHINERY or module in sys.stdlib_module_names and module != "__main__"
            if not foreign and not module.startswith("shoal") and at.f_code.co_name != "<module>":
                for name, value in list(at.f_locals.items()):
                    yield f"{name} in {at.f_code.co_name}(), which the thread {threads.get(ident, ident)} runs", value
            at = at.f_back


def _referrer(ref: Any) -> str | None:
    """Who has a ref that no search from a name has met; None for ourselves who look."""
    for referrer in gc.get_referrers(ref):
        if type(referrer).__name__ in ("frame", "list_iterator", "generator"):
            continue
        name = f"{type(referrer).__module__}.{type(referrer).__qualname__}".removeprefix("builtins.")
        if isinstance(referrer, dict):
            owner = next((o for o in gc.get_referrers(referrer) if getattr(o, "__dict__", None) is referrer), None)
            cls = type(owner)
            name = "a dict" if owner is None else f"an object of {cls.__module__}.{cls.__qualname__}"
        return f"{name} that no name leads to" if name in ("list", "tuple", "set", "a dict") else name
    return None


# the cluster


def _on_the_cluster(told: dict[str, Any], here: Callable[[bytes], list[str]]) -> Iterator[Holder]:
    for process in told.get("processes", ()):
        yield _process(process)
    states = {"waiting": "waits for arguments", "queued": "queued", "pushed": "with a worker", "kept": "for a restart"}
    counts: dict[tuple[str, str], int] = {}
    for name, _, state in told.get("tasks", ()):
        counts[name, state] = counts.get((name, state), 0) + 1
    for (name, state), count in counts.items():
        times = f" × {count}" if count > 1 else ""
        yield Holder("task", f"an argument of {name}(){times}", states.get(state, state))
    if told.get("more_tasks"):
        yield Holder("task", f"{told['more_tasks']:,} more tasks", "")
    for inside in told.get("inside", ()):
        made = f" of {inside['maker']}()" if inside["maker"] else ""
        keepers = (here(bytes.fromhex(inside["id"])) or ["this process"])[:3] if inside["here"] else []
        keepers += [_process(p).what for p in inside["processes"]]
        where = f"kept by {', '.join(keepers)}" if keepers else "kept by a task or another value"
        yield Holder("object", f"a ref inside another object{made}", where)
    if told.get("more_inside"):
        yield Holder("object", f"inside {told['more_inside']:,} more objects", "")
    for name in told.get("results", ()):
        yield Holder("other", f"the named result {name}", "until %cluster drop, or shoal.util.results.drop()")
    if told.get("detached"):
        yield Holder("other", "its lifetime: detached", "until shoal.kill()")


def _process(process: dict[str, Any]) -> Holder:
    where = f"pid {process['pid']}"
    if process["kind"] == "driver":
        return Holder("process", "another program or notebook", where)
    if process["kind"] == "actor":
        return Holder("actor", f"the actor {process['what']}", where)
    runs = f", which runs {process['what']}()" if process["what"] else ""
    return Holder("process", f"worker {process['number']}{runs}", where)
