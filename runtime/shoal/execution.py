"""One call of user code: its arguments unpacked, the call, its values and errors packed."""

from __future__ import annotations

import types
from typing import Any

from shoal.engines.local import LocalEngine
from shoal.errors import named_error, pack_error
from shoal.exceptions import SerializationError
from shoal.runs import Kind, Run
from shoal.serial import NONE, Packed, pack, unpack

Value = tuple[Any, tuple[bytes, ...]]
"""A value as it travels, and the refs inside it."""


class Execution:
    """The functions that a worker was sent, and the actor that it hosts, if any."""

    def __init__(self, engine: LocalEngine) -> None:
        self.instance: Any = None
        self._engine = engine
        self._blobs: dict[bytes, bytes] = {}
        self._functions: dict[bytes, Any] = {}
        self._loop: Any = None

    def define(self, function: bytes, blob: bytes) -> None:
        self._blobs[function] = blob

    def call(self, kind: Kind, run: Run) -> Any:
        """What the user's code returns; raises what it raises, or what was wrong with an argument."""
        if type(run.payload) is bytes:
            args, kwargs = unpack(run.payload)
        else:
            args, kwargs = unpack(*run.payload)
        if run.slots:
            filled = list(args)
            for slot, dep, value in zip(run.slots, run.deps, run.values, strict=True):
                loaded = self._engine.load(dep, value)
                if isinstance(slot, int):
                    filled[slot] = loaded
                else:
                    kwargs[slot] = loaded
            args = tuple(filled)
        if kind.role == "actor":
            self.instance = self._function(kind)(*args, **kwargs)
            return None
        if kind.role == "method":
            value = getattr(self.instance, kind.method)(*args, **kwargs)
        else:
            value = self._function(kind)(*args, **kwargs)
        if type(value) is types.CoroutineType:
            value = self._run_coroutine(value)
        return value

    def _run_coroutine(self, coroutine: Any) -> Any:
        import asyncio

        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        return self._loop.run_until_complete(coroutine)

    def _function(self, kind: Kind) -> Any:
        function = self._functions.get(kind.function)
        if function is None:
            function = self._functions[kind.function] = unpack(self._blobs.pop(kind.function))
        return function

    def function_name(self, kind: Kind) -> str:
        """The function, class or method as `module.qualified_name`."""
        target = type(self.instance) if kind.role == "method" else self._function(kind)
        name = f"{target.__module__}.{target.__qualname__}"
        return f"{name}.{kind.method or '__init__'}" if kind.role != "task" else name

    def results(self, kind: Kind, value: Any) -> list[Value]:
        """What it returned, ready to be sent: as many values as were asked for; ValueError for another number."""
        if kind.role == "actor" or kind.returns == 0:
            return []
        if kind.returns == 1:
            if value is None:
                return [(("i", NONE, ()), ())]
            return [self._result(value, kind.name)]
        if isinstance(value, types.GeneratorType):
            value = list(value)
        if not isinstance(value, (tuple, list)) or len(value) != kind.returns:
            got = f"{len(value)} values" if isinstance(value, (tuple, list)) else type(value).__name__
            raise ValueError(
                f"{kind.name}() has num_returns={kind.returns} but returned {got}: "
                f"return a tuple or list of {kind.returns}"
            )
        return [self._result(v, kind.name) for v in value]

    def _result(self, value: Any, name: str) -> Value:
        packed = pack(value, f"what {name}() returned")
        return self._engine.place(packed), packed.contained


def error_value(error: BaseException, name: str) -> Value:
    """An exception as the value of what it leaves undone."""
    try:
        packed: Packed = pack_error(error, name)
    except SerializationError as second:
        packed = named_error("TaskError", str(second))
    return ("e", packed.stream, [bytes(b) for b in packed.buffers]), packed.contained


def wants_retry(kind: Kind, error: BaseException) -> bool:
    """Whether retry_exceptions names it."""
    which = kind.retry_on
    return which if isinstance(which, bool) else isinstance(error, unpack(which))
