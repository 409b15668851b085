"""One call of user code: its arguments unpacked, the call, its values and errors packed."""

from __future__ import annotations

import time
import types
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from shoal import context
from shoal.backpressure import Backpressure
from shoal.engines.local import LocalEngine
from shoal.errors import error_value, remote_traceback
from shoal.exceptions import ActorLeaving
from shoal.failure import Failure, shortened
from shoal.frames import Snapshots
from shoal.implicit import method_of
from shoal.returned import Missing
from shoal.runs import Kind, Run
from shoal.serial import NONE, Packed, pack, unpack
from shoal.yielding import SENT, Yielding, is_generator, wants_retry

Value = tuple[Any, tuple[bytes, ...]]
"""A value as it travels, and the refs inside it."""


class Ended(NamedTuple):
    """How a call ended: `outcome` is "ok", "error", "retry" (an error that retry_exceptions names) or "cancelled"."""

    outcome: str
    values: list[Value]
    started: float
    ended: float
    error: Failure | None = None
    kept: list[Any] | None = None
    """What the values were made of: the refs inside it are held here until the hub knows who holds them next. Emptied
    then: an error's traceback leads to the frame that holds this, and so would keep all that those frames hold."""
    phases: tuple[float, float] | None = None
    """When its arguments were there, and when its values were stored. Nobody looks at the clock for what came by a
    lane: it has next to no arguments and values."""


class Execution:
    """The functions that a worker was sent, and the actor that it hosts, if any.

    `is_cancelled(task)` says whether somebody has cancelled a call that cannot be interrupted.
    """

    def __init__(
        self, engine: LocalEngine, backpressure: Backpressure, is_cancelled: Callable[[bytes], bool]
    ) -> None:
        self.instance: Any = None
        self.snapshots = Snapshots(lambda task, snapshot: engine.link.append(("frames", task, snapshot)))
        self._engine = engine
        self._is_cancelled = is_cancelled
        self._yielding = Yielding(engine, backpressure, is_cancelled)
        self._blobs: dict[bytes, bytes] = {}
        self._functions: dict[bytes, Any] = {}
        self._loop: Any = None

    def define(self, function: bytes, blob: bytes) -> None:
        self._blobs[function] = blob

    # a call and its end

    def attempt(self, kind: Kind, run: Run, over: Callable[[], None]) -> Ended:
        """Run it in this thread. `over()` is called when the user's code is: no interrupt comes from then on."""
        started = time.time()
        loaded: list[float] = []
        try:
            try:
                value = self._call(kind, run, loaded)
            finally:
                over()
            return self._returned(kind, run, value, started, loaded)
        except BaseException as error:
            return self._raised(kind, run, error, started, loaded, KeyboardInterrupt)

    async def attempt_async(self, kind: Kind, run: Run) -> Ended:
        """Run it on this event loop; a method that is no coroutine blocks it meanwhile."""
        import asyncio

        started = time.time()
        loaded: list[float] = []
        try:
            value = await self._call_async(kind, run, loaded)
            return self._returned(kind, run, value, started, loaded)
        except BaseException as error:
            return self._raised(kind, run, error, started, loaded, KeyboardInterrupt, asyncio.CancelledError)

    def _raised(
        self, kind: Kind, run: Run, error: BaseException, started: float, loaded: list[float],
        *stops: type[BaseException],
    ) -> Ended:  # fmt: skip
        """Where it raised; `stops` is what a cancel raises in it. SystemExit goes on: the process ends."""
        if isinstance(error, stops):
            return Ended("cancelled", [], started, time.time())
        why = context.leaves(run.task)
        if why is not None or isinstance(error, ActorLeaving):
            return Ended("exit", [], started, time.time(), ("", why or str(error)))
        if isinstance(error, SystemExit):
            raise
        return self.failed(kind, run, error, started, loaded)

    def failed(
        self, kind: Kind, run: Run, error: BaseException, started: float, loaded: Sequence[float] = ()
    ) -> Ended:
        if self._is_cancelled(run.task):
            return Ended("cancelled", [], started, time.time())
        self.snapshots.take(error, run.task)
        name = type(error).__name__
        text = remote_traceback(error)
        values = [error_value(error, kind.name, text)] * max(1, kind.returns)
        said = (name, text.rstrip() if kind.role == "actor" else shortened(text))
        outcome = "retry" if kind.retry_on and kind.role != "actor" and wants_retry(kind, error) else "error"
        ended = time.time()
        return Ended(outcome, values, started, ended, said, [error], (loaded[0], ended) if loaded else None)

    def _returned(self, kind: Kind, run: Run, value: Any, started: float, loaded: list[float]) -> Ended:
        ended = time.time()
        if self._is_cancelled(run.task):
            return Ended("cancelled", [], started, ended)
        if (why := context.leaves(run.task)) is not None:
            return Ended("exit", [], started, ended, ("", why))
        values = self._results(kind, value)
        return Ended("ok", values, started, ended, None, [value], (loaded[0], time.time()) if loaded else None)

    # the call

    def _call(self, kind: Kind, run: Run, loaded: list[float]) -> Any:
        function, args, kwargs = self._bind(kind, run, loaded)
        value = function(*args, **kwargs)
        if kind.role == "actor":
            self.instance = value
            return None
        if type(value) is types.CoroutineType:
            value = self._run_coroutine(value)
        if kind.yields or is_generator(value):
            if isinstance(value, types.AsyncGeneratorType):
                return self._run_coroutine(self._yielding.exhaust_async(kind, run, value))
            return self._yielding.exhaust(kind, run, value)
        return value

    async def _call_async(self, kind: Kind, run: Run, loaded: list[float]) -> Any:
        function, args, kwargs = self._bind(kind, run, loaded)
        value = function(*args, **kwargs)
        if type(value) is types.CoroutineType:
            value = await value
        if kind.yields or is_generator(value):
            return await self._yielding.exhaust_async(kind, run, value)
        return value

    def _bind(self, kind: Kind, run: Run, loaded: list[float]) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
        """What is to be called, and with what; raises what was wrong with an argument. `loaded` gets the time."""
        if type(run.payload) is bytes:
            args, kwargs = unpack(run.payload)
        else:
            args, kwargs = unpack(*run.payload)
        if run.slots:
            filled = list(args)
            for slot, dep, value in zip(run.slots, run.deps, run.values, strict=True):
                argument = self._engine.load(dep, value)
                if isinstance(slot, int):
                    filled[slot] = argument
                else:
                    kwargs[slot] = argument
            args = tuple(filled)
        if run.lane is None:
            loaded.append(time.time())
        if kind.role == "method":
            return method_of(self.instance, kind.method), args, kwargs
        function = self._functions.get(kind.function)
        if function is None:
            function = self._functions[kind.function] = unpack(self._blobs.pop(kind.function))
        return function, args, kwargs

    def function_name(self, kind: Kind) -> str:
        """The function, class or method as `module.qualified_name`."""
        target = type(self.instance) if kind.role == "method" else self._functions[kind.function]
        name = f"{target.__module__}.{target.__qualname__}"
        return f"{name}.{kind.method or '__init__'}" if kind.role != "task" else name

    def _run_coroutine(self, coroutine: Any) -> Any:
        import asyncio
        import contextlib

        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        task = self._loop.create_task(coroutine)
        try:
            return self._loop.run_until_complete(task)
        except KeyboardInterrupt:
            task.cancel()  # else it would go on with the next that runs here
            with contextlib.suppress(asyncio.CancelledError, Exception):
                self._loop.run_until_complete(task)
            raise

    # its values

    def _results(self, kind: Kind, value: Any) -> list[Value]:
        """What it returned, ready to be sent: as many values as were asked for; ValueError for another number."""
        if kind.role == "actor" or kind.returns == 0 or value is SENT:
            return []
        if kind.returns == 1:
            if value is None:
                return [(("i", NONE, ()), ())]
            return [self._result(value, kind.name)]
        if not isinstance(value, (tuple, list)) or len(value) != kind.returns:
            got = f"{len(value)} values" if isinstance(value, (tuple, list)) else type(value).__name__
            raise ValueError(
                f"{kind.name}() has num_returns={kind.returns} but returned {got}: "
                f"return a tuple or list of {kind.returns}"
            )
        return [self._result(v, kind.name) for v in value]

    def _result(self, value: Any, name: str) -> Value:
        if type(value) is Missing:
            return error_value(value.error, name)
        # what was packed to see whether it can be is not packed again
        packed = value if type(value) is Packed else pack(value, f"what {name}() returned")
        return self._engine.place(packed), packed.contained
