"""Why a value cannot be pickled: which part of it is to blame, and what to do instead."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

TRIES = 2_000
"""Parts that are looked at before the search is given up."""
DEPTH = 20
"""Steps into a value; what lies deeper is named by the way there."""

CURES = {
    "generator": "make a list of it, or let a remote generator yield the items",
    "async_generator": "make a list of it, or let a remote generator yield the items",
    "coroutine": "await it here and pass its result, or call an async remote function",
    "TextIOWrapper": "pass the file's path and open it in the task",
    "BufferedReader": "pass the file's path and open it in the task",
    "BufferedWriter": "pass the file's path and open it in the task",
    "BufferedRandom": "pass the file's path and open it in the task",
    "FileIO": "pass the file's path and open it in the task",
    "lock": "make the lock where it is used; processes have an actor to share state",
    "RLock": "make the lock where it is used; processes have an actor to share state",
    "Condition": "make the lock where it is used; processes have an actor to share state",
    "socket": "pass the address and connect in the task, or keep the connection in an actor",
    "Connection": "pass the address and connect in the task, or keep the connection in an actor",
    "Thread": "start the thread in the task",
    "frame": "pass what you need of the frame by its name",
    "traceback": "pass the text of it: traceback.format_exc()",
    "mmap": "pass the file's path, or the bytes",
    "ReferenceType": "pass the object itself",
    "InlineEngine": "tasks reach the cluster by import shoal: leave it out",
    "LocalEngine": "tasks reach the cluster by import shoal: leave it out",
}
"""By the name of a type: a type of that name need not be imported to be known."""

Picklable = Callable[[Any], bool]


def explain(value: Any, what: str, error: BaseException, picklable: Picklable) -> str:
    """The message for `value` (called `what`), which failed to be pickled with `error`."""
    message = f"{what} ({type(value).__name__}) cannot be pickled: {error}"
    if isinstance(error, RecursionError) or isinstance(error.__cause__, RecursionError):
        return (
            f"{what} ({type(value).__name__}) is nested too deeply to be pickled: flatten it, "
            "or raise the limit here and in the task (sys.setrecursionlimit)"
        )
    path, culprit = find(value, picklable)
    if path:
        message += f"; the cause is its part {path.strip()} ({type(culprit).__name__})"
    cure = cure_of(culprit)
    return f"{message}: {cure}" if cure else message


def cure_of(culprit: Any) -> str:
    for cls in type(culprit).__mro__:
        if cls.__name__ in CURES:
            return CURES[cls.__name__]
    return ""


def find(value: Any, picklable: Picklable) -> tuple[str, Any]:
    """The smallest part that cannot be pickled, and how to get there: ``.model.lock``, ``['a'][3]``."""
    path, seen, tries = "", {id(value)}, 0
    for _ in range(DEPTH):
        for step, part in parts(value):
            tries += 1
            if id(part) in seen or type(part) in (str, bytes, int, float, bool, type(None)):
                continue
            if tries > TRIES:
                return path, value
            if not picklable(part):
                seen.add(id(part))
                path, value = path + step, part
                break
        else:
            break
    return path, value


def parts(value: Any) -> Iterator[tuple[str, Any]]:
    """What a value consists of, each with the text that leads to it."""
    if isinstance(value, types.FunctionType):
        yield from captures(value)
        for i, default in enumerate(value.__defaults__ or ()):
            yield f" → default {i}", default
        return
    if isinstance(value, types.MethodType):
        yield ".__self__", value.__self__
        return
    if isinstance(value, type):
        for name, member in list(vars(value).items()):
            if isinstance(member, (staticmethod, classmethod)):
                member = member.__func__
            if not name.startswith("__") or isinstance(member, types.FunctionType):
                yield f".{name}", member
        return
    if isinstance(value, Mapping):
        for key, item in list(value.items()):
            yield f"[{_short(key)}]", item
            yield f" key {_short(key)}", key
    elif isinstance(value, (list, tuple, set, frozenset)):
        for i, item in enumerate(list(value)):
            yield f"[{i}]", item
    attributes = getattr(value, "__dict__", None)
    if isinstance(attributes, dict):
        for name, item in list(attributes.items()):
            yield f".{name}", item
    for cls in type(value).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__") and hasattr(value, name):
                yield f".{name}", getattr(value, name)


def captures(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """The variables that a function brings along: of its closure, and those globals it names."""
    code = function.__code__
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield f" → {name}", cell.cell_contents
        except ValueError:  # not assigned yet
            pass
    for name in code.co_names:
        if name in function.__globals__:
            yield f" → {name}", function.__globals__[name]


def _short(key: Any) -> str:
    text = repr(key)
    return text if len(text) <= 40 else text[:37] + "..."


def largest(target: Any, size: Callable[[Any], int], count: int = 3) -> str:
    """The largest parts of a function or class, for a message: ``table (120 MB), model (3 MB)``."""
    found: list[tuple[int, str]] = []
    seen: set[int] = set()
    members = [("", target)]
    if isinstance(target, type):
        members = [(name, part) for name, part in parts(target)]
    for name, member in members:
        inside = captures(member) if isinstance(member, types.FunctionType) else iter([(name, member)])
        for step, part in inside:
            if id(part) not in seen:
                seen.add(id(part))
                found.append((size(part), f"{name}{step}" if name != step else name))
    found.sort(reverse=True)
    names = ((amount, step.removeprefix(" → ").removeprefix(".")) for amount, step in found[:count] if amount)
    return ", ".join(f"{name} ({amount / 1e6:,.1f} MB)" for amount, name in names)
