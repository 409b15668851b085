"""`ActorGroup`: equal actors that are called all at once."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

from shoal import api
from shoal.exceptions import ShoalTypeError, ShoalValueError


class ActorWrapper(NamedTuple):
    """An actor of a group, with what its `get_actor_metadata` method said, where it has one."""

    actor: Any
    metadata: Any


class _GroupMethod:
    def __init__(self, group: ActorGroup, name: str) -> None:
        self._group = group
        self._name = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise ShoalTypeError(f"{self._name} is a method of actors: call it by .{self._name}.remote(...)")

    def remote(self, *args: Any, **kwargs: Any) -> list[Any]:
        """Call it on each actor; returns a ref for each."""
        return [getattr(member.actor, self._name).remote(*args, **kwargs) for member in self._group.actors]


class ActorGroup:
    """`num_actors` actors of one class: `group.method.remote(...)` calls all of them and returns a list of refs.

    Args: resources are those of each actor; `init_args` and `init_kwargs` go to each constructor.
    """

    def __init__(
        self,
        actor_cls: type,
        num_actors: int = 1,
        num_cpus_per_actor: float = 1,
        num_gpus_per_actor: float = 0,
        resources_per_actor: dict[str, float] | None = None,
        init_args: tuple[Any, ...] | None = None,
        init_kwargs: dict[str, Any] | None = None,
    ) -> None:
        if num_actors <= 0:
            raise ShoalValueError(f"num_actors={num_actors}: give a number above zero")
        if num_cpus_per_actor < 0 or num_gpus_per_actor < 0:
            raise ShoalValueError("num_cpus_per_actor and num_gpus_per_actor are not below zero")
        options = {
            "num_cpus": num_cpus_per_actor, "num_gpus": num_gpus_per_actor, "resources": resources_per_actor,
        }  # fmt: skip
        self.actors: list[ActorWrapper] = []
        self.num_actors = num_actors
        self._cls = api.remote(**options)(actor_cls)
        self._init = (init_args or (), init_kwargs or {})
        self.start()

    def start(self) -> None:
        """Make the actors; after `shutdown` again."""
        if self.actors:
            raise RuntimeError("The actors have already been started: call shutdown() first to start them anew")
        self.add_actors(self.num_actors)

    def add_actors(self, num_actors: int) -> None:
        args, kwargs = self._init
        made = [self._cls.remote(*args, **kwargs) for _ in range(num_actors)]
        told: list[Any] = [None] * len(made)
        if hasattr(self._cls.__wrapped__, "get_actor_metadata"):
            told = api.get([actor.get_actor_metadata.remote() for actor in made])
        self.actors += [ActorWrapper(actor, about) for actor, about in zip(made, told, strict=True)]

    def remove_actors(self, actor_indexes: Collection[int]) -> None:
        """Take actors out of the group; they end when nobody else holds them."""
        self.actors = [member for index, member in enumerate(self.actors) if index not in actor_indexes]

    def shutdown(self, patience_s: float = 5) -> None:
        """End the actors: calls made before are waited for, `patience_s` seconds at most."""
        for member in self.actors:
            if patience_s <= 0:
                api.kill(member.actor)
        self.actors = []

    @property
    def actor_metadata(self) -> list[Any]:
        return [member.metadata for member in self.actors]

    def __getattr__(self, name: str) -> _GroupMethod:
        if name.startswith("__"):
            raise AttributeError(name)
        if not self.__dict__.get("actors"):
            raise RuntimeError("This ActorGroup has been shutdown. Please start it again.")
        return _GroupMethod(self, name)

    def __len__(self) -> int:
        return len(self.actors)

    def __getitem__(self, index: int) -> ActorWrapper:
        return self.actors[index]
