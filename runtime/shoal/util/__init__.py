"""What is built on shoal's core: pools, queues, executors, metrics and adapters, under Ray's names.

Every part loads at first use: `import shoal; shoal.util.queue.Queue()` needs no further import, and none is paid for
that is not used.
"""

# No import from __future__ here: its `annotations` would hide the module of that name.
from typing import TYPE_CHECKING

from shoal.doors import opened

if TYPE_CHECKING:
    from shoal.actors import list_named_actors as list_named_actors
    from shoal.experimental.tqdm_ray import tqdm as tqdm
    from shoal.util.actor_group import ActorGroup as ActorGroup
    from shoal.util.actor_pool import ActorPool as ActorPool
    from shoal.util.check_serialize import inspect_serializability as inspect_serializability
    from shoal.util.debug import disable_log_once_globally as disable_log_once_globally
    from shoal.util.debug import enable_periodic_logging as enable_periodic_logging
    from shoal.util.debug import log_once as log_once
    from shoal.util.executor import Executor as Executor
    from shoal.util.helpers import as_completed as as_completed
    from shoal.util.helpers import get_node_ip_address as get_node_ip_address
    from shoal.util.helpers import map_unordered as map_unordered
    from shoal.util.placement_group import get_current_placement_group as get_current_placement_group
    from shoal.util.placement_group import get_placement_group as get_placement_group
    from shoal.util.placement_group import placement_group_table as placement_group_table
    from shoal.util.placement_group import remove_placement_group as remove_placement_group
    from shoal.util.serialization import deregister_serializer as deregister_serializer
    from shoal.util.serialization import register_serializer as register_serializer

# At once: this function's module has its name, and where both are known by it, the function is meant (as in Ray).
from shoal.util.placement_group import placement_group as placement_group

_WHERE = {
    "ActorGroup": "shoal.util.actor_group",
    "ActorPool": "shoal.util.actor_pool",
    "Executor": "shoal.util.executor",
    "as_completed": "shoal.util.helpers",
    "deregister_serializer": "shoal.util.serialization",
    "disable_log_once_globally": "shoal.util.debug",
    "enable_periodic_logging": "shoal.util.debug",
    "get_current_placement_group": "shoal.util.placement_group",
    "get_node_ip_address": "shoal.util.helpers",
    "get_placement_group": "shoal.util.placement_group",
    "inspect_serializability": "shoal.util.check_serialize",
    "list_named_actors": "shoal.actors",
    "log_once": "shoal.util.debug",
    "map_unordered": "shoal.util.helpers",
    "placement_group_table": "shoal.util.placement_group",
    "register_serializer": "shoal.util.serialization",
    "remove_placement_group": "shoal.util.placement_group",
    "tqdm": "shoal.experimental.tqdm_ray",
}

__all__ = sorted([*_WHERE, "placement_group"])


__getattr__, __dir__ = opened(__name__, _WHERE)
