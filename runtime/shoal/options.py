"""Options of remote functions, actors and methods: checked once, when they are given."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from typing import Any

from shoal.exceptions import ShoalTypeError, ShoalValueError

_RESOURCES = frozenset({"num_cpus", "num_gpus", "memory", "resources"})
TASK = _RESOURCES | {"num_returns", "max_retries", "name"}
ACTOR = _RESOURCES | {"name", "namespace", "lifetime", "get_if_exists"}
METHOD = frozenset({"num_returns", "name"})

_KINDS = {"task": TASK, "actor": ACTOR, "method": METHOD}


def check(role: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options as given; ValueError names the valid ones where one is unknown, TypeError where a type is wrong."""
    valid = _KINDS[role]
    for name, value in options.items():
        if name not in valid:
            raise ShoalValueError(
                f"unknown option {name!r} for {'an' if role == 'actor' else 'a'} {role}; "
                f"there are: {', '.join(sorted(valid))}"
            )
        _check_value(name, value)
    return dict(options)


def _check_value(name: str, value: Any) -> None:
    if value is None:
        return
    if name in ("num_cpus", "num_gpus", "memory"):
        _amount(name, value)
    elif name == "resources":
        if not isinstance(value, Mapping):
            raise ShoalTypeError(f"resources is a dict of name and amount, not {value!r}")
        for resource, amount in value.items():
            if resource in ("CPU", "GPU"):
                raise ShoalValueError(f"give {resource} by num_{resource.lower()}s= and not in resources=")
            _amount(f"resources[{resource!r}]", amount)
    elif name in ("num_returns", "max_retries"):
        if not isinstance(value, int) or isinstance(value, bool):
            raise ShoalTypeError(f"{name} is a whole number, not {value!r}")
        if value < (0 if name == "num_returns" else -1):
            raise ShoalValueError(f"{name}={value} makes no sense")
    elif name in ("name", "namespace"):
        if not isinstance(value, str):
            raise ShoalTypeError(f"{name} is a string, not {value!r}")
        if not value:
            raise ShoalValueError(f"{name} is empty: leave it out, or give one")
    elif name == "lifetime" and value not in ("detached", "non_detached"):
        raise ShoalValueError(f"lifetime is None, 'detached' or 'non_detached', not {value!r}")


def _amount(name: str, value: Any) -> None:
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise ShoalTypeError(f"{name} is a number, not {value!r}")
    if value < 0:
        raise ShoalValueError(f"{name}={value} is below zero")
    if not math.isfinite(value):
        raise ShoalValueError(f"{name}={value} makes no sense")


def resources(options: Mapping[str, Any], cpus: float) -> dict[str, float]:
    """The demand that the options make; `cpus` where they say nothing of CPUs."""
    found: dict[str, float] = {"CPU": cpus if options.get("num_cpus") is None else float(options["num_cpus"])}
    if options.get("num_gpus"):
        found["GPU"] = float(options["num_gpus"])
    if options.get("memory"):
        found["memory"] = float(options["memory"])
    for name, amount in (options.get("resources") or {}).items():
        found[name] = float(amount)
    return found
