"""Trees of tasks that wait for their children, on few processes: each ends, and fails only where nothing else could."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.scheduler import commands as cmd
from shoal.scheduler import events as ev
from shoal.scheduler.nodes import Node
from shoal.scheduler.resources import Resources, shape_of, units
from shoal.scheduler.state import Scheduler
from shoal.scheduler.tables import Kind

DRIVER = -2
FIB = Kind(b"fib", b"fib", "fib", "task", shape_of({"CPU": 1}), (), 1, 0)


class Forest:
    """Hub and workers: a task submits its children, waits for all of them and fails if one has failed."""

    def __init__(self, processes: int, cpus: int, levels: int, breadth: int) -> None:
        self.levels, self.breadth, self.processes = levels, breadth, processes
        self.scheduler = Scheduler(Node("head", Resources(units({"CPU": cpus, "memory": 1})), cpus, {}))
        self.scheduler.placement.pool.fewest = processes
        self.starting: list[int] = []
        self.queues: dict[int, list[bytes]] = {}
        self.waiting: dict[int, set[bytes]] = {}
        self.asked: list[cmd.AskStuck] = []
        self.level: dict[bytes, int] = {}
        self.ended: dict[bytes, str | None] = {}
        self.messages: list[str] = []
        self.most = 0
        self.do(ev.KindDefined(FIB), ev.ClientJoined(DRIVER))
        self.scheduler.fill_pool()
        self.do()

    def do(self, *events: ev.Event) -> None:
        commands = self.scheduler.handle(*events)
        if any(isinstance(command, cmd.Fail) for command in commands):
            assert not self.movable(), "somebody could have gone on"
            assert not self.starting
        for command in commands:
            match command:
                case cmd.StartWorker(worker, _):
                    self.starting.append(worker)
                case cmd.Run(worker, task, _, _):
                    self.queues[worker].append(task)
                case cmd.TakeBack(worker, tasks):
                    back = tuple(t for t in tasks if t in self.queues[worker][1:])
                    self.queues[worker] = [t for t in self.queues[worker] if t not in back]
                    self.do(ev.Returned(worker, back))
                case cmd.AskStuck():
                    self.asked.append(command)
                case cmd.Fail(_, error, message):
                    assert error == "OutOfProcessesError"
                    self.messages.append(message)
                case cmd.TaskEnded(task, error):
                    self.ended[task] = error
                case _:
                    pass
        self.most = max(self.most, len(self.queues) + len(self.starting))

    def submit(self, client: int, parent: bytes | None, level: int) -> bytes:
        task = b"forest--" + len(self.level).to_bytes(6, "big") + b"\0\0"
        self.level[task] = level
        self.do(ev.Submitted(task, FIB.id, client, DRIVER, None, parent, None, (), ()))
        return task

    def movable(self) -> list[int]:
        """Workers whose task can take a step."""
        return [w for w, queue in self.queues.items() if queue and not self.unfinished(w)]

    def unfinished(self, worker: int) -> set[bytes]:
        return {t for t in self.waiting.get(worker, ()) if t not in self.ended}

    def step(self, worker: int) -> None:
        task = self.queues[worker][0]
        level = self.level[task]
        if worker not in self.waiting and level < self.levels:
            self.waiting[worker] = {self.submit(worker, task, level + 1) for _ in range(self.breadth)}
            self.do(ev.Blocked(worker))
            return
        children = self.waiting.pop(worker, set())
        if children:
            self.do(ev.Unblocked(worker))
        error = next((e for c in children if (e := self.ended[c])), None)
        self.queues[worker].pop(0)
        self.do(ev.Finished(worker, task, "error" if error else "ok", ((),), 1.0, error))

    def run(self, choose: Any) -> None:
        while True:
            moves: list[tuple[str, Any]] = [("step", w) for w in self.movable()]
            moves += [("start", w) for w in self.starting]
            moves += [("answer", a) for a in self.asked[:1]]
            if not moves:
                return
            what, who = choose(moves)
            if what == "step":
                self.step(who)
            elif what == "start":
                self.starting.remove(who)
                self.queues[who] = []
                self.do(ev.WorkerReady(who))
            else:
                self.asked.remove(who)
                stuck = who.worker in self.waiting and bool(self.unfinished(who.worker))
                self.do(ev.Stuck(who.worker, who.round, stuck))


@settings(max_examples=60)
@given(
    data=st.data(), processes=st.integers(2, 8), cpus=st.integers(1, 2), levels=st.integers(0, 5),
    breadth=st.integers(1, 2),
)  # fmt: skip
def test_every_tree_ends(data: Any, processes: int, cpus: int, levels: int, breadth: int) -> None:
    forest = Forest(processes, cpus, levels, breadth)
    roots = [forest.submit(DRIVER, None, 0) for _ in range(2)]
    forest.run(lambda moves: data.draw(st.sampled_from(moves)))
    assert all(root in forest.ended for root in roots), "it hangs"
    assert not forest.scheduler.tasks
    assert forest.most <= max(processes, 2 * cpus)


def test_a_tree_on_one_cpu_needs_a_process_a_level() -> None:
    forest = Forest(7, 1, levels=6, breadth=2)
    root = forest.submit(DRIVER, None, 0)
    forest.run(lambda moves: moves[0])
    assert forest.ended[root] is None
    assert not forest.messages
    assert len(forest.level) == 127


def test_the_error_names_who_waits_for_whom() -> None:
    forest = Forest(3, 1, levels=3, breadth=1)
    root = forest.submit(DRIVER, None, 0)
    forest.run(lambda moves: moves[0])
    assert forest.ended[root] == "OutOfProcessesError"
    (message,) = forest.messages
    assert "no process is left for fib(): of the 3 that the cluster may have, 3 wait" in message
    assert "fib waits for fib waits for fib waits for fib." in message
