"""The stop button, heard at once whatever the main thread does: in C code, in an `await`, in code that lets it pass.

Python's handler for a signal runs in the main thread, when that comes to it. But first the interpreter writes a byte
to a file descriptor (`signal.set_wakeup_fd`), and a thread of ours reads it. The handlers stay whose they are.
"""

from __future__ import annotations

import asyncio
import select
import signal
import socket
import threading
from collections.abc import Callable


class Presses:
    """Calls `pressed()` for each interrupt, in a thread of its own that may wait."""

    def __init__(self, pressed: Callable[[], None]) -> None:
        self._pressed = pressed
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reads, self._writes = socket.socketpair()
        self._writes.setblocking(False)
        self._poll = select.poll()
        self._poll.register(self._reads, select.POLLIN)
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="shoal-presses", daemon=True)

    def open(self) -> None:
        self._thread.start()
        self.listen()

    def listen(self) -> None:
        """Listen again, should somebody have stopped it: an event loop with signal handlers does. For each cell."""
        if threading.current_thread() is not threading.main_thread():
            return
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            self._loop = None
        other = signal.set_wakeup_fd(self._writes.fileno(), warn_on_full_buffer=False)
        if other not in (-1, self._writes.fileno()):
            signal.set_wakeup_fd(other)  # somebody else's: without it we hear of a press when the cell ends

    def close(self) -> None:
        """From the main thread."""
        other = signal.set_wakeup_fd(-1)
        if other != self._writes.fileno():
            signal.set_wakeup_fd(other)
        self._writes.close()
        self._thread.join()
        self._reads.close()

    def settle(self) -> None:
        """Deal with a press that the thread has not come to yet, or wait until it is dealt with."""
        self._take()

    def _run(self) -> None:
        while self._take(wait=True):
            pass

    def _take(self, wait: bool = False) -> bool:
        """Whether it may be called again."""
        if wait:
            self._poll.poll()
        with self._lock:
            try:
                signals = self._reads.recv(64, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return True
            if signal.SIGINT in signals:
                self._wake()
                self._pressed()
                self._wake()
            return bool(signals)

    def _wake(self) -> None:
        """Let a loop that waits for something else see what the kernel's own handler told it: that does not wake it."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(lambda: None)
