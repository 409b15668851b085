"""Actors' names where Ray keeps them: `from shoal.actor import ActorHandle`."""

from typing import NoReturn

from shoal import context
from shoal.actors import ActorClass as ActorClass
from shoal.actors import ActorHandle as ActorHandle
from shoal.cluster import engine
from shoal.exceptions import ActorClassInheritanceException as ActorClassInheritanceException
from shoal.exceptions import ActorLeaving, ShoalTypeError
from shoal.methods import ActorMethod as ActorMethod
from shoal.methods import method as method

ActorProxy = ActorHandle
"""What `.remote()` of an actor class returns, as Ray names it for type checkers."""


def exit_actor() -> NoReturn:
    """End the actor whose code calls this, from its constructor or a method; it is not made anew.

    The call that it is in, whoever catches SystemExit there, and all that wait, raise ActorDiedError. Other calls that
    run at this moment are done to their end, and the process ends after the last of them, or by `kill`. Raises
    TypeError outside of actors.
    """
    if not _is_actor(context.get_task()):
        raise ShoalTypeError(
            "exit_actor API is called on a non-actor worker: it is for the code of an actor; "
            "to end one from outside, shoal.kill(handle)"
        )
    why = "it called exit_actor()"
    context.leave(why)
    raise ActorLeaving(why)


def _is_actor(task: bytes | None) -> bool:
    if task is None:
        return False
    here = engine()
    return here.query("context", getattr(here, "client", 0), task)["actor"] is not None
