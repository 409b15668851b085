"""Who runs where: queues, leases, and the workers they go to.

A worker is *leased* to a job for a shape of demand, and while it is, tasks of that shape are pushed to it, so many at
once as fill about 5 ms by their measured duration. The first of them runs; the others can be taken back: when the
running one blocks in `get`, or turns out long. Queues are by (job, shape): a task that cannot run holds up only its
like, and jobs take turns.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Mapping

from shoal.scheduler.commands import Command, KillWorker, Run, StartWorker, StopWorker, TakeBack
from shoal.scheduler.resources import Resources, only_cpu
from shoal.scheduler.tables import (
    ACTOR,
    ENDING,
    IDLE,
    LEASED,
    PUSHED,
    QUEUED,
    STARTING,
    Shape,
    Task,
    Worker,
)

AHEAD = 0.005
"""Seconds of work that a worker is given at once."""
DEPTH = 128
"""Tasks that a worker is given at once, at most."""
OVERDUE = 0.010
"""Seconds after which the tasks behind a running one are taken back."""
SURPLUS = 2.0
"""Seconds that an idle worker beyond the number of CPUs is kept."""
MAX_WORKERS = 1000

Queue = tuple[int, Shape, str]
"""Job, demand and runtime environment: what tasks that share a queue and a lease have in common."""


class Placement:
    """The workers, what is free, and what waits for it. `tasks` is the scheduler's table, only read here.

    `place_actor(task, worker)` is called for an actor's creation when there is a worker for it.
    """

    def __init__(
        self,
        out: list[Command],
        total: Mapping[str, float],
        pool: int,
        tasks: Mapping[bytes, Task],
        place_actor: Callable[[Task, Worker], None],
    ) -> None:
        self._out = out
        self._tasks = tasks
        self._place_actor = place_actor
        self._pool = pool
        self.resources = Resources(total)
        self.workers: dict[int, Worker] = {}
        self._idle: dict[str, dict[int, Worker]] = {}
        """By runtime environment."""
        self._queues: OrderedDict[Queue, deque[bytes]] = OrderedDict()
        self._leases: dict[Queue, list[Worker]] = {}
        self._starting: Counter[str] = Counter()
        self._last = 0

    # queues

    def enqueue(self, task: Task, front: bool = False) -> None:
        task.state, task.worker = QUEUED, None
        queue = self._queues.setdefault((task.job, task.kind.shape, task.env), deque())
        if front:
            queue.appendleft(task.id)
        else:
            queue.append(task.id)

    def place(self) -> None:
        """Give out what can be given out."""
        for key in list(self._queues):
            queue = self._queues[key]
            _, shape, env = key
            idle = self._idle.get(env, {})
            granted = False
            while queue:
                task = self._tasks.get(queue[0])
                if task is None or task.state != QUEUED:
                    queue.popleft()
                    continue
                if not idle or not self.resources.fits(shape):
                    break
                queue.popleft()
                worker = idle.pop(next(reversed(idle)))
                if task.kind.role == "actor":
                    self._place_actor(task, worker)
                else:
                    self._lease(worker, key)
                    self.push(worker, task)
                granted = True
            # While others wait for a turn, a lease is filled when it is given and not again.
            if queue and (granted or len(self._queues) == 1):
                self._push_more(key, queue)
            if not queue:
                del self._queues[key]
                continue
            if granted:
                self._queues.move_to_end(key)
            if not idle:
                self._grow(shape, env, len(queue))

    def push(self, worker: Worker, task: Task) -> None:
        task.state, task.worker = PUSHED, worker.id
        worker.running[task.id] = None
        self._out.append(Run(worker.id, task.id))

    def _push_more(self, key: Queue, queue: deque[bytes]) -> None:
        """Fill the leased workers evenly; the more a function's tasks take, the fewer lie ahead."""
        leased = [w for w in self._leases.get(key, ()) if not w.blocked]
        if not leased:
            return
        share = -(-len(queue) // len(leased))
        for worker in leased:
            for _ in range(share):
                if not queue:
                    return
                task = self._tasks.get(queue[0])
                if task is None or task.state != QUEUED:
                    queue.popleft()
                    continue
                seconds = task.kind.seconds
                if task.kind.role == "actor" or seconds is None:
                    break
                if len(worker.running) >= min(DEPTH, max(1, int(AHEAD / max(seconds, 1e-6)))):
                    break
                queue.popleft()
                self.push(worker, task)

    # leases

    def _lease(self, worker: Worker, key: Queue) -> None:
        worker.state, (worker.job, worker.shape, _) = LEASED, key
        self.resources.take(key[1])
        self._leases.setdefault(key, []).append(worker)

    def after_task(self, worker: Worker) -> None:
        """A lease ends when nothing of it is left to do."""
        if worker.state == LEASED and not worker.running:
            self._unlease(worker)
            self._make_idle(worker)

    def _unlease(self, worker: Worker) -> None:
        key = (worker.job, worker.shape, worker.env)
        self.give_held(worker)
        leased = self._leases[key]
        leased.remove(worker)
        if not leased:
            del self._leases[key]

    def give_held(self, worker: Worker) -> None:
        """Give back what the worker held; if it was blocked its CPU is back already."""
        self.resources.give(worker.shape)
        if worker.blocked:
            self.resources.take(only_cpu(worker.shape))
            worker.blocked = False
        worker.shape = ()

    def block(self, worker: Worker) -> None:
        """It waits inside a task: its CPU goes to others, and what lies behind the task is taken back."""
        if worker.blocked or worker.state not in (LEASED, ACTOR):
            return
        worker.blocked = True
        self.resources.give(only_cpu(worker.shape))
        if worker.state == LEASED:
            self.take_back(worker)

    def unblock(self, worker: Worker) -> None:
        if worker.blocked:
            worker.blocked = False
            self.resources.take(only_cpu(worker.shape))

    def take_back(self, worker: Worker) -> None:
        behind = tuple(worker.running)[1:]
        if behind and not worker.taking_back:
            worker.taking_back = True
            self._out.append(TakeBack(worker.id, behind))

    # workers

    def fill_pool(self) -> None:
        """Start workers up to the number of CPUs."""
        alive = sum(w.state not in (ACTOR, ENDING) and not w.env for w in self.workers.values())
        for _ in range(self._pool - alive):
            self._start()

    def _start(self, env: str = "") -> None:
        self._last += 1
        self.workers[self._last] = Worker(self._last, env=env)
        self._starting[env] += 1
        self._out.append(StartWorker(self._last, env))

    def _grow(self, shape: Shape, env: str, wanted: int) -> None:
        room = min((self.resources.free.get(n, 0) // a for n, a in shape), default=4 * self._pool + 16)
        if not shape:  # tasks that need nothing are bounded by the number of processes alone
            room -= sum(w.state == LEASED and not w.shape for w in self.workers.values())
        for _ in range(min(wanted, room) - self._starting[env]):
            if len(self.workers) >= MAX_WORKERS:
                return
            self._start(env)

    def ready(self, worker: Worker) -> None:
        self._starting[worker.env] -= 1
        self._make_idle(worker)

    def _make_idle(self, worker: Worker) -> None:
        worker.state, worker.shape = IDLE, ()
        worker.taking_back = False
        worker.idle_since = None
        self._idle.setdefault(worker.env, {})[worker.id] = worker

    def lose(self, worker: Worker) -> None:
        """It died: what it held is free."""
        self._drop_idle(worker)
        if worker.state == STARTING:
            self._starting[worker.env] -= 1
        elif worker.state == LEASED:
            self._unlease(worker)
        elif worker.state == ACTOR:
            self.give_held(worker)
        del self.workers[worker.id]

    def _drop_idle(self, worker: Worker) -> None:
        idle = self._idle.get(worker.env, {})
        if idle.pop(worker.id, None) is not None and not idle:
            del self._idle[worker.env]

    def give_up(self, env: str) -> list[Task]:
        """No worker can be had in this environment: those that were to start are none, and what waited is returned."""
        for worker in [w for w in self.workers.values() if w.env == env and w.state == STARTING]:
            self.lose(worker)
            self._out.append(KillWorker(worker.id))
        waiting = []
        for key in [k for k in self._queues if k[2] == env]:
            found = (self._tasks.get(task_id) for task_id in self._queues.pop(key))
            waiting += [task for task in found if task is not None and task.state == QUEUED]
        return waiting

    # time

    @property
    def watched(self) -> float | None:
        """In how many seconds a look is wanted: at tasks that lie ahead, or at workers too many."""
        if any(len(w.running) > 1 for w in self.workers.values()):
            return OVERDUE
        if self._surplus() > 0:
            return SURPLUS
        return None

    def look(self, now: float) -> None:
        for worker in self.workers.values():
            if len(worker.running) > 1 and worker.state == LEASED:
                self._watch_head(worker, now)
        if self._surplus() > 0:
            self._stop_surplus(now)

    def _watch_head(self, worker: Worker, now: float) -> None:
        head = next(iter(worker.running))
        if worker.head != head:
            worker.head, worker.head_since = head, now
        elif now - worker.head_since > OVERDUE:
            task = self._tasks.get(head)
            if task is not None:  # its like are not to be pushed ahead again
                task.kind.seconds = max(task.kind.seconds or 0.0, now - worker.head_since)
            self.take_back(worker)

    def _surplus(self) -> int:
        return sum(len(idle) for idle in self._idle.values()) - self._pool

    def _stop_surplus(self, now: float) -> None:
        surplus = []
        # Those of runtime environments first: the pool is for everybody.
        for worker in (w for env in sorted(self._idle, reverse=True) for w in self._idle[env].values()):
            if worker.idle_since is None:
                worker.idle_since = now
            elif now - worker.idle_since >= SURPLUS:
                surplus.append(worker)
        for worker in surplus[: self._surplus()]:
            self._drop_idle(worker)
            worker.state = ENDING
            self._out.append(StopWorker(worker.id))
