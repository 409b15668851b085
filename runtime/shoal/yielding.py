"""What a generator yields, sent item by item.

A *stream* has as many items as there are, a generator with a fixed `num_returns` fills its refs one by one, and a
*dynamic* one has a single value: the list of its items' refs.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable
from typing import Any

from shoal.backpressure import Backpressure
from shoal.engines.local import LocalEngine
from shoal.errors import error_value
from shoal.generators import DynamicObjectRefGenerator
from shoal.runs import Kind, Run
from shoal.serial import pack, unpack

SENT = object()
"""Instead of a value: all of them were sent already."""


MOST = 2**24 - 4
"""Items of one generator: their numbers are part of their ids."""


def wants_retry(kind: Kind, error: BaseException) -> bool:
    """Whether retry_exceptions names it."""
    which = kind.retry_on
    return which if isinstance(which, bool) else isinstance(error, unpack(which))


def is_generator(value: Any) -> bool:
    return inspect.isgenerator(value) or inspect.isasyncgen(value)


class Yielding:
    """Goes through generators of user code, in whichever thread or coroutine calls it."""

    def __init__(
        self, engine: LocalEngine, backpressure: Backpressure, is_cancelled: Callable[[bytes], bool]
    ) -> None:
        self._engine = engine
        self._backpressure = backpressure
        self._is_cancelled = is_cancelled

    def exhaust(self, kind: Kind, run: Run, generator: Any) -> Any:
        """Send all it yields; what is left to be sent as the call's value."""
        if not inspect.isgenerator(generator):
            raise self._no_generator(kind, generator)
        if kind.yields == "dynamic":
            return self._dynamic(kind, generator)
        made = 0
        for item in generator:
            if self._is_cancelled(run.task):  # nobody reads on: it ends where it is
                generator.close()
                return SENT
            if made < kind.returns or kind.yields:
                self._send(kind, run, made, item)
            made += 1
            if made == kind.returns and not kind.yields:
                generator.close()
            elif kind.ahead:
                self._backpressure.wait(run.task, made, kind.ahead)
        return self._end(kind, made)

    async def exhaust_async(self, kind: Kind, run: Run, generator: Any) -> Any:
        """The same on an event loop; the generator may be either sort."""
        if not is_generator(generator):
            raise self._no_generator(kind, generator)
        if kind.yields == "dynamic":
            return await self._dynamic_async(kind, generator)
        made = 0
        async for item in _either(generator):
            if self._is_cancelled(run.task):
                break
            if made < kind.returns or kind.yields:
                self._send(kind, run, made, item)
            made += 1
            if made == kind.returns and not kind.yields:
                break
            if kind.ahead:
                await self._backpressure.wait_async(run.task, made, kind.ahead)
        if inspect.isasyncgen(generator):
            await generator.aclose()
        return SENT if self._is_cancelled(run.task) else self._end(kind, made)

    def _send(self, kind: Kind, run: Run, number: int, item: Any) -> None:
        if number >= MOST:
            raise ValueError(f"{kind.name}() yielded more than {MOST:,} items: yield lists of them")
        packed = pack(item, f"item {number} that {kind.name}() yielded")
        with self._engine.shield:  # an interrupt in between would leave memory taken that nobody knows of
            self._engine.link.post(("item", run.task, number, self._engine.place(packed), packed.contained))

    @staticmethod
    def _no_generator(kind: Kind, value: Any) -> Exception:
        return ValueError(f"{kind.name}() is to yield its values, and returned {type(value).__name__}")

    def _end(self, kind: Kind, made: int) -> Any:
        if kind.yields:
            return None
        if made < kind.returns:
            raise ValueError(
                f"{kind.name}() has num_returns={kind.returns} but yielded {made}: yield as many, "
                "or leave num_returns out for a generator of refs"
            )
        return SENT

    def _dynamic(self, kind: Kind, generator: Any) -> DynamicObjectRefGenerator:
        refs = []
        try:
            for item in generator:
                refs.append(self._engine.put(item))
        except Exception as error:  # the last item, as in a stream
            if wants_retry(kind, error):
                raise
            refs.append(self._engine.put_error(*error_value(error, kind.name)))
        return DynamicObjectRefGenerator(refs)

    async def _dynamic_async(self, kind: Kind, generator: Any) -> DynamicObjectRefGenerator:
        refs = []
        try:
            async for item in _either(generator):
                refs.append(self._engine.put(item))
        except Exception as error:
            if wants_retry(kind, error):
                raise
            refs.append(self._engine.put_error(*error_value(error, kind.name)))
        return DynamicObjectRefGenerator(refs)


async def _either(generator: Any) -> AsyncIterator[Any]:
    if inspect.isasyncgen(generator):
        async for item in generator:
            yield item
    else:
        for item in generator:
            yield item
