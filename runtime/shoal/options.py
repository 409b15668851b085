"""Options of remote functions, actors and methods: checked once, when they are given.

What comes out is of exact types: an enum that is a string, or a float of NumPy's, would have to be unpickled by a hub
that knows neither. Messages begin with Ray's words, which programs look for, and go on with the cure.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Mapping
from typing import Any

from shoal.exceptions import ShoalTypeError, ShoalValueError
from shoal.labels import check_fallback, check_selector
from shoal.runtime_env import RuntimeEnv, checked
from shoal.serial import pack
from shoal.strategies import check_gpus, check_group, check_index, check_strategy

Check = Callable[[str, Any], Any]
"""Called with an option's name and its value, which is not None: the value to go on with, or an error."""

ACCELERATOR = 0.001
"""What a task takes of a node's accelerator type, as in Ray: so little that it is never used up."""
FINEST = 0.0001
"""The least part of a resource that can be asked for."""


def _wrong_type(name: str, value: Any, types: tuple[type, ...], meaning: str) -> ShoalTypeError:
    wanted = (*types, type(None))
    return ShoalTypeError(
        f"The type of keyword '{name}' must be {wanted}, but received type {type(value)}: "
        f"{name} is {meaning}, not {value!r}"
    )


def _amount(name: str, value: Any) -> float:
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise _wrong_type(name, value, (float, int), "a number")
    amount = float(value)
    if amount < 0:
        raise ShoalValueError(f"The quantity of resource {name} cannot be negative: {value} is below zero")
    if not math.isfinite(amount):
        raise ShoalValueError(f"{name}={value} makes no sense")
    if 0 < amount < FINEST:
        raise ShoalValueError(
            f"The precision of the fractional quantity of resource {name} cannot go beyond {FINEST:.4f}: "
            f"{value} is finer"
        )
    return amount


def _bytes(name: str, value: Any) -> float:
    """Memory is counted in whole bytes: a fraction is cut off, as in Ray."""
    return float(int(_amount(name, value)))


def _resources(name: str, value: Any) -> dict[str, float]:
    if not isinstance(value, Mapping):
        raise _wrong_type(name, value, (dict,), "a dict of name and amount")
    found = {}
    for resource, amount in value.items():
        if resource in ("CPU", "GPU"):
            raise ShoalValueError(
                "Use the 'num_cpus' and 'num_gpus' keyword instead of 'CPU' and 'GPU' in 'resources' keyword"
            )
        found[_text(f"a name in {name}", resource)] = _amount(str(resource), amount)
    return found


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise _wrong_type(name, value, (str,), "a string")
    if not value:
        raise ShoalValueError(f"{name} is empty: leave it out, or give one")
    return str.__str__(value)


def _actor_name(name: str, value: Any) -> str:
    if value == "":
        raise ShoalValueError("Actor name cannot be an empty string: leave it out, or give one")
    return _text(name, value)


def _switch(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _wrong_type(name, value, (bool,), "True or False")
    return value


def _whole(name: str, value: Any, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong_type(name, value, (int,), "a whole number")
    if value < least:
        valid = ", 0 or a positive integer"
        if least == -1:
            valid = ", 0, -1 or a positive integer, where -1 represents infinity"
        raise ShoalValueError(f"The keyword '{name}' only accepts None{valid}. {value} makes no sense")
    return int(value)


def _count(name: str, value: Any) -> int:
    return _whole(name, value, 0)


def _count_or_endless(name: str, value: Any) -> int:
    return _whole(name, value, -1)


def _window(name: str, value: Any) -> int:
    if value == 0:
        raise ShoalValueError(
            f"{name}=0 is not allowed: it would let nothing through; give 1 or more, or -1 for no limit"
        )
    return _whole(name, value, -1)


def _returns(name: str, value: Any) -> int | str:
    if isinstance(value, str) and value in ("streaming", "dynamic"):
        return str.__str__(value)
    if not isinstance(value, (int, str)) or isinstance(value, bool):
        raise _wrong_type(name, value, (int, str), "a whole number or 'streaming'")
    if isinstance(value, str) or value < 0:
        raise ShoalValueError(
            f"The keyword '{name}' only accepts None, a non-negative integer, 'streaming' (for generators), "
            f"or 'dynamic', not {value!r}"
        )
    return int(value)


def _exceptions(name: str, value: Any) -> bool | tuple[type[BaseException], ...]:
    if isinstance(value, bool):
        return value
    if not isinstance(value, (list, tuple)):
        raise _wrong_type(name, value, (bool, list, tuple), "True, False or a list of exception classes")
    for cls in value:
        if not (isinstance(cls, type) and issubclass(cls, Exception)):
            raise ShoalValueError(f"{name} must be either a boolean or a list of exceptions; the list holds {cls!r}")
    return tuple(value)


def _lifetime(name: str, value: Any) -> str:
    if _text(name, value) not in ("detached", "non_detached"):
        raise ShoalValueError(
            f"actor `{name}` argument must be one of 'detached', 'non_detached' and 'None', not {value!r}"
        )
    return str.__str__(value)


def _mapping(name: str, value: Any) -> dict[Any, Any]:
    if not isinstance(value, Mapping):
        raise _wrong_type(name, value, (dict,), "a dict")
    return dict(value)


def _list(name: str, value: Any) -> list[Any]:
    if not isinstance(value, (list, tuple)):
        raise _wrong_type(name, value, (list,), "a list")
    return list(value)


def _runtime_env(name: str, value: Any) -> RuntimeEnv | None:
    return checked(value) or None


def _groups(name: str, value: Any) -> Any:
    return _list(name, value) if isinstance(value, list) else _mapping(name, value)


_COMMON: dict[str, Check] = {
    "num_cpus": _amount,
    "num_gpus": lambda name, value: check_gpus(name, _amount(name, value)),
    "memory": _bytes,
    "resources": _resources,
    "accelerator_type": _text,
    "label_selector": check_selector,
    "fallback_strategy": check_fallback,
    "name": _text,
    "runtime_env": _runtime_env,
    "scheduling_strategy": check_strategy,
    "placement_group": check_group,
    "placement_group_bundle_index": check_index,
    "placement_group_capture_child_tasks": _switch,
    "enable_task_events": _switch,
    # Accepted and without a meaning here, so that scripts written for Ray run.
    "object_store_memory": _count,
    "_labels": _mapping,
    "_metadata": _mapping,
}
TASK: dict[str, Check] = {
    **_COMMON,
    "num_returns": _returns,
    "max_retries": _count_or_endless,
    "retry_exceptions": _exceptions,
    "max_calls": _count,
    "_generator_backpressure_num_objects": _window,
}
ACTOR: dict[str, Check] = {
    **_COMMON,
    "name": _actor_name,
    "namespace": _text,
    "lifetime": _lifetime,
    "get_if_exists": _switch,
    "max_restarts": _count_or_endless,
    "max_task_retries": _count_or_endless,
    "max_pending_calls": _count_or_endless,
    "max_concurrency": _count,
    "concurrency_groups": _groups,
    "allow_out_of_order_execution": _switch,
    "enable_tensor_transport": _switch,
}
METHOD: dict[str, Check] = {
    "num_returns": _returns,
    "name": _text,
    "concurrency_group": _text,
    "max_task_retries": _count_or_endless,
    "retry_exceptions": _exceptions,
    "enable_task_events": _switch,
    "_generator_backpressure_num_objects": _window,
    "tensor_transport": _text,
    "_metadata": _mapping,
}
_ROLES = {"task": TASK, "actor": ACTOR, "method": METHOD}
_PLURAL = {"task": "remote functions", "actor": "actors", "method": "actor methods"}
_NOT_LATER = {"max_calls": "task", "concurrency_groups": "actor"}
"""Options that belong to a definition: a copy by `.options()` cannot change them."""


def check(role: str, options: Mapping[str, Any], later: bool = False) -> dict[str, Any]:
    """The options, each of an exact type; `later` says that they come by `.options()`.

    ValueError names the valid ones where one is unknown, TypeError where a type is wrong.
    """
    valid = _ROLES[role]
    found = {}
    for name, value in options.items():
        if name not in valid:
            raise ShoalValueError(
                f"Invalid option keyword {name} for {_PLURAL[role]}. Valid ones are: {', '.join(sorted(valid))}"
            )
        if later and name in _NOT_LATER:
            raise ShoalValueError(
                f"Setting '{name}' is not supported in '.options()'. It belongs to the decorator: "
                f"@shoal.remote({name}=…)"
            )
        found[name] = None if value is None else valid[name](name, value)
    return found


def listed(options: Mapping[str, Any], otherwise: bool = True) -> bool:
    """Whether the state API is to tell of it."""
    wanted = options.get("enable_task_events")
    return otherwise if wanted is None else bool(wanted)


def retry_on(options: Mapping[str, Any]) -> bool | bytes:
    """`retry_exceptions` as it travels: the hub, which knows none of the user's classes, does not look inside."""
    classes = options.get("retry_exceptions") or False
    return classes if isinstance(classes, bool) else pack(classes, "retry_exceptions", in_band=True).stream


def name_of(what: str, value: Any) -> str:
    """A name that somebody looks up: an exact string that is not empty."""
    return _text(what, value)


def resources(options: Mapping[str, Any], cpus: float) -> dict[str, float]:
    """The demand that the options make; `cpus` where they say nothing of CPUs."""
    found: dict[str, float] = {"CPU": cpus if options.get("num_cpus") is None else options["num_cpus"]}
    if options.get("num_gpus"):
        found["GPU"] = options["num_gpus"]
    if options.get("memory"):
        found["memory"] = options["memory"]
    if options.get("accelerator_type"):
        found[f"accelerator_type:{options['accelerator_type']}"] = ACCELERATOR
    found.update(options.get("resources") or {})
    return found
