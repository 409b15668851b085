"""The scheduler on any sequence of events: no task lost, none run twice, resources never exceeded.

A small world plays hub and workers: it carries out commands, and hypothesis chooses what happens next. When it is over,
everything is let finish, and the books must balance.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from shoal.scheduler import commands as cmd
from shoal.scheduler import events as ev
from shoal.scheduler.nodes import Node
from shoal.scheduler.resources import UNIT, Resources, shape_of, units
from shoal.scheduler.state import Scheduler
from shoal.scheduler.tables import ACTOR, ALIVE, DEAD, LEASED, QUEUED, Kind

DRIVERS = (-2, -3)
CELL = "s/c/1"
CPUS = 2
ENVS = ("", "", "red", "blue")
"""Runtime environments, with none twice as likely."""


def kind(name: str, role: str = "task", cpus: float = 1, returns: int = 1, retries: int = 0) -> Kind:
    key = f"{name}-{role}-{cpus}-{returns}-{retries}".encode()
    held = shape_of({}) if role == "actor" else ()
    return Kind(key, key, name, role, shape_of({"CPU": cpus}) if role != "method" else (), held, returns, retries)


TASKS = [
    kind("plain"), kind("free", cpus=0), kind("half", cpus=0.5), kind("wide", cpus=2),
    kind("pair", returns=2), kind("none", returns=0), kind("stubborn", retries=2),
]  # fmt: skip
CLASS = kind("Actor", "actor")
METHOD = kind("Actor.method", "method")


class World(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.scheduler = Scheduler(Node("head", Resources(units({"CPU": CPUS})), CPUS, {}))
        self.now = 0.0
        self.count = 0
        self.starting: list[int] = []
        self.envs: dict[int, str] = {}
        self.workers: dict[int, list[bytes]] = {}
        self.blocked: set[int] = set()
        self.asked_back: dict[int, list[tuple[bytes, ...]]] = {}
        self.doomed: set[int] = set()
        self.stopping: set[int] = set()
        self.submitted: dict[bytes, Kind] = {}
        self.objects: dict[bytes, int] = {}
        self.ended: Counter[bytes] = Counter()
        self.starts: Counter[bytes] = Counter()
        self.cancelled: set[bytes] = set()
        self.delivered: Counter[bytes] = Counter()
        self.freed: set[bytes] = set()
        self.actors: list[bytes] = []
        self.failed: set[bytes] = set()
        self.left: set[int] = set()
        self.do(*(ev.KindDefined(replace(k)) for k in [*TASKS, CLASS, METHOD]))
        self.do(*(ev.ClientJoined(d) for d in DRIVERS))
        self.scheduler.fill_pool()
        self.do()

    # the world

    def do(self, *events: ev.Event) -> None:
        for command in self.scheduler.handle(*events):
            self.carry_out(command)

    def carry_out(self, command: cmd.Command) -> None:
        match command:
            case cmd.StartWorker(worker, env):
                self.starting.append(worker)
                self.envs[worker] = env
            case cmd.Run(worker, task):
                assert not self.ended[task], "run after its end"
                assert all(task not in queue for queue in self.workers.values()), "with two workers at once"
                deps = self.scheduler.tasks[task].deps
                assert all(self.scheduler.objects.table[d].ready for d in deps), "run before its arguments"
                record = self.scheduler.tasks[task]
                assert record.kind.role == "method" or record.env == self.envs[worker], "in another environment"
                self.workers[worker].append(task)
            case cmd.TakeBack(worker, tasks):
                self.asked_back.setdefault(worker, []).append(tasks)
            case cmd.KillWorker(worker):
                self.doomed.add(worker)
            case cmd.StopWorker(worker):
                self.stopping.add(worker)
            case cmd.TaskEnded(task, error):
                self.ended[task] += 1
                assert self.ended[task] == 1, "ended twice"
                if error:
                    self.failed.add(task)
            case cmd.Free(object_id):
                self.freed.add(object_id)
            case cmd.Deliver(client, object_id):
                assert client not in self.left
                self.delivered[object_id] += 1
            case _:
                pass

    def new_id(self) -> bytes:
        self.count += 1
        return b"world---" + self.count.to_bytes(6, "big") + b"\0\0"

    def submit(self, k: Kind, client: int, deps: tuple[bytes, ...] = (), parent: bytes | None = None,
               actor: bytes | None = None, job: int | None = None, env: str = "") -> bytes:  # fmt: skip
        task = self.new_id()
        self.submitted[task] = k
        if k.role != "actor":
            for i in range(k.returns):
                self.objects[task[:14] + i.to_bytes(2, "big")] = client
        job = client if job is None else job
        self.do(ev.Submitted(task, k.id, client, job, CELL, parent, actor, deps, (), env))
        return task

    def drivers(self) -> list[int]:
        return [d for d in DRIVERS if d not in self.left]

    def held(self, client: int) -> list[bytes]:
        return [o for o, c in self.objects.items() if c == client]

    # what may happen

    @precondition(lambda self: self.drivers())
    @rule(data=st.data(), k=st.sampled_from(TASKS), env=st.sampled_from(ENVS))
    def submits(self, data: Any, k: Kind, env: str) -> None:
        client = data.draw(st.sampled_from(self.drivers()))
        mine = self.held(client)
        deps = tuple(data.draw(st.lists(st.sampled_from(mine), max_size=2))) if mine else ()
        self.submit(k, client, deps, env=env)

    @precondition(lambda self: self.starting)
    @rule(data=st.data())
    def worker_starts(self, data: Any) -> None:
        worker = data.draw(st.sampled_from(self.starting))
        self.starting.remove(worker)
        self.workers[worker] = []
        self.do(ev.WorkerReady(worker))

    @rule(env=st.sampled_from(ENVS[2:]))
    def an_environment_fails(self, env: str) -> None:
        self.starting = [w for w in self.starting if self.envs[w] != env]
        self.do(ev.EnvironmentFailed(env, "a test"))
        assert not any(t.env == env and t.state == QUEUED and t.kind.role != "method"
                       for t in self.scheduler.tasks.values())  # fmt: skip

    def busy(self) -> list[int]:
        return [w for w, queue in self.workers.items() if queue and w not in self.doomed]

    @precondition(lambda self: self.busy())
    @rule(data=st.data(), good=st.booleans(), seconds=st.sampled_from([0.00001, 0.001, 1.0]))
    def finishes(self, data: Any, good: bool, seconds: float) -> None:
        worker = data.draw(st.sampled_from(self.busy()))
        self.finish(worker, good, seconds)

    def finish(self, worker: int, good: bool = True, seconds: float = 0.001) -> None:
        task = self.workers[worker][0]
        if worker in self.blocked:
            self.unblock(worker)
        self.workers[worker].pop(0)
        record = self.scheduler.tasks.get(task)
        cancelled = record is not None and record.cancelled
        outcome = "cancelled" if cancelled else "ok" if good else "error"
        k = self.submitted[task]
        self.starts[task] += 1
        self.do(ev.Finished(worker, task, outcome, ((),) * k.returns, seconds, None if good else "ValueError"))

    @precondition(lambda self: bool([w for w in self.busy() if w not in self.blocked]))
    @rule(data=st.data(), nested=st.booleans())
    def blocks(self, data: Any, nested: bool) -> None:
        worker = data.draw(st.sampled_from([w for w in self.busy() if w not in self.blocked]))
        parent = self.workers[worker][0]
        record = self.scheduler.tasks.get(parent)
        if nested and record is not None and record.job in self.scheduler.clients:
            self.submit(TASKS[0], worker, (), parent, job=record.job)
        self.blocked.add(worker)
        self.do(ev.Blocked(worker))

    @precondition(lambda self: self.blocked)
    @rule(data=st.data())
    def unblocks(self, data: Any) -> None:
        self.unblock(data.draw(st.sampled_from(sorted(self.blocked))))

    def unblock(self, worker: int) -> None:
        self.blocked.discard(worker)
        self.do(ev.Unblocked(worker))

    @precondition(lambda self: any(self.asked_back.values()))
    @rule(data=st.data())
    def gives_back(self, data: Any) -> None:
        worker = data.draw(st.sampled_from([w for w, asked in self.asked_back.items() if asked]))
        self.give_back(worker)

    def give_back(self, worker: int) -> None:
        tasks = self.asked_back[worker].pop(0)
        if worker not in self.workers:
            return
        queue = self.workers[worker]
        back = tuple(t for t in tasks if t in queue[1:])
        for task in back:
            queue.remove(task)
        self.do(ev.Returned(worker, back))

    @precondition(lambda self: self.workers)
    @rule(data=st.data())
    def dies(self, data: Any) -> None:
        self.bury(data.draw(st.sampled_from(sorted(self.workers))))

    @precondition(lambda self: self.doomed & set(self.workers) or self.stopping & set(self.workers))
    @rule()
    def is_ended(self) -> None:
        self.bury(min((self.doomed | self.stopping) & set(self.workers)))

    def bury(self, worker: int) -> None:
        queue = self.workers.pop(worker)
        if queue:
            self.starts[queue[0]] += 1
        self.blocked.discard(worker)
        self.asked_back.pop(worker, None)
        for object_id, client in list(self.objects.items()):
            if client == worker:
                del self.objects[object_id]
        self.do(ev.WorkerDied(worker, "a test"))

    @precondition(lambda self: self.scheduler.tasks)
    @rule(data=st.data(), force=st.booleans(), recursive=st.booleans())
    def cancels(self, data: Any, force: bool, recursive: bool) -> None:
        task = data.draw(st.sampled_from(sorted(self.scheduler.tasks)))
        self.cancelled.add(task)
        self.do(ev.Cancelled(task, force, recursive))

    @rule(actors=st.booleans())
    def interrupts_cell(self, actors: bool) -> None:
        self.cancelled.update(self.scheduler.tasks)
        self.do(ev.CellCancelled(CELL, self.now, actors))

    @rule(seconds=st.sampled_from([0.02, 0.6, 3.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.do(ev.Tick(self.now))

    @precondition(lambda self: self.objects)
    @rule(data=st.data())
    def drops_a_ref(self, data: Any) -> None:
        object_id = data.draw(st.sampled_from(sorted(self.objects)))
        client = self.objects.pop(object_id)
        self.do(ev.Released(client, (object_id,)))

    @precondition(lambda self: self.drivers())
    @rule(data=st.data(), env=st.sampled_from(ENVS))
    def makes_an_actor(self, data: Any, env: str) -> None:
        client = data.draw(st.sampled_from(self.drivers()))
        actor = self.new_id()
        self.actors.append(actor)
        self.objects[actor] = client
        self.submit(CLASS, client, actor=actor, env=env)

    @precondition(lambda self: self.actors and self.drivers())
    @rule(data=st.data())
    def calls_an_actor(self, data: Any) -> None:
        actor = data.draw(st.sampled_from(self.actors))
        client = data.draw(st.sampled_from(self.drivers()))
        mine = self.held(client)
        deps = tuple(data.draw(st.lists(st.sampled_from([o for o in mine if o not in self.actors] or [b""]),
                                        max_size=1))) if mine else ()  # fmt: skip
        self.submit(METHOD, client, tuple(d for d in deps if d), actor=actor)

    @precondition(lambda self: self.actors)
    @rule(data=st.data())
    def kills_an_actor(self, data: Any) -> None:
        self.do(ev.ActorKilled(data.draw(st.sampled_from(self.actors)), "a test"))

    @precondition(lambda self: len(self.left) < len(DRIVERS))
    @rule(data=st.data(), really=st.integers(0, 9))
    def a_driver_leaves(self, data: Any, really: int) -> None:
        if really:
            return
        driver = data.draw(st.sampled_from(self.drivers()))
        self.left.add(driver)
        for object_id in self.held(driver):
            del self.objects[object_id]
        self.do(ev.ClientLeft(driver))

    # what must always hold

    @invariant()
    def resources_balance(self) -> None:
        taken = 0
        resumed = False
        for worker in self.scheduler.workers.values():
            if worker.state in (LEASED, ACTOR) and not worker.blocked:
                taken += dict(worker.shape).get("CPU", 0)
                resumed = resumed or worker.id in self.ever_blocked
        free = self.scheduler.nodes.sum("free")["CPU"]
        assert free + taken == CPUS * UNIT
        assert free >= 0 or resumed, "only one that goes on after a wait may exceed the CPUs"

    @property
    def ever_blocked(self) -> set[int]:
        return {e.worker for e in self.scheduler.log if isinstance(e, ev.Blocked)}

    @invariant()
    def every_task_is_somewhere(self) -> None:
        for task in self.submitted:
            assert (task in self.scheduler.tasks) != bool(self.ended[task]), "lost, or ended and still there"

    @invariant()
    def held_objects_are_kept(self) -> None:
        for object_id in self.objects:
            if object_id not in self.actors:
                assert object_id in self.scheduler.objects.table
                assert object_id not in self.freed

    @invariant()
    def workers_agree(self) -> None:
        for number, queue in self.workers.items():
            worker = self.scheduler.workers[number]
            if number not in self.doomed and number not in self.stopping:
                assert list(worker.running) == queue

    def teardown(self) -> None:
        """Let everything finish: nothing may be stuck, and nothing may be left."""
        for _ in range(10_000):
            if self.starting:
                worker = self.starting.pop()
                self.workers[worker] = []
                self.do(ev.WorkerReady(worker))
            elif any(self.asked_back.get(w) for w in self.workers):
                self.give_back(next(w for w in self.workers if self.asked_back.get(w)))
            elif (self.doomed | self.stopping) & set(self.workers):
                self.bury(min((self.doomed | self.stopping) & set(self.workers)))
            elif self.busy():
                self.finish(self.busy()[0])
            else:
                break
        else:
            raise AssertionError("it never comes to an end")
        stuck = {t: (r.kind.name, r.state, r.missing) for t, r in self.scheduler.tasks.items()}
        assert not stuck, f"never run: {stuck}"
        for task, k in self.submitted.items():
            assert self.ended[task] == 1
            assert self.starts[task] <= k.retries + 1, f"{k.name} was started {self.starts[task]} times"
        for object_id, client in list(self.objects.items()):
            self.do(ev.Released(client, (object_id,)))
        held = {c for w in self.workers for c in (w,)}
        left = [
            o for o, record in self.scheduler.objects.table.items() if not (record.holders & held) and not record.actor
        ]
        assert not left, f"held by nobody and still there: {left}"
        assert not self.scheduler.cells
        alive = [a for a in self.scheduler.actors.table.values() if a.state == ALIVE]
        assert not alive, "an actor without handles lives on"
        assert all(a.state == DEAD for a in self.scheduler.actors.table.values())


World.TestCase.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
TestWorld = World.TestCase
