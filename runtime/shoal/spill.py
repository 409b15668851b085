"""Values in files: written when shared memory is full, read where they lie.

A file holds one value's buffers as they would lie in a segment. Whoever gets the value maps the file, so that takes no
room in shared memory and copies nothing; the system keeps in memory what is used of it.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
from collections.abc import Iterator, Sequence
from typing import Any

from shoal.exceptions import OutOfDiskError

CHUNK = 1 << 30


class Vanished(Exception):
    """The file of a value is not there any more, or not to be read."""


def no_room(size: int, why: str) -> OutOfDiskError:
    """The error to raise for an object; `why` names the folder."""
    return OutOfDiskError(
        f"an object of {size / 2**20:,.1f} MiB does not fit into the object store, and not on disk either "
        f"({why}): free some space there, drop refs you no longer need (del), "
        "or start with shoal.init(object_spilling_directory=…) on a larger disk"
    )


@contextlib.contextmanager
def _writing(path: str, size: int) -> Iterator[int]:
    """A new file of a length; it is removed and OutOfDiskError raised where the disk does not take it."""
    fd = -1
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        os.posix_fallocate(fd, 0, max(size, 1))
        yield fd
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(path)
        raise no_room(size, f"{error.strerror}: {os.path.dirname(path)}") from error
    finally:
        if fd >= 0:
            os.close(fd)


def copy(segment: int, start: int, size: int, path: str) -> None:
    """Write what lies in a segment (a descriptor) to a new file. Raises OutOfDiskError."""
    with _writing(path, size) as fd:
        at = start
        while at < start + size:
            sent = os.sendfile(fd, segment, at, min(CHUNK, start + size - at))
            if not sent:
                raise OSError(5, "the memory ends early")
            at += sent


def write(path: str, table: Sequence[tuple[int, int]], parts: Sequence[Any]) -> None:
    """Write a value's parts at their offsets to a new file. Raises OutOfDiskError."""
    size = max((offset + length for offset, length in table), default=0)
    with _writing(path, size) as fd:
        for (offset, length), part in zip(table, parts, strict=True):
            view = memoryview(part).cast("B") if length else memoryview(b"")
            at = 0
            while at < length:
                at += os.pwrite(fd, view[at : at + CHUNK], offset + at)


def open_map(path: str, size: int, access: int) -> mmap.mmap:
    """The first `size` bytes of a file mapped; raises Vanished where they are not there, or cannot be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):  # this process's trouble, and not the file's
            raise
        raise Vanished(path) from None
    try:
        if os.fstat(fd).st_size < size:
            raise Vanished(path)
        return mmap.mmap(fd, 0, access=access)
    finally:
        os.close(fd)


def is_whole(path: str, size: int) -> bool:
    """Whether a file is there, can be read and has the bytes that were written."""
    try:
        return os.stat(path).st_size >= size and os.access(path, os.R_OK)
    except OSError:
        return False
