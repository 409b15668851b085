"""Serialisers of one's own: https://docs.ray.io/en/latest/ray-core/objects/serialization.html"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shoal.serial import deregister, register


def register_serializer(
    cls: type, *, serializer: Callable[[Any], Any], deserializer: Callable[[Any], Any]
) -> None:
    """Send instances of exactly `cls` as ``serializer(instance)``; they arrive as ``deserializer(...)`` of that.

    Both functions travel with each value, and hold as well wherever one arrived. Raises TypeError for what is no class
    or no function.
    """
    register(cls, serializer, deserializer)


def deregister_serializer(cls: type) -> None:
    """Send instances of the class as before; harmless where nothing is registered."""
    deregister(cls)
