"""Drivers that keep back what the hub has no room for: the real queues and the real scheduler, in a small world.

Messages arrive in their order on each channel, and in any order between channels.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal import backlog
from shoal.backlog import Backlog
from shoal.scheduler import commands as cmd
from shoal.scheduler import events as ev
from shoal.scheduler import placement
from shoal.scheduler.nodes import Node
from shoal.scheduler.resources import Resources, shape_of, units
from shoal.scheduler.state import Scheduler
from shoal.scheduler.tables import Kind, Shape

WINDOW, LOW = 2, 1
SHAPES = [shape_of({"CPU": 1}), shape_of({"CPU": 2})]
KINDS = [Kind(f"{i}{plain}".encode(), b"f", "f", "task", shape, (), 0, 0, plain=plain)
         for i, shape in enumerate(SHAPES) for plain in (True, False)]  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def small_windows() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backlog, "WINDOW", WINDOW)
        patch.setattr(placement, "LOW", LOW)
        yield


class Lane:
    def __init__(self, worker: int) -> None:
        self.worker = worker
        self.lease = 0
        self.pushed: dict[bytes, Any] = {}


class Driver:
    def __init__(self, world: World, number: int) -> None:
        self.world, self.number = world, number
        self.seconds: dict[bytes, float] = {}
        self.lanes: dict[int, Any] = {}
        self.backlogs = {shape: self.backlog(shape) for shape in SHAPES}
        self.handed = 0

    def backlog(self, shape: Shape) -> Backlog:
        return Backlog(shape, self.seconds, self.push, self.hand_over, self.want)  # type: ignore[arg-type]

    def submit(self, k: Kind) -> None:
        self.world.tasks += 1
        call: Any = SimpleNamespace(
            task=b"t%05d---------" % self.world.tasks, work=k, gone=False, lane=None, told=False
        )
        self.world.unfinished.add(call.task)
        queue = self.backlogs[k.shape]
        if k.plain and queue.accepts(call):
            queue.append(call)
        else:
            self.hand_over(call)

    def push(self, lane: Lane, call: Any) -> None:
        call.lane = lane
        lane.pushed[call.task] = call
        lease = lane.lease
        self.world.send((self.number, lane.worker), lambda: self.world.workers[lane.worker].push(self, lease, call))

    def hand_over(self, call: Any) -> None:
        k, world = call.work, self.world
        event = ev.Submitted(call.task, k.id, self.number, self.number, None, None, None, (), ())
        world.send((self.number, 0), lambda: world.do(event))

    def want(self, shape: Shape) -> None:
        self.world.send((self.number, 0), lambda: self.world.do(ev.Wanted(self.number, shape)))

    # what comes

    def lent(self, worker: int, lease: int, shape: Shape) -> None:
        queue = self.backlogs[shape]
        queue.admit(backlog.WINDOW)
        lane = self.lanes.setdefault(worker, Lane(worker))
        lane.lease = lease
        if lane not in queue.lanes:
            queue.lanes.append(lane)
        queue.feed()

    def over(self, worker: int, lease: int) -> None:
        lane = self.lanes[worker]
        for queue in self.backlogs.values():
            if lane in queue.lanes and lane.lease == lease:
                queue.lanes.remove(lane)
                queue.feed()

    def admitted(self, shape: Shape, room: int) -> None:
        self.backlogs[shape].admit(room)
        self.backlogs[shape].feed()

    def done(self, lane: int, call: Any, seconds: float) -> None:
        del self.lanes[lane].pushed[call.task]
        self.seconds[call.work.id] = seconds
        for queue in self.backlogs.values():
            if queue and self.lanes[lane] in queue.lanes:
                queue.feed()

    def returned(self, lane: int, calls: list[Any]) -> None:
        for call in calls:
            del self.lanes[lane].pushed[call.task]
        if calls:
            self.backlogs[calls[0].work.shape].put_back(calls)


class Worker:
    def __init__(self, world: World, number: int) -> None:
        self.world, self.number = world, number
        self.closed = 0
        self.lease: tuple[int, bool] | None = None
        """That is being closed."""
        self.queue: deque[tuple[Driver | None, Any]] = deque()

    def push(self, driver: Driver, lease: int, call: Any) -> None:
        if lease <= self.closed:
            self.give_back(driver, [call])
        else:
            self.queue.append((driver, call))

    def give_back(self, driver: Driver, calls: list[Any]) -> None:
        self.world.send((self.number, driver.number), lambda: driver.returned(self.number, calls))

    def close(self, lease: int) -> None:
        self.closed = lease
        running = [self.queue.popleft()] if self.queue and self.queue[0][0] is not None else []
        for driver in self.world.drivers.values():
            calls = [call for d, call in self.queue if d is driver]
            if calls:
                self.give_back(driver, calls)
        self.queue = deque([*running, *(entry for entry in self.queue if entry[0] is None)])
        if not running:
            self.say(ev.LeaseClosed(self.number, lease))

    def finish(self, seconds: float) -> None:
        driver, call = self.queue.popleft()
        self.world.unfinished.remove(call if driver is None else call.task)
        if driver is None:
            self.say(ev.Finished(self.number, call, "ok", (), seconds, None, ()))
            return
        self.world.send((self.number, driver.number), lambda: driver.done(self.number, call, seconds))
        record = self.world.scheduler.workers[self.number]
        if record.lease == self.closed:
            self.say(ev.LeaseClosed(self.number, self.closed))

    def say(self, event: ev.Event) -> None:
        self.world.send((self.number, 0), lambda: self.world.do(event))


class World:
    def __init__(self) -> None:
        self.scheduler = Scheduler(Node("head", Resources(units({"CPU": 2, "memory": 1})), 2, {}), 0)
        self.channels: dict[tuple[int, int], deque[Callable[[], None]]] = {}
        self.workers: dict[int, Worker] = {}
        self.tasks = 0
        self.unfinished: set[bytes] = set()
        self.drivers = {n: Driver(self, n) for n in (-1, -2)}
        self.do(*(ev.KindDefined(replace(k)) for k in KINDS), *(ev.ClientJoined(n) for n in self.drivers))
        self.scheduler.fill_pool()
        self.do()

    def send(self, channel: tuple[int, int], message: Callable[[], None]) -> None:
        self.channels.setdefault(channel, deque()).append(message)

    def do(self, *events: ev.Event) -> None:
        for command in self.scheduler.handle(*events):
            self.carry_out(command)

    def carry_out(self, command: cmd.Command) -> None:
        match command:
            case cmd.StartWorker(worker, _):
                self.workers[worker] = Worker(self, worker)
                self.send((worker, 0), lambda: self.do(ev.WorkerReady(worker)))
            case cmd.Run(worker, task, _, _):
                self.send((0, worker), lambda: self.workers[worker].queue.append((None, task)))
            case cmd.Lend(client, worker, lease, shape):
                self.send((0, client), lambda: self.drivers[client].lent(worker, lease, shape))
            case cmd.CloseLease(client, worker, lease):
                self.send((0, worker), lambda: self.workers[worker].close(lease))
                self.send((0, client), lambda: self.drivers[client].over(worker, lease))
            case cmd.Admit(client, shape, room):
                self.send((0, client), lambda: self.drivers[client].admitted(shape, room))
            case cmd.TakeBack(worker, tasks):
                self.send((0, worker), lambda: self.take_back(worker, tasks))
            case _:
                pass

    def take_back(self, worker: int, tasks: tuple[bytes, ...]) -> None:
        queue = self.workers[worker].queue
        back = tuple(t for t in tasks if (None, t) in list(queue)[1:])
        for task in back:
            queue.remove((None, task))
        self.workers[worker].say(ev.Returned(worker, back))

    def steps(self) -> list[Callable[[], Callable[[], None]]]:
        return [channel.popleft for channel in self.channels.values() if channel]

    def waiting(self) -> int:
        """The most that wait at the hub for one driver and shape: a window, and on top what workers gave back."""
        tasks = [t for t in self.scheduler.tasks.values() if t.kind.plain and t.worker is None]
        return max(Counter((t.client, t.kind.shape) for t in tasks).values(), default=0)

    def busy(self) -> list[Worker]:
        return [worker for worker in self.workers.values() if worker.queue]


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_all_that_waits_with_drivers_runs_and_the_hub_holds_a_window_of_it(data: Any) -> None:
    world = World()
    plain = [k for k in KINDS if k.plain]
    for _ in range(data.draw(st.integers(0, 60))):
        step = data.draw(st.integers(0, 9))
        if step < 3:
            driver = data.draw(st.sampled_from(list(world.drivers.values())))
            k = data.draw(st.sampled_from([*plain, *plain, *KINDS]))
            for _ in range(data.draw(st.sampled_from([1, 1, 8]))):
                driver.submit(k)
        elif step < 7:
            if steps := world.steps():
                data.draw(st.sampled_from(steps))()()
        elif busy := world.busy():
            data.draw(st.sampled_from(busy)).finish(data.draw(st.sampled_from([0.00001, 0.002, 1.0])))
        assert world.waiting() <= 2 * WINDOW
    while world.unfinished:
        if steps := world.steps():
            steps[0]()()
        else:
            assert world.busy(), "they wait for ever"
            world.busy()[0].finish(0.00001)


def test_the_hub_asks_for_no_more_while_enough_wait_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog, "WINDOW", 8)
    monkeypatch.setattr(placement, "LOW", 4)
    world = World()
    for _ in range(100):
        world.drivers[-1].submit(KINDS[0])
    while steps := world.steps():
        steps[0]()()
    assert 4 <= world.waiting() <= 8
