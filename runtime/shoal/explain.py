"""`shoal.why`: what becomes of a ref, in words."""

from __future__ import annotations

from typing import Any

from shoal import cluster
from shoal.actors import ActorHandle
from shoal.engines.facts import facts
from shoal.exceptions import ShoalTypeError
from shoal.generators import ObjectRefGenerator
from shoal.ids import task_of
from shoal.reasons import Explanation, explained
from shoal.refs import ObjectRef


def why(ref: Any) -> Explanation:
    """Why a ref is not ready, or an actor not there: what it waits for, and what would help.

    Takes an ObjectRef, a generator of refs, whose task is meant, or an actor's handle; of what is not pending it tells
    what became of it.
    The answer prints as text, and has `state`, `pending`, `text` and `cure`. Raises TypeError for other things.
    """
    if isinstance(ref, ActorHandle):
        ref = ref._ref
    if isinstance(ref, ObjectRefGenerator):
        object_id = task_of(ref.awaits())
    elif isinstance(ref, ObjectRef):
        ref.check()
        object_id = ref.binary()
    else:
        raise ShoalTypeError(f"why() takes an ObjectRef or an actor's handle, not {type(ref).__name__}")
    return explained(facts(ref._engine, object_id), cluster.interactive())
