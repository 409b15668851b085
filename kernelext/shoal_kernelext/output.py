"""What workers print and show, brought to the cell that launched their work.

A message a line would flood the front end, so what comes within 50 ms goes as one; nothing is lost and nothing of a
cell changes order. Messages carry the parent header of their cell, whichever cell runs meanwhile.
"""

from __future__ import annotations

import sys
import threading
import traceback
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from shoal.context import Cell
from shoal.engines.base import Output

PERIOD = 0.05
"""Seconds that output may gather."""
_KEPT = 1000
"""Cells whose parent header is kept."""

Header = Any
"""The message that ran a cell; what is sent for the cell names it as parent."""


class Sink(Protocol):
    """Where output goes in the end."""

    def send(self, kind: str, content: dict[str, Any], parent: Header, here: bool) -> None:
        """Send one message; `here` says that it is of the cell that runs now."""


class KernelSink:
    """Messages on a kernel's IOPub; `send` may be called from any thread."""

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

    def send(self, kind: str, content: dict[str, Any], parent: Header, here: bool) -> None:
        if kind == "stream":
            file = sys.stdout if content["name"] == "stdout" else sys.stderr
            file.write(content["text"])
            file.flush()
        elif kind == "display_data":
            print(content["data"].get("text/plain", ""), flush=True)


class _Piece(NamedTuple):
    """Output of one cell to one stream."""

    cell: Cell | None
    stream: str
    parts: list[Any]


class OutputRouter:
    """Takes what workers send, in their order, and passes it on to a sink.

    One thread sends: that keeps the order, and an interrupt of the main thread loses nothing.

    Args:
        sink: where it goes.
        current: the cell that runs now, or ran last: output of no known cell is shown there.
    """

    def __init__(self, sink: Sink, current: Callable[[], Cell | None]) -> None:
        self._sink = sink
        self._current = current
        self._parents: OrderedDict[Cell, Header] = OrderedDict()
        self._pending: list[_Piece] = []
        self._changed = threading.Condition()
        self._batch = self._sent = 0
        """The batch that was last taken to be sent, and the one that last was."""
        self._hurry = self._closed = False
        self._thread: threading.Thread | None = None

    def begin(self, cell: Cell, parent: Header) -> None:
        """A cell starts; `parent` is the message that ran it."""
        with self._changed:
            self._parents[cell] = parent
            self._parents.move_to_end(cell)
            while len(self._parents) > _KEPT:
                self._parents.popitem(last=False)

    def take(self, output: Output) -> None:
        """Queue something that a worker sent; called from whichever thread reads, returns soon."""
        if not self._pending:
            # what the cell itself printed before this work came first
            for file in (sys.stdout, sys.stderr):
                file.flush()
        with self._changed:
            last = next((p for p in reversed(self._pending) if p.cell == output.cell), None)
            if last is not None and last.stream == output.stream != "display":
                last.parts.append(output.data)
            else:
                self._pending.append(_Piece(output.cell, output.stream, [output.data]))
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
            wanted = self._batch + bool(self._pending)
            if self._sent < wanted:
                self._hurry = True
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._sent >= wanted)

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
                self._changed.wait_for(lambda: self._pending or self._closed)
                if not self._pending:
                    return
                self._changed.wait_for(lambda: self._hurry or self._closed, PERIOD)
                pending, self._pending = self._pending, []
                self._hurry = False
                self._batch += 1
            try:
                self._send_all(pending)
            except Exception:  # a stream that somebody put in place and closed: later output shall come still
                traceback.print_exc(file=sys.__stderr__)
            with self._changed:
                self._sent = self._batch
                self._changed.notify_all()

    def _send_all(self, pieces: list[_Piece]) -> None:
        for piece in pieces:
            if piece.stream == "display":
                (bundle,) = piece.parts
                self._send(*_display(bundle), piece.cell)
            else:
                self._send("stream", {"name": piece.stream, "text": "".join(piece.parts)}, piece.cell)

    def _send(self, kind: str, content: dict[str, Any], cell: Cell | None, ours: bool = False) -> None:
        current = self._current()
        with self._changed:
            if cell is None or cell not in self._parents:
                cell = current
            parent = self._parents.get(cell or "", {})
        self._sink.send(kind, content, parent, here=cell == current and not ours)


def _display(bundle: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    kind = "update_display_data" if bundle.get("update") else "display_data"
    content = {
        "data": bundle.get("data", {}),
        "metadata": bundle.get("metadata", {}),
        "transient": bundle.get("transient", {}),
    }
    return kind, content
