"""The current working directory, asked for at each submission.

`os.getcwd` lets go of the interpreter's lock. In a burst the attendant waits for that lock and has to be woken each
time: a fifth of what a submission takes. So the C library is called with the lock held.
"""

from __future__ import annotations

import os
from collections.abc import Callable

LONGEST = 4096


def reader() -> Callable[[], bytes]:
    """A function that returns the working directory's path; empty where it has been removed."""
    import ctypes  # of use to those who submit, and not quickly imported

    path = ctypes.create_string_buffer(LONGEST)
    getcwd = ctypes.PyDLL(None)["getcwd"]
    getcwd.restype = ctypes.c_void_p

    def read() -> bytes:
        if getcwd(path, LONGEST):
            return path.value
        try:
            return os.getcwdb()  # it is longer than that
        except FileNotFoundError:
            return b""

    return read
