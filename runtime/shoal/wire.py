"""Messages to frames and back, and the check of who is at the other end.

A frame is four bytes of length and a pickled list of messages: who writes sends all it has, who reads takes all
there is, so batches form by themselves under load and a single message is never held back. Pickle is safe here because
a peer's user is checked by the kernel before a byte of it is unpickled.
"""

from __future__ import annotations

import os
import pickle
import socket
import struct
import sys
from typing import Any

from shoal.exceptions import ClusterError

_LENGTH = struct.Struct("<I")
READ = 1 << 16
"""Bytes asked of a socket at once. Memory for more than 128 KiB is mapped and unmapped at each read, which takes longer
than all else that a small message needs."""
PROTOCOL = 2
"""Raised whenever messages change: both ends must agree."""
END = "z"
"""Tag of the value that stands behind the last item of a stream."""

Message = tuple[Any, ...]


def encode(messages: list[Message]) -> bytes:
    body = pickle.dumps(messages, 5)
    return _LENGTH.pack(len(body)) + body


class Decoder:
    """Bytes of a stream to messages. Fed one chunk at a time; what is left of a frame waits for the next."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        buffer = self._buffer
        if not buffer and len(data) >= 4:  # the common case: one whole frame
            (size,) = _LENGTH.unpack_from(data)
            if size == len(data) - 4:
                whole: list[Message] = pickle.loads(memoryview(data)[4:])
                return whole
        buffer += data
        out: list[Message] = []
        at, end = 0, len(buffer)
        while end - at >= 4:
            (size,) = _LENGTH.unpack_from(buffer, at)
            if end - at - 4 < size:
                break
            with memoryview(buffer) as whole_buffer, whole_buffer[at + 4 : at + 4 + size] as body:
                out.extend(pickle.loads(body))
            at += 4 + size
        if at:
            del buffer[:at]
        return out


def check_peer(sock: socket.socket) -> int:
    """The process id at the other end; raises ClusterError when it is another user's."""
    if sys.platform != "linux":
        return 0  # macOS: LOCAL_PEERCRED would go here; the 0700 folder protects alone
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, _ = struct.unpack("3i", raw)
    if uid != os.getuid():
        raise ClusterError(f"the other end of the socket belongs to user {uid}, not to you")
    return int(pid)
