"""What the tasks do. Every peer runs these same functions, found by import in its workers."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

MEGABYTES = 100


def noop() -> bytes:
    return b"ok"


def first(array: NDArray[Any]) -> float:
    """Touches a large argument without walking through it."""
    return float(array[0])


def large() -> NDArray[Any]:
    """100 MB that nobody has seen before."""
    import numpy as np

    return np.zeros(MEGABYTES * 2**20 // 8)


@cache
def array() -> NDArray[Any]:
    """100 MB of the caller's, made once."""
    import numpy as np

    return np.random.default_rng(0).random(MEGABYTES * 2**20 // 8)


@cache
def target() -> NDArray[Any]:
    """Room for a copy, its pages touched."""
    return array().copy()


def copy() -> None:
    """What a machine needs to move the 100 MB at all."""
    import numpy as np

    np.copyto(target(), array())


class Actor:
    """State that is never looked at: what is measured is the way to it."""

    def call(self) -> bytes:
        return b"ok"
