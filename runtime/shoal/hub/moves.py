"""Objects on their way from memory to disk. Pure: who has to agree, who has, and whose copy counts in the end.

An object may be written to disk while nobody looks at its memory. Every process that holds it is asked to let go of the
place it knows; one that uses it now says so. When all have answered, what they let go of is copied by whoever needs the
room, and the copy counts if nobody was told of the memory again meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass
class Move:
    """Some objects that one process wants to write to disk."""

    mover: int
    objects: set[bytes]
    deadline: float
    asked: dict[int, tuple[bytes, ...]] = field(default_factory=dict)
    """The processes that have not answered yet, and what each was asked for."""
    writing: bool = False


class Moves:
    """Invariant: an object is in one move at most."""

    def __init__(self) -> None:
        self._last = 0
        self._moves: dict[int, Move] = {}
        self._by_object: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._moves)

    def __contains__(self, object_id: bytes) -> bool:
        return object_id in self._by_object

    def begin(self, mover: int, holders: Mapping[bytes, Iterable[int]], deadline: float) -> int:
        """Start to move objects that are in no move; returns the move's number. `asked(number)` are to be asked."""
        self._last += 1
        move = Move(mover, set(holders), deadline)
        asked: dict[int, list[bytes]] = {}
        for object_id, clients in holders.items():
            self._by_object[object_id] = self._last
            for client in clients:
                asked.setdefault(client, []).append(object_id)
        move.asked = {client: tuple(ids) for client, ids in asked.items()}
        self._moves[self._last] = move
        return self._last

    def asked(self, number: int) -> dict[int, tuple[bytes, ...]]:
        return self._moves[number].asked

    def answered(self, number: int, client: int, kept: Iterable[bytes]) -> bool:
        """A process let go of what it was asked for, but for `kept`. True if it was the last to answer."""
        move = self._moves.get(number)
        if move is None or move.writing or move.asked.pop(client, None) is None:
            return False
        for object_id in kept:
            self._stop(move, object_id)
        return not move.asked

    def write(self, number: int) -> list[bytes]:
        """Everybody has answered (or who has not counts as a refusal): what may be copied now."""
        move = self._moves[number]
        for ids in move.asked.values():
            for object_id in ids:
                self._stop(move, object_id)
        move.asked.clear()
        move.writing = True
        if not move.objects:
            del self._moves[number]
        return sorted(move.objects)

    def used(self, object_id: bytes) -> None:
        """Somebody was told of its memory, or it is gone: a copy that is being made does not count."""
        number = self._by_object.get(object_id)
        if number is not None:
            self._stop(self._moves[number], object_id)

    def written(self, number: int, object_id: bytes) -> bool:
        """The copy is there; True if it counts."""
        move = self._moves.get(number)
        if move is None or object_id not in move.objects:
            return False
        self._stop(move, object_id)
        return True

    def end(self, number: int) -> None:
        """No more copies will come."""
        move = self._moves.pop(number, None)
        if move is not None:
            for object_id in move.objects:
                del self._by_object[object_id]

    def gone(self, client: int) -> list[int]:
        """A process has died. Returns the moves that it was the last to answer; its own have ended."""
        for number in [n for n, move in self._moves.items() if move.mover == client]:
            self.end(number)
        return [
            number
            for number, move in self._moves.items()
            if not move.writing and move.asked.pop(client, None) is not None and not move.asked
        ]

    def overdue(self, now: float) -> list[int]:
        """The moves that wait for answers longer than they may."""
        return [n for n, move in self._moves.items() if not move.writing and move.deadline <= now]

    def due(self) -> float | None:
        return min((m.deadline for m in self._moves.values() if not m.writing), default=None)

    def mover(self, number: int) -> int | None:
        move = self._moves.get(number)
        return None if move is None else move.mover

    def _stop(self, move: Move, object_id: bytes) -> None:
        if object_id in move.objects:
            move.objects.remove(object_id)
            del self._by_object[object_id]
