"""Room in shared memory for a process that finds none: idle memory of others first, then objects go to disk.

A process that was refused memory asks ``room`` and waits. It is told one of

    go                   there is memory now: ask for it again
    spill  NUMBER MOVES  write these objects to these files, tell ``spilled``, and ask again
    full   WHY PATH      there is nothing to be had: write your own object to this file (None: spilling is off)
    disk   WHY           nor is there room on the disk

So whoever needs the room does the writing, and the hub never touches a file's contents. The objects that go are the
oldest that no process looks at and no running task needs; `moves` has the agreement that this takes.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoal.hub.memory import remove_file, size_of
from shoal.hub.moves import Moves
from shoal.hub.peer import Peer

if TYPE_CHECKING:
    from shoal.hub.loop import Hub

PATIENCE = 2.0
"""Seconds that a process may take to say what it uses: one that hangs in C code holds up nobody for longer."""
LARGEST = 5
"""Holders named when the store is full."""


@dataclass(eq=False)
class _Request:
    peer: Peer
    question: int
    size: int
    asked: set[int] = field(default_factory=set)
    """Processes that were asked for idle memory already."""
    waits_for: set[int] = field(default_factory=set)
    """Those that have not answered yet."""
    deadline: float = 0.0
    refused: set[bytes] = field(default_factory=set)
    """Objects that somebody uses."""
    move: int | None = None


class Room:
    """Composed into the hub, whose messages `room`, `spared`, `yielded` and `spilled` it takes."""

    def __init__(self, hub: Hub, folder: Path | None, most: float) -> None:
        self._hub = hub
        self._most = most  # the share of the disk that may be taken
        self._folder = folder
        self._files = 0
        self._handed: dict[str, int] = {}
        self._requests: list[_Request] = []
        self.moves = Moves()
        self._paths: dict[bytes, str] = {}
        self._vain: set[int] = set()
        """Processes whose last copies were all made in vain: others look at everything again and again."""

    # messages

    @property
    def handlers(self) -> dict[str, Callable[..., None]]:
        taken: dict[str, Callable[..., None]] = {
            "room": self.asked,
            "spared": self.spared,
            "yielded": self.yielded,
            "spilled": self.spilled,
        }

        def informed(take: Callable[..., None]) -> Callable[..., None]:
            def handle(peer: Peer, *message: Any) -> None:
                self._hub.catch_up()  # what was said before counts
                take(peer, *message)

            return handle

        return {name: informed(take) for name, take in taken.items()}

    def asked(self, peer: Peer, question: int, size: int) -> None:
        self._requests.append(_Request(peer, question, size))
        self._serve()

    def spared(self, peer: Peer, pages: tuple[tuple[int, int], ...]) -> None:
        """A process did without idle memory, of its own accord or because it was asked to."""
        for segment, size in pages:
            self._hub.memory.given_back(peer.number, segment, size)
        for request in self._requests:
            request.waits_for.discard(peer.number)
        self._serve()

    def yielded(self, peer: Peer, number: int, kept: tuple[bytes, ...]) -> None:
        for request in self._requests:
            if request.move == number:
                request.refused.update(kept)
        if self.moves.answered(number, peer.number, kept):
            self._write(number)
        self._serve()

    def spilled(self, peer: Peer, number: int, written: tuple[bytes, ...]) -> None:
        """Copies are on disk: those that count take the place of the memory."""
        values, memory = self._hub.values, self._hub.memory
        self._vain.add(peer.number)
        for object_id in written:
            path = self._paths.pop(object_id, "")
            before = values.get(object_id)
            if self.moves.written(number, object_id) and before is not None and before[0] == "s":
                self._handed.pop(path, None)
                self._vain.discard(peer.number)
                values[object_id] = ("d", path, *before[3:])
                memory.written(values[object_id])
                memory.freed(before)
        self._end(number)
        self._serve()

    # what else happens

    def used(self, object_ids: Iterable[bytes]) -> None:
        """Somebody is told where these are, or they are gone."""
        if len(self.moves):
            for object_id in object_ids:
                self.moves.used(object_id)

    def arrived(self, place: tuple[Any, ...]) -> None:
        """Its writer has told of a value on disk: from now on it goes with its object."""
        if place[0] == "d":
            self._handed.pop(place[1], None)

    def left(self, number: int) -> None:
        """A process is gone: it answers no more, and what it was writing is waste."""
        self._vain.discard(number)
        self._requests = [r for r in self._requests if r.peer.number != number]
        for request in self._requests:
            request.waits_for.discard(number)
        for path in [p for p, mover in self._handed.items() if mover == number]:
            self._discard(path)
        for move in self.moves.gone(number):
            self._write(move)
        self._serve()

    def wait(self, now: float) -> float | None:
        """Seconds until somebody has waited long enough for an answer."""
        dues = [r.deadline for r in self._requests if r.waits_for]
        if (due := self.moves.due()) is not None:
            dues.append(due)
        return max(0.0, min(dues) - now) if dues else None

    def look(self, now: float) -> None:
        if not self._requests:
            return
        for number in self.moves.overdue(now):
            silent = {o for ids in self.moves.asked(number).values() for o in ids}
            for request in self._requests:
                if request.move == number:
                    request.refused |= silent
            self._write(number)
        for request in self._requests:
            if request.waits_for and request.deadline <= now:
                request.waits_for.clear()
        self._serve()

    # serving

    def _serve(self) -> None:
        for request in list(self._requests):
            if not request.waits_for and request.move is None:
                self._step(request)

    def _step(self, request: _Request) -> None:
        memory = self._hub.memory
        asker = request.peer.number
        if memory.capacity - memory.granted >= request.size:
            self._answer(request, ("go",))
            return
        if request.size > memory.capacity:
            self._refuse(request)
            return
        idle = [n for n, size in memory.idle().items() if size and n != asker and n not in request.asked]
        if idle:
            request.asked.update(idle)
            request.waits_for.update(idle)
            request.deadline = time.monotonic() + PATIENCE
            for number in idle:
                self._hub.tell(number, ("spare", request.size), urgent=True)
        elif self._fits_disk(request.size) and asker not in self._vain and (victims := self._victims(request)):
            request.move = self.moves.begin(asker, victims, time.monotonic() + PATIENCE)
            asked = self.moves.asked(request.move)
            for number, ids in asked.items():
                self._hub.tell(number, ("yield", request.move, ids), urgent=True)
            if not asked:
                self._write(request.move)
        elif len(self.moves) == 0 or asker in self._vain:
            self._vain.discard(asker)
            self._refuse(request)
        # else others are making room: when they are done it is looked at again

    def _refuse(self, request: _Request) -> None:
        if self._folder is not None and not self._fits_disk(request.size):
            why = f"with {request.size / 2**20:,.1f} MiB more the disk would be over {self._most:.0%} full"
            self._answer(request, ("disk", f"{why}: {self._folder}"))
            return
        path = None if self._folder is None else self._new_path(request.peer.number)
        self._answer(request, ("full", self._describe(request.size), path))

    def _victims(self, request: _Request) -> dict[bytes, list[int]]:
        """The oldest objects that nobody is known to need now, as many as make the room; with their holders."""
        scheduler = self._hub.scheduler
        busy = {
            dep
            for worker in scheduler.workers.values()
            for running in worker.running
            if (task := scheduler.tasks.get(running)) is not None
            for dep in task.deps
        }
        found: dict[bytes, list[int]] = {}
        size = 0
        for object_id, place in self._hub.values.items():
            if place[0] != "s" or object_id in busy or object_id in request.refused or object_id in self.moves:
                continue
            record = scheduler.objects.table.get(object_id)
            if record is None:
                continue
            found[object_id] = [n for n in record.holders if n in self._hub.scheduler.clients]
            size += size_of(place)
            if size >= request.size:
                break
        return found

    def _write(self, number: int) -> None:
        """All have answered: the one who needs the room is to copy what is left."""
        ids = self.moves.write(number)
        for request in self._requests:
            if request.move == number:
                request.move = None
                if ids:
                    moves = []
                    for object_id in ids:
                        _, segment, start, *_ = place = self._hub.values[object_id]
                        path = self._paths[object_id] = self._new_path(request.peer.number)
                        moves.append((object_id, segment, start, size_of(place), path))
                    self._answer(request, ("spill", number, tuple(moves)))
                return
        self._end(number)

    def _end(self, number: int) -> None:
        self.moves.end(number)
        for object_id in [o for o in self._paths if o not in self.moves]:
            self._discard(self._paths.pop(object_id))

    def _answer(self, request: _Request, answer: tuple[Any, ...]) -> None:
        self._requests.remove(request)
        self._hub.tell(request.peer.number, ("answer", request.question, True, answer))

    # files

    def _fits_disk(self, size: int) -> bool:
        """A full disk is everybody's trouble: some of it is left to others."""
        if self._folder is None:
            return False
        try:
            disk = os.statvfs(self._folder if self._folder.exists() else self._folder.parent)
        except OSError:
            return True  # who writes there finds out and can say so
        return size <= (disk.f_bavail - (1 - self._most) * disk.f_blocks) * disk.f_frsize

    def _new_path(self, writer: int) -> str:
        assert self._folder is not None
        with contextlib.suppress(OSError):  # who writes there finds out and can say so
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._files += 1
        path = str(self._folder / str(self._files))
        self._handed[path] = writer
        return path

    def _discard(self, path: str) -> None:
        self._handed.pop(path, None)
        remove_file(path)

    def _describe(self, size: int) -> str:
        memory, table = self._hub.memory, self._hub.scheduler.objects.table
        if size > memory.capacity:
            return (
                f"a value of {size / 2**20:,.0f} MiB is larger than the object store "
                f"({memory.capacity / 2**20:,.0f} MiB), and spilling is off: "
                "start with shoal.init(object_store_memory=…)"
            )
        largest = sorted(
            ((size_of(place), object_id) for object_id, place in self._hub.values.items() if place[0] == "s"),
            reverse=True,
        )[:LARGEST]
        lines = []
        for amount, object_id in largest:
            record = table.get(object_id)
            holders = sorted(record.holders) if record is not None else []
            names = [f"worker {n}" if n > 0 else f"driver {-n}" for n in holders]
            if record is not None and record.pins:
                names.append(f"{record.pins} task(s) or object(s) that need it")
            who = ", ".join(names) or "nobody"
            lines.append(f"{amount / 2**20:,.1f} MiB ObjectRef({object_id.hex()}) held by {who}")
        held = "; ".join(lines)
        return (
            f"the object store is full: {memory.used / 2**20:,.0f} of {memory.capacity / 2**20:,.0f} MiB hold objects, "
            f"and {size / 2**20:,.0f} MiB more are needed: drop refs you no longer need (del), "
            "or start with shoal.init(object_store_memory=…)" + (f". The largest: {held}" if held else "")
        )
