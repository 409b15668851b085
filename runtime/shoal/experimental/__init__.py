"""What Ray keeps under `ray.experimental`, at the same paths. Loads at first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.doors import opened

if TYPE_CHECKING:
    from shoal.experimental.locations import get_local_object_locations as get_local_object_locations
    from shoal.experimental.locations import get_object_locations as get_object_locations

__all__ = ["get_local_object_locations", "get_object_locations"]

__getattr__, __dir__ = opened(__name__, dict.fromkeys(__all__, "shoal.experimental.locations"))
