"""Remote functions: what `@shoal.remote` makes of a function."""

from __future__ import annotations

import functools
import hashlib
import os
import warnings
from collections.abc import Callable
from typing import Any, Generic, NoReturn, ParamSpec, TypeVar

from shoal import assigned, returned
from shoal import options as opts
from shoal.cluster import engine
from shoal.engines.base import Work
from shoal.exceptions import ShoalTypeError, ShoalValueError
from shoal.groups import wish_of
from shoal.refs import ObjectRef
from shoal.serial import largest_parts, pack
from shoal.signatures import check_call, checker, spell

P = ParamSpec("P")
R = TypeVar("R")

RETRIES = 3
"""As in Ray: a task is repeated so often when its worker dies, never when it raises."""

LARGE_FUNCTION = 10**7
"""Bytes of a pickled function or class from which it is warned about, as in Ray."""
TOO_LARGE_FUNCTION = 10**8
"""Bytes from which it is refused, unless the environment variable FUNCTION_SIZE_ERROR_THRESHOLD says otherwise."""


_PLAIN = frozenset({"num_cpus", "num_returns", "max_retries", "name"})
"""Options of tasks that may go by a lane: see docs/lanes.md."""


class Definition:
    """A function or class as it is pickled at its first use: later changes of what it captures are not seen.

    The objects whose refs it captures live as long as it does, and as long as a task that was submitted needs it.
    """

    def __init__(self, target: Any) -> None:
        self.target = target
        self._blob: bytes | None = None
        self.captured: tuple[bytes, ...] = ()
        self._kept: list[ObjectRef[Any]] = []

    def blob(self) -> bytes:
        if self._blob is None:
            # Buffers stay inside: a definition travels once and is small.
            name = getattr(self.target, "__name__", "the function")
            packed = pack(self.target, name, in_band=True)
            if len(packed.stream) > LARGE_FUNCTION:
                self._complain(name, len(packed.stream))
            here = engine()
            for object_id in packed.contained:
                here.counts.add(object_id)
                self._kept.append(ObjectRef._made(object_id, here))
            self._blob, self.captured = packed.stream, packed.contained
        return self._blob

    def id(self) -> bytes:
        return hashlib.blake2b(self.blob(), digest_size=16).digest()

    def _complain(self, name: str, size: int) -> None:
        role = "actor" if isinstance(self.target, type) else "remote function"
        parts = largest_parts(self.target)
        captured = f"it captures {parts}" if parts else "something in it is large"
        cure = "put large values into the store (ref = shoal.put(value)) and use shoal.get(ref) inside"
        limit = int(os.environ.get("FUNCTION_SIZE_ERROR_THRESHOLD", TOO_LARGE_FUNCTION))
        if size >= limit:
            raise ShoalValueError(
                f"The {role} {name} is too large ({size / 1e6:,.0f} MB, the limit is "
                f"FUNCTION_SIZE_ERROR_THRESHOLD={limit / 1e6:,.0f} MB): {captured}; {cure}"
            )
        warnings.warn(
            f"The {role} {name} is very large ({size / 1e6:,.0f} MB): {captured}; {cure}",
            stacklevel=5 if role == "actor" else 6,  # the line that calls .remote()
        )

    def __getstate__(self) -> dict[str, Any]:
        return {"target": self.target, "_blob": None, "captured": (), "_kept": []}


def default_retries() -> int:
    """How often a task is repeated that says nothing of it: SHOAL_TASK_MAX_RETRIES or RAY_TASK_MAX_RETRIES, else 3.

    Raises ValueError where that is no number of retries.
    """
    for name in ("SHOAL_TASK_MAX_RETRIES", "RAY_TASK_MAX_RETRIES"):
        text = os.environ.get(name)
        if text:
            try:
                return max(-1, int(text))
            except ValueError:
                raise ShoalValueError(
                    f"{name}={text!r} is no number of retries: give a whole number, or -1 for any number"
                ) from None
    return RETRIES


def work_id(function: bytes, *details: Any) -> bytes:
    return hashlib.blake2b(function + repr(details).encode(), digest_size=16).digest()


def _name(function: Any) -> str:
    inner = getattr(function, "func", function)
    name: str = getattr(inner, "__name__", type(inner).__name__)
    return name


def refuse_bind(name: str) -> NoReturn:
    """Ray's `.bind()` builds graphs, which are no part of shoal."""
    raise AttributeError(f"{name} has no .bind(): graphs are no part of shoal, give the refs of calls to other calls")


class RemoteFunction(Generic[P, R]):
    """A function whose calls run on the cluster: `f.remote(...)` returns a ref, `f.options(...)` a copy with options.

    Follows https://docs.ray.io/en/latest/ray-core/api/doc/ray.remote_function.RemoteFunction.html
    """

    def __init__(
        self, function: Callable[P, R], options: dict[str, Any], definition: Definition | None = None
    ) -> None:
        returned.check(function, options.get("num_returns"))
        functools.update_wrapper(self, function)
        if not hasattr(self, "__name__"):  # a partial, or an object that can be called
            self.__dict__["__name__"] = _name(function)
        self._function = function
        self._options = options
        self._definition = definition or Definition(function)
        self._check: Callable[..., None] | None = None
        self._made: Work | None = None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        name = self.__name__  # type: ignore[attr-defined]
        raise ShoalTypeError(f"{name} is a remote function: call it by {name}.remote(...)")

    def remote(self, /, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Submit a call; returns its ref at once (a list of refs for num_returns above 1, None for 0).

        Raises TypeError for arguments that the function does not take.
        """
        check = self._check
        if check is None:
            check = self._check = checker(self.__name__, spell(self._function))  # type: ignore[attr-defined]
        check_call(check, args, kwargs)
        # In a task whose children are captured by its placement group, another is meant.
        work = self._work() if assigned.get().capture else self._made or self._work()
        refs: list[ObjectRef[Any]] = engine().submit(work, args, kwargs)
        if len(refs) == 1:
            return refs[0]
        return refs or None

    @property
    def bind(self) -> NoReturn:
        refuse_bind(self.__name__)  # type: ignore[attr-defined]

    def _remote(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """As older scripts call it."""
        return self.options(**options).remote(*(args or ()), **(kwargs or {}))

    def options(self, **options: Any) -> RemoteFunction[P, R]:
        """The same function with other options; this one stays as it is."""
        return RemoteFunction(
            self._function, {**self._options, **opts.check("task", options, later=True)}, self._definition
        )

    def _work(self) -> Work:
        options = self._options
        function = self._definition.id()
        demand = opts.resources(options, 1.0)
        number = returned.given(self._function, options.get("num_returns"))
        values = returned.values(number, options)
        retries = options.get("max_retries")
        name = options.get("name") or self.__name__  # type: ignore[attr-defined]
        retries = default_retries() if retries is None else retries
        retry_on = opts.retry_on(options)
        wish = wish_of(options, f"{name}()", demand)
        calls = options.get("max_calls")
        if calls is None:  # as in Ray: what a task left on a GPU goes with its process
            calls = 1 if demand.get("GPU") else 0
        listed = opts.listed(options)
        made = Work(
            id=work_id(
                function, name, sorted(demand.items()), sorted(values.items()), retries, retry_on, wish, calls, listed
            ),
            function=function,
            name=name,
            role="task",
            blob=self._definition.blob,
            captured=self._definition.captured,
            resources=demand,
            retries=retries,
            retry_on=retry_on,
            runtime_env=options.get("runtime_env"),
            calls=calls,
            listed=listed,
            plain=_PLAIN.issuperset(options) and returned.is_plain(values) and wish is None,
            wish=wish,
            **values,
        )
        if not assigned.get().capture:
            self._made = made
        return made

    def __getstate__(self) -> dict[str, Any]:
        # What was compiled or made for this process's engine stays behind.
        return {**self.__dict__, "_check": None, "_made": None}

    def __repr__(self) -> str:
        return f"<remote function {self.__name__}>"  # type: ignore[attr-defined]
