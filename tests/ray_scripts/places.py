"""A placement group, by the function and by the module of the same name."""

import ray
from ray.util.placement_group import PlacementGroup, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy


@ray.remote(num_cpus=1)
def where():
    return ray.get_runtime_context().get_placement_group_id()


ray.init(num_cpus=2)
group = ray.util.placement_group([{"CPU": 1}], strategy="PACK")
assert isinstance(group, PlacementGroup)
ray.get(group.ready(), timeout=60)
here = where.options(scheduling_strategy=PlacementGroupSchedulingStrategy(group)).remote()
assert ray.get(here, timeout=60) == group.id.hex()
remove_placement_group(group)
print("ok")
