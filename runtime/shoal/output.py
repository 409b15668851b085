"""What a worker prints: fds 1 and 2 are pipes, so that C code's and subprocesses' output counts.

The watcher thread reads them while user code runs; at the end of a task the main thread takes what is left, so that all
of a task's output is sent before its result. The hub holds the reading ends too and saves the last lines of a crash.
"""

from __future__ import annotations

import codecs
import io
import os
import select
import sys
import threading
from collections.abc import Callable
from typing import TextIO

STREAMS = ("stdout", "stderr")
_CHUNK = 1 << 16


class OutputPipes:
    """Both streams of this process. `send(stream, text)` is called in order, by one thread at a time."""

    def __init__(self, readers: tuple[int, int], writers: tuple[int, int], send: Callable[[str, str], None]) -> None:
        self._send = send
        self._lock = threading.Lock()
        self._readers = readers
        self._streams = dict(zip(readers, STREAMS, strict=True))
        make = codecs.getincrementaldecoder("utf-8")
        self._decoders = {fd: make("replace") for fd in readers}
        self._poll = select.poll()
        for fd in readers:
            os.set_blocking(fd, False)
            self._poll.register(fd, select.POLLIN)
        for target, writer in zip((1, 2), writers, strict=True):
            os.dup2(writer, target)
            os.close(writer)
        sys.stdout = open(1, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)
        sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)
        sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr  # type: ignore[misc]
        self._stdout: TextIO | CallStream = sys.stdout
        self._stderr: TextIO | CallStream = sys.stderr

    def split(self, call: Callable[[], bytes | None]) -> None:
        """From now on what Python code prints goes by the call that prints it: the pipes cannot tell whose it is."""
        self._stdout = CallStream(STREAMS[0], sys.stdout, self._send, call)
        self._stderr = CallStream(STREAMS[1], sys.stderr, self._send, call)
        sys.stdout, sys.stderr = self._stdout, self._stderr

    @property
    def fds(self) -> tuple[int, int]:
        return self._readers

    def read(self, fd: int) -> bool:
        """Take what is there and send it; False when there was nothing."""
        with self._lock:
            return self._take(fd)

    def _take(self, fd: int) -> bool:
        try:
            data = os.read(fd, _CHUNK)
        except BlockingIOError:
            return False
        if data:
            text = self._decoders[fd].decode(data)
            if text:
                self._send(self._streams[fd], text)
        return bool(data)

    def drain(self) -> None:
        """Send all that was printed so far."""
        for file in (self._stdout, self._stderr):
            try:
                file.flush()
            except (OSError, ValueError):
                pass
        with self._lock:
            while any([self._take(fd) for fd, _ in self._poll.poll(0)]):  # mostly one system call, and there is nothing
                pass


class CallStream(io.TextIOBase):
    """A stream of a worker that runs several calls at once: each line goes out with the call that wrote it."""

    def __init__(
        self, name: str, file: TextIO, send: Callable[[str, str], None], call: Callable[[], bytes | None]
    ) -> None:
        self._name = name
        self._file = file
        self._send = send
        self._call = call
        self._lock = threading.Lock()
        self._begun: dict[bytes | None, str] = {}
        """By call, the line that has no end yet."""

    encoding = "utf-8"

    def write(self, text: str) -> int:
        call = self._call()
        with self._lock:
            whole = self._begun.pop(call, "") + text
            end = whole.rfind("\n") + 1
            if end < len(whole):
                self._begun[call] = whole[end:]
        if end:
            self._send(self._name, whole[:end])
        return len(text)

    def flush(self) -> None:
        with self._lock:
            begun = self._begun.pop(self._call(), "")
        if begun:
            self._send(self._name, begun)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._file.fileno()
