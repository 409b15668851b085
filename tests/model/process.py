"""What the explorer sees of a process and of the promises: pure steps, messages, moves."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeVar

Message = tuple[Any, ...]
Label = tuple[Any, ...]
T = TypeVar("T")


class Move(NamedTuple):
    """Something that a process can do by itself now."""

    label: Label
    fault: bool = False
    """It uses up one of the faults of the exploration, and nothing may depend on its being made."""
    quiet: tuple[str, ...] = ()
    """Only while there is no message from these."""


@dataclass
class Out:
    """What a step brings forth: messages to others, and notes for the ledger."""

    sent: list[tuple[str, Message]] = field(default_factory=list)
    notes: list[Message] = field(default_factory=list)

    def send(self, to: str, *message: Any) -> None:
        self.sent.append((to, message))

    def note(self, *what: Any) -> None:
        self.notes.append(what)


class Process(Protocol):
    """State that changes only in `take` and `act`. Fields with `compare=False` are no part of the state."""

    name: str
    out: Out

    def moves(self) -> list[Move]: ...
    def deaf(self) -> bool: ...
    def act(self, label: Label) -> None: ...
    def take(self, sender: str, message: Message) -> None: ...
    def leaves(self, reader: str) -> tuple[Any, ...] | None:
        """What another can still see of it when it is dead; None when they have nothing to do with each other."""


class Properties(Protocol):
    """What is to hold. Each raises `Violation`, or gives what it has found."""

    def enter(self, ledger: Message, note: Message) -> Message: ...
    def refs(self, process: Process) -> frozenset[int]: ...
    def carried(self, message: Message) -> frozenset[int]: ...
    def check(self, processes: dict[str, Process | None]) -> None: ...
    def finished(self, processes: dict[str, Process | None], ledger: Message) -> None: ...


class Violation(AssertionError):
    """A property does not hold; the trace tells how it came to that."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what
        self.trace: list[str] = []

    def __str__(self) -> str:
        return "\n".join([self.what, *(f"  {i:3} {line}" for i, line in enumerate(self.trace, 1))])


def freeze(value: Any) -> Any:
    """Something hashable that is equal for equal values."""
    if isinstance(value, dict):
        return tuple((k, freeze(value[k])) for k in sorted(value))
    if isinstance(value, set):
        return tuple(sorted(value))
    if isinstance(value, (list, tuple)):
        return tuple(freeze(v) for v in value)
    if dataclasses.is_dataclass(value):
        return tuple(freeze(getattr(value, f.name)) for f in dataclasses.fields(value) if f.compare)
    return value


def clone(value: T) -> T:
    """A copy that shares only what cannot change."""
    if isinstance(value, dict):
        return {k: clone(v) for k, v in value.items()}  # type: ignore[return-value]
    if isinstance(value, set):
        return set(value)  # type: ignore[return-value]
    if isinstance(value, list):
        return [clone(v) for v in value]  # type: ignore[return-value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type) and type(value).__hash__ is None:
        return dataclasses.replace(value, **{f.name: clone(getattr(value, f.name)) for f in dataclasses.fields(value)})
    return value  # a frozen dataclass has a hash
