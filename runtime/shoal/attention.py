"""Whether another process has had a CPU to work with, by what Linux tells of its main thread.

On a busy machine a worker may wait many milliseconds for its turn within a task of microseconds,
which is not a long one for that.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


class Attention:
    """What a process gives to one thing after another."""

    def __init__(self, process: int) -> None:
        self._process = Path("/proc") / str(process)
        self._thing: object = None
        self._ran = 0

    def given(self, thing: object, seconds: float) -> bool:
        """Whether it has had so much CPU since it was first asked of `thing`, or is not waiting for a CPU at all.

        True where the system does not tell.
        """
        with suppress(OSError, ValueError, IndexError):
            ran = int((self._process / "schedstat").read_text().split()[0])
            if self._thing != thing:
                self._thing, self._ran = thing, ran
            state = (self._process / "stat").read_text().rpartition(")")[2].split()[0]
            return state != "R" or ran - self._ran >= seconds * 1e9
        return True
