"""The world of `test_scheduler`, and more in it: nodes and placement groups; drivers with lanes; streams."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from shoal.scheduler import commands as cmd
from shoal.scheduler import events as ev
from shoal.scheduler.groups import CREATED, REMOVED, Group
from shoal.scheduler.nodes import Node
from shoal.scheduler.resources import Resources, units
from shoal.scheduler.tables import ACTOR, LEASED, LENT, Kind, Worker
from shoal.wishes import GROUP, Wish

from .test_scheduler import CELL, World, kind

STRATEGIES = ("PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD")


def taken(workers: list[Worker], seat: object) -> int:
    """Of the CPUs of a node, or of a bundle."""
    holding = [w for w in workers if w.state in (LEASED, LENT, ACTOR) and not w.blocked and w.seat is seat]
    return sum(dict(w.shape).get("CPU", 0) for w in holding)


class Places(World):
    """Nodes come, go and change, and placement groups."""

    def __init__(self) -> None:
        super().__init__()
        self.nodes: list[str] = []
        self.groups: list[Group] = []
        self.work: dict[bytes, Kind] = {}

    @precondition(lambda self: len(self.nodes) < 2)
    @rule(cpus=st.sampled_from([1, 2]))
    def a_node_comes(self, cpus: int) -> None:
        self.count += 1
        self.nodes.append(f"node {self.count}")
        self.do(ev.NodeAdded(Node(self.nodes[-1], Resources(units({"CPU": cpus})), 1, {})))

    @precondition(lambda self: self.nodes)
    @rule(data=st.data())
    def a_node_goes(self, data: Any) -> None:
        node = data.draw(st.sampled_from(self.nodes))
        self.nodes.remove(node)
        self.do(ev.NodeRemoved(node, "a test"))

    @rule(cpus=st.integers(2, 4))
    def the_head_has_more_or_fewer(self, cpus: int) -> None:
        head = next(iter(self.scheduler.nodes.table))
        self.do(ev.NodeResized(head, units({"CPU": cpus})["CPU"], cpus))

    @precondition(lambda self: self.drivers())
    @rule(data=st.data(), bundles=st.lists(st.sampled_from([0.5, 1, 2]), min_size=1, max_size=3),
          strategy=st.sampled_from(STRATEGIES), awaited=st.booleans())  # fmt: skip
    def makes_a_group(self, data: Any, bundles: list[float], strategy: str, awaited: bool) -> None:
        client, group = data.draw(st.sampled_from(self.drivers())), self.new_id()
        made = Group.of(group, [{"CPU": cpus} for cpus in bundles], [()] * len(bundles), strategy, job=client)
        self.groups.append(made)
        work = kind("inside", cpus=0.5, retries=1)
        self.work[group] = replace(work, id=b"in" + group, wish=Wish(GROUP, group=group))
        self.do(ev.GroupCreated(made), ev.KindDefined(replace(self.work[group])))
        if awaited:
            object_id = self.new_id()
            self.objects[object_id] = client
            self.do(ev.GroupAwaited(client, object_id, group))

    @precondition(lambda self: self.groups and self.drivers())
    @rule(data=st.data())
    def submits_to_a_group(self, data: Any) -> None:
        group = data.draw(st.sampled_from(self.groups))
        self.submit(self.work[group.id], data.draw(st.sampled_from(self.drivers())))

    @precondition(lambda self: self.groups)
    @rule(data=st.data())
    def removes_a_group(self, data: Any) -> None:
        group = data.draw(st.sampled_from(self.groups))
        self.groups.remove(group)
        self.do(ev.GroupRemoved(group.id))

    @invariant()
    def resources_balance(self) -> None:
        """What is free, what is held, and what is reserved are all there is: on each node, and in each bundle."""
        workers = list(self.scheduler.workers.values())
        table = self.scheduler.groups.table.values()
        places = [b.place for g in table if g.state != REMOVED for b in g.bundles if b.place is not None]
        for node in self.scheduler.nodes.alive:
            reserved = sum(p.resources.total["CPU"] for p in places if p.node is node)
            free = node.resources.free["CPU"]
            assert free + taken(workers, node) + reserved == node.resources.total["CPU"], node.id
        for place in places:
            if place.node.alive:
                assert place.resources.free["CPU"] + taken(workers, place) == place.resources.total["CPU"]
        for group in table:
            assert group.state != CREATED or all(b.place is not None for b in group.bundles), "all bundles or none"

    def teardown(self) -> None:
        """Groups that cannot be placed would have their tasks wait for good: all are removed first."""
        self.do(*(ev.GroupRemoved(group.id) for group in self.groups))
        super().teardown()
        self.resources_balance()


Places.TestCase.settings = settings(max_examples=40, stateful_step_count=50, deadline=None)
TestPlaces = Places.TestCase


PLAIN = [replace(kind("quick"), id=b"quick", plain=True), replace(kind("sure", retries=1), id=b"sure", plain=True)]


class Lent(World):
    """Drivers push tasks on lanes to workers that are lent to them, and tell of some."""

    def __init__(self) -> None:
        super().__init__()
        self.loans: dict[int, tuple[int, int]] = {}
        """By worker: to whom, and the lease."""
        self.closing: set[int] = set()
        self.pushed: dict[tuple[int, int], list[bytes]] = {}
        """By worker and driver, what it has not been answered: the first may have begun."""
        self.kind_of: dict[bytes, Kind] = {}
        self.begun: set[bytes] = set()
        self.told: set[bytes] = set()
        self.adopted: set[bytes] = set()
        self.do(*(ev.KindDefined(replace(k)) for k in PLAIN))

    def carry_out(self, command: cmd.Command) -> None:
        match command:
            case cmd.Lend(client, worker, lease, _):
                assert worker not in self.loans and not self.workers[worker], "lent to two, or at work"
                assert client not in self.left
                self.loans[worker] = client, lease
            case cmd.CloseLease(_, worker, lease):
                assert self.loans[worker][1] == lease
                self.closing.add(worker)
            case cmd.LaneAnswered(_, task):
                for calls in self.pushed.values():
                    if task in calls:
                        calls.remove(task)
                        break
            case _:
                super().carry_out(command)

    def on_lanes(self) -> list[tuple[int, int]]:
        return sorted(key for key, calls in self.pushed.items() if calls and self.loans.get(key[0], (0,))[0] == key[1])

    def know(self, task: bytes, client: int) -> None:
        self.submitted.setdefault(task, self.kind_of[task])
        if task not in self.told | self.adopted:
            self.objects[task] = client

    @precondition(lambda self: self.drivers())
    @rule(data=st.data())
    def wants_a_worker(self, data: Any) -> None:
        self.do(ev.Wanted(data.draw(st.sampled_from(self.drivers())), PLAIN[0].shape))

    @precondition(lambda self: set(self.loans) - self.doomed)
    @rule(data=st.data(), k=st.sampled_from(PLAIN))
    def pushes(self, data: Any, k: Kind) -> None:
        worker = data.draw(st.sampled_from(sorted(set(self.loans) - self.doomed)))
        client = self.loans[worker][0]
        if client not in self.left and worker not in self.closing:
            self.kind_of[task := self.new_id()] = k
            self.pushed.setdefault((worker, client), []).append(task)

    @precondition(lambda self: self.on_lanes())
    @rule(data=st.data())
    def tells(self, data: Any) -> None:
        worker, client = data.draw(st.sampled_from(self.on_lanes()))
        task = data.draw(st.sampled_from(self.pushed[worker, client]))
        if task not in self.told:
            self.know(task, client)
            self.told.add(task)
            k = self.kind_of[task].id
            self.do(ev.Told(task, k, client, client, CELL, None, None, worker, False))

    @precondition(lambda self: self.on_lanes())
    @rule(data=st.data(), adopts=st.booleans())
    def begins(self, data: Any, adopts: bool) -> None:
        worker, client = data.draw(st.sampled_from(self.on_lanes()))
        if worker not in self.doomed:
            self.begin(worker, client, adopts)

    def begin(self, worker: int, client: int, adopts: bool) -> None:
        task = self.pushed[worker, client][0]
        if task not in self.begun:
            self.begun.add(task)
            self.starts[task] += 1
        if adopts and task not in self.adopted:
            self.know(task, client)
            self.adopted.add(task)
            self.do(ev.Told(task, self.kind_of[task].id, client, client, CELL, None, None, worker, True))

    @precondition(lambda self: self.on_lanes())
    @rule(data=st.data(), well=st.booleans())
    def ends(self, data: Any, well: bool) -> None:
        worker, client = data.draw(st.sampled_from(self.on_lanes()))
        if worker not in self.doomed:
            self.end(worker, client, well)

    def end(self, worker: int, client: int, well: bool = True) -> None:
        task = self.pushed[worker, client][0]
        record = self.scheduler.tasks.get(task)
        cancelled = record is not None and record.cancelled
        self.begin(worker, client, cancelled)
        error = None if well else "ValueError"
        if task in self.adopted:
            outcome = "cancelled" if cancelled else "ok" if well else "error"
            self.do(ev.Finished(worker, task, outcome, ((),), 1e-4, error, (ev.Made(10, False),)))
        elif task in self.told:
            self.do(ev.ToldEnded(task, error))
        if task in self.pushed[worker, client]:
            self.pushed[worker, client].remove(task)

    @precondition(lambda self: self.closing)
    @rule()
    def closes(self) -> None:
        self.close(min(self.closing))

    def close(self, worker: int) -> None:
        """What has not begun goes back to its driver, who has the hub run it; then nothing runs there any more."""
        client, lease = self.loans[worker]
        calls = self.pushed.get((worker, client), [])
        back = [t for t in calls if t not in self.begun]
        for task in back:
            calls.remove(task)
            if client not in self.left:
                self.hand_over(task, client)
        if not calls:
            self.closing.discard(worker)
            del self.loans[worker]
            self.do(ev.LeaseClosed(worker, lease))

    def hand_over(self, task: bytes, client: int) -> None:
        self.know(task, client)
        self.told.add(task)
        self.do(self.submission(task, client))

    def submission(self, task: bytes, client: int) -> ev.Submitted:
        return ev.Submitted(task, self.kind_of[task].id, client, client, CELL, None, None, (), ())

    def bury(self, worker: int, begun: bool = True) -> None:
        self.loans.pop(worker, None)
        self.closing.discard(worker)
        super().bury(worker, begun)

    @precondition(lambda self: self.asked_lost)
    @rule()
    def says_that_nothing_was_lost(self) -> None:
        client, worker = self.asked_lost.pop(0)
        calls = self.pushed.pop((worker, client), [])
        for task in calls:
            self.know(task, client)
            self.told.add(task)
        self.do(ev.Lost(client, worker, tuple((self.submission(t, client), t in self.begun) for t in calls)))

    @precondition(lambda self: len(self.left) < 2)
    @rule(data=st.data(), really=st.integers(0, 9))
    def a_driver_leaves(self, data: Any, really: int) -> None:
        before = set(self.left)
        super().a_driver_leaves(data, really)
        for key in [key for key in self.pushed if key[1] in self.left - before]:
            del self.pushed[key]

    @invariant()
    def resources_balance(self) -> None:
        workers = list(self.scheduler.workers.values())
        node = self.scheduler.nodes.alive[0]
        assert node.resources.free["CPU"] + taken(workers, node) == node.resources.total["CPU"]

    @invariant()
    def workers_agree(self) -> None:
        for number, queue in self.workers.items():
            if number not in self.doomed and number not in self.stopping:
                running = [t for t in self.scheduler.workers[number].running if t not in self.kind_of or t in queue]
                assert running == [t for t in queue if not self.is_dropped(t)]

    def goes_on(self) -> bool:
        for worker, (client, _) in self.loans.items():
            if worker in self.doomed:
                continue
            if self.pushed.get((worker, client)):
                self.end(worker, client)
                return True
            if worker in self.closing or client in self.left:
                self.close(worker)
                return True
        return False


Lent.TestCase.settings = settings(max_examples=40, stateful_step_count=60, deadline=None)
TestLent = Lent.TestCase


GENERATORS = [
    replace(kind("stream"), id=b"stream", stream=True),
    replace(kind("again", retries=2), id=b"again", stream=True),
]


class Yields(World):
    """Tasks yield items to drivers that read, stop reading, lose them."""

    def __init__(self) -> None:
        super().__init__()
        self.yielded: Counter[bytes] = Counter()
        """In this run of the task."""
        self.read_by: dict[bytes, int] = {}
        self.items: Counter[bytes] = Counter()
        self.do(*(ev.KindDefined(replace(k)) for k in GENERATORS))

    def carry_out(self, command: cmd.Command) -> None:
        match command:
            case cmd.StoreItem(task, _, object_id):
                if task in self.read_by:
                    self.items[task] += object_id not in self.objects
                    self.objects[object_id] = self.read_by[task]
            case cmd.CopyError((only,), task) if task in self.read_by and only != task:
                self.items[task] += 1
                self.objects[only] = self.read_by[task]
            case cmd.EndStream(mark):
                task = mark[:13] + b"\0\0\0"
                if task in self.read_by:
                    self.objects[mark] = self.read_by[task]
            case cmd.Run(_, task, _, _):
                self.yielded[task] = 0
                super().carry_out(command)
            case _:
                super().carry_out(command)

    @precondition(lambda self: self.drivers())
    @rule(data=st.data(), k=st.sampled_from(GENERATORS))
    def opens_a_stream(self, data: Any, k: Kind) -> None:
        client = data.draw(st.sampled_from(self.drivers()))
        self.count += 1
        task = b"world---" + self.count.to_bytes(5, "big") + b"\0\0\0"
        self.count -= 1
        self.read_by[task] = client
        assert self.submit(k, client) == task

    def yielding(self) -> list[int]:
        return [w for w in self.busy() if self.submitted[self.workers[w][0]].stream and w not in self.blocked]

    @precondition(lambda self: self.yielding())
    @rule(data=st.data(), stored=st.booleans())
    def yields(self, data: Any, stored: bool) -> None:
        worker = data.draw(st.sampled_from(self.yielding()))
        task = self.workers[worker][0]
        number, self.yielded[task] = self.yielded[task], self.yielded[task] + 1
        self.do(ev.Yielded(worker, task, number, (), ev.Made(10, stored)))

    @precondition(lambda self: self.read_by)
    @rule(data=st.data(), unread=st.integers(1, 4))
    def stops_reading(self, data: Any, unread: int) -> None:
        self.stop_reading(data.draw(st.sampled_from(sorted(self.read_by))), unread)

    def stop_reading(self, task: bytes, unread: int) -> None:
        """From item `unread` on, if there are so many."""
        unread = min(unread, self.items[task] + 1)
        del self.read_by[task]
        for object_id in list(self.objects):
            if object_id[:13] == task[:13] and int.from_bytes(object_id[13:], "big") >= unread:
                del self.objects[object_id]
        self.do(ev.StreamDropped(task, unread))

    @precondition(lambda self: len(self.left) < 2)
    @rule(data=st.data(), really=st.integers(0, 9))
    def a_driver_leaves(self, data: Any, really: int) -> None:
        gone = {t for t, c in self.read_by.items() if c in self.left}
        super().a_driver_leaves(data, really)
        self.read_by = {t: c for t, c in self.read_by.items() if c not in self.left and t not in gone}

    def goes_on(self) -> bool:
        for task in list(self.read_by):
            self.stop_reading(task, 1)
            return True
        return False

    def teardown(self) -> None:
        super().teardown()
        assert not self.scheduler.streams.table, "nobody reads it, and nobody makes it"


Yields.TestCase.settings = settings(max_examples=40, stateful_step_count=50, deadline=None)
TestYields = Yields.TestCase
