"""The frames of tasks that failed lately, for `shoal.post_mortem`."""

from __future__ import annotations

import collections
from collections.abc import Callable
from typing import Any

KEPT = 16 << 20
"""Bytes of snapshots that are kept; the oldest go first."""


class Frames:
    def __init__(self) -> None:
        self._snapshots: collections.OrderedDict[bytes, bytes] = collections.OrderedDict()
        self._size = 0
        self.questions: dict[str, Callable[..., Any]] = {"frames": self._snapshots.get}

    def add(self, task: bytes, snapshot: bytes) -> None:
        self._size += len(snapshot) - len(self._snapshots.pop(task, b""))
        self._snapshots[task] = snapshot
        while self._size > KEPT:
            _, gone = self._snapshots.popitem(last=False)
            self._size -= len(gone)
