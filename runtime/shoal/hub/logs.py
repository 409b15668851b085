"""What workers printed last: the latest part of each one's, for those who ask afterwards."""

from __future__ import annotations

import collections
from collections.abc import Callable, Container, Iterable, Iterator
from typing import Any

KEPT = 1 << 18
"""Characters kept of each worker."""
WORKERS = 200
"""Workers whose output is kept; that of the one that has printed nothing for the longest time goes first."""

LAST_LINES = 20
LAST_WORDS = 4000
"""Lines, and characters, of what a process wrote to stderr before it died that are told with its death."""

Piece = tuple[str, str, str]
"""Task in hexadecimal (or empty), stream, text."""


class Logs:
    """`name(worker)` gives the id and process id by which a worker's log is found."""

    def __init__(self, name: Callable[[int], tuple[str, int]]) -> None:
        self._name = name
        self._pieces: collections.OrderedDict[int, collections.deque[Piece]] = collections.OrderedDict()
        self._sizes: dict[int, int] = {}
        self._names: dict[int, tuple[str, int]] = {}
        self.questions: dict[str, Callable[..., Any]] = {"logs": self.listing}

    def add(self, worker: int, task: bytes | None, stream: str, text: str) -> None:
        pieces = self._pieces.get(worker)
        if pieces is None:
            pieces = self._pieces[worker] = collections.deque()
            self._sizes[worker] = 0
            self._names[worker] = self._name(worker)
            while len(self._pieces) > WORKERS:
                gone, _ = self._pieces.popitem(last=False)
                del self._sizes[gone], self._names[gone]
        else:
            self._pieces.move_to_end(worker)
        pieces.append((task.hex() if task else "", stream, text))
        self._sizes[worker] += len(text)
        while self._sizes[worker] > KEPT and len(pieces) > 1:
            self._sizes[worker] -= len(pieces.popleft()[2])

    def pieces(self) -> Iterator[tuple[int, int, str, str, str]]:
        """All that is kept: worker, process id, task in hexadecimal (or empty), stream, text."""
        for worker, pieces in self._pieces.items():
            for task, stream, text in pieces:
                yield worker, self._names[worker][1], task, stream, text

    def last_lines(self, worker: int, tasks: Container[bytes] | None) -> list[str]:
        """What a worker wrote to stderr at last, in one of these tasks where they are given."""
        pieces = [
            text
            for task, stream, text in self._pieces.get(worker, ())
            if stream == "stderr" and (tasks is None or not task or bytes.fromhex(task) in tasks)
        ]
        return "".join(pieces)[-LAST_WORDS:].splitlines()[-LAST_LINES:]

    def listing(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {"worker_out": [], "worker_err": []}
        for worker, pieces in self._pieces.items():
            for stream, kind, suffix in (("stdout", "worker_out", "out"), ("stderr", "worker_err", "err")):
                if any(s == stream for _, s, _ in pieces):
                    found[kind].append(self._file(worker, suffix))
        return found

    def _file(self, worker: int, suffix: str) -> str:
        name, pid = self._names[worker]
        return f"worker-{name}-{pid}.{suffix}"

    def text(
        self, workers: Iterable[int], task: str | None, pid: int | None, filename: str | None, suffix: str
    ) -> str | None:
        """The output of one of these workers, of a task, of a process, or of a file of the listing; None for none."""
        stream = "stdout" if suffix == "out" else "stderr"
        if filename is not None:
            stream = "stderr" if filename.endswith(".err") else "stdout"
            workers = [w for w in self._pieces if self._file(w, filename.rpartition(".")[2]) == filename]
        elif pid is not None:
            workers = [w for w, (_, p) in self._names.items() if p == pid]
        elif task is not None:
            workers = list(self._pieces)
        found = [
            text
            for worker in workers
            for t, s, text in self._pieces.get(worker, ())
            if s == stream and (task is None or t == task)
        ]
        return "".join(found) if found else None
