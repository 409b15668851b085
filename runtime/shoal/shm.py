"""Shared-memory segments: anonymous (memfd), so that they vanish with the last process however it dies.

/dev/shm is 64 MB in most containers and outlives a crash; `multiprocessing.shared_memory` before Python 3.13 unlinks a
segment when a mere reader exits. A segment is sparse: its length is fixed at birth, its pages are reserved by
`posix_fallocate` before anything is written, for a write into a full tmpfs is a SIGBUS and not an error. It is sealed:
nobody, whoever finds it in /proc, can make it shorter under those who read it.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from typing import Any

_KEEP_SIZE, _PUNCH_HOLE = 1, 2


def create(length: int) -> int:
    """A new segment's file descriptor; no memory is taken yet."""
    fd = os.memfd_create("shoal", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(fd, length)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
    except OSError:
        os.close(fd)
        raise
    return fd


def reserve(fd: int, start: int, length: int) -> None:
    """Back a range with memory; OSError (ENOSPC, ENOMEM) where there is none left."""
    os.posix_fallocate(fd, start, length)


def punch(fd: int, start: int, length: int) -> None:
    """Take the memory from a range: it reads as zeroes, and takes memory again when it is reserved or written."""
    import ctypes  # rarely needed, and takes a while to load

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.fallocate(fd, _KEEP_SIZE | _PUNCH_HOLE, ctypes.c_long(start), ctypes.c_long(length)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


class Mapping:
    """One segment mapped into this process. Views of it keep the map alive after `close`."""

    def __init__(self, fd: int, access: int) -> None:
        self.length = os.fstat(fd).st_size
        self.map = mmap.mmap(fd, self.length, access=access)

    def view(self, start: int, length: int) -> memoryview:
        return memoryview(self.map)[start : start + length]

    def exporter(self, start: int, length: int) -> Any:
        """A uint8 array over the range, to hand to pickle.

        NumPy re-exports past a memoryview, so a finaliser on one fires while arrays still use the memory; an ndarray
        stays in the chain of bases until the last view of the memory is gone.
        """
        import numpy

        return numpy.frombuffer(self.map, numpy.uint8, length, start)

    def close(self) -> None:
        try:
            self.map.close()
        except BufferError:
            pass  # views are out: the map goes with the last of them
