"""Methods of actors: what `@shoal.method` notes, what a handle knows of each, and the call."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from shoal import implicit, returned
from shoal import options as opts
from shoal.engines.base import Work
from shoal.exceptions import PendingCallsLimitExceeded, ShoalTypeError
from shoal.functions import refuse_bind, work_id
from shoal.signatures import check_call, checker, spell

if TYPE_CHECKING:
    from shoal.actors import ActorHandle

NOT_CALLED = frozenset({"__new__", "__init__", "__init_subclass__", "__class_getitem__", "__del__", "__getattr__"})
"""Functions of a class that are no methods of its actors."""
_PLAIN = frozenset({"num_returns", "name", "concurrency_group"})
"""Options of calls that may go by a lane: see docs/lanes.md."""


def method(*args: Any, **options: Any) -> Callable[[Any], Any]:
    """Decorate an actor's method with options of its own, as Ray's @ray.method does.

    `num_returns`, `max_task_retries` and `retry_exceptions` as in `remote`; `concurrency_group` one of the class's
    `concurrency_groups`. Raises ValueError for an unknown option, with the list of those there are.
    """
    if args or not options:
        raise ShoalTypeError("@shoal.method takes options by name, one at least: @shoal.method(num_returns=2)")
    checked = opts.check("method", options)

    def mark(function: Any) -> Any:
        returned.check(function, checked.get("num_returns"))
        function.__shoal_method__ = checked
        return function

    return mark


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
    listed: bool = True


IMPLICIT = {name: MethodSpec(1, spell(function, drop_self=True)) for name, function in implicit.METHODS.items()}
"""Those that no class defines: handles know them without being told."""


def methods_of(cls: type, options: dict[str, Any]) -> dict[str, MethodSpec]:
    """The methods that can be called, by name; `options` are the actor's."""
    retries = options.get("max_task_retries") or 0
    pending = options.get("max_pending_calls") or -1
    listed = opts.listed(options)
    found = {}
    for name, member in _members(cls):
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
            opts.listed(own, listed),
        )
    return found


def _members(cls: type) -> Iterator[tuple[str, Any]]:
    for name, member in inspect.getmembers(cls, callable):
        if not (name.startswith("__") and name.endswith("__")):
            yield name, member
        elif name not in NOT_CALLED and (inspect.isfunction(member) or inspect.ismethod(member)):
            yield name, member  # what the class defines: of `object` it is neither


class ActorMethod:
    """One method of one actor: `handle.method.remote(...)`."""

    __slots__ = ("_handle", "_name", "_options", "_key")

    def __init__(self, handle: ActorHandle, name: str, options: dict[str, Any]) -> None:
        self._handle = handle
        self._name = name
        self._options = options
        self._key = (name, repr(sorted(options.items()))) if options else name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise ShoalTypeError(
            f"Actor methods cannot be called directly: instead of .{self._name}(), use .{self._name}.remote()"
        )

    @property
    def bind(self) -> NoReturn:
        refuse_bind(self._name)

    def options(self, **options: Any) -> ActorMethod:
        """The same method with other options; this one stays as it is."""
        return ActorMethod(self._handle, self._name, {**self._options, **opts.check("method", options)})

    def _remote(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """As older scripts call it."""
        return self.options(**options).remote(*(args or ()), **(kwargs or {}))

    def remote(self, /, *args: Any, **kwargs: Any) -> Any:
        """Submit a call; returns its ref at once. Calls from one caller run in their order."""
        handle = self._handle
        made = handle._made.get(self._key)
        if made is None:
            made = handle._made[self._key] = self._make()
        work, check, most = made
        check_call(check, args, kwargs)
        if most > 0 and handle._ref._engine.pending_calls(handle._ref.binary()) >= most:
            raise PendingCallsLimitExceeded(
                f"the actor {handle._class} has {most} unfinished calls of this process, and max_pending_calls={most}: "
                "wait for some of them"
            )
        refs = handle._ref._engine.call(handle._ref.binary(), work, args, kwargs)
        if len(refs) == 1:
            return refs[0]
        return refs or None

    def _make(self) -> tuple[Work, Callable[..., None], int]:
        handle, options = self._handle, self._options
        spec = handle._methods.get(self._name) or IMPLICIT[self._name]
        number = options.get("num_returns")
        values = returned.values(
            spec.returns if number is None else number,
            {"_generator_backpressure_num_objects": spec.ahead, **options},
        )
        group = options.get("concurrency_group") or spec.group
        label = options.get("name")
        retries = spec.retries if options.get("max_task_retries") is None else options["max_task_retries"]
        retry_on = spec.retry_on if options.get("retry_exceptions") is None else opts.retry_on(options)
        listed = opts.listed(options, spec.listed)
        work = Work(
            id=work_id(
                handle._function, "method", self._name, sorted(values.items()), label, group, retries, retry_on, listed
            ),
            function=handle._function,
            name=label or f"{handle._class}.{self._name}",
            role="method",
            blob=lambda: b"",
            method=self._name,
            group=group,
            retries=retries,
            retry_on=retry_on,
            listed=listed,
            plain=_PLAIN.issuperset(options) and not (retries or retry_on) and returned.is_plain(values),
            **values,
        )
        return work, checker(self._name, spec.parameters), spec.pending

    def __repr__(self) -> str:
        return f"<method {self._name} of {self._handle!r}>"
