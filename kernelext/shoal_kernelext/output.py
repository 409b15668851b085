"""What workers print and show, brought to the cell that launched their work.

A message a line would flood the front end, so what comes within 50 ms goes as one; nothing is lost and nothing of a
cell changes order. Messages carry the parent header of their cell, whichever cell runs meanwhile.
"""

from __future__ import annotations

import sys
import threading
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

    Args:
        sink: where it goes.
        current: the cell that runs now, or ran last: output of no known cell is shown there.
    """

    def __init__(self, sink: Sink, current: Callable[[], Cell | None]) -> None:
        self._sink = sink
        self._current = current
        self._parents: OrderedDict[Cell, Header] = OrderedDict()
        self._pending: list[_Piece] = []
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._filled = threading.Event()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, cell: Cell, parent: Header) -> None:
        """A cell starts; `parent` is the message that ran it."""
        with self._lock:
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
        with self._lock:
            last = next((p for p in reversed(self._pending) if p.cell == output.cell), None)
            if last is not None and last.stream == output.stream != "display":
                last.parts.append(output.data)
            else:
                self._pending.append(_Piece(output.cell, output.stream, [output.data]))
            if self._thread is None and not self._closed.is_set():
                self._thread = threading.Thread(target=self._run, name="shoal-output", daemon=True)
                self._thread.start()
        self._filled.set()

    def flush(self) -> None:
        """Send all that was taken so far."""
        with self._sending:  # taken and sent by one thread at a time: that keeps the order
            with self._lock:
                pending, self._pending = self._pending, []
                self._filled.clear()
            for piece in pending:
                if piece.stream == "display":
                    (bundle,) = piece.parts
                    self._send(*_display(bundle), piece.cell)
                else:
                    text = {"name": piece.stream, "text": "".join(piece.parts)}
                    self._send("stream", text, piece.cell)

    def publish(self, cell: Cell, kind: str, content: dict[str, Any]) -> None:
        """Send a message of our own into a cell, from any thread."""
        with self._sending:
            self._send(kind, content, cell, ours=True)

    def close(self) -> None:
        """Send what is left and end the thread."""
        self._closed.set()
        self._filled.set()
        if self._thread is not None:
            self._thread.join()
        self.flush()

    def _send(self, kind: str, content: dict[str, Any], cell: Cell | None, ours: bool = False) -> None:
        current = self._current()
        with self._lock:
            if cell is None or cell not in self._parents:
                cell = current
            parent = self._parents.get(cell or "", {})
        self._sink.send(kind, content, parent, here=cell == current and not ours)

    def _run(self) -> None:
        while not self._closed.is_set():
            self._filled.wait()
            self._closed.wait(PERIOD)
            self.flush()


def _display(bundle: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    kind = "update_display_data" if bundle.get("update") else "display_data"
    content = {
        "data": bundle.get("data", {}),
        "metadata": bundle.get("metadata", {}),
        "transient": bundle.get("transient", {}),
    }
    return kind, content
