"""Actors' names where Ray keeps them: `from shoal.actor import ActorHandle`."""

from shoal.actors import ActorClass as ActorClass
from shoal.actors import ActorHandle as ActorHandle
from shoal.actors import ActorMethod as ActorMethod
