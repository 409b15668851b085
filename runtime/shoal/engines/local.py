"""The engine `local`: this process's side of a cluster on this machine. Drivers and workers use the same.

What a process submits it owns: the hub sends it the values unasked. Values that others own are fetched once.
"""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any

from shoal import context
from shoal.calls import Call
from shoal.counts import RefCounts
from shoal.engines.arguments import pack_arguments
from shoal.engines.away import AWAY, Away
from shoal.engines.base import Found, Output, Work
from shoal.engines.demands import warn_if_too_large
from shoal.engines.later import Later
from shoal.engines.streams import MARK, Streams
from shoal.engines.unhandled import Unhandled
from shoal.engines.waiter import Waiter
from shoal.errors import marked, named_error, unpack_error
from shoal.exceptions import ClusterDiedError, GetTimeoutError
from shoal.generators import ObjectRefGenerator
from shoal.ids import IdMaker, returns, task_of
from shoal.lanes import Lanes
from shoal.link import Link
from shoal.refs import ObjectRef
from shoal.runtime_env import RuntimeEnv
from shoal.segments import HubSegments
from shoal.serial import Packed, pack, unpack
from shoal.shield import Shield
from shoal.spill import Vanished
from shoal.store import LARGE, Store
from shoal.surroundings import Surroundings
from shoal.wire import Message


class LocalEngine:
    """See `shoal.engines.base.Engine`."""

    name = "local"

    def __init__(
        self,
        sock: socket.socket,
        folder: Path,
        client: int,
        *,
        shield: Shield,
        on_message: Callable[[Message], None] | None = None,
        on_lost: Callable[[], None] = lambda: None,
        blocking: Callable[[Callable[[], bool]], AbstractContextManager[object]] = nullcontext,
        attend: bool = True,
    ) -> None:
        self.client = client
        self._ids = IdMaker()
        self._values: dict[bytes, tuple[Any, ...]] = {}
        self._waiting: dict[bytes, list[Waiter]] = {}
        self._expected: set[bytes] = set()
        self._known: set[bytes] = set()
        self._answers: dict[int, tuple[bool, Any]] = {}
        self._questions = itertools.count(1)
        self._on_message = on_message
        self.shield = shield
        self.blocking = blocking
        self._on_lost = on_lost
        self.later = Later()
        self.unhandled = Unhandled(self.later, client < 0)
        self._outputs: list[Callable[[Output], None]] = []
        self._lock = threading.Lock()
        self.counts = RefCounts(self._first_ref, self._last_ref)
        self._segments = HubSegments(folder, client, shield)
        self._away = Away(self, self._values, self._expected, self._lock)
        self.store = Store(
            self._segments, self.counts.add, self.counts.drop, self.reclaim, self._away.make_room, self._away.spared
        )
        self.lanes: Lanes | None = None
        self._private: dict[bytes, Call | None] = {}
        """Objects that the hub does not know: with the call that makes them, or None when they are here."""
        self.link = Link(
            sock, self._dispatch, shield=shield, tick=self._tick, watch=self._watch, busy=self._busy, dirty=self._dirty,
            on_lost=self._lost, attend_socket=attend,
        )  # fmt: skip
        if client < 0:  # a driver
            self.lanes = Lanes(self, client, folder, self.link, shield)
        self.surroundings = Surroundings(self.link.append, folder / "packages")
        self.streams = Streams(
            self._values, self._expected, self._lock, self.counts, lambda i: ObjectRef._made(i, self), self.link.post,
            self.link.append,
        )  # fmt: skip

    @property
    def alive(self) -> bool:
        return not self.link.lost

    def _tick(self) -> None:
        self.counts.settle()
        if self.lanes is not None:
            self.lanes.tick()

    def _watch(self) -> None:
        if self.lanes is not None:
            self.lanes.look()

    def _busy(self) -> bool:
        return len(self.counts) > 0 or (self.lanes is not None and self.lanes.busy)

    def _dirty(self) -> bool:
        return self.counts.has_dropped() or (self.lanes is not None and self.lanes.unsent)

    # refs

    def _first_ref(self, object_id: bytes) -> None:
        self.link.append(("borrow", (object_id,)))

    def _last_ref(self, object_id: bytes) -> None:
        if object_id.endswith(MARK):
            self.streams.dropped(object_id)
            return
        with self._lock:
            self.unhandled.dropped(object_id, self._values.pop(object_id, None))
            self._expected.discard(object_id)
            private = object_id in self._private
            if private and self._private[object_id] is None:
                del self._private[object_id]
        if not private:
            self.link.report(("release", (object_id,)))

    def reclaim(self) -> None:
        """Learn of every block that is free by now: the answer comes behind all that was said before it."""
        self.counts.settle()
        self.query("ping")

    # work

    def submit(self, work: Work, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        return self._send(work, None, args, kwargs)

    def call(self, actor: bytes, work: Work, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        return self._send(work, actor, args, kwargs)

    def create_actor(
        self, work: Work, args: tuple[Any, ...], kwargs: dict[str, Any], get_if_exists: bool = False
    ) -> bytes | Found:
        actor = self._ids.next()
        self.counts.add_new(actor)
        if not work.actor_name:
            self._send(work, actor, args, kwargs)
            return actor
        # The hub creates it or finds another, in one step: two that ask at once get the same.
        found: list[Any] = []
        try:
            self._send(work, actor, args, kwargs, lambda m: found.append(self.ask_hub("create", get_if_exists, *m[1:])))
        finally:
            if found != [None]:
                self.counts.drop(actor)
        return actor if found == [None] else Found(*found[0])

    def _send(
        self,
        work: Work,
        actor: bytes | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        post: Callable[[Message], None] | None = None,
    ) -> list[Any]:
        if work.id not in self._known:
            self._define(work)
        environment = self.surroundings.number(work.runtime_env)
        payload, slots, deps, holds, keep = pack_arguments(args, kwargs, self._put)
        holds = (*holds, *work.captured)
        task = self._ids.next()
        refs: list[Any] = []
        ids = () if work.role == "actor" else returns(task, work.returns)
        # Made before the task is sent: should an interrupt come, they go and with them what they stand for.
        for object_id in ids:
            self._expected.add(object_id)
            self.counts.add_made(object_id)
            refs.append(ObjectRef._made(object_id, self))
        if work.yields == "stream":
            self.unhandled.asked(ids)  # its error comes as an item too
            refs = [ObjectRefGenerator(refs[0], self, self.streams.open(task, work.ahead))]
        call = Call(
            task, work, actor, context.get_cell(), context.get_task(), environment,
            payload, slots, deps, holds, ids, time.time(),
        )  # fmt: skip
        lanes = self.lanes
        if lanes is None:
            (post or self.link.post)(self.submission(call))
        else:
            lean = work.plain and not (holds or keep or self.surroundings.base) and (not deps or self._fill_in(call))
            if lean:
                for object_id in ids:
                    self._private[object_id] = call
            elif deps or holds:
                self._export((*deps, *holds))
            if work.role == "method":
                lanes.call(call, lean)
            elif not (lean and lanes.submit(call)):
                (post or self.link.post)(self.submission(call))
        del keep  # until here the objects made of large arguments were held by their refs
        return refs

    # lanes: see docs/lanes.md

    def submission(self, call: Call, before: tuple[int, int] = (0, 0)) -> Message:
        """The call as it goes to the hub: from here on the hub knows its objects."""
        for object_id in call.returns:
            self._private.pop(object_id, None)
        if call.deps:
            self._export(call.deps)
        return (
            "submit", call.task, call.work.id, call.actor, call.cell, call.parent, call.environment,
            call.payload, call.slots, call.deps, call.holds, before,
        )  # fmt: skip

    def _fill_in(self, call: Call) -> bool:
        """Whether all its arguments are small values that are here; they ride along."""
        values = [self._values.get(dep) for dep in call.deps]
        if all(value is not None and value[0] == "i" for value in values):
            call.values = tuple(values)
            return True
        return False

    def _until_submitted(self, ids: Sequence[bytes]) -> None:
        """Wait for calls that are held back: a worker's death, or room in its socket, is awaited for moments only."""
        held = self.lanes.held if self.lanes is not None else {}
        if held and any(task_of(i) in held for i in ids):
            self.link.wait(lambda: not any(task_of(i) in held for i in ids))

    def _export(self, ids: Sequence[bytes]) -> None:
        """Have the hub know these objects, before it is told of something that holds them."""
        self._until_submitted(ids)
        self.unhandled.asked(ids)
        for object_id in ids:
            if object_id not in self._private:
                continue
            call = self._private.get(object_id)
            assert self.lanes is not None
            if call is not None and self.lanes.tell(call):
                continue
            with self._lock:
                value = self._values.get(object_id) if object_id in self._private else None
                self._private.pop(object_id, None)
            if value is not None:
                self.link.append(("put", object_id, value, ()))

    def share(self, ids: Sequence[bytes]) -> None:
        """Have the hub know these objects: somebody will ask it for them."""
        self._export(ids)

    def release_dropped(self, call: Call) -> None:
        """Behind what made the hub know a call: refs that went before are still to be released there."""
        dropped = tuple(i for i in call.returns if i not in self.counts)
        if dropped:
            self.link.append(("release", dropped))

    def tell(self, call: Call) -> None:
        for object_id in call.returns:
            self._private.pop(object_id, None)
        assert call.lane is not None
        self.link.append(("tell", call.task, call.work.id, call.actor, call.cell, call.parent, call.lane.worker))
        self.release_dropped(call)
        self.link.kick()

    def definitions(self, call: Call, known: set[object]) -> list[Message]:
        work = call.work
        out: list[Message] = []
        if work.id not in known:
            known.add(work.id)
            if work.role != "method" and work.function not in known:
                known.add(work.function)
                out.append(("function", work.function, work.blob()))
            out.append(("kind", work.id, work.kind()))
        if call.environment not in known:
            known.add(call.environment)
            around = self.surroundings.plain[call.environment]
            out.append(("environment", (self.client, call.environment), *around, ""))
        return out

    def deliver(self, values: list[tuple[bytes, tuple[Any, ...]]]) -> None:
        calls: list[Callable[[], None]] = []
        with self._lock:
            for object_id, value in values:
                self._values[object_id] = value
                if object_id in self._private:
                    self._private[object_id] = None
                self._settle(object_id, calls)
        for call in calls:
            call()

    def _settle(self, object_id: bytes, calls: list[Callable[[], None]]) -> None:
        """The value is here: whoever waits for it is told; the lock is held."""
        if object_id not in self.counts and not self.streams.reads(object_id):  # dropped while its value was on the way
            if (value := self._values.pop(object_id, None)) is not None:
                self.unhandled.came_late(object_id, value)
            self._private.pop(object_id, None)
            self._waiting.pop(object_id, None)
            return
        for waiter in self._waiting.pop(object_id, ()):
            self._count_down(waiter, object_id)
            if waiter.call is not None:
                calls.append(waiter.call)

    def _define(self, work: Work) -> None:
        if work.resources.get("CPU", 0) > 1 or len(work.resources) > 1 or work.wish is not None:
            warn_if_too_large(work, self.query("lacking", work.resources, work.wish))
        # A method runs on an actor that is there already: its handle may have come without the class.
        if work.role != "method" and work.function not in self._known:
            self.link.append(("function", work.function, work.blob()))
            self._known.add(work.function)
        self.link.append(
            (
                "kind", work.id, work.kind(), work.resources, work.held, work.actor_name, work.namespace,
                work.detached, work.methods, work.plain, work.wish,
            )
        )  # fmt: skip
        self._known.add(work.id)

    # objects

    def put(self, value: Any) -> ObjectRef[Any]:
        return self._put(pack(value))

    def _put(self, packed: Packed) -> ObjectRef[Any]:
        object_id = self._ids.next()
        with self.shield:  # an interrupt in between would leave memory taken that nobody knows of
            self._export(packed.contained)
            place = self.place(packed)
            self._values[object_id] = place
            self.counts.add_new(object_id)
            self.link.post(("put", object_id, place, packed.contained))
            return ObjectRef._made(object_id, self)

    def await_group(self, group: bytes, value: Any) -> ObjectRef[Any]:
        packed = pack(value)
        object_id = self._ids.next()
        with self.shield:
            self._expected.add(object_id)
            self.counts.add_new(object_id)
            self.link.post(("await_group", object_id, group, self.place(packed)))
            return ObjectRef._made(object_id, self)

    def put_error(self, value: tuple[Any, ...], contained: tuple[bytes, ...]) -> ObjectRef[Any]:
        """An object whose `get` raises."""
        object_id = self._ids.next()
        self._values[object_id] = value
        self.counts.add_new(object_id)
        self.link.post(("put", object_id, value, contained))
        return ObjectRef._made(object_id, self)

    def place(self, packed: Packed) -> tuple[Any, ...]:
        """A value as it travels: in the message when small, else in shared memory."""
        if packed.size >= LARGE:
            return self.store.put(packed)
        return ("i", packed.stream, [bytes(b) for b in packed.buffers])

    def load(
        self, object_id: bytes, value: tuple[Any, ...], writable: bool = False, deadline: float | None = None
    ) -> Any:
        """The Python object of a value; raises it if it is an error."""
        tag = value[0]
        if tag == "i":
            buffers = [bytearray(b) for b in value[2]] if writable else value[2]
            return unpack(value[1], buffers)
        if tag in ("s", "d"):
            with suppress(Vanished):
                return self.store.load(object_id, value, writable)
            return self.load(object_id, self._away.regain(object_id, value, deadline), writable, deadline)
        raise marked(unpack_error(Packed(value[1], value[2], ()), *value[3:]), object_id)

    def get(self, ids: Sequence[bytes], timeout: float | None, writable: bool = False) -> list[Any]:
        values = self._values
        deadline = None if timeout is None else time.monotonic() + timeout
        missing = {i for i in ids if i not in values}
        if missing and not self._any_failed(ids):
            waiter = Waiter(len(missing))
            if not self._await(missing, waiter, timeout):
                raise GetTimeoutError(f"{waiter.left} of {len(ids)} objects were not ready after {timeout:g} s")
        if self._any_failed(ids):  # though earlier ones may still run
            self.unhandled.asked(ids)
            ids = [i for i in ids if values.get(i, AWAY)[0] == "e"]
        away = [i for i in ids if values.get(i, AWAY) is AWAY]
        if away:
            self._away.recall(away, deadline)
        return [self._away.load(i, writable, deadline) for i in ids]

    def _any_failed(self, ids: Sequence[bytes]) -> bool:
        values = self._values
        return any(values.get(i, AWAY)[0] == "e" for i in ids)

    def wait(self, ids: Sequence[bytes], num_returns: int, timeout: float | None) -> set[bytes]:
        values = self._values
        while missing := {i for i in ids if i not in values}:
            short = num_returns - (len(ids) - len(missing))
            if short <= 0:
                break
            self._await(missing, Waiter(short), timeout, errors_end_it=False)
            if timeout is not None:
                break  # else it goes on as long as it takes: some may be lost meanwhile
        return {i for i in ids if i in values}

    def _await(self, missing: set[bytes], waiter: Waiter, timeout: float | None, errors_end_it: bool = True) -> bool:
        some = waiter.left < len(missing)  # which may be ready while others are not
        with self._lock:
            for object_id in missing:
                if object_id in self._values:
                    self._count_down(waiter, object_id)
                else:
                    self._waiting.setdefault(object_id, []).append(waiter)
            unasked = [i for i in missing if i not in self._expected]
            self._expected.update(unasked)
        if unasked:
            self.link.append(("fetch", tuple(unasked)))

        def ready() -> bool:
            return waiter.left <= 0 or (waiter.failed and errors_end_it)

        try:
            with self.blocking(ready):
                return self.link.wait(ready, timeout)
        finally:
            if waiter.left > 0 or some:
                with self._lock:
                    for object_id in missing:
                        waiters = self._waiting.get(object_id)
                        if waiters is not None and waiter in waiters:
                            waiters.remove(waiter)
                            if not waiters:
                                del self._waiting[object_id]

    def when_ready(self, object_id: bytes, call: Callable[[], None]) -> None:
        with self._lock:
            ready = object_id in self._values or self.link.lost
            unasked = not ready and object_id not in self._expected
            if not ready:
                self._waiting.setdefault(object_id, []).append(Waiter(1, call))
                self._expected.add(object_id)
        if ready:
            call()
            return
        self.link.attend()
        if unasked:
            self.link.post(("fetch", (object_id,)))

    def record(self, batch: Iterable[tuple[Any, ...]]) -> None:
        self.link.post(("metrics", batch))

    def _lost(self) -> None:
        self._tell_waiters()
        self._on_lost()

    def _tell_waiters(self) -> None:
        """What waits without a thread of its own is told that nothing will come any more."""
        with self._lock:
            calls = [w.call for waiters in self._waiting.values() for w in waiters if w.call is not None]
            self._waiting.clear()
        for call in calls:
            call()

    def _count_down(self, waiter: Waiter, object_id: bytes) -> None:
        waiter.left -= 1
        if self._values[object_id][0] == "e":
            waiter.failed = True

    # messages from the hub

    def _dispatch(self, message: Message) -> None:
        tag = message[0]
        if tag == "ready":
            _, object_id, value = message
            calls: list[Callable[[], None]] = []
            with self._lock:
                present = self._values.get(object_id, AWAY)
                if present[0] not in ("i", "e"):  # else a lane's answer was here before the hub ended the call
                    self._values[object_id] = value
                self._private.pop(object_id, None)
                known = object_id in self.counts or self.streams.reads(object_id)
                self._settle(object_id, calls)
            if not known:  # it was the client's own when its last ref went: the hub does not know of that
                self.link.report(("release", (object_id,)))
            for call in calls:
                call()
        elif tag == "output":
            output = Output(*message[1:])
            for handler in self._outputs:
                handler(output)
        elif tag == "answer":
            self._answers[message[1]] = message[2:]
        elif tag == "free":
            self.store.free(message[1], message[2])
        elif tag == "segment_gone":
            self.store.forget(message[1])
        elif tag in self._away.handlers:
            self._away.handlers[tag](*message[1:])
        elif tag == "dropped":
            why = message[1]
            self.link.last_words = lambda: f"it could not read what this process sent ({why})"
        elif self._on_message is not None:
            self._on_message(message)
        elif self.lanes is not None:
            self.lanes.take_message(message)

    def on_output(self, handler: Callable[[Output], None]) -> Callable[[], None]:
        """Have `handler` called with what tasks print; it runs in whichever thread reads. Returns its removal."""
        self._outputs.append(handler)
        return lambda: self._outputs.remove(handler)

    # the rest

    def cancel(self, task: bytes, force: bool, recursive: bool) -> None:
        if self.lanes is not None:
            self._until_submitted([task])
            call = self.lanes.unfinished(task)
            if call is not None and self._withdraw([call]):
                return
        self.link.post(("cancel", task, force, recursive))

    def cancel_cell(self, cell: str, actors_too: bool) -> int:
        withdrawn = 0 if self.lanes is None else self._withdraw(self.lanes.of_cell(cell))
        return withdrawn + int(self.query("cancel_cell", cell, actors_too))

    def _withdraw(self, calls: list[Call]) -> int:
        """Cancel those that no worker has been given; the hub is told of the others. Returns how many those were."""
        assert self.lanes is not None
        withdrawn = self.lanes.withdraw(calls)
        for call in withdrawn:
            packed = named_error("TaskCancelledError", f"{call.work.name}() was cancelled")
            error = ("e", packed.stream, list(packed.buffers))
            self.deliver([(object_id, error) for object_id in call.returns])
        if withdrawn:
            self.link.look_again()
        return len(withdrawn)

    def kill(self, actor: bytes, restart: bool = False) -> None:
        if self.lanes is not None:
            self.lanes.shut_route(actor)
        self.link.post(("kill", actor, restart))

    def pending_calls(self, actor: bytes) -> int:
        return int(self.query("pending_calls", actor, self.client))

    def find_actor(self, name: str, namespace: str) -> Found | None:
        found = self.query("find_actor", name, namespace, context.get_task())
        return None if found is None else Found(*found)

    def use_namespace(self, namespace: str) -> None:
        self.link.append(("namespace", namespace))

    def query(self, what: str, *args: Any, timeout: float = 30.0) -> Any:
        if self.lanes is not None and what != "ping":
            self.lanes.tell_all()
        return self._answer(next(self._questions), "ask", what, args, timeout=timeout)

    def ask_hub(self, tag: str, *args: Any) -> Any:
        """A question that is a message of its own, and whose answer may take as long as it wants."""
        return self._answer(next(self._questions), tag, *args, timeout=None)

    def _answer(self, question: int, tag: str, *args: Any, timeout: float | None) -> Any:
        self.link.post((tag, question, *args))
        if not self.link.wait(lambda: question in self._answers, timeout):
            raise ClusterDiedError(f"the hub has not answered for {timeout:g} s")
        good, answer = self._answers.pop(question)
        if not good:
            raise answer
        return answer

    @property
    def runtime_env(self) -> str:
        return self.surroundings.base

    def use_runtime_env(self, env: RuntimeEnv) -> None:
        self.surroundings.base = self.surroundings.settle(env)
        if env.get("config", {}).get("eager_install", True):
            self.surroundings.number(None)  # which tells of it
            self.link.append(("prepare", self.surroundings.base))
            self.link.flush()

    def linger(self, seconds: float) -> None:
        """Have the cluster wait so long for somebody after this process has gone."""
        self.link.append(("linger", seconds))
        self.link.flush()

    def close(self) -> None:
        self.link.close()
        if self.lanes is not None:
            self.lanes.close()
        self._tell_waiters()
        self.later.close()
        self.store.close()
        self._segments.close()
