"""Actors: what `@shoal.remote` makes of a class, and the handles of its instances."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

from shoal import options as opts
from shoal import returned
from shoal.cluster import engine
from shoal.engines.base import Engine, Methods, Work
from shoal.exceptions import ActorMethodError, PendingCallsLimitExceeded, ShoalTypeError, ShoalValueError
from shoal.functions import Definition, work_id
from shoal.groups import wish_of
from shoal.ids import ActorID
from shoal.refs import ObjectRef
from shoal.runs import Concurrency
from shoal.signatures import check_call, checker, spell

NAMESPACE = "default"
AT_ONCE = 1000
"""Calls that an async actor runs at once where max_concurrency says nothing: Ray's number."""


def method(**options: Any) -> Callable[[Any], Any]:
    """Decorate an actor's method with options of its own, as Ray's @ray.method does.

    `num_returns` as in `remote`, `concurrency_group` one of the class's `concurrency_groups`.
    """
    checked = opts.check("method", options)

    def mark(function: Any) -> Any:
        returned.check(function, checked.get("num_returns"))
        function.__shoal_method__ = checked
        return function

    return mark


_PLAIN = frozenset({"num_returns", "name", "concurrency_group"})
"""Options of calls that may go by a lane: see docs/lanes.md."""


class MethodSpec(NamedTuple):
    """What a handle knows of a method: how many values it returns, and its parameters (see `signatures.spell`)."""

    returns: int | str
    parameters: str
    group: str = ""
    ahead: int | None = None
    retries: int = 0
    retry_on: bool | bytes = False
    """See `engines.base.Work`."""
    pending: int = -1
    """How many unfinished calls a process may have of its actor; below 1 for any number."""


def _methods(cls: type, options: dict[str, Any]) -> dict[str, MethodSpec]:
    """The methods that can be called, by name; `options` are the actor's."""
    found = {}
    retries = options.get("max_task_retries") or 0
    pending = options.get("max_pending_calls") or -1
    for name, member in inspect.getmembers(cls, callable):
        if not name.startswith("__") or name == "__call__" and "__call__" in cls.__dict__:
            bound = isinstance(inspect.getattr_static(cls, name), (staticmethod, classmethod))
            own = getattr(member, "__shoal_method__", {})
            found[name] = MethodSpec(
                returned.given(member, own.get("num_returns")),
                spell(member, drop_self=not bound),
                own.get("concurrency_group") or "",
                own.get("_generator_backpressure_num_objects"),
                retries if own.get("max_task_retries") is None else own["max_task_retries"],
                opts.retry_on(own),
                pending,
            )
    return found


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
    if not asynchronous and not groups and at_once == 1:
        return None
    return Concurrency(asynchronous, (("", at_once), *groups.items()))


class ActorClass:
    """A class whose instances live on the cluster, each in a process of its own: `Cls.remote(...)` makes one.

    Follows https://docs.ray.io/en/latest/ray-core/actors.html
    """

    def __init__(
        self, cls: Any, options: Any, definition: Any = None
    ) -> None:
        if isinstance(cls, str):  # Python calls it so where somebody subclasses it
            raise ShoalTypeError(
                f"class {cls} inherits from an actor class: inherit from the plain class and decorate the result"
            )
        self.__name__: str = cls.__name__
        self.__doc__ = cls.__doc__
        self.__module__ = cls.__module__
        self.__wrapped__ = cls
        self._options: dict[str, Any] = options
        self._definition: Definition = definition or Definition(cls)
        self._check: Callable[..., None] | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise ShoalTypeError(f"{self.__name__} is an actor class: make an actor by {self.__name__}.remote(...)")

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
        options = self._options
        name, namespace = options.get("name") or "", options.get("namespace") or NAMESPACE
        if options.get("get_if_exists"):
            if not name:
                raise ShoalValueError("get_if_exists needs a name: options(name=…, get_if_exists=True)")
            try:
                return get_actor(name, namespace)
            except ValueError:
                pass
        here = engine()
        function = self._definition.id()
        work = self._work(function, name, namespace)
        actor = here.create_actor(work, args, kwargs)
        return ActorHandle(ObjectRef._made(actor, here), self.__name__, function, _methods(self.__wrapped__, options))

    def _remote(
        self, args: tuple[Any, ...] | None = None, kwargs: dict[str, Any] | None = None, **options: Any
    ) -> ActorHandle:
        """`.options(**options).remote(*args, **kwargs)`, as older scripts spell it."""
        return self.options(**options).remote(*(args or ()), **(kwargs or {}))

    def _work(self, function: bytes, name: str, namespace: str) -> Work:
        demand = opts.resources(self._options, 1.0)
        # As in Ray: one CPU to be placed and none while it lives, unless num_cpus says otherwise.
        held = opts.resources(self._options, 0.0)
        detached = self._options.get("lifetime") == "detached"
        methods = _methods(self.__wrapped__, self._options)
        restarts = self._options.get("max_restarts") or 0
        concurrency = _concurrency(self.__wrapped__, self._options, methods)
        wish = wish_of(self._options, f"actor {self.__name__}", held, demand)
        return Work(
            id=work_id(
                function, "actor", name, namespace, sorted(demand.items()), sorted(held.items()), detached,
                concurrency, wish, restarts,
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
        )

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
        self._made: dict[Any, tuple[Work, Callable[..., None]]] = {}

    def __getattr__(self, name: str) -> ActorMethod:
        methods = self.__dict__.get("_methods", {})
        if name not in methods:
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
        return [*object.__dir__(self), *self._methods]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ActorHandle) and other._ref == self._ref

    def __hash__(self) -> int:
        return hash(self._ref)

    def __repr__(self) -> str:
        return f"Actor({self._class}, {self._ref.hex()})"

    def __reduce__(self) -> tuple[Any, ...]:
        return ActorHandle, (self._ref, self._class, self._function, self._methods)


class ActorMethod:
    """One method of one actor: `handle.method.remote(...)`."""

    __slots__ = ("_handle", "_name", "_options", "_key")

    def __init__(self, handle: ActorHandle, name: str, options: dict[str, Any]) -> None:
        self._handle = handle
        self._name = name
        self._options = options
        self._key = (name, repr(sorted(options.items()))) if options else name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise ShoalTypeError(f"{self._name} is an actor's method: call it by .{self._name}.remote(...)")

    def options(self, **options: Any) -> ActorMethod:
        """The same method with other options; this one stays as it is."""
        return ActorMethod(self._handle, self._name, {**self._options, **opts.check("method", options)})

    def remote(self, /, *args: Any, **kwargs: Any) -> Any:
        """Submit a call; returns its ref at once. Calls from one caller run in their order."""
        handle = self._handle
        made = handle._made.get(self._key)
        if made is None:
            made = handle._made[self._key] = self._make()
        work, check = made
        check_call(check, args, kwargs)
        most = handle._methods[self._name].pending
        if most > 0 and handle._ref._engine.pending_calls(handle._ref.binary()) >= most:
            raise PendingCallsLimitExceeded(
                f"the actor {handle._class} has {most} unfinished calls of this process, and max_pending_calls={most}: "
                "wait for some of them"
            )
        refs = handle._ref._engine.call(handle._ref.binary(), work, args, kwargs)
        if len(refs) == 1:
            return refs[0]
        return refs or None

    def _remote(
        self, args: tuple[Any, ...] | None = None, kwargs: dict[str, Any] | None = None, **options: Any
    ) -> Any:
        """`.options(**options).remote(*args, **kwargs)`, as older scripts spell it."""
        return self.options(**options).remote(*(args or ()), **(kwargs or {}))

    def _make(self) -> tuple[Work, Callable[..., None]]:
        handle, options = self._handle, self._options
        spec = handle._methods[self._name]
        number = options.get("num_returns")
        values = returned.values(
            spec.returns if number is None else number,
            {"_generator_backpressure_num_objects": spec.ahead, **options},
        )
        group = options.get("concurrency_group") or spec.group
        label = options.get("name")
        retries = spec.retries if options.get("max_task_retries") is None else options["max_task_retries"]
        retry_on = spec.retry_on if options.get("retry_exceptions") is None else opts.retry_on(options)
        work = Work(
            id=work_id(handle._function, "method", self._name, sorted(values.items()), label, group, retries, retry_on),
            function=handle._function,
            name=label or f"{handle._class}.{self._name}",
            role="method",
            blob=lambda: b"",
            method=self._name,
            group=group,
            retries=retries,
            retry_on=retry_on,
            plain=_PLAIN.issuperset(options) and not (retries or retry_on) and returned.is_plain(values),
            **values,
        )
        return work, checker(self._name, spec.parameters)


def get_actor(name: str, namespace: str | None = None) -> ActorHandle:
    """The actor of that name; ValueError where none is alive. https://docs.ray.io/en/latest/ray-core/actors/named-actors.html"""
    name = opts.name_of("an actor's name", name)
    namespace = NAMESPACE if namespace is None else opts.name_of("a namespace", namespace)
    here: Engine = engine()
    found = here.find_actor(name, namespace)
    if found is None:
        raise ShoalValueError(f"no actor named {name!r} is alive: it ended, or was made in another namespace")
    return _handle(here, *found)


def handle_of(actor: bytes) -> ActorHandle:
    """A handle of an actor that is known to live: the one that this process is."""
    here: Engine = engine()
    return _handle(here, *here.query("actor", actor))


def _handle(here: Engine, actor: bytes, function: bytes, cls_name: str, methods: Methods) -> ActorHandle:
    here.counts.add(actor)
    ref: ObjectRef[Any] = ObjectRef._made(actor, here)
    return ActorHandle(ref, cls_name, function, {n: MethodSpec(*spec) for n, *spec in methods})


