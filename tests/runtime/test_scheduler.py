"""The scheduler on any sequence of events: no task lost, none run twice, resources never exceeded.

A small world plays hub and workers: it carries out commands, and hypothesis chooses what happens next. When it is over,
everything is let finish, and the books must balance.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from shoal.ids import value_of
from shoal.scheduler import commands as cmd
from shoal.scheduler import events as ev
from shoal.scheduler.nodes import Node
from shoal.scheduler.resources import UNIT, Resources, shape_of, units
from shoal.scheduler.state import Scheduler
from shoal.scheduler.tables import ACTOR, ALIVE, DEAD, LEASED, QUEUED, Kind

DRIVERS = (-2, -3)
CELL = "s/c/1"
CPUS = 2
LINEAGE = 5000
"""So few bytes that some of what is kept is soon dropped."""
PROCESSES = 5
"""So few that tasks which wait for tasks soon have them all."""
ENVS = ("", "", "red", "blue")
"""Runtime environments, with none twice as likely."""


def kind(name: str, role: str = "task", cpus: float = 1, returns: int = 1, retries: int = 0,
         restarts: int = 0, calls: int = 0) -> Kind:  # fmt: skip
    key = f"{name}-{role}-{cpus}-{returns}-{retries}-{restarts}-{calls}".encode()
    held = shape_of({}) if role == "actor" else ()
    shape = shape_of({"CPU": cpus}) if role != "method" else ()
    return Kind(key, key, name, role, shape, held, returns, retries, restarts=restarts, calls=calls)


TASKS = [
    kind("plain"), kind("free", cpus=0), kind("half", cpus=0.5), kind("wide", cpus=2),
    kind("pair", returns=2), kind("none", returns=0), kind("stubborn", retries=2),
    kind("wearing", calls=2), kind("wearing at once", calls=1, retries=1),
    kind("twins", returns=2, retries=-1), kind("again", retries=1),
]  # fmt: skip
CLASSES = [kind("Actor", "actor"), kind("Phoenix", "actor", restarts=2), kind("Cat", "actor", restarts=-1)]
METHODS = [kind("once", "method"), kind("stubborn", "method", retries=2), kind("endless", "method", retries=-1)]


class World(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.scheduler = Scheduler(Node("head", Resources(units({"CPU": CPUS, "memory": 1})), CPUS, {}), LINEAGE)
        self.scheduler.placement.pool.fewest = PROCESSES
        self.now = 0.0
        self.count = 0
        self.starting: list[int] = []
        self.envs: dict[int, str] = {}
        self.workers: dict[int, list[bytes]] = {}
        self.blocked: set[int] = set()
        self.awaited: dict[int, bytes | None] = {}
        self.asked_stuck: list[tuple[int, int]] = []
        self.asked_back: dict[int, list[tuple[bytes, ...]]] = {}
        self.doomed: set[int] = set()
        self.stopping: set[int] = set()
        self.submitted: dict[bytes, Kind] = {}
        self.objects: dict[bytes, int] = {}
        self.ended: Counter[bytes] = Counter()
        self.starts: Counter[bytes] = Counter()
        self.numbers: dict[bytes, int] = {}
        """Of what each worker was sent."""
        self.cancelled: set[bytes] = set()
        self.delivered: Counter[bytes] = Counter()
        self.freed: set[bytes] = set()
        self.actors: list[bytes] = []
        self.failed: set[bytes] = set()
        self.left: set[int] = set()
        self.sent: dict[tuple[int, int], list[bytes]] = {}
        self.kept: set[bytes] = set()
        self.forgotten: set[bytes] = set()
        self.asked_lost: list[tuple[int, int]] = []
        self.losses = 0
        self.again: set[bytes] = set()
        """Those that made values which were lost: they have had their turn, and have none any more."""
        self.do(*(ev.KindDefined(replace(k)) for k in [*TASKS, *CLASSES, *METHODS]))
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
            case cmd.Run(_, task) if task not in self.scheduler.tasks:
                pass  # the same event has ended it
            case cmd.Run(worker, task, number, _):
                assert number > max(self.numbers.get(t, 0) for t in [*self.workers[worker], b""])
                self.numbers[task] = number
                assert not self.ended[task] or self.submitted[task].role == "actor", "run after its end"
                assert task not in self.forgotten, "run without its arguments"
                self.check_order(worker, task)
                assert all(task not in queue for queue in self.workers.values()), "with two workers at once"
                deps = self.scheduler.tasks[task].deps
                assert all(self.scheduler.objects.table[d].ready for d in deps), "run before its arguments"
                record = self.scheduler.tasks[task]
                assert record.kind.role == "method" or record.env == self.envs[worker], "in another environment"
                self.workers[worker].append(task)
            case cmd.TakeBack(worker, tasks):
                self.asked_back.setdefault(worker, []).append(tasks)
            case cmd.AskStuck(worker, number):
                assert worker in self.blocked, "asked though it works"
                self.asked_stuck.append((worker, number))
            case cmd.Fail(_, "OutOfProcessesError", message):
                assert len(self.workers) + len(self.starting) >= PROCESSES, "there is room for processes"
                working = set(self.busy()) - self.blocked
                assert not working, f"{working} may end and take the task"
                assert "waits for" in message
            case cmd.KillWorker(worker):
                self.doomed.add(worker)
            case cmd.StopWorker(worker):
                self.stopping.add(worker)
            case cmd.TaskEnded(task, error, keep):
                self.ended[task] += 1
                assert self.ended[task] == 1, "ended twice"
                self.kept.discard(task)
                if keep:
                    self.kept.add(task)
                if error:
                    self.failed.add(task)
            case cmd.RunAgain(task):
                assert self.ended[task] == 1 and task in self.kept and task not in self.forgotten
                self.ended[task] = 0
                self.failed.discard(task)
                self.again.add(task)
            case cmd.Withdraw(_, clients):
                assert not self.left.intersection(clients)
            case cmd.Forget(task):
                assert task in self.kept, "it was not kept"
                assert task not in self.forgotten, "forgotten twice"
                self.forgotten.add(task)
            case cmd.LaneLost(client, worker):
                assert client not in self.left
                self.asked_lost.append((client, worker))
            case cmd.Free(object_id):
                self.freed.add(object_id)
            case cmd.Deliver(client, object_id):
                assert client not in self.left
                self.delivered[object_id] += 1
            case _:
                pass

    def check_order(self, worker: int, task: bytes) -> None:
        """The calls of one caller go to one process in their order, those too that another process had begun."""
        record = self.scheduler.tasks[task]
        if record.kind.role == "method" and task not in self.again:
            sent = self.sent.setdefault((worker, record.client), [])
            assert not sent or sent[-1] < task, "a later call of the caller went before"
            sent.append(task)

    def new_id(self) -> bytes:
        self.count += 1
        return b"world---" + self.count.to_bytes(5, "big") + b"\0\0\0"

    def submit(self, k: Kind, client: int, deps: tuple[bytes, ...] = (), parent: bytes | None = None,
               actor: bytes | None = None, job: int | None = None, env: str = "") -> bytes:  # fmt: skip
        task = self.new_id()
        self.submitted[task] = k
        if k.role != "actor":
            for i in range(k.returns):
                self.objects[value_of(task, i)] = client
        job = client if job is None else job
        self.do(ev.Submitted(task, k.id, client, job, CELL, parent, actor, deps, (), env))
        return task

    def drivers(self) -> list[int]:
        return [d for d in DRIVERS if d not in self.left]

    def held(self, client: int) -> list[bytes]:
        return [o for o, c in self.objects.items() if c == client]

    # what may happen

    @initialize(k=st.sampled_from([None, *CLASSES[1:]]), calls=st.lists(st.sampled_from(METHODS), max_size=4))
    def begins_with_an_actor_at_work(self, k: Kind | None, calls: list[Kind]) -> None:
        if k is None:
            return
        actor = self.new_id()
        self.actors.append(actor)
        self.objects[actor] = DRIVERS[0]
        self.submit(k, DRIVERS[0], actor=actor)
        worker = self.starting.pop(0)
        self.workers[worker] = []
        self.do(ev.WorkerReady(worker))
        self.finish(worker)
        for call in calls:
            self.submit(call, DRIVERS[0], actor=actor)

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
    @rule(data=st.data(), how=st.sampled_from(["ok", "ok", "error", "retry", "exit"]),
          seconds=st.sampled_from([0.00001, 0.001, 1.0]))  # fmt: skip
    def finishes(self, data: Any, how: str, seconds: float) -> None:
        worker = data.draw(st.sampled_from(self.busy()))
        self.finish(worker, how, seconds)

    def finish(self, worker: int, how: str = "ok", seconds: float = 0.001) -> None:
        stored = seconds > 0.0001  # the results of what takes longer are large
        task = self.workers[worker][0]
        if worker in self.blocked:
            self.unblock(worker)
        record = self.scheduler.tasks.get(task)
        if how == "retry" and self.submitted[task].role == "method" and record is not None:
            if record.retries and not record.cancelled:
                self.starts[task] += 1
                self.do(ev.Repeated(worker, task, "ValueError"))  # in its place
                return
        self.workers[worker].pop(0)
        cancelled = record is not None and record.cancelled
        k = self.submitted[task]
        how = "error" if how == "exit" and k.role == "task" else how
        outcome = "cancelled" if cancelled else how
        self.starts[task] += 1
        well = outcome == "ok"
        made = tuple(ev.Made(10, well and stored) for i in range(k.returns))
        self.do(ev.Finished(worker, task, outcome, ((),) * k.returns, seconds, None if well else "ValueError", made))

    @precondition(lambda self: bool([w for w in self.busy() if w not in self.blocked]))
    @rule(data=st.data(), nested=st.booleans())
    def blocks(self, data: Any, nested: bool) -> None:
        worker = data.draw(st.sampled_from([w for w in self.busy() if w not in self.blocked]))
        parent = self.workers[worker][0]
        record = self.scheduler.tasks.get(parent)
        self.awaited[worker] = None
        if nested and record is not None and record.job in self.scheduler.clients:
            self.awaited[worker] = self.submit(TASKS[0], worker, (), parent, job=record.job)
        self.blocked.add(worker)
        self.do(ev.Blocked(worker))

    @precondition(lambda self: self.blocked)
    @rule(data=st.data())
    def unblocks(self, data: Any) -> None:
        self.unblock(data.draw(st.sampled_from(sorted(self.blocked))))

    def unblock(self, worker: int) -> None:
        self.blocked.discard(worker)
        self.do(ev.Unblocked(worker))

    @precondition(lambda self: self.asked_stuck)
    @rule()
    def says_whether_it_is_stuck(self) -> None:
        worker, number = self.asked_stuck.pop(0)
        if worker in self.workers:
            stuck = worker in self.blocked and not self.ended[self.awaited[worker] or b""]
            self.do(ev.Stuck(worker, number, stuck))

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

    def in_store(self) -> list[bytes]:
        return sorted(o for o, record in self.scheduler.objects.table.items() if record.ready and record.home)

    @precondition(lambda self: self.in_store())
    @rule(data=st.data(), ask=st.booleans())
    def loses_values(self, data: Any, ask: bool) -> None:
        lost = data.draw(st.lists(st.sampled_from(self.in_store()), min_size=1, max_size=3, unique=True))
        self.losses += 1
        self.do(ev.ObjectsLost(tuple(lost), "a test"))
        held = [(self.objects[o], o) for o in lost if o in self.objects]
        if ask and held:
            self.do(ev.Fetched(held[0][0], (held[0][1],)))

    @precondition(lambda self: self.drivers())
    @rule(data=st.data())
    def puts(self, data: Any) -> None:
        object_id = self.new_id()
        client = self.objects[object_id] = data.draw(st.sampled_from(self.drivers()))
        self.do(ev.Put(client, object_id, (), made=ev.Made(1000, True)))

    @precondition(lambda self: self.workers)
    @rule(data=st.data(), begun=st.booleans())
    def dies(self, data: Any, begun: bool) -> None:
        worker = data.draw(st.sampled_from(sorted(self.workers)))
        self.bury(worker, begun or worker in self.blocked)

    @precondition(lambda self: self.asked_lost)
    @rule()
    def says_that_nothing_was_lost(self) -> None:
        self.do(ev.Lost(*self.asked_lost.pop(0), ()))

    @precondition(lambda self: self.doomed & set(self.workers) or self.stopping & set(self.workers))
    @rule()
    def is_ended(self) -> None:
        self.bury(min((self.doomed | self.stopping) & set(self.workers)))

    def bury(self, worker: int, begun: bool = True) -> None:
        """`begun`: its first call had begun."""
        queue = self.workers.pop(worker)
        had_begun = {self.numbers[queue[0]]} if queue and begun else set()
        if had_begun:
            self.starts[queue[0]] += 1
        self.blocked.discard(worker)
        self.asked_back.pop(worker, None)
        for object_id, client in list(self.objects.items()):
            if client == worker:
                del self.objects[object_id]
        self.do(ev.WorkerDied(worker, "a test", had_begun))

    @precondition(lambda self: self.scheduler.tasks)
    @rule(data=st.data(), force=st.booleans(), recursive=st.booleans())
    def cancels(self, data: Any, force: bool, recursive: bool) -> None:
        task = data.draw(st.sampled_from(sorted(self.scheduler.tasks)))
        self.cancelled.add(task)
        self.do(ev.Cancelled(task, force, recursive))

    @precondition(lambda self: any(task.orphaning for task in self.scheduler.tasks.values()))
    @rule()
    def its_code_hears_of_a_cancel(self) -> None:
        self.do(ev.CancelHeard(next(t.id for t in self.scheduler.tasks.values() if t.orphaning)))

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
    @rule(data=st.data(), k=st.sampled_from(CLASSES), env=st.sampled_from(ENVS))
    def makes_an_actor(self, data: Any, k: Kind, env: str) -> None:
        client = data.draw(st.sampled_from(self.drivers()))
        values = [o for o in self.held(client) if o not in self.actors]
        deps = tuple(data.draw(st.lists(st.sampled_from(values), max_size=1))) if values else ()
        actor = self.new_id()
        self.actors.append(actor)
        self.objects[actor] = client
        self.submit(k, client, deps, actor=actor, env=env)

    @precondition(lambda self: self.actors and self.drivers())
    @rule(data=st.data(), k=st.sampled_from(METHODS))
    def calls_an_actor(self, data: Any, k: Kind) -> None:
        actor = data.draw(st.sampled_from(self.actors))
        client = data.draw(st.sampled_from(self.drivers()))
        mine = self.held(client)
        deps = tuple(data.draw(st.lists(st.sampled_from([o for o in mine if o not in self.actors] or [b""]),
                                        max_size=1))) if mine else ()  # fmt: skip
        self.submit(k, client, tuple(d for d in deps if d), actor=actor)

    @precondition(lambda self: self.actors)
    @rule(data=st.data(), restart=st.booleans())
    def kills_an_actor(self, data: Any, restart: bool) -> None:
        self.do(ev.ActorKilled(data.draw(st.sampled_from(self.actors)), "a test", restart))

    @precondition(lambda self: len(self.left) < len(DRIVERS))
    @rule(data=st.data(), really=st.integers(0, 9))
    def a_driver_leaves(self, data: Any, really: int) -> None:
        if really:
            return
        driver = data.draw(st.sampled_from(self.drivers()))
        self.left.add(driver)
        self.cancelled.update(t.id for t in self.scheduler.tasks.values() if t.job == driver)
        self.asked_lost = [(c, w) for c, w in self.asked_lost if c != driver]
        for object_id in self.held(driver):
            del self.objects[object_id]
        self.do(ev.ClientLeft(driver))

    # what must always hold

    @invariant()
    def resources_balance(self) -> None:
        taken = 0
        resumed = False
        for worker in self.scheduler.workers.values():
            if worker.state == ACTOR or worker.state == LEASED and not worker.blocked:
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
        for task, k in self.submitted.items():
            if k.role == "actor" and self.ended[task]:
                continue  # it may be made again
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
                # Nobody waits for a call that was cancelled, though its actor may be at it still.
                assert list(worker.running) == [t for t in queue if not self.is_dropped(t)]

    def is_dropped(self, task: bytes) -> bool:
        return self.submitted[task].role == "method" and task in self.cancelled and bool(self.ended[task])

    def goes_on(self) -> bool:
        """At the end: whether there was something to do that only a larger world knows of; see `test_worlds`."""
        return False

    def teardown(self) -> None:
        """Let everything finish: nothing may be stuck, and nothing may be left."""
        # Actors that nobody ends may have all processes for good; that is no fault.
        self.scheduler.placement.pool.fewest = 1000
        self.do()
        for client, object_id in [(c, o) for o, c in self.objects.items() if o not in self.actors]:
            self.do(ev.Fetched(client, (object_id,)))
        for _ in range(10_000):
            if self.goes_on():
                pass
            elif self.starting:
                worker = self.starting.pop()
                self.workers[worker] = []
                self.do(ev.WorkerReady(worker))
            elif self.asked_lost:
                self.says_that_nothing_was_lost()
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
            most = k.restarts if k.role == "actor" else k.retries
            assert most < 0 or self.starts[task] <= most + 1, f"{k.name} was started {self.starts[task]} times"
        for object_id, client in list(self.objects.items()):
            record = self.scheduler.objects.table.get(object_id)
            assert record is None or record.ready, "asked for, and not made again"
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
        assert self.kept <= self.forgotten, "what a task was submitted with is kept though it cannot run again"
        assert not self.scheduler.lineage.kept and not self.scheduler.lineage.size


World.TestCase.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
TestWorld = World.TestCase


STEPS = [
    "call once", "call stubborn", "call endless", "dies", "dies idly", "is killed", "starts",
    "ok", "retry", "error", "exit",
]  # fmt: skip


@given(k=st.sampled_from(CLASSES[1:]), steps=st.lists(st.sampled_from([*STEPS[:7], *STEPS]), max_size=25))
@settings(max_examples=200)
def test_an_actor_through_its_crashes(k: Kind, steps: list[str]) -> None:
    """The same world with nothing in it but one actor and two callers, so that crashes meet many calls."""
    world = World()
    world.begins_with_an_actor_at_work(k, [])
    actor = world.actors[0]
    for number, step in enumerate(steps):
        working = world.busy()
        if step.startswith("call"):
            call = next(m for m in METHODS if m.name == step.removeprefix("call "))
            world.submit(call, DRIVERS[number % 2], actor=actor)
        elif step.startswith("dies") and working:
            world.bury(working[0], step == "dies")
        elif step == "is killed":
            world.do(ev.ActorKilled(actor, "a test", True))
            if world.doomed & set(world.workers):
                world.is_ended()
        elif step == "starts" and world.starting:
            worker = world.starting.pop(0)
            world.workers[worker] = []
            world.do(ev.WorkerReady(worker))
        elif step in ("ok", "retry", "error", "exit") and working:
            first = world.workers[working[0]][0]
            world.finish(working[0], "ok" if world.submitted[first].role == "actor" else step)
        world.resources_balance()
        world.every_task_is_somewhere()
        world.workers_agree()
    world.teardown()


MAKERS = [k for k in TASKS if k.name in ("twins", "again", "plain")]
LOSSES = ["make", "make", "put", "end", "end", "end small", "lose", "lose", "ask", "drop", "die"]


STEP = st.tuples(st.sampled_from(LOSSES), st.integers(0, 8), st.integers(0, 8))


@given(steps=st.lists(STEP, min_size=25, max_size=60))
@settings(max_examples=100, deadline=None)
def test_values_that_are_lost_are_made_again(steps: list[tuple[str, int, int]]) -> None:
    """The same world with little in it but tasks that use one another's results, so that losses meet all of them."""
    world = World()
    for step, one, other in steps:
        while world.starting:
            worker = world.starting.pop(0)
            world.workers[worker] = []
            world.do(ev.WorkerReady(worker))
        mine, there, working = sorted(world.objects), world.in_store(), world.busy()
        if step == "make":
            deps = {mine[i % len(mine)] for i in (one, other) if i < 6 and mine}
            world.submit(MAKERS[one % len(MAKERS)], DRIVERS[0], tuple(sorted(deps)))
        elif step == "put":
            world.objects[object_id := world.new_id()] = DRIVERS[0]
            world.do(ev.Put(DRIVERS[0], object_id, (), made=ev.Made(1000, True)))
        elif step.startswith("end") and working:
            world.finish(working[one % len(working)], seconds=0.001 if step == "end" else 0.00001)
        elif step == "lose" and there:
            world.do(ev.ObjectsLost(tuple({there[i % len(there)] for i in (one, other)}), "a test"))
        elif step == "ask" and mine:
            world.do(ev.Fetched(DRIVERS[0], (mine[one % len(mine)],)))
        elif step == "drop" and mine:
            world.do(ev.Released(world.objects.pop(mine[one % len(mine)]), (mine[one % len(mine)],)))
        elif step == "die" and working:
            world.bury(working[one % len(working)])
        world.every_task_is_somewhere()
        world.held_objects_are_kept()
        world.workers_agree()
    world.teardown()


def test_a_call_that_fails_with_its_argument_is_sent_to_no_actor() -> None:
    world = World()
    world.begins_with_an_actor_at_work(CLASSES[0], [])
    driver, actor, once = DRIVERS[0], world.actors[0], METHODS[0]
    (worker,) = world.workers
    first = world.submit(TASKS[0], driver)
    second = world.submit(once, driver, (value_of(first, 0),), actor=actor)
    third = world.submit(once, driver, (value_of(second, 0),), actor=actor)
    world.cancelled.update((first, second, third))
    world.do(ev.Cancelled(second, False, False))
    assert world.ended[third] and not world.workers[worker]
    world.workers_agree()
    world.teardown()
