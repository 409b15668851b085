"""Placement groups, where scripts for Ray look for them.

https://docs.ray.io/en/latest/ray-core/scheduling/placement-group.html
"""

from __future__ import annotations

from shoal.groups import STRATEGIES, PlacementGroup, get_current_placement_group, get_placement_group, placement_group
from shoal.groups import placement_group_table as placement_group_table
from shoal.groups import remove_placement_group as remove_placement_group
from shoal.ids import PlacementGroupID

VALID_PLACEMENT_GROUP_STRATEGIES = set(STRATEGIES)

__all__ = [
    "PlacementGroup",
    "PlacementGroupID",
    "VALID_PLACEMENT_GROUP_STRATEGIES",
    "get_current_placement_group",
    "get_placement_group",
    "placement_group",
    "placement_group_table",
    "remove_placement_group",
]
