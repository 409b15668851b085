"""Which part of a value keeps it from travelling."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import IO, Any

from shoal.exceptions import SerializationError
from shoal.serial import pack

RULE = 80


class FailureTuple:
    """Something that cannot be pickled: `obj`, the names that lead to it in `path`, and who refers to it, `parent`."""

    def __init__(self, obj: Any, path: tuple[str, ...], parent: Any) -> None:
        self.obj = obj
        self.path = path
        self.parent = parent

    @property
    def name(self) -> str:
        return self.path[-1] if self.path else "unknown"

    def __repr__(self) -> str:
        return f"FailTuple({self.name} [path={' -> '.join(self.path)}, obj={self.obj}, parent={self.parent}])"


def inspect_serializability(
    base_obj: Any, name: str | None = None, depth: int = 3, print_file: IO[str] | None = None
) -> tuple[bool, set[FailureTuple]]:
    """Whether a value can be sent to the cluster, and what of it cannot.

    Args: `name` what to call it in the report; `depth` how many references deep to look; `print_file` where the report
    goes (default: stdout). Returns `(ok, {FailureTuple, …})`: the innermost parts that fail by themselves.

    Follows https://docs.ray.io/en/latest/ray-core/api/doc/ray.util.inspect_serializability.html
    """
    return _Inspection(print_file).run(base_obj, name, depth)


class _Inspection:
    def __init__(self, file: IO[str] | None) -> None:
        self._file = file
        self._level = 0
        self._failures: set[FailureTuple] = set()

    def run(self, value: Any, name: str | None, depth: int) -> tuple[bool, set[FailureTuple]]:
        title = f"Checking Serializability of {value}"
        rule = "=" * min(len(title), RULE)
        self._print(rule, title, rule)
        ok = self._look(value, (name,) if name is not None else (), depth, None)
        if not ok:
            names = ", ".join(sorted(repr(failure) for failure in self._failures))
            self._print(
                rule,
                f"Variable: {names} was found to be non-serializable. There may be others.",
                "Make it inside the function or class that needs it, or give its class a __reduce__.",
                rule,
            )
        return ok, self._failures

    def _look(self, value: Any, path: tuple[str, ...], depth: int, parent: Any) -> bool:
        problem = _problem(value)
        if problem is None:
            return True
        self._print(f"!!! FAIL serialization: {problem}")
        inner = list(_parts(value)) if depth > 0 else []
        self._level += 1
        found = False
        for name, part in inner:
            self._print(f"Serializing '{name}' {part!r:.120}...")
            if not self._look(part, (*path, name), depth - 1, value):
                found = True
                break
        self._level -= 1
        if not found:
            if inner:
                self._print("WARNING: Did not find non-serializable object in it: it fails as a whole.")
            self._failures.add(FailureTuple(value, path, parent))
        return False

    def _print(self, *lines: str) -> None:
        for line in lines:
            print("    " * self._level + line, file=self._file)


def _problem(value: Any) -> str | None:
    try:
        pack(value)
    except SerializationError as error:
        return str(error.__cause__ or error)
    except Exception as error:
        return str(error)
    return None


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """What a value is made of, by name: a function's captured names, a container's items, an object's attributes."""
    if inspect.isfunction(value):
        captured = inspect.getclosurevars(value)
        yield from captured.globals.items()
        yield from captured.nonlocals.items()
        return
    if isinstance(value, dict):
        yield from ((str(key), item) for key, item in value.items())
    elif isinstance(value, (list, tuple, set, frozenset)):
        yield from ((f"[{index}]", item) for index, item in enumerate(value))
    for name, member in inspect.getmembers(value, inspect.isfunction):
        yield name, member
    for name, member in inspect.getmembers(value):
        special = name.startswith("__") and name.endswith("__")
        if not special and not inspect.isbuiltin(member) and not inspect.isfunction(member):
            yield name, member
