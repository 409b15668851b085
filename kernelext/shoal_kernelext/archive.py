"""All that the tasks of this notebook's cells printed, as far as there is room: for `%output`."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from shoal.context import Cell
from shoal_kernelext.transcript import seen

OVERHEAD = 200
"""Bytes that a piece of output takes beside its text."""


@dataclass
class Printed:
    """One cell's. `pieces` are (voice, stream, text), in order."""

    cell: Cell
    pieces: deque[tuple[str, str, str]] = field(default_factory=deque)
    size: int = 0
    lost: int = 0
    """Lines for which there was no room: the first."""

    def lines(self) -> Iterator[tuple[str, str]]:
        """Who printed, and each line, in the order in which they were ended; of a bar what was seen at last."""
        begun: dict[tuple[str, str], str] = {}
        for voice, stream, text in self.pieces:
            *whole, rest = (begun.pop((voice, stream), "") + text).split("\n")
            for line in whole:
                yield voice, seen(line)
            if rest:
                begun[voice, stream] = rest
        for (voice, _), line in begun.items():
            yield voice, seen(line)


class Archive:
    """Where there is no room any more, the cell that has most loses its first lines: a flood drives out no other."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._size = 0
        self._cells: dict[Cell, Printed] = {}
        self._lock = threading.Lock()

    def add(self, cell: Cell, voice: str, stream: str, text: str) -> None:
        with self._lock:
            printed = self._cells.get(cell)
            if printed is None:
                printed = self._cells[cell] = Printed(cell)
            printed.pieces.append((voice, stream, text))
            self._grow(printed, len(text) + OVERHEAD)
            while self._size > self._room:
                largest = max(self._cells.values(), key=lambda one: one.size)
                _, _, first = largest.pieces.popleft()
                largest.lost += first.count("\n")
                self._grow(largest, -len(first) - OVERHEAD)
                if not largest.pieces:
                    break

    def _grow(self, printed: Printed, by: int) -> None:
        printed.size += by
        self._size += by

    def find(self, number: int | None = None) -> Printed | None:
        """The output of the cell with that execution count, or of the last one that had any; a copy."""
        with self._lock:
            for cell, printed in reversed(self._cells.items()):
                if number is None or cell.rpartition("/")[2] == str(number):
                    return Printed(cell, printed.pieces.copy(), printed.size, printed.lost)
        return None

    def numbers(self) -> list[int]:
        """The execution counts of cells whose output is kept."""
        with self._lock:
            return sorted({int(cell.rpartition("/")[2]) for cell in self._cells})
