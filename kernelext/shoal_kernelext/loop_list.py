"""The list that a parallel loop fills, in the order of its items, with the holes that it left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from shoal.exceptions import ShoalError
from shoal_kernelext.interrupt import counted

if TYPE_CHECKING:
    from shoal_widgets.items import Items

_SHOWN = 10
"""Values shown of a long list."""
_TOLD = 5
"""Failed items that the error lists one by one."""
_KINDS = 3
"""Places of failure whose frames it shows."""


@dataclass
class Progress:
    """How far a loop is; read by other threads."""

    total: int | None
    """None where the iterable does not say how many items it has."""
    read: int = 0
    done: int = 0
    before: int = 0
    """Done by an earlier run."""
    failed: int = 0
    running: int = 0
    cancelled: int = 0

    def items(self) -> Items:
        """As the view under the cell shows it."""
        from shoal_widgets.items import Items

        return Items(self.total, self.running, self.done, self.failed, self.cancelled, self.before)


class ItemsFailedError(ShoalError):
    """Items of a loop failed: `failed` has their exceptions by place, and the loop's list has the other values."""

    def __init__(self, message: str, failed: dict[int, BaseException] | None = None) -> None:
        super().__init__(message)
        self.failed = failed or {}


@dataclass
class Holes:
    """The items of a loop that have no value, and what is needed to do them again."""

    errors: dict[int, BaseException] = field(default_factory=dict)
    items: dict[int, Any] = field(default_factory=dict)
    """The items themselves, by place."""


class LoopList(list[Any]):
    """The values of a loop's items, in their order; an item that failed has its exception there.

    `failed` has the exceptions by place. `retry()` runs those items again, and those that a stopped loop did not come
    to, and puts their values into the same list.
    """

    def __init__(self, run: Callable[[LoopList], None]) -> None:
        super().__init__()
        self._run = run
        self.holes = Holes()

    @property
    def failed(self) -> dict[int, BaseException]:
        return dict(sorted(self.holes.errors.items()))

    def retry(self) -> LoopList:
        """Run what has no value again, with the notebook's names as they are now; raises ItemsFailedError as before."""
        self._run(self)
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (list(self),)  # elsewhere it is a plain list: what it was made by stays here

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        if cycle or len(self) <= 2 * _SHOWN:
            printer.text("[…]" if cycle else "[" + ", ".join(map(_short, self)) + "]")
            return
        first, rest = ", ".join(map(_short, self[:_SHOWN])), len(self) - _SHOWN
        printer.text(f"[{first}, … {rest:,} more]")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else text[:199] + "…"


def failed_items(failed: dict[int, BaseException], total: int, name: str) -> ItemsFailedError:
    """The error that a loop ends with, which lists those of its items."""
    lines = [f"{len(failed):,} of {counted(total, 'item')} failed:"]
    for place, error in list(failed.items())[:_TOLD]:
        lines.append(f"    {name}[{place}]: {type(error).__name__}: {str(error).partition(chr(10))[0]}")
    if len(failed) > _TOLD:
        lines.append(f"    and {len(failed) - _TOLD:,} more: {name}.failed has them all")
    lines.append(f"The others have their values in {name}; {name}.retry() runs the failed ones again.")
    return ItemsFailedError("\n".join(lines), failed)


def lines_of(error: ItemsFailedError) -> list[str]:
    """What is shown of it: the frames of the first item that failed in each place, then the list."""
    lines: list[str] = []
    seen: set[tuple[str, ...]] = set()
    for place, one in error.failed.items():
        frames = _frames(one)
        where = (type(one).__name__, *(line for line in frames if "-> " in line))
        if frames and len(seen) < _KINDS and where not in seen:
            seen.add(where)
            lines += [*([""] if lines else []), f"Item {place}:", *frames]
    first, *rest = str(error).split("\n")
    return [*lines, "", f"\x1b[31m{type(error).__name__}\x1b[0m: {first}", *rest]


def _frames(error: BaseException) -> list[str]:
    render = getattr(error, "_render_traceback_", None)
    return list(render()) if "_render_traceback_" in getattr(error, "__dict__", {}) and render is not None else []
