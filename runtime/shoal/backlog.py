"""The tasks of one shape that wait in their driver, for a lane or for room at the hub. See docs/lanes.md.

Not all that is submitted goes to the hub at once: its memory, and the cost of a task, would grow with their number.
"""

from __future__ import annotations

import collections
import itertools
from collections.abc import Callable, Iterable, Mapping

from shoal.calls import Call
from shoal.lane import Lane
from shoal.scheduler.tables import AHEAD, SHORT, Shape

DEPTH = 512
"""Calls that are pushed ahead on a lane, at most."""
WINDOW = 2048
"""Tasks that are handed to the hub, at most, until it asks for more."""


class Backlog:
    """See the module. `seconds` is what a kind of task takes by its id; the three calls do what their names say.

    Invariant: while some wait and no lane is open, the hub knows of it (`wanted`): it lends a worker, or asks for more.
    """

    def __init__(
        self,
        shape: Shape,
        seconds: Mapping[bytes, float],
        push: Callable[[Lane, Call], None],
        hand_over: Callable[[Call], None],
        want: Callable[[Shape], None],
    ) -> None:
        self.lanes: list[Lane] = []
        """Those that are lent for this."""
        self.room = WINDOW
        """How many may be handed to the hub."""
        self._shape = shape
        self._seconds = seconds
        self._push = push
        self._hand_over = hand_over
        self._want = want
        self._wanted = False
        self._calls: collections.deque[Call] = collections.deque()

    def __bool__(self) -> bool:
        return bool(self._calls)

    def accepts(self, call: Call) -> bool:
        """Whether it is to be appended here; else it goes to the hub."""
        if self.lanes and (not self._is_long(call) or any(not lane.pushed for lane in self.lanes)):
            return True
        if self.room:
            self.room -= 1
            return False
        return True

    def _is_long(self, call: Call) -> bool:
        return self._seconds.get(call.work.id, 1.0) > SHORT

    def append(self, call: Call) -> None:
        self._calls.append(call)
        if len(self._calls) == 1:
            self.feed()

    def ahead(self, call: Call) -> int:
        """How many that wait here come before it."""
        before = itertools.takewhile(lambda other: other is not call, tuple(self._calls))
        return sum(not other.gone for other in before)

    def put_back(self, calls: Iterable[Call]) -> None:
        """They have their turn before the others."""
        self._calls.extendleft(reversed(list(calls)))
        self.feed()

    def admit(self, room: int) -> None:
        """The hub may be handed so many, after all that it had."""
        self._wanted = False
        self.room = room

    def feed(self) -> None:
        """Let what waits go where it can: on lanes if there are any, else to the hub as far as it has room."""
        calls = self._calls
        while calls:
            call = calls[0]
            if call.gone:
                calls.popleft()
                continue
            lane = self._open_lane(call)
            if lane is not None:
                self._push(lane, calls.popleft())
            elif self.room and (not self.lanes or self._is_long(call)):  # for this process may hang
                self.room -= 1
                self._hand_over(calls.popleft())
            else:
                if not self._wanted:
                    self._wanted = True
                    self._want(self._shape)
                return

    def _open_lane(self, call: Call) -> Lane | None:
        """The one with the least on it, if that leaves a place."""
        lanes = self.lanes
        if not lanes:
            return None
        lane, pushed = lanes[0], len(lanes[0].pushed)
        for other in lanes:
            if len(other.pushed) < pushed:
                lane, pushed = other, len(other.pushed)
        if pushed and (pushed >= DEPTH or pushed * self._seconds.get(call.work.id, 1.0) >= AHEAD):
            return None
        return lane
