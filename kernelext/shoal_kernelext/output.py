"""What workers print and show, brought to the cell that launched their work.

A message a line would flood the front end, so what comes within 50 ms goes as one; nothing of a task changes order.
Messages carry the parent header of their cell, whichever cell runs meanwhile. How a cell shows what comes is its
`transcript.py`; all of it is kept in the `archive.py`.
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple, Protocol

from shoal.context import Cell
from shoal.engines.base import Output
from shoal_kernelext.archive import Archive
from shoal_kernelext.aside import aside
from shoal_kernelext.limits import limits
from shoal_kernelext.transcript import Transcript

PERIOD = 0.05
"""Seconds that output may gather."""
ASIDE = 0.25
"""Seconds between updates of what stands apart: bars, the latest lines of a flood."""
_KEPT = 1000
"""Cells whose parent header is kept."""

Header = Any
"""The message that ran a cell; what is sent for the cell names it as parent."""


class Sink(Protocol):
    """Where output goes in the end."""

    lasting: bool
    """Whether what is shown stays on a page: which has room for so much, and shows anew what changes."""

    def send(self, kind: str, content: dict[str, Any], parent: Header, here: bool) -> None:
        """Send one message; `here` says that it is of the cell that runs now."""


class KernelSink:
    """Messages on a kernel's IOPub; `send` may be called from any thread."""

    lasting = True

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel
        self._stdout, self._stderr = sys.stdout, sys.stderr
        self._display = kernel.shell.display_pub

    def send(self, kind: str, content: dict[str, Any], parent: Header, here: bool) -> None:
        if here and self._captured(kind, content):
            return
        topic = f"stream.{content['name']}" if kind == "stream" else kind
        session, iopub = self._kernel.session, self._kernel.iopub_thread
        session.send(iopub, kind, content, parent=parent, ident=topic.encode())

    def _captured(self, kind: str, content: dict[str, Any]) -> bool:
        """Give it to whoever has taken the running cell's output: ``%%capture``, redirect_stdout."""
        if kind == "stream":
            name = content["name"]
            file, own = (sys.stdout, self._stdout) if name == "stdout" else (sys.stderr, self._stderr)
            if file is not own:
                file.write(content["text"])
            return file is not own
        publisher = self._kernel.shell.display_pub
        if publisher is not self._display:
            publisher.publish(content["data"], content["metadata"])
        return publisher is not self._display


class TerminalSink:
    """Text on the standard streams, where there is no kernel."""

    lasting = False

    def send(self, kind: str, content: dict[str, Any], parent: Header, here: bool) -> None:
        if kind == "stream":
            file = sys.stdout if content["name"] == "stdout" else sys.stderr
            file.write(content["text"])
            file.flush()
        elif kind == "display_data":
            print(content["data"].get("text/plain", ""), flush=True)
        elif kind == "error":
            print("\n".join(content["traceback"]), file=sys.stderr, flush=True)


class _Piece(NamedTuple):
    """What a task printed to one stream, in one go."""

    of: Output
    parts: list[Any]


@dataclass
class _Shown:
    """A cell's output."""

    parent: Header
    transcript: Transcript
    aside: dict[str, str] | None = None
    """What stood apart when it was last sent; None: nothing ever did."""


class OutputRouter:
    """Takes what workers send, in their order, and passes it on to a sink.

    One thread sends: that keeps the order, and an interrupt of the main thread loses nothing.

    Args:
        sink: where it goes.
        current: the cell that runs now, or ran last: output of no known cell is shown there.
        colors: whether the names before lines are coloured.
    """

    def __init__(self, sink: Sink, current: Callable[[], Cell | None], colors: bool = True) -> None:
        self._sink = sink
        self._colors = colors
        self._current = current
        self._limits = limits() if sink.lasting else limits()._replace(lines=sys.maxsize)
        self.archive = Archive(self._limits.kept)
        self._cells: OrderedDict[Cell, _Shown] = OrderedDict()
        self._stale: set[Cell] = set()
        """Cells whose aside is not as it was sent."""
        self._pending: list[_Piece] = []
        self._changed = threading.Condition()
        self._batch = self._sent = 0
        """The batch that was last taken to be sent, and the one that last was."""
        self._hurry = self._flushing = self._closed = False
        self._aside_at = 0.0
        self._thread: threading.Thread | None = None

    def begin(self, cell: Cell, parent: Header) -> None:
        """A cell starts; `parent` is the message that ran it."""
        own = f"In[{cell.rpartition('/')[2]}]"
        with self._changed:
            self._cells[cell] = _Shown(parent, Transcript(own, self._limits, self._colors))
            self._cells.move_to_end(cell)
            while len(self._cells) > _KEPT:
                self._cells.popitem(last=False)

    def take(self, output: Output) -> None:
        """Queue something that a worker sent; called from whichever thread reads, returns soon."""
        if not self._pending:
            # what the cell itself printed before this work came first
            for file in (sys.stdout, sys.stderr):
                file.flush()
        with self._changed:
            last = next((p for p in reversed(self._pending) if p.of.cell == output.cell), None)
            if last is not None and output.data and output.stream != "display" and _same(last.of, output):
                last.parts.append(output.data)
            else:
                self._pending.append(_Piece(output, [output.data]))
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="shoal-output", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def flush(self) -> None:
        """Wait until all that was taken so far is sent."""
        with self._changed:
            thread = self._thread
            if thread is None or not thread.is_alive() or thread is threading.current_thread():
                return
            wanted = self._batch + bool(self._pending or self._stale)
            if self._sent < wanted:
                self._hurry = True
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._sent >= wanted)

    def voices(self, cell: Cell) -> list[tuple[str, int, str]]:
        """Who printed in a cell, how many lines, and the latest of them."""
        where = self._cells.get(cell)
        voices = list(where.transcript.voices.values()) if where is not None else []
        return [(voice.name, voice.lines, "\n".join(voice.recent)) for voice in voices]

    def publish(self, cell: Cell, kind: str, content: dict[str, Any]) -> None:
        """Send a message of our own into a cell, from any thread."""
        self._send(kind, content, cell, ours=True)

    def close(self) -> None:
        """Send what is left and end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                wait = ASIDE if self._stale else None
                self._changed.wait_for(lambda: self._pending or self._hurry or self._closed, wait)
                if not self._pending and self._closed:
                    return
                self._changed.wait_for(lambda: self._hurry or self._closed, PERIOD)
                pending, self._pending = self._pending, []
                self._flushing, self._hurry = self._hurry or self._closed, False
                self._batch += 1
            try:
                self._send_all(pending)
            except Exception:  # a stream that somebody put in place and closed: later output shall come still
                traceback.print_exc(file=sys.__stderr__)
            with self._changed:
                self._sent = self._batch
                self._changed.notify_all()

    def _send_all(self, pieces: list[_Piece]) -> None:
        shown = [self._shown(piece.of.cell) for piece in pieces]
        for piece, (_, where) in zip(pieces, shown, strict=True):
            if where is not None and piece.of.stream != "display":
                where.transcript.meet(piece.of.source)
        texts: list[tuple[Cell | None, str, str]] = []
        for piece, (cell, where) in zip(pieces, shown, strict=True):
            output = piece.of
            if output.stream == "display":
                self._send_texts(texts)
                (bundle,) = piece.parts
                self._send(*_display(bundle), cell)
                continue
            text = "".join(piece.parts)
            if cell is not None and where is not None:
                if text:
                    self.archive.add(cell, output.source, output.stream, text)
                text = where.transcript.show(output.source, output.task, output.stream, text)
                if self._sink.lasting:
                    self._stale.add(cell)
            if text:
                texts.append((cell, output.stream, text))
        self._send_texts(texts)
        self._send_asides()

    def _send_texts(self, texts: list[tuple[Cell | None, str, str]]) -> None:
        """What one cell gets for one stream in a row goes as one message."""
        by_cell: dict[Cell | None, list[tuple[str, str]]] = {}
        for cell, stream, text in texts:
            by_cell.setdefault(cell, []).append((stream, text))
        texts.clear()
        for cell, parts in by_cell.items():
            for stream, group in groupby(parts, key=lambda part: part[0]):
                self._send("stream", {"name": stream, "text": "".join(text for _, text in group)}, cell)

    def _send_asides(self) -> None:
        """What stands apart, where it is another than was sent; four times a second at most, but at a cell's end."""
        now = time.monotonic()
        if now < self._aside_at and not self._flushing:
            return
        self._aside_at = now + ASIDE
        stale, self._stale = self._stale, set()
        for cell in stale:
            where = self._cells.get(cell)
            if where is None:
                continue
            bundle = aside(where.transcript, cell.rpartition("/")[2])
            if bundle == where.aside or (where.aside is None and not any(bundle.values())):
                continue
            kind = "display_data" if where.aside is None else "update_display_data"
            where.aside = bundle
            transient = {"display_id": f"shoal-aside-{cell}"}
            self.publish(cell, kind, {"data": bundle, "metadata": {}, "transient": transient})

    def _shown(self, cell: Cell | None) -> tuple[Cell | None, _Shown | None]:
        """Where output of that cell is shown: in the current one where it is of none that is known."""
        with self._changed:
            if cell is None or cell not in self._cells:
                cell = self._current()
            return cell, self._cells.get(cell or "")

    def _send(self, kind: str, content: dict[str, Any], cell: Cell | None, ours: bool = False) -> None:
        current = self._current()
        cell, where = self._shown(cell)
        self._sink.send(kind, content, where.parent if where is not None else {}, here=cell == current and not ours)


def _same(one: Output, other: Output) -> bool:
    return (one.stream, one.source, one.task) == (other.stream, other.source, other.task)


def _display(bundle: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    kind = "update_display_data" if bundle.get("update") else "display_data"
    content = {
        "data": bundle.get("data", {}),
        "metadata": bundle.get("metadata", {}),
        "transient": bundle.get("transient", {}),
    }
    return kind, content
