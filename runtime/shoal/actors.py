"""Actors: what `@shoal.remote` makes of a class, and the handles of its instances."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from typing import Any, NoReturn

from shoal import context
from shoal import options as opts
from shoal.cluster import engine
from shoal.engines.base import Engine, Found, Work
from shoal.exceptions import (
    ActorInheritanceError,
    ActorMethodError,
    ActorNotFoundError,
    ShoalTypeError,
    ShoalValueError,
)
from shoal.functions import Definition, refuse_bind, work_id
from shoal.groups import wish_of
from shoal.ids import ActorID
from shoal.job_config import LIFETIME
from shoal.methods import IMPLICIT, ActorMethod, MethodSpec, methods_of
from shoal.refs import ObjectRef
from shoal.runs import Concurrency
from shoal.signatures import check_call, checker, spell

AT_ONCE = 1000
"""Calls that an async actor runs at once where max_concurrency says nothing: Ray's number."""


def _concurrency(cls: type, options: dict[str, Any], methods: dict[str, MethodSpec]) -> Concurrency | None:
    """How many calls run at once; None for the plain actor, whose calls run one by one."""
    asynchronous = any(
        inspect.iscoroutinefunction(member) or inspect.isasyncgenfunction(member)
        for _, member in inspect.getmembers(cls, inspect.isfunction)
    )
    groups: dict[str, int] = options.get("concurrency_groups") or {}
    for name, limit in groups.items():
        if not isinstance(name, str) or not isinstance(limit, int) or limit < 1:
            raise ShoalValueError(f"concurrency_groups tells calls at once by name, as {{'io': 2}}, not {groups!r}")
    for name, spec in methods.items():
        if spec.group and spec.group not in groups:
            raise ShoalValueError(
                f"method {name} is of the concurrency group {spec.group!r}, which the class has not: "
                f"@shoal.remote(concurrency_groups={{{spec.group!r}: 1}})"
            )
    at_once: int | None = options.get("max_concurrency")
    if at_once is None:
        at_once = AT_ONCE if asynchronous else 1
    if at_once < 1:
        raise ShoalValueError(f"max_concurrency={at_once} would run nothing: give 1 or more")
    if options.get("allow_out_of_order_execution") is False and (asynchronous or at_once > 1):
        kind = "async" if asynchronous else "multi-threaded"
        raise ShoalValueError(
            f"If you're using {kind} actors, their calls cannot be run in order: leave allow_out_of_order_execution out"
        )
    if not asynchronous and not groups and at_once == 1:
        return None
    return Concurrency(asynchronous, (("", at_once), *groups.items()))


class ActorClass:
    """A class whose instances live on the cluster, each in a process of its own: `Cls.remote(...)` makes one.

    Follows https://docs.ray.io/en/latest/ray-core/actors.html
    """

    def __init__(self, cls: Any, options: Any, definition: Any = None) -> None:
        if isinstance(cls, str):  # Python calls it so where somebody subclasses it
            base = next(b.__name__ for b in options if isinstance(b, ActorClass))
            raise ActorInheritanceError(
                f"class {cls} inherits from the actor class {base}. Inheriting from actor classes is not currently "
                "supported: inherit from the plain class, and decorate the result with @shoal.remote"
            )
        self.__name__: str = cls.__name__
        self.__doc__ = cls.__doc__
        self.__module__ = cls.__module__
        self.__wrapped__ = cls
        self._options: dict[str, Any] = options
        self._definition: Definition = definition or Definition(cls)
        self._check: Callable[..., None] | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        name = self.__name__
        raise ShoalTypeError(f"Actors cannot be instantiated directly: instead of {name}(), use {name}.remote()")

    @property
    def bind(self) -> NoReturn:
        refuse_bind(self.__name__)

    def _remote(self, args: Any = None, kwargs: Any = None, **options: Any) -> ActorHandle:
        """As older scripts call it."""
        return self.options(**options).remote(*(args or ()), **(kwargs or {}))

    def options(self, **options: Any) -> ActorClass:
        """The same class with other options; this one stays as it is."""
        others = {**self._options, **opts.check("actor", options, later=True)}
        return ActorClass(self.__wrapped__, others, self._definition)

    def remote(self, /, *args: Any, **kwargs: Any) -> ActorHandle:
        """Make an actor; returns its handle at once. Raises TypeError for arguments the constructor does not take.

        An exception in the constructor is raised by each call of the actor (ActorDiedError).
        """
        if self._check is None:
            self._check = checker(self.__name__, spell(self.__wrapped__))
        check_call(self._check, args, kwargs)
        if self._options.get("get_if_exists") and not self._options.get("name"):
            raise ShoalValueError("get_if_exists needs a name: options(name=…, get_if_exists=True)")
        function = self._definition.id()
        methods = methods_of(self.__wrapped__, self._options)
        here = engine()
        made = here.create_actor(self._work(function, methods), args, kwargs, bool(self._options.get("get_if_exists")))
        if isinstance(made, Found):
            return _handle(here, made)
        return ActorHandle(ObjectRef._made(made, here), self.__name__, function, methods)

    def _work(self, function: bytes, methods: dict[str, MethodSpec]) -> Work:
        name, namespace = self._options.get("name") or "", self._options.get("namespace") or ""
        demand = opts.resources(self._options, 1.0)
        # As in Ray: one CPU to be placed and none while it lives, unless num_cpus says otherwise.
        held = opts.resources(self._options, 0.0)
        detached = (self._options.get("lifetime") or os.environ.get(LIFETIME)) == "detached"
        restarts = self._options.get("max_restarts") or 0
        concurrency = _concurrency(self.__wrapped__, self._options, methods)
        wish = wish_of(self._options, f"actor {self.__name__}", held, demand)
        listed = opts.listed(self._options)
        return Work(
            id=work_id(
                function,
                "actor",
                name,
                namespace,
                sorted(demand.items()),
                sorted(held.items()),
                detached,
                concurrency,
                wish,
                restarts,
                listed,
            ),
            function=function,
            name=self.__name__,
            role="actor",
            blob=self._definition.blob,
            captured=self._definition.captured,
            resources=demand,
            held=held,
            actor_name=name,
            namespace=namespace,
            detached=detached,
            methods=tuple((n, *spec) for n, spec in methods.items()),
            concurrency=concurrency,
            runtime_env=self._options.get("runtime_env"),
            wish=wish,
            restarts=restarts,
            listed=listed,
        )

    def __getattr__(self, name: str) -> Any:
        """What the class itself has: its constants, its static methods."""
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.__wrapped__, name)

    def __dir__(self) -> list[str]:
        return [*object.__dir__(self), *dir(self.__wrapped__)]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_check": None}

    def __repr__(self) -> str:
        return f"<actor class {self.__name__}>"


class ActorHandle:
    """What people hold of an actor; the actor ends when nobody can reach it any more."""

    __module__ = "shoal"

    def __init__(self, ref: ObjectRef[Any], cls: str, function: bytes, methods: dict[str, MethodSpec]) -> None:
        self._ref = ref
        self._class = cls
        self._function = function
        self._methods = methods
        self._made: dict[Any, tuple[Work, Callable[..., None], int]] = {}

    def __getattr__(self, name: str) -> ActorMethod:
        methods = self.__dict__.get("_methods", {})
        if name not in methods and name not in IMPLICIT:
            if name.startswith("__"):
                raise AttributeError(name)
            raise ActorMethodError(
                f"actor class {self.__dict__.get('_class')} has no method {name!r}; "
                f"it has: {', '.join(m for m in methods if not m.startswith('_')) or 'none'}"
            )
        return ActorMethod(self, name, {})

    @property
    def _actor_id(self) -> ActorID:
        """Ray's way to the id, which the state API knows it by."""
        return ActorID(self._ref.binary())

    def __dir__(self) -> list[str]:
        return [*self._methods, *IMPLICIT]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ActorHandle) and other._ref == self._ref

    def __hash__(self) -> int:
        return hash(self._ref)

    def __repr__(self) -> str:
        return f"Actor({self._class}, {self._ref.hex()})"

    def __reduce__(self) -> tuple[Any, ...]:
        return ActorHandle, (self._ref, self._class, self._function, self._methods)


def get_actor(name: str, namespace: str | None = None) -> ActorHandle:
    """The actor of that name in a namespace, this program's own where none is given; ValueError where none is alive.

    Follows https://docs.ray.io/en/latest/ray-core/actors/named-actors.html
    """
    if name is None or not str(name).strip():
        raise ShoalValueError("Please supply a non-empty value to get_actor: the name that options(name=…) gave")
    name = opts.name_of("an actor's name", name)
    namespace = "" if namespace is None else opts.name_of("a namespace", namespace)
    here: Engine = engine()
    found = here.find_actor(name, namespace)
    if found is None:
        where = f"the namespace {namespace!r}" if namespace else "this program's namespace"
        raise ActorNotFoundError(
            f"Failed to look up actor with name {name!r}: none is alive in {where}. It ended, or was made in another "
            "one: get_actor(name, namespace=…), or init(namespace=…) in both programs"
        )
    return _handle(here, found)


def list_named_actors(all_namespaces: bool = False) -> list[Any]:
    """The names of the actors that live: in this program's namespace, or in all, as `{"name": …, "namespace": …}`."""
    found: list[Any] = engine().query("named_actors", all_namespaces, context.get_task())
    return found


def handle_of(actor: bytes) -> ActorHandle:
    """A handle of an actor that is known to live: the one that this process is."""
    here: Engine = engine()
    return _handle(here, Found(*here.query("actor", actor)))


def _handle(here: Engine, found: Found) -> ActorHandle:
    here.counts.add(found.actor)
    ref: ObjectRef[Any] = ObjectRef._made(found.actor, here)
    return ActorHandle(ref, found.cls_name, found.function, {n: MethodSpec(*spec) for n, *spec in found.methods})
