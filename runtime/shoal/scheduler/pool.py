"""The workers: at home on a node and in a runtime environment, started when they are wanted, ended when too many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from shoal.scheduler.commands import Command, KillWorker, StartWorker, StopWorker
from shoal.scheduler.nodes import Node, Nodes
from shoal.scheduler.resources import UNIT
from shoal.scheduler.tables import ACTOR, ENDING, IDLE, STARTING, Worker

SURPLUS = 2.0
"""Seconds that an idle worker beyond those that its node keeps is kept."""
MAX_WORKERS = 1000
WORKER_MEMORY = 6_000_000
"""Bytes that a worker has of its own before it has loaded anything: 5 MB were measured, a fifth of it in the kernel."""
SHARE = 0.75
"""Part of the cluster's memory that workers may take in this way."""
FEWEST = 64
"""Workers that there may be however little memory the cluster was said to have."""

Home = tuple[str, str]
"""A node's id and a runtime environment's key: a worker never leaves it."""


class Pool:
    def __init__(self, out: list[Command], nodes: Nodes) -> None:
        self._out = out
        self._nodes = nodes
        self.workers: dict[int, Worker] = {}
        self._idle: dict[Home, dict[int, Worker]] = {}
        self._starting: Counter[Home] = Counter()
        self._last = 0
        self.fewest = FEWEST

    @property
    def most(self) -> int:
        """So many processes may there be: the head node's memory is that of the machine."""
        head = next(iter(self._nodes.table.values()), None)
        memory = head.resources.total.get("memory") if head is not None else None
        if memory is None:
            return MAX_WORKERS
        kept = sum(node.pool for node in self._nodes.alive)
        return min(MAX_WORKERS, max(self.fewest, 2 * kept, int(memory / UNIT * SHARE / WORKER_MEMORY)))

    @property
    def full(self) -> bool:
        return len(self.workers) >= self.most

    def fill(self) -> None:
        """Start workers up to the number that each node keeps ready."""
        alive = Counter(w.node.id for w in self.workers.values() if w.state not in (ACTOR, ENDING) and not w.env)
        for node in self._nodes.alive:
            for _ in range(node.pool - alive[node.id]):
                self._start(node, "")

    def _start(self, node: Node, env: str) -> None:
        self._last += 1
        self.workers[self._last] = Worker(self._last, node, env=env)
        self._starting[node.id, env] += 1
        self._out.append(StartWorker(self._last, env))

    def grow(self, node: Node, env: str, count: int) -> None:
        """See to it that so many are on their way."""
        for _ in range(count - self._starting[node.id, env]):
            if self.full:
                return
            self._start(node, env)

    def ready(self, worker: Worker) -> None:
        self._starting[worker.node.id, worker.env] -= 1
        self.make_idle(worker)

    def make_idle(self, worker: Worker) -> None:
        worker.state, worker.shape = IDLE, ()
        worker.taking_back = False
        worker.idle_since = None
        if worker.node.alive:  # else it is on its way out
            self._idle.setdefault((worker.node.id, worker.env), {})[worker.id] = worker

    def end(self, worker: Worker) -> None:
        """It has nothing to do, and is not to be used again."""
        worker.state, worker.shape = ENDING, ()
        self._out.append(StopWorker(worker.id))

    def pop_idle(self, node: Node, env: str) -> Worker | None:
        """The one that was idle last: its caches are warm."""
        idle = self._idle.get((node.id, env))
        return idle.popitem()[1] if idle else None

    def lose(self, worker: Worker) -> None:
        self._drop_idle(worker)
        if worker.state == STARTING:
            self._starting[worker.node.id, worker.env] -= 1
        del self.workers[worker.id]

    def _drop_idle(self, worker: Worker) -> None:
        home = worker.node.id, worker.env
        idle = self._idle.get(home, {})
        if idle.pop(worker.id, None) is not None and not idle:
            del self._idle[home]

    def end_node(self, node: Node) -> None:
        """None of its workers is given work any more."""
        for home in [h for h in self._idle if h[0] == node.id]:
            del self._idle[home]

    def give_up(self, env: str) -> None:
        """No worker can be had in this environment: those that were to start are none."""
        for worker in [w for w in self.workers.values() if w.env == env and w.state == STARTING]:
            self.lose(worker)
            self._out.append(KillWorker(worker.id))

    # too many

    def _surpluses(self) -> Iterator[tuple[Node, int]]:
        for node in self._nodes.alive:
            count = sum(len(idle) for home, idle in self._idle.items() if home[0] == node.id) - node.pool
            if count > 0:
                yield node, count

    @property
    def watched(self) -> float | None:
        """In how many seconds a look is wanted."""
        return SURPLUS if any(self._surpluses()) else None

    def look(self, now: float) -> None:
        for node, count in list(self._surpluses()):
            # Those of runtime environments first: what a node keeps is for everybody.
            homes = sorted((h for h in self._idle if h[0] == node.id), reverse=True)
            idle = [worker for home in homes for worker in self._idle[home].values()]
            for worker in idle:
                if worker.idle_since is None:
                    worker.idle_since = now
            for worker in [w for w in idle if now - (w.idle_since or now) >= SURPLUS][:count]:
                self._drop_idle(worker)
                self.end(worker)
