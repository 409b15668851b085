"""What a generator yields on the engine `inline`: at once, or so far as `ahead` lets it, and on when items are taken.

Items are objects that nobody holds until they are taken; `read` counts those.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

from shoal.engines.streams import MARK
from shoal.errors import named_error, pack_error
from shoal.generators import DynamicObjectRefGenerator
from shoal.ids import TASK, value_of
from shoal.refs import ObjectRef
from shoal.serial import Packed, pack

if TYPE_CHECKING:
    from shoal.engines.base import Work
    from shoal.engines.inline import InlineEngine

Value = tuple[Packed, bool]
"""A value, or an error."""


def items(work: Work, generator: Iterator[Any]) -> Generator[Value]:
    """All that it yields; an error is the last."""
    number = 0
    try:
        for item in generator:
            yield pack(item, f"item {number} that {work.name}() yielded"), False
            number += 1
    except Exception as error:
        yield pack_error(error, work.name), True
    except KeyboardInterrupt:
        yield named_error("TaskCancelledError", f"{work.name}() was cancelled"), True


def fill(work: Work, generator: Any) -> list[Value]:
    """The values of a generator with a fixed number of them."""
    found: list[Value] = []
    for value in items(work, generator):
        found.append(value)
        if len(found) == work.returns or value[1]:
            break
    generator.close()
    if len(found) < work.returns and not (found and found[-1][1]):
        wrong = ValueError(
            f"{work.name}() has num_returns={work.returns} but yielded {len(found)}: yield as many, "
            "or leave num_returns out for a generator of refs"
        )
        found.append((pack_error(wrong, work.name), True))
    return [*found, *found[-1:] * (work.returns - len(found))]


def dynamic(work: Work, generator: Any, keep: Callable[[Packed, bool], ObjectRef[Any]]) -> DynamicObjectRefGenerator:
    return DynamicObjectRefGenerator([keep(*value) for value in items(work, generator)])


class InlineStream:
    """See `shoal.generators.Stream`; what it says of items has the generator run on first.

    `over(error)` is called when the generator ends.
    """

    def __init__(
        self,
        engine: InlineEngine,
        task: bytes,
        ahead: int,
        values: Generator[Value],
        over: Callable[[Packed | None], None],
    ) -> None:
        self._engine = engine
        self._task = task
        self._ahead = ahead
        self._values = values
        self._over = over
        self._made = 0
        self._read = 0
        self._done = False
        self._running = False

    def advance(self) -> None:
        """Make as many items as may lie unread."""
        while not (self._done or self._running or self._ahead and self._made - self._read >= self._ahead):
            self._running = True  # what it runs may look at its own stream
            try:
                value = next(self._values, None)
            finally:
                self._running = False
            if value is None:
                self._end(None)
                return
            self._made += 1
            self._engine.keep_item(value_of(self._task, self._made), *value)
            if value[1]:
                self._end(value[0])

    def _end(self, error: Packed | None) -> None:
        self._done = True
        self._over(error)

    def next_id(self) -> bytes:
        return value_of(self._task, self._read + 1)

    def ended(self) -> bool:
        self.advance()
        return self._done and self._read == self._made

    def take(self) -> ObjectRef[Any]:
        ref = self._engine.take_item(self.next_id())
        self._read += 1
        self.advance()
        return ref

    def drop(self) -> None:
        self._engine.counts.drop(self._task[:TASK] + MARK)

    def close(self) -> None:
        """Nobody reads on: what it has not made is not made."""
        if not self._done:
            self._values.close()
            self._end(None)

    def unread(self) -> list[bytes]:
        return [value_of(self._task, n) for n in range(self._read + 1, self._made + 1)]
