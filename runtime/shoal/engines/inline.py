"""The engine `inline`: runs everything in the caller's thread at the moment it is submitted.

Deterministic and easy to step through with a debugger. Values are packed and unpacked all the same, so what could not
travel fails here too, and what `get` returns is never the caller's own object.
"""

from __future__ import annotations

import collections
import contextlib
import os
import time
import types
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Any

from shoal import context
from shoal.counts import RefCounts
from shoal.engines.base import Found, Work
from shoal.engines.inline_places import InlinePlaces
from shoal.engines.inline_streams import InlineStream, Value, dynamic, fill, items
from shoal.engines.streams import MARK
from shoal.errors import name_taken, named_error, of_argument, pack_error, unpack_error
from shoal.exceptions import (
    ActorDiedError,
    ActorLeaving,
    ActorNameTakenError,
    EngineUnavailable,
    GetTimeoutError,
    ObjectLostError,
)
from shoal.feed_rows import FAILED, FINISHED, KEPT, TaskRow
from shoal.generators import ObjectRefGenerator
from shoal.ids import TASK, IdMaker, returns
from shoal.implicit import method_of
from shoal.refs import ObjectRef
from shoal.returned import Missing
from shoal.runtime_env import RuntimeEnv
from shoal.scheduler.lives import obituary
from shoal.serial import NONE, Packed, pack, unpack
from shoal.series import Series
from shoal.trace import History, Span


class _Actor:
    def __init__(self, work: Work, namespace: str) -> None:
        self.work = work
        self.namespace = namespace
        self.instance: Any = None
        self.died: str | None = None


class InlineEngine:
    """See `shoal.engines.base.Engine`. Nothing is ever pending, so `wait` and `cancel` have little to do."""

    name = "inline"
    alive = True

    def __init__(self) -> None:
        self._ids = IdMaker()
        self._values: dict[bytes, tuple[Packed, bool]] = {}
        self._functions: dict[bytes, Any] = {}
        self._actors: dict[bytes, _Actor] = {}
        self._names: dict[tuple[str, str], bytes] = {}
        self.namespace = str(uuid.uuid4())
        self._pins: dict[bytes, int] = {}
        self._streams: dict[bytes, InlineStream] = {}
        self._abandoned: list[InlineStream] = []
        self._history: collections.deque[Span] = collections.deque(maxlen=KEPT)
        self._places = InlinePlaces()
        self._series = Series()
        self._loop: Any = None
        self._inhabited: dict[bytes, bytes] = {}
        """By task that runs, the actor whose call it is."""
        self.counts = RefCounts(lambda i: None, self._unreferenced)

    # lifetimes: an object lives while a ref or a container of it does

    def _settle(self) -> None:
        """Let go of what was dropped; generators that nobody reads any more end where they are."""
        self.counts.settle()
        while self._abandoned:
            self._abandoned.pop().close()

    def _unreferenced(self, object_id: bytes) -> None:
        if self._pins.get(object_id):
            return
        found = self._values.pop(object_id, None)
        if found is not None:
            self._unpin(found[0].contained)
        elif object_id.endswith(MARK):
            stream = self._streams.pop(object_id[:TASK])
            for unread in stream.unread():
                self._unreferenced(unread)
            self._abandoned.append(stream)
        actor = self._actors.get(object_id)
        if actor is not None and actor.died is None and not actor.work.detached:
            self._end(object_id, "all references to the actor were removed")

    def _pin(self, contained: Sequence[bytes]) -> None:
        for inner in contained:
            self._pins[inner] = self._pins.get(inner, 0) + 1

    def _unpin(self, contained: Sequence[bytes]) -> None:
        for inner in contained:
            self._pins[inner] -= 1
            if not self._pins[inner]:
                del self._pins[inner]
                if inner not in self.counts:
                    self._unreferenced(inner)

    def _keep(self, object_id: bytes, packed: Packed, failed: bool) -> None:
        self._pin(packed.contained)
        # The buffers are still the caller's own: what is kept is a copy.
        self._values[object_id] = (packed._replace(buffers=[bytes(b) for b in packed.buffers]), failed)

    # work

    def submit(self, work: Work, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        return self._run(work, lambda: self._function(work), args, kwargs)

    def call(self, actor: bytes, work: Work, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        def method() -> Any:
            record = self._actors.get(actor)
            reason = "all references to the actor were removed" if record is None else record.died
            if record is None or reason is not None:
                error = ActorDiedError(f"{work.name}(): {obituary(None, reason or '')}")
                error.actor_id = actor.hex()
                raise error
            return method_of(record.instance, work.method)

        return self._run(work, method, args, kwargs, actor)

    def create_actor(
        self, work: Work, args: tuple[Any, ...], kwargs: dict[str, Any], get_if_exists: bool = False
    ) -> bytes | Found:
        self._settle()
        namespace = work.namespace or self.namespace
        if work.actor_name:
            found = self.find_actor(work.actor_name, namespace)
            if found is not None and get_if_exists:
                return found
            if found is not None:
                raise ActorNameTakenError(name_taken(work.actor_name, namespace))
        actor = self._ids.next()
        if work.actor_name:
            self._names[namespace, work.actor_name] = actor
        record = self._actors[actor] = _Actor(work, namespace)
        self.counts.add_new(actor)

        def construct(*a: Any, **k: Any) -> None:
            record.instance = self._function(work)(*a, **k)

        for ref in self._run(work, lambda: construct, args, kwargs):
            packed, failed = self._values[ref.binary()]
            if failed:
                wrong = unpack_error(packed)
                how = getattr(wrong, "remote_traceback", "") or str(wrong)
                self._end(actor, f"of an error raised in its creation task, {work.name}.__init__():\n{how.rstrip()}")
        return actor

    def _function(self, work: Work) -> Any:
        if work.function not in self._functions:
            self._functions[work.function] = unpack(work.blob())
        return self._functions[work.function]

    def _run(
        self,
        work: Work,
        find: Callable[[], Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        actor: bytes | None = None,
    ) -> list[Any]:
        self._settle()
        task = self._ids.next()
        count = 1 if work.role == "actor" else work.returns
        ids = returns(task, count)
        started = time.time()
        error: BaseException | None = None
        packed_args = pack((args, kwargs), "an argument")
        self._pin(packed_args.contained)
        failed = self._failed_argument((*args, *kwargs.values()))
        if work.yields == "stream":
            return [self._open(work, task, self._yielded(work, task, find, packed_args, failed), packed_args.contained)]
        try:
            if failed is not None:
                values = [(of_argument(failed), True)] * count
            else:
                with self._inside(task, actor), self._places.inside(work):
                    try:
                        values = self._execute(work, self._call(find, packed_args))
                    finally:
                        if (why := context.leaves(task)) is not None:
                            raise ActorLeaving(why)
        except Exception as raised:
            error = raised
            values = [(pack_error(raised, work.name), True)] * count
        except ActorLeaving as leaving:
            if actor is not None:
                self._end(actor, str(leaving))
            message = f"{work.name}(): {obituary(None, str(leaving))}"
            values = [(named_error("ActorDiedError", message, actor or b""), True)] * count
        except KeyboardInterrupt:
            values = [(named_error("TaskCancelledError", f"{work.name}() was cancelled"), True)] * count
        self._unpin(packed_args.contained)
        for object_id, (value, bad) in zip(ids, values, strict=True):
            self._keep(object_id, value, bad)
            self.counts.add_new(object_id)
        self._note(work, task, started, any(bad for _, bad in values), error)
        return [ObjectRef._made(i, self) for i in ids]

    def _note(self, work: Work, task: bytes, started: float, bad: bool, error: BaseException | None) -> None:
        name = type(error).__name__ if error is not None else None
        row = TaskRow(
            task.hex(), work.name, context.get_cell(), FAILED if bad else FINISHED, "0", None, None,
            started, started, time.time(), name,
        )  # fmt: skip
        self._history.append(Span(list(row), "01000000", work.name, None))

    def _call(self, find: Callable[[], Any], packed: Packed) -> Any:
        function = find()
        args, kwargs = unpack(packed.stream, [bytes(b) for b in packed.buffers])
        args = tuple(self._resolve(a) for a in args)
        value = function(*args, **{k: self._resolve(v) for k, v in kwargs.items()})
        return self._run_coroutine(value) if type(value) is types.CoroutineType else value

    def _execute(self, work: Work, value: Any) -> list[Value]:
        if work.role == "actor":
            return [(pack(None), False)]
        if work.yields:
            value = dynamic(work, self._steps(work, value), self._kept)
        elif isinstance(value, (types.GeneratorType, types.AsyncGeneratorType)):
            return fill(work, self._steps(work, value))
        if work.returns == 1:
            return [(pack(value, f"what {work.name}() returned"), False)]
        if work.returns == 0:
            return []
        if not isinstance(value, (tuple, list)) or len(value) != work.returns:
            raise ValueError(
                f"{work.name}() has num_returns={work.returns} but returned {type(value).__name__}: "
                f"return a tuple or list of {work.returns}"
            )
        return [self._value(v, work.name) for v in value]

    def _value(self, value: Any, name: str) -> Value:
        if type(value) is Missing:
            return pack_error(value.error, name), True
        return value if type(value) is Packed else pack(value, f"what {name}() returned"), False

    # values one by one

    def _steps(self, work: Work, generator: Any) -> Any:
        """A generator that is gone through by `next`, whichever sort it is."""
        if isinstance(generator, types.AsyncGeneratorType):
            return self._async_steps(generator)
        if isinstance(generator, types.GeneratorType):
            return generator
        raise ValueError(f"{work.name}() is to yield its values, and returned {type(generator).__name__}")

    def _async_steps(self, generator: types.AsyncGeneratorType[Any, None]) -> Iterator[Any]:
        end = object()

        async def step() -> Any:
            return await anext(generator, end)

        while (item := self._run_coroutine(step())) is not end:
            yield item

    def _yielded(
        self, work: Work, task: bytes, find: Callable[[], Any], packed: Packed, failed: Packed | None
    ) -> Generator[Value]:
        """The task's items, each made inside the task."""
        values: Iterator[Value] = iter([] if failed is None else [(failed, True)])
        if failed is None:
            values = items(work, self._called(work, find, packed))
        while True:
            with self._inside(task), self._places.inside(work):
                value = next(values, None)
            if value is None:
                return
            yield value

    def _called(self, work: Work, find: Callable[[], Any], packed: Packed) -> Iterator[Any]:
        yield from self._steps(work, self._call(find, packed))

    def _open(self, work: Work, task: bytes, values: Generator[Value], pinned: Sequence[bytes]) -> ObjectRefGenerator:
        started = time.time()

        def over(error: Packed | None) -> None:
            self._unpin(pinned)
            if task in self.counts:
                self._keep(task, error or Packed(NONE, [], ()), error is not None)
            self._note(work, task, started, error is not None, None if error is None else unpack_error(error))

        self.counts.add_new(task)
        self.counts.add_new(task[:TASK] + MARK)
        stream = self._streams[task[:TASK]] = InlineStream(self, task, work.ahead, values, over)
        made = ObjectRefGenerator(ObjectRef._made(task, self), self, stream)
        stream.advance()
        return made

    def keep_item(self, object_id: bytes, packed: Packed, failed: bool) -> None:
        """An item that nobody has taken yet; of a stream that nobody reads it is let go."""
        if object_id[:TASK] in self._streams:
            self._keep(object_id, packed, failed)

    def take_item(self, object_id: bytes) -> ObjectRef[Any]:
        self.counts.add_new(object_id)
        return ObjectRef._made(object_id, self)

    def _kept(self, packed: Packed, failed: bool) -> ObjectRef[Any]:
        object_id = self._ids.next()
        self._keep(object_id, packed, failed)
        return self.take_item(object_id)

    def _run_coroutine(self, coroutine: Any) -> Any:
        """On one loop, as in a worker, since what coroutines share belongs to it; on a thread when one runs here."""
        import asyncio
        import threading

        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.new_event_loop()
        if loop.is_running():  # a call within a call: nobody may wait for the outer one's loop
            loop = asyncio.new_event_loop()
        found: list[Any] = []

        def run() -> None:
            try:
                found.append((loop.run_until_complete(coroutine), None))
            except BaseException as error:
                found.append((None, error))
            finally:
                if loop is not self._loop:
                    loop.close()

        try:
            asyncio.get_running_loop()
        except RuntimeError:
            run()
        else:
            thread = threading.Thread(target=run, name="shoal-inline")
            thread.start()
            thread.join()
        value, error = found[0]
        if error is not None:
            raise error
        return value

    def _resolve(self, value: Any) -> Any:
        return self.get([value.binary()], None)[0] if isinstance(value, ObjectRef) else value

    def _failed_argument(self, arguments: Sequence[Any]) -> Packed | None:
        for argument in arguments:
            if isinstance(argument, ObjectRef):
                argument.check()
                if argument.binary() not in self._values:
                    return named_error("ObjectLostError", "an argument is gone: its cluster was shut down")
                packed, failed = self._values[argument.binary()]
                if failed:
                    return packed
        return None

    @contextlib.contextmanager
    def _inside(self, task: bytes, actor: bytes | None = None) -> Iterator[None]:
        outer = context.get_task()
        context.set_task(task)
        if actor is not None:
            self._inhabited[task] = actor
        try:
            yield
        finally:
            context.set_task(outer)
            self._inhabited.pop(task, None)

    # objects

    def put(self, value: Any) -> ObjectRef[Any]:
        self._settle()
        return self._kept(pack(value), False)

    def get(self, ids: Sequence[bytes], timeout: float | None, writable: bool = False) -> list[Any]:
        self._settle()
        for object_id in ids:
            if object_id in self._values and self._values[object_id][1]:
                raise unpack_error(self._values[object_id][0])
        out = []
        for object_id in ids:
            if object_id not in self._values and object_id[:TASK] in self._streams:
                raise GetTimeoutError("the generator has not ended: it goes on when its items are taken")
            if object_id not in self._values:
                raise ObjectLostError("the object is gone: every ref to it was dropped")
            packed = self._values[object_id][0]
            out.append(unpack(packed.stream, [bytearray(b) for b in packed.buffers] if writable else packed.buffers))
        return out

    def wait(self, ids: Sequence[bytes], num_returns: int, timeout: float | None) -> set[bytes]:
        if not all(i in self._values or i[:TASK] in self._streams for i in ids):
            raise GetTimeoutError("an object that was never made will not come")
        return set(ids)

    def when_ready(self, object_id: bytes, call: Callable[[], None]) -> None:
        call()

    def await_group(self, group: bytes, value: Any) -> ObjectRef[Any]:
        if self._places.created(group):
            return self.put(value)
        object_id = self._ids.next()
        message = "the placement group is not ready, and on the engine 'inline' nothing happens while you wait"
        self._keep(object_id, named_error("GetTimeoutError", message), True)
        self.counts.add_new(object_id)
        return ObjectRef._made(object_id, self)

    def record(self, batch: Iterable[tuple[Any, ...]]) -> None:
        self._series.add(batch)

    def later(self, call: Callable[[], None]) -> None:
        call()

    def blocking(self, ready: Callable[[], bool]) -> contextlib.AbstractContextManager[object]:
        return contextlib.nullcontext()

    # the rest

    def cancel(self, task: bytes, force: bool, recursive: bool) -> None:
        """Whatever there is has finished already."""

    def cancel_cell(self, cell: str, actors_too: bool) -> int:
        return 0

    def kill(self, actor: bytes, restart: bool = False) -> None:
        self._end(actor, "it was killed by `ray.kill` or `shoal.kill`")

    def _end(self, actor: bytes, reason: str) -> None:
        record = self._actors[actor]
        if record.died is None:
            record.died, record.instance = reason, None
            if self._names.get((record.namespace, record.work.actor_name)) == actor:
                del self._names[record.namespace, record.work.actor_name]

    def pending_calls(self, actor: bytes) -> int:
        return 0

    def find_actor(self, name: str, namespace: str) -> Found | None:
        actor = self._names.get((namespace or self.namespace, name))
        if actor is None:
            return None
        work = self._actors[actor].work
        return Found(actor, work.function, work.name, work.methods)

    def use_namespace(self, namespace: str) -> None:
        self.namespace = namespace

    def _named(self, all_namespaces: bool, task: bytes | None) -> list[Any]:
        names = sorted(self._names)
        if all_namespaces:
            return [{"name": name, "namespace": namespace} for namespace, name in names]
        return [name for namespace, name in names if namespace == self.namespace]

    runtime_env = ""

    def use_runtime_env(self, env: RuntimeEnv) -> None:
        raise EngineUnavailable("the engine 'inline' has no runtime environments: use the engine 'local' for them")

    def query(self, what: str, *args: Any) -> Any:
        self._settle()
        if what in self._places.questions:
            return self._places.questions[what](*args)
        if what == "role":
            return None
        if what == "holders":
            return None
        if what == "why":
            return self._why(*args)
        if what == "named_actors":
            return self._named(*args)
        if what == "context":
            actor = self._inhabited.get(args[1])
            named = None if actor is None else self._actors[actor].work.actor_name
            return {
                "session": "inline", "folder": "", "job": "01000000",
                "node": self._places.node.id, "labels": dict(self._places.node.labels),
                "worker": "00" * 16, "name": None, "actor": actor, "actor_name": named, "namespace": self.namespace,
                "restarts": 0, "group": None, "captures": True, "resources": {"CPU": 1.0}, "gpus": [],
            }  # fmt: skip
        if what == "locations":
            sizes = [self._values[i][0].size if i in self._values and not self._values[i][1] else None for i in args[0]]
            return [(size, self._places.node.id) for size in sizes]
        if what == "metrics":
            return self._series.rows()
        if what == "timeline":
            return History(time.time(), self._history, {"0": ("0", os.getpid(), "127.0.0.1")}, {})
        if what == "status":
            return {"name": "inline", "workers": 0, "tasks": 0, "objects": len(self._values)}
        raise EngineUnavailable(f"the engine 'inline' has no {what}: use the engine 'local' for it")

    def _why(self, object_id: bytes) -> dict[str, Any]:
        """As the hub answers: nothing is pending for long where everything runs at once."""
        facts: dict[str, Any] = {"kind": "value", "name": ""}
        if object_id in self._actors:
            actor = self._actors[object_id]
            facts = {"kind": "actor", "name": actor.work.name, "pid": os.getpid()}
            return {**facts, "state": "alive", "ahead": 0, "now": []}
        if object_id not in self._values:
            return {**facts, "state": "unknown"}
        return {**facts, "state": "failed" if self._values[object_id][1] else "stored", "said": ""}

    def close(self) -> None:
        self.alive = False
        self._values.clear()
        self._actors.clear()
        if self._loop is not None:
            self._loop.close()
            self._loop = None
