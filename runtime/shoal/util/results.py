"""Named results: what is to be there again after a kernel's restart, or for another notebook of the same cluster.

    from shoal.util import results
    results.save("model", ref)          # or a value, which is put into the store
    ref = results.load("model")         # in any program that uses the cluster

A named result lives until its name is dropped, given to another, or the cluster ends, whoever else holds the object.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from shoal.cluster import engine
from shoal.exceptions import ShoalTypeError, ShoalValueError
from shoal.refs import ObjectRef

__all__ = ["NamedResult", "drop", "load", "names", "save", "table"]


class NamedResult(NamedTuple):
    """A row of the table: `size` in bytes (None where it is not ready), `age` in seconds, `state` in a word."""

    name: str
    size: int | None
    age: float
    state: str
    plain: bool
    """Whether it was saved as a value, and not as a ref."""


def save(name: str, value: Any) -> ObjectRef[Any]:
    """Keep an object under a name, and return its ref; a value that is no ref is put into the store.

    One that had the name before gives it up. What is not ready yet ends with the program that started it. Raises
    TypeError for a name that is no string, ValueError for an empty one.
    """
    if not isinstance(name, str):
        raise ShoalTypeError(f"a result's name is a string, not {type(name).__name__}")
    if not name.strip():
        raise ShoalValueError("a result's name has at least one letter")
    here: Any = engine()
    here.query("find_result", name)  # an engine without names says so before anything is stored
    plain = not isinstance(value, ObjectRef)
    ref = here.put(value) if plain else value
    ref.check()
    here.share((ref.binary(),))
    here.query("save_result", name, ref.binary(), plain)
    return ref  # type: ignore[no-any-return]


def load(name: str) -> ObjectRef[Any]:
    """The ref of a named result. Raises ValueError, which tells the names there are, where there is none."""
    found = engine().query("find_result", name)
    if found is None:
        known = ", ".join(names()) or "none"
        raise ShoalValueError(f"no result is named {name!r} on this cluster (there are: {known})")
    return ObjectRef(found[0])


def names() -> list[str]:
    """The names of this cluster's results, oldest first."""
    return [row.name for row in table()]


def table() -> list[NamedResult]:
    """What is known of each, oldest first."""
    rows: list[dict[str, Any]] = engine().query("results")
    return [NamedResult(r["name"], r["bytes"], r["age"], r["state"], r["plain"]) for r in rows]


def drop(name: str) -> None:
    """Let go of a named result: its object stays only while somebody holds it. ValueError where there is none."""
    if not engine().query("drop_result", name):
        known = ", ".join(names()) or "none"
        raise ShoalValueError(f"no result is named {name!r} on this cluster (there are: {known})")
