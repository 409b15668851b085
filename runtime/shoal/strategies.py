"""Scheduling strategies: what `scheduling_strategy=` takes besides "DEFAULT" and "SPREAD".

https://docs.ray.io/en/latest/ray-core/scheduling/index.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shoal.exceptions import ShoalTypeError, ShoalValueError
from shoal.ids import NodeID
from shoal.wishes import LABELS, NODE, Selector, Wish


class PlacementGroupSchedulingStrategy:
    """Run in a bundle of a placement group; in whichever has room where the index is -1.

    Where `placement_group_capture_child_tasks`, what it submits goes to the group as well, unless it says otherwise.
    """

    def __init__(
        self,
        placement_group: Any,
        placement_group_bundle_index: int = -1,
        placement_group_capture_child_tasks: bool | None = None,
    ) -> None:
        self.placement_group = placement_group
        self.placement_group_bundle_index = placement_group_bundle_index
        self.placement_group_capture_child_tasks = placement_group_capture_child_tasks


class NodeAffinitySchedulingStrategy:
    """Run on one node. Where that is gone or has not enough in all: elsewhere if `soft`, else an error."""

    def __init__(
        self, node_id: str, soft: bool, _spill_on_unavailable: bool = False, _fail_on_unavailable: bool = False
    ) -> None:
        if not isinstance(node_id, str):
            node_id = node_id.hex()
        try:
            nil = NodeID.from_hex(node_id).is_nil()
        except ValueError:
            nil = True
        if nil:
            raise ShoalValueError(f"Invalid node_id {node_id!r}: shoal.nodes() tells the ids of the nodes there are")
        if _spill_on_unavailable and not soft:
            raise ShoalValueError("_spill_on_unavailable cannot be set when soft is False: set soft=True")
        if _fail_on_unavailable and soft:
            raise ShoalValueError("_fail_on_unavailable cannot be set when soft is True: set soft=False")
        self.node_id = node_id
        self.soft = soft
        self._spill_on_unavailable = _spill_on_unavailable
        self._fail_on_unavailable = _fail_on_unavailable

    def wish(self) -> Wish:
        return Wish(
            NODE, node=self.node_id, soft=bool(self.soft), spill=self._spill_on_unavailable,
            at_once=self._fail_on_unavailable,
        )  # fmt: skip


def _values(operator: str, values: tuple[Any, ...]) -> list[str]:
    if not values:
        raise ShoalValueError(
            f"The variadic parameter of the {operator} operator must be a non-empty tuple: "
            f'{operator}("value1", "value2")'
        )
    for position, value in enumerate(values):
        if not isinstance(value, str):
            raise ShoalValueError(
                f"Type of value in position {position} for the {operator} operator must be str, not {value!r}"
            )
    return list(values)


class In:
    """The label has one of these values."""

    def __init__(self, *values: str) -> None:
        self.values = _values("In", values)


class NotIn:
    """The label has none of these values, or there is no such label."""

    def __init__(self, *values: str) -> None:
        self.values = _values("NotIn", values)


class Exists:
    """There is such a label."""


class DoesNotExist:
    """There is no such label."""


_OPERATORS: dict[type, str] = {In: "in", NotIn: "!in", Exists: "exists", DoesNotExist: "!exists"}


class NodeLabelSchedulingStrategy:
    """Run on a node whose labels satisfy `hard`, if possible `soft` too: dicts of label and operator."""

    def __init__(self, hard: Any, *, soft: Any = None) -> None:
        self.hard = _conditions(hard, "hard")
        self.soft = _conditions(soft, "soft")
        if not (self.hard or self.soft):
            raise ShoalValueError(
                "The `hard` and `soft` parameter of NodeLabelSchedulingStrategy cannot both be empty."
            )

    def wish(self) -> Wish:
        return Wish(LABELS, hard=self.hard, liked=self.soft)


def _conditions(given: Any, parameter: str) -> Selector:
    if given is None:
        return ()
    if not isinstance(given, Mapping):
        raise ShoalValueError(f'The {parameter} parameter must be a map, as {{"zone": In("a")}}, not {given!r}')
    found = []
    for key, value in given.items():
        if not isinstance(key, str):
            raise ShoalValueError(f"The map key of the {parameter} parameter must be of type str, not {key!r}")
        operator = _OPERATORS.get(type(value))
        if operator is None:
            raise ShoalValueError(
                f"The map value for key {key} of the {parameter} parameter must be one of the `In`, `NotIn`, `Exists` "
                f"or `DoesNotExist` operator, not {value!r}"
            )
        found.append((key, operator, tuple(getattr(value, "values", ()))))
    return tuple(found)


STRATEGIES = (PlacementGroupSchedulingStrategy, NodeAffinitySchedulingStrategy, NodeLabelSchedulingStrategy)


def check_strategy(name: str, value: Any) -> Any:
    if isinstance(value, str):
        if value not in ("DEFAULT", "SPREAD"):
            raise ShoalValueError(f"{name} is 'DEFAULT', 'SPREAD' or a strategy object, not {value!r}")
        return str.__str__(value)
    if not isinstance(value, STRATEGIES):
        known = ", ".join(s.__name__ for s in STRATEGIES)
        raise ShoalTypeError(f"{name} is 'DEFAULT', 'SPREAD' or a {known}, not {value!r}")
    return value


def check_group(name: str, value: Any) -> Any:
    if not isinstance(value, str) and not hasattr(type(value), "bundle_specs"):
        raise ShoalTypeError(f"{name} is a placement group, not {value!r}")
    return value


def check_index(name: str, value: Any) -> int:
    """Its range is checked where the group is known."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise ShoalTypeError(f"{name} is a whole number, not {value!r}")
    return int(value)


def check_gpus(name: str, amount: float) -> float:
    """A part of a GPU, or whole ones."""
    if amount > 1 and amount != int(amount):
        raise ShoalValueError(f"{name}={amount:g}: more than one GPU can be asked for in whole ones only")
    return amount
