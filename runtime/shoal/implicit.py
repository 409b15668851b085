"""Methods that every actor has, whatever its class: `handle.__shoal_ready__.remote()`. Ray's names mean the same."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from shoal.exceptions import ActorLeaving


def ready(actor: Any) -> bool:
    """True, as soon as the constructor is through."""
    return True


def call(actor: Any, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """What `function(actor, *args, **kwargs)` returns: any function may be run on an actor, in its turn."""
    return function(actor, *args, **kwargs)


def terminate(actor: Any) -> None:
    """End the actor when what was called before is done; its exit handlers run."""
    raise ActorLeaving("it was told to end by __shoal_terminate__()")


METHODS: dict[str, Callable[..., Any]] = {
    f"__{prefix}_{function.__name__}__": function
    for prefix in ("shoal", "ray")
    for function in (ready, call, terminate)
}


def method_of(instance: Any, name: str) -> Any:
    """A method as the class has it: an attribute of the same name that the object has of its own does not hide it."""
    implicit = METHODS.get(name)
    if implicit is not None:
        return functools.partial(implicit, instance)
    try:
        own = vars(instance)
    except TypeError:  # it has no room for any
        return getattr(instance, name)
    if name not in own:
        return getattr(instance, name)
    found = inspect.getattr_static(type(instance), name)
    return found.__get__(instance, type(instance)) if hasattr(found, "__get__") else found
