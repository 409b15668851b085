"""Placement groups: resources reserved beforehand, to run tasks and actors in.

https://docs.ray.io/en/latest/ray-core/scheduling/placement-group.html
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from typing import Any

from shoal import assigned, context, labels
from shoal.cluster import engine
from shoal.exceptions import ShoalTypeError, ShoalValueError
from shoal.ids import NodeID, PlacementGroupID
from shoal.refs import ObjectRef
from shoal.strategies import PlacementGroupSchedulingStrategy
from shoal.wishes import GROUP, SPREAD, Wish

STRATEGIES = ("PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD")
NODE_LABEL = "ray.io/node-id"


class PlacementGroup:
    """A handle to a placement group."""

    def __init__(self, id: PlacementGroupID, bundle_cache: list[dict[str, float]] | None = None) -> None:
        self.id = id
        self.bundle_cache = bundle_cache

    @staticmethod
    def empty() -> PlacementGroup:
        return PlacementGroup(PlacementGroupID.nil())

    @property
    def is_empty(self) -> bool:
        return self.id.is_nil()

    def ready(self) -> ObjectRef[PlacementGroup]:
        """A ref that is ready when all bundles are reserved; its value is this group."""
        here = engine()
        if self.is_empty:
            return here.put(self)
        return here.await_group(self.id.binary(), self)

    def wait(self, timeout_seconds: float = 30) -> bool:
        """Whether all bundles are reserved, waiting at most so long. Raises ValueError for a group that was removed."""
        ref = self.ready()
        here = engine()
        if not here.wait([ref.binary()], 1, timeout_seconds):
            return False
        if here.query("group_table", self.id.binary()).get("state") in (None, "REMOVED"):
            raise ShoalValueError("there is no such placement group, it was removed: make another")
        return True

    @property
    def bundle_specs(self) -> list[dict[str, float]]:
        """The resources of each bundle."""
        if not self.bundle_cache:
            row = engine().query("group_table", self.id.binary())
            self.bundle_cache = [dict(b) for b in row.get("bundles", {}).values()]
        return self.bundle_cache

    @property
    def bundle_count(self) -> int:
        return len(self.bundle_specs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PlacementGroup) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"PlacementGroup({self.id.hex()})"


def placement_group(
    bundles: list[dict[str, float]],
    strategy: str | None = None,
    name: str = "",
    lifetime: str | None = None,
    _soft_target_node_id: str | None = None,
    bundle_label_selector: list[dict[str, str]] | None = None,
    topology_strategy: dict[str, str] | None = None,
) -> PlacementGroup:
    """Reserve resources: all bundles or none, as soon as they are free. Returns at once; `ready()` tells when.

    `strategy`: "PACK" (the default) on as few nodes as possible, "SPREAD" on as many, "STRICT_PACK" on one,
    "STRICT_SPREAD" each on its own. `lifetime` "detached": it outlives this program. Raises ValueError for bundles and
    strategies that make no sense; warns where there is not enough for it even if nothing else ran.
    """
    kind, domain = _strategy(strategy, topology_strategy)
    checked = _bundles(bundles)
    selectors = _selectors(bundle_label_selector, len(checked))
    if lifetime not in (None, "detached"):
        raise ShoalValueError(
            f"Placement group `lifetime` argument must be either `None` or 'detached'. Got {lifetime!r}."
        )
    if not isinstance(name, str):
        raise ShoalTypeError(f"name is a string, not {name!r}")
    if _soft_target_node_id:
        if kind != "STRICT_PACK":
            raise ShoalValueError(f"_soft_target_node_id currently only works with STRICT_PACK but got {kind}")
        NodeID.from_hex(_soft_target_node_id)
    group = PlacementGroupID(os.urandom(PlacementGroupID.SIZE))
    lacking = engine().query(
        "create_group", group.binary(), checked, kind, name, lifetime == "detached", context.get_task(),
        selectors, _soft_target_node_id or "", domain,
    )  # fmt: skip
    if lacking:
        warnings.warn(f"the placement group stays pending: {lacking}", stacklevel=2)
    return PlacementGroup(group, checked)


def remove_placement_group(placement_group: PlacementGroup) -> None:
    """Give the reservation back; what runs in it is killed, what waits for it fails."""
    if not isinstance(placement_group, PlacementGroup):
        raise ShoalTypeError(f"remove_placement_group() takes a placement group, not {placement_group!r}")
    engine().query("remove_group", placement_group.id.binary())


def get_placement_group(placement_group_name: str) -> PlacementGroup:
    """The group of that name in this program's namespace; ValueError where there is none."""
    if not placement_group_name:
        raise ShoalValueError("Please supply a non-empty value to get_placement_group")
    found = engine().query("find_group", placement_group_name, context.get_task())
    if found is None:
        raise ShoalValueError(f"Failed to look up placement group with name: {placement_group_name}")
    return PlacementGroup(PlacementGroupID(found))


def placement_group_table(placement_group: PlacementGroup | None = None) -> dict[str, Any]:
    """What is known of a group, or of all by their ids, with Ray's keys."""
    group = None if placement_group is None else placement_group.id.binary()
    found: dict[str, Any] = engine().query("group_table", group)
    return found


def get_current_placement_group() -> PlacementGroup | None:
    """The group that the calling task or actor runs in; None outside of one."""
    group = assigned.get().group
    return PlacementGroup(PlacementGroupID(group)) if group else None


def _strategy(strategy: str | None, topology: Mapping[str, str] | None) -> tuple[str, str]:
    """The strategy for nodes, and the label that all nodes must agree in, if any."""
    if topology is None:
        if strategy is not None and strategy not in STRATEGIES:
            raise ShoalValueError(
                f"Invalid placement group strategy {strategy}. Supported strategies are: {', '.join(STRATEGIES)}."
            )
        return strategy or "PACK", ""
    if strategy is not None:
        raise ShoalValueError(
            f"`strategy` and `topology_strategy` cannot both be specified: "
            f"say how nodes are used by topology_strategy[{NODE_LABEL!r}]"
        )
    if not isinstance(topology, Mapping):
        raise ShoalValueError(f"`topology_strategy` must be a dict, got {type(topology).__name__}.")
    domains = [key for key in topology if key != NODE_LABEL]
    if len(domains) > 1:
        raise ShoalValueError(f"`topology_strategy` takes at most one label besides {NODE_LABEL!r}, not {domains}")
    for key, value in topology.items():
        if not isinstance(key, str) or not key:
            raise ShoalValueError(f"`topology_strategy` keys must be non-empty strings, got {key!r}.")
        if value not in STRATEGIES or key != NODE_LABEL and value != "STRICT_PACK":
            raise ShoalValueError(f"Invalid topology strategy {value!r} for label {key!r}: 'STRICT_PACK' is possible")
    return topology.get(NODE_LABEL, "PACK"), domains[0] if domains else ""


def _bundles(bundles: Any) -> list[dict[str, float]]:
    example = 'for example [{"CPU": 1.0}, {"GPU": 1.0}]'
    if not isinstance(bundles, list):
        raise ShoalValueError(f"Placement group bundles must be a list, got {type(bundles)}.")
    if not bundles:
        raise ShoalValueError(f"Bundles must be a non-empty list of resource dictionaries, {example}. Got empty list.")
    found = []
    for bundle in bundles:
        if not isinstance(bundle, dict) or not all(
            isinstance(k, str) and isinstance(v, (int, float)) for k, v in bundle.items()
        ):
            raise ShoalValueError(f"Bundles must be a non-empty list of resource dictionaries, {example}.")
        if not any(bundle.values()):
            raise ShoalValueError(
                f"Bundles cannot be an empty dictionary or resources with only 0 values. Bundles: {bundles}"
            )
        if any(v < 0 for v in bundle.values()) or "bundle" in bundle:
            raise ShoalValueError(f"no such bundle can be reserved: {bundle}")
        found.append({str(k): float(v) for k, v in bundle.items()})
    return found


def _selectors(given: Any, count: int) -> list[Any]:
    if given is None:
        return [()] * count
    if not isinstance(given, list):
        raise ShoalValueError(f"Placement group bundle_label_selector must be a list, got {type(given)}.")
    if len(given) != count:
        raise ShoalValueError(
            f"Invalid bundle label selector {given}. The length of `bundle_label_selector` should equal the length of "
            "`bundles`."
        )
    for selector in given:
        if not isinstance(selector, dict) or not all(
            isinstance(k, str) and isinstance(v, str) for k, v in selector.items()
        ):
            raise ShoalValueError(
                "Bundle label selector must be a list of string dictionary label selectors, "
                'for example [{"market-type": "spot"}]'
            )
    return [labels.parse(selector) for selector in given]


# What the options of a task or actor say of where it is to run


def wish_of(options: Mapping[str, Any], what: str, *demands: Mapping[str, float]) -> Wish | None:
    """The options' wish where to run, None for anywhere; ValueError where one of `demands` fits into no bundle."""
    strategy = options.get("scheduling_strategy")
    group = options.get("placement_group", "default")
    if group not in ("default", None) and strategy is not None:
        raise ShoalValueError(
            "Placement groups should be specified via the scheduling_strategy option. "
            "The placement_group option is deprecated."
        )
    wish: Wish | None = None
    if strategy is None or isinstance(strategy, PlacementGroupSchedulingStrategy):
        wish = _group_wish(options, strategy, what, demands)
    elif strategy == "SPREAD":
        wish = Wish(SPREAD)
    elif strategy != "DEFAULT":
        wish = strategy.wish()
    selector, fallback = options.get("label_selector"), options.get("fallback_strategy")
    if selector or fallback:
        choices = [selector or {}, *(choice["label_selector"] or {} for choice in fallback or ())]
        wish = (wish or Wish())._replace(selectors=tuple(labels.parse(choice) for choice in choices))
    return wish


def _group_wish(
    options: Mapping[str, Any], strategy: PlacementGroupSchedulingStrategy | None, what: str,
    demands: tuple[Mapping[str, float], ...],
) -> Wish | None:  # fmt: skip
    if strategy is None:
        group = options.get("placement_group", "default")
        index = options.get("placement_group_bundle_index", -1)
        capture = options.get("placement_group_capture_child_tasks")
    else:
        group = strategy.placement_group
        index = strategy.placement_group_bundle_index
        capture = strategy.placement_group_capture_child_tasks
    here = assigned.get()
    capture = here.capture if capture is None else capture
    if group == "default":
        group = get_current_placement_group() if capture else None
    if not group or group.is_empty:
        if index != -1:
            raise ShoalValueError("If placement group is not set, the value of bundle index must be -1.")
        return None
    if not isinstance(group, PlacementGroup):
        raise ShoalTypeError(f"{what}: {group!r} is no placement group")
    count = group.bundle_count
    if not -1 <= index < count and count:
        raise ShoalValueError(
            f"placement group bundle index {index} is invalid. Valid placement group indexes: 0-{count - 1}"
        )
    for demand in demands:
        if group.bundle_specs and not any(
            all(bundle.get(n, 0) >= a for n, a in demand.items()) for bundle in group.bundle_specs
        ):
            raise ShoalValueError(
                f"Cannot schedule {what} with the placement group because the resource request {dict(demand)} "
                f"cannot fit into any bundles for the placement group, {group.bundle_specs}."
            )
    return Wish(GROUP, group=group.id.binary(), bundle=index, capture=bool(capture))
