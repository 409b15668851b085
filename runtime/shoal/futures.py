"""A ref as a `concurrent.futures.Future`.

Whoever waits for its result reads the socket, as `get` does. Where nobody waits, a thread of the engine's own settles
it and runs its callbacks, never the one that reads: a callback may call `get`.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from shoal.exceptions import ClusterDiedError

if TYPE_CHECKING:
    from shoal.refs import ObjectRef


class RefFuture(Future[Any]):
    """Cancelling it does not cancel the task."""

    def __init__(self, ref: ObjectRef[Any]) -> None:
        super().__init__()
        self._ref = ref
        self._claim = threading.Lock()
        engine = ref._engine
        engine.when_ready(ref.binary(), lambda: engine.later(self._settle))

    def result(self, timeout: float | None = None) -> Any:
        return super().result(self._wait(timeout))

    def exception(self, timeout: float | None = None) -> BaseException | None:
        return super().exception(self._wait(timeout))

    def _wait(self, timeout: float | None) -> float | None:
        """Wait for the value itself; returns what is left of the time."""
        if self.done():
            return timeout
        deadline = None if timeout is None else time.monotonic() + timeout
        ref = self._ref
        try:
            ready = ref._engine.wait([ref.binary()], 1, timeout)
        except ClusterDiedError:
            ready = {ref.binary()}  # its error is the result
        if ready:
            self._settle()
        return None if deadline is None else max(0.0, deadline - time.monotonic())

    def _settle(self) -> None:
        if not self._claim.acquire(blocking=False):
            return  # somebody else does it
        if not self.set_running_or_notify_cancel():
            return
        try:
            value = self._ref._engine.get([self._ref.binary()], 0.0)[0]
        except BaseException as error:
            self.set_exception(error)
        else:
            self.set_result(value)
