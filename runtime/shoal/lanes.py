"""A driver's lanes: which of its calls go straight to a worker, and what the hub is told of them. See docs/lanes.md.

The engine asks `submit` and `call` first; what they do not take goes the hub's way.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from shoal.backlog import WINDOW, Backlog
from shoal.calls import Call, Tally
from shoal.counts import RefCounts
from shoal.exceptions import ClusterError
from shoal.lane import Lane
from shoal.link import Link
from shoal.scheduler.resources import shape_of
from shoal.scheduler.tables import OVERDUE, Shape
from shoal.shield import Shield
from shoal.wire import Message

SPIKE = 4.0
"""Times its function's mean that a task counts as having taken, at most; long ones are noticed by being overdue."""
BURST = 32
"""Calls that go out together, unless the worker has nothing to do."""
RECORDS = 512
RECORDS_AGE = 0.05
"""Records go to the hub when they are so many, or so old (seconds)."""


class Client(Protocol):
    """The engine, as the lanes see it."""

    @property
    def counts(self) -> RefCounts: ...

    def deliver(self, values: list[tuple[bytes, tuple[Any, ...]]]) -> None:
        """Values that came by a lane."""

    def submission(self, call: Call, before: tuple[int, int] = (0, 0)) -> Message:
        """The call as it goes to the hub; `before`: a worker, and how many calls on the lane to it come first."""

    def tell(self, call: Call) -> None:
        """Tell the hub of a call that is on a lane: from here on it knows the refs."""

    def release_dropped(self, call: Call) -> None:
        """To be called behind what has the hub know a call that was on a lane."""

    def definitions(self, call: Call, known: set[object]) -> list[Message]:
        """What a worker has to know before it can run the call, and does not yet."""


class _Route:
    """The way to one actor."""

    def __init__(self) -> None:
        self.lane: Lane | None = None
        self.open = False
        self.after = 0
        """Runs from the hub that the worker must have received before what comes by the lane."""
        self.posted = 0
        """Calls of ours that went the hub's way."""
        self.held: list[Call] | None = None
        """Calls that wait for word of a worker that died."""
        self.shut_at = -1
        """Calls that had gone the hub's way when it was last shut: an offer that knows of no later one is stale."""


class Lanes:
    """See the module. `_lock` guards all of it; inside, nothing is sent to the hub but by `Link.append`."""

    def __init__(self, client: Client, number: int, folder: Path, link: Link, shield: Shield) -> None:
        self._client = client
        self._number = number
        self._folder = folder
        self._link = link
        self._shield = shield
        self._lock = threading.RLock()
        self._lanes: dict[int, Lane] = {}
        self._backlogs: dict[Shape, Backlog] = {}
        self._backlog_of: dict[bytes, Backlog] = {}
        self._routes: dict[bytes, _Route] = {}
        self._seconds: dict[bytes, float] = {}
        self._calls: dict[bytes, Call] = {}
        self.held: dict[bytes, Call] = {}
        """Calls of actors that the hub is not yet told of, and no worker: whoever speaks of one waits."""
        self._unsent: dict[Lane, None] = {}
        self._records: list[tuple[Any, ...]] = []
        self._records_since = 0.0
        self._looked = 0.0
        self._tallies: dict[tuple[str | None, bytes], Tally] = {}
        self._tally = Tally(None, b"")  # of the latest call: the next is mostly like it
        self._counts_changed = False

    # tasks

    def submit(self, call: Call) -> bool:
        """Take a lean task; False when the hub should have it."""
        work = call.work
        with self._shield, self._lock:
            backlog = self._backlog_of.get(work.id)
            if backlog is None:
                backlog = self._backlog_of[work.id] = self._backlog(shape_of(work.resources))
            if not backlog.accepts(call):
                return False
            self._enter(call)
            backlog.append(call)
            if self._unsent:
                self._send_full()
        return True

    def _backlog(self, shape: Shape) -> Backlog:
        backlog = self._backlogs.get(shape)
        if backlog is None:
            backlog = Backlog(shape, self._seconds, self._push, self._hand_over, self._want)
            self._backlogs[shape] = backlog
        return backlog

    def _want(self, shape: Shape) -> None:
        self._link.append(("want", shape))
        self._link.kick()

    def _enter(self, call: Call) -> None:
        self._calls[call.task] = call
        if self._link.asleep:
            self._link.rouse()
        tally = self._tally
        if tally.kind != call.work.id or tally.cell != call.cell:
            tally = self._tally = self._tally_of(call)
        tally.left += 1
        call.tally = tally
        if call.needs:
            self._keep(call)

    def _tally_of(self, call: Call) -> Tally:
        key = (call.cell, call.work.id)
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tallies[key] = Tally(*key)
        return tally

    def _leave(self, call: Call) -> None:
        if self._calls.pop(call.task, None) is not None:
            if not call.told:
                self._uncount(call)
            if call.needs:
                self._let_go(call)

    def _keep(self, call: Call) -> None:
        """Hold what it needs: it may be handed to the hub yet."""
        for object_id in call.needs:
            self._client.counts.add_new(object_id)

    def _let_go(self, call: Call) -> None:
        for object_id in call.needs:
            self._client.counts.drop(object_id)

    def _uncount(self, call: Call) -> None:
        tally = call.tally
        tally.left -= 1
        if not tally.left:
            self._counts_changed = True

    def _to_hub(self, call: Call, before: tuple[int, int] = (0, 0)) -> None:
        self._link.append(self._client.submission(call, before))
        self._link.kick()

    # Calls that wait until they may go to the hub keep what they need, as those on a lane do.

    def _hold(self, call: Call) -> None:
        self.held[call.task] = call
        self._keep(call)

    def _release(self, call: Call, before: tuple[int, int] = (0, 0)) -> None:
        del self.held[call.task]
        self._to_hub(call, before)
        self._client.release_dropped(call)
        self._let_go(call)

    def _push(self, lane: Lane, call: Call, after: int = 0) -> None:
        known = lane.known
        if call.work.id not in known or call.environment not in known:
            for definition in self._client.definitions(call, known):
                lane.say(definition)
        call.lane, call.pushed_at = lane, time.monotonic()
        lane.pushed[call.task] = call
        lane.total += 1
        call.number = lane.total
        self._unsent[lane] = None
        lane.say(
            (
                "run", lane.lease, after, call.task, call.work.id, call.cell, (self._number, call.environment),
                call.payload, call.slots, call.deps, call.values,
            )
        )  # fmt: skip

    def _send_full(self) -> None:
        """What a worker waits for goes at once; what it has time for, with what follows."""
        unsent = self._unsent
        for lane in tuple(unsent):
            waiting = lane.unsent
            if waiting >= BURST or waiting >= len(lane.pushed):
                del unsent[lane]
                lane.flush()
        if unsent:
            self._link.kick()

    # actors

    def call(self, call: Call, lean: bool) -> None:
        """Take a call of an actor, for the lane or for the hub: the order of calls is kept here."""
        actor = call.actor or b""
        with self._shield, self._lock:
            route = self._routes.get(actor)
            if route is None:
                route = self._routes[actor] = _Route()
            lane = route.lane
            if lane is not None and lane.ended and route.held is None:
                route.held = []
            if route.held is not None:
                self._hold(call)
                route.held.append(call)
                return
            if lean and route.open and lane is not None:
                self._enter(call)
                self._push(lane, call, route.after)
                self._send_full()
                return
            route.open = False
            route.posted += 1
            if lane is None:
                self._link.append(self._client.submission(call))
            else:
                self._unsent.pop(lane, None)
                before = (lane.worker, lane.total)
                self._hold(call)
                lane.when_clear(lambda: self._release(call, before))
        self._link.nudge()

    def shut_route(self, actor: bytes) -> None:
        """The actor's end is on its way to the hub: what comes after goes that way too, until the next offer."""
        with self._shield, self._lock:
            route = self._routes.setdefault(actor, _Route())
            route.open, route.shut_at = False, route.posted

    # what the hub says

    def take_message(self, message: Message) -> bool:
        """Called by the thread that reads; False when it is not for the lanes."""
        tag = message[0]
        with self._lock:
            if tag == "lease":
                self._lent(*message[1:])
            elif tag == "lease_over":
                self._over(*message[1:])
            elif tag == "admit":
                self._admitted(*message[1:])
            elif tag == "offer":
                self._offered(*message[1:])
            elif tag == "lane_lost":
                self._lost(message[1])
            elif tag == "answered":
                self._answered(message[1])
            else:
                return False
            self._send_full()
        return True

    def _lane_to(self, worker: int) -> Lane | None:
        lane = self._lanes.get(worker)
        if lane is None:
            try:
                lane = Lane(worker, self._folder, self._number, self._link, self._lock, self._take)
            except (OSError, ClusterError):
                return None  # it has just died
            self._lanes[worker] = lane
        return lane

    def _lent(self, worker: int, lease: int, shape: Shape) -> None:
        backlog = self._backlog(shape)
        backlog.admit(WINDOW)  # it lends when none wait there
        lane = self._lane_to(worker)
        if lane is not None and not lane.ended:
            lane.lease = lease
            if lane not in backlog.lanes:
                backlog.lanes.append(lane)
        backlog.feed()

    def _admitted(self, shape: Shape, room: int) -> None:
        backlog = self._backlog(shape)
        backlog.admit(room)
        backlog.feed()

    def _over(self, worker: int, lease: int) -> None:
        lane = self._lanes.get(worker)
        if lane is not None and lane.lease == lease:
            self._shut(lane)

    def _shut(self, lane: Lane) -> None:
        """No more tasks on it. What waits, and has no lane left, goes to the hub by and by."""
        lane.lease = 0
        if lane.pushed and not lane.ended:
            # Some may have come after the worker looked through its lanes, and it may be busy: have it look again.
            self._unsent.pop(lane, None)
            lane.when_clear(lambda: self._poke(lane.worker))
        for backlog in self._backlogs.values():
            if lane in backlog.lanes:
                backlog.lanes.remove(lane)
                backlog.feed()

    def _poke(self, worker: int) -> None:
        self._link.append(("poke", worker))
        self._link.kick()

    def _hand_over(self, call: Call) -> None:
        call.lane = None
        self._to_hub(call)
        self._client.release_dropped(call)
        self._leave(call)

    def _offered(self, actor: bytes, worker: int, dealt: int, sent: int) -> None:
        route = self._routes.get(actor)
        if route is None or route.held is not None or dealt != route.posted or dealt <= route.shut_at:
            return
        lane = self._lane_to(worker)
        if lane is None:
            return
        route.lane, route.open, route.after = lane, True, sent

    def _lost(self, worker: int) -> None:
        """A worker is dead, and all that it said to the hub is here. What it has not answered is the hub's now."""
        lane = self._lanes.pop(worker, None)
        unanswered: list[tuple[Call, bool]] = []
        if lane is not None:
            self._unsent.pop(lane, None)
            lane.read_rest()
            self._shut(lane)
            unanswered = lane.unanswered()
            lane.forget()
        calls = []
        for call, begun in unanswered:
            call.lane = None
            if call.actor is not None:
                self._routes[call.actor].posted += 1
            calls.append((self._client.submission(call), begun))
        self._link.append(("lost", worker, calls))
        for call, _ in unanswered:
            self._client.release_dropped(call)
            self._leave(call)
        for route in self._routes.values():
            if lane is not None and route.lane is lane:
                route.lane, route.open = None, False
                held, route.held = route.held, None
                for call in held or ():
                    route.posted += 1
                    self._release(call)
        self._link.kick()

    # what comes by a lane

    def _take(self, lane: Lane, messages: list[Message]) -> None:
        values: list[tuple[bytes, tuple[Any, ...]]] = []
        records = self._records
        lane.answered_at = time.monotonic()
        for message in messages:
            if message[0] == "done":
                _, task, outcome, results, started, ended, error = message
                call = lane.pushed.pop(task, None)
                if call is None:
                    continue
                self._leave(call)
                values.extend(zip(call.returns, results, strict=False))
                work = call.work
                if outcome == "ok":
                    seconds = self._seconds
                    before = seconds.get(work.id)
                    took = max(ended - started, 1e-6)
                    # One that was preempted says little of its like: a single one may not make them seem long.
                    seconds[work.id] = took if before is None else 0.7 * before + 0.3 * min(took, SPIKE * before)
                if call.told:
                    self._link.append(("told_done", *message[1:]))
                    self._link.kick()
                else:
                    records.append(
                        (task, work.id, call.cell, call.actor, lane.worker, call.submitted, started, ended, error)
                    )
            else:
                self._returned(lane, message[1])
        if values:
            self._client.deliver(values)
        if lane.lease:
            for backlog in self._backlogs.values():
                if backlog and lane in backlog.lanes:
                    backlog.feed()
            self._send_full()

    def _returned(self, lane: Lane, tasks: Iterable[bytes]) -> None:
        """The worker has not begun them: they are first in their queue again. One that the hub knows of goes there."""
        again: dict[Backlog, list[Call]] = {}
        for task in tasks:
            call = lane.pushed.pop(task, None)
            if call is not None and call.told:
                self._hand_over(call)
            elif call is not None:
                call.lane = None
                again.setdefault(self._backlog_of[call.work.id], []).append(call)
        for backlog, calls in again.items():
            backlog.put_back(calls)

    def _answered(self, task: bytes) -> None:
        """A call that was on a lane has ended the hub's way."""
        call = self._calls.get(task)
        if call is not None:
            self._leave(call)
            if call.lane is not None:
                call.lane.pushed.pop(task, None)

    # telling

    def tell(self, call: Call) -> bool:
        """The hub has to know of it: somebody else will ask. False where it has ended, and its values are here."""
        with self._shield, self._lock:
            if call.task not in self._calls:
                return False
            if call.lane is None:
                call.gone = True
                self._hand_over(call)
            elif not call.told:
                call.told = True
                call.lane.flush()  # what the hub says of it is to find it there
                self._uncount(call)
                self._client.tell(call)
        return True

    def tell_all(self) -> None:
        """Before a question: the answer is to know of all that was pushed."""
        with self._shield, self._lock:
            self._send_records()
            for call in list(self._calls.values()):
                if call.lane is not None:
                    self.tell(call)

    def unfinished(self, task: bytes) -> Call | None:
        return self._calls.get(task)

    def waiting(self, task: bytes) -> Call | None:
        """A call that is here and nowhere else: it waits for a lane, or until it may go to the hub."""
        call = self._calls.get(task) or self.held.get(task)
        return call if call is not None and call.lane is None and not call.gone else None

    def ahead(self, call: Call) -> int:
        """How many of its like are before it, here and on the lanes that are open for them."""
        with self._lock:
            backlog = self._backlog_of.get(call.work.id)
            return 0 if backlog is None else backlog.ahead(call) + sum(len(lane.pushed) for lane in backlog.lanes)

    def needing(self, object_id: bytes) -> dict[str, int]:
        """How many calls that are here, and that no hub knows of, need an object, by the names of what they call."""
        found: dict[str, int] = {}
        with self._lock:
            for call in (*self._calls.values(), *self.held.values()):
                if object_id in call.needs and not call.told and call.actor != object_id:
                    found[call.work.name] = found.get(call.work.name, 0) + 1
        return found

    def withdraw(self, calls: Iterable[Call]) -> list[Call]:
        """Cancel: take those out that are not pushed yet, and return them; tell the hub of the others."""
        out = []
        with self._shield, self._lock:
            for call in calls:
                if call.lane is None:
                    call.gone = True
                    if call.task in self._calls:
                        self._leave(call)
                        out.append(call)
                else:
                    self.tell(call)
        return out

    def calls(self) -> list[Call]:
        """All that are not finished."""
        with self._lock:
            return list(self._calls.values())

    def of_cell(self, cell: str) -> list[Call]:
        with self._lock:
            return [call for call in self._calls.values() if call.cell == cell]

    # time

    @property
    def unsent(self) -> bool:
        return bool(self._unsent)

    @property
    def busy(self) -> bool:
        return bool(self._calls or self._records or self._counts_changed)

    def tick(self) -> None:
        """Called often, before something is sent to the hub, and by the attendant."""
        if not (self._unsent or self._records or self._calls or self._counts_changed):
            return
        with self._shield, self._lock:
            for lane in self._unsent:
                lane.flush()
            self._unsent.clear()
            now = time.monotonic()
            if len(self._records) >= RECORDS or now - self._records_since > RECORDS_AGE:
                self._send_records()

    def _send_records(self) -> None:
        self._records_since = time.monotonic()
        unfinished = {key: tally.left for key, tally in self._tallies.items() if tally.left}
        if self._records or unfinished or self._counts_changed:
            records, self._records = self._records, []
            if self._counts_changed:
                self._counts_changed = False
                self._tallies = {key: tally for key, tally in self._tallies.items() if tally.left}
                self._tally = Tally(None, b"")
            self._link.append(("ran", records, unfinished))

    def look(self) -> None:
        """Called by the attendant when all answers that were there have been read: what takes long is told of."""
        now = time.monotonic()
        if self._calls and now - self._looked >= OVERDUE:
            with self._shield, self._lock:
                self._looked = now
                self._look(now)

    def _look(self, now: float) -> None:
        for lane in self._lanes.values():
            for call in list(lane.pushed.values()):
                if now - max(call.pushed_at, lane.answered_at) < OVERDUE:
                    break
                if not call.told:
                    self.tell(call)
                if lane.lease:
                    if len(lane.pushed) > 1 and lane.keeps_busy(call, OVERDUE / 2):
                        self._link.append(("overdue", lane.worker, lane.lease))
                        self._shut(lane)
                    break  # only the first of tasks can be running

    def close(self) -> None:
        with self._lock:
            for lane in self._lanes.values():
                lane.forget()
            self._lanes.clear()
