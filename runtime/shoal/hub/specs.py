"""What a task was submitted with, kept until it cannot run any more."""

from __future__ import annotations

from typing import Any, NamedTuple


class Spec(NamedTuple):
    """As a worker is sent it. `before`: a worker, and how many calls on the lane to it come first."""

    payload: Any
    slots: tuple[int | str, ...]
    environment: tuple[int, int]
    around: tuple[Any, ...]
    """What the environment is."""
    before: tuple[int, int] = (0, 0)
    deps: tuple[bytes, ...] = ()
    values: tuple[Any, ...] = ()
    """Arguments that a call by a lane brought along: small values, by the objects that they are of."""

    @property
    def size(self) -> int:
        """Bytes, about."""
        payload = self.payload
        return len(payload) if isinstance(payload, bytes) else len(payload[0]) + sum(map(len, payload[1]))
