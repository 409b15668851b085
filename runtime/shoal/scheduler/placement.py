"""Who runs where: queues and leases.

A worker is *leased* to a job for a shape of demand, and while it is, tasks of that shape are pushed to it, so many at
once as fill about 5 ms by their measured duration. The first of them runs; the others can be taken back: when the
running one blocks in `get`, or turns out long. Queues are by what tasks must have in common to share a lease: a task
that cannot run holds up only its like, and jobs take turns.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping

from shoal.scheduler.commands import Command, Run, TakeBack
from shoal.scheduler.groups import Groups, Reservation
from shoal.scheduler.lending import Lending
from shoal.scheduler.line import Line
from shoal.scheduler.nodes import Node, Nodes
from shoal.scheduler.pool import Pool
from shoal.scheduler.resources import only_cpu
from shoal.scheduler.stalls import Stalls
from shoal.scheduler.strategies import Seat, Strategies
from shoal.scheduler.tables import (
    ACTOR,
    AHEAD,
    LEASED,
    LENT,
    OVERDUE,
    PUSHED,
    QUEUED,
    SHORT,
    Shape,
    Task,
    Worker,
)
from shoal.wishes import SPREAD, Wish

DEPTH = 128
"""Tasks that a worker is given at once, at most."""
LOW = 1024
"""When fewer tasks of a driver wait here it may hand over as many again, of those that it keeps."""

Queue = tuple[int, Shape, str, Wish | None]
"""Job, demand, runtime environment and wish where to run: what tasks that share a queue and a lease have in common."""


class Placement:
    """The workers, what is free, and what waits for it. `tasks` is the scheduler's table, only read here.

    `place_actor(task, worker)` is called for an actor's creation when there is a worker for it, `refuse(task, error,
    message)` for what can never run.
    """

    def __init__(
        self,
        out: list[Command],
        tasks: Mapping[bytes, Task],
        place_actor: Callable[[Task, Worker], None],
        refuse: Callable[[Task, str, str], None],
    ) -> None:
        self._out = out
        self._tasks = tasks
        self._place_actor = place_actor
        self._refuse = refuse
        self.nodes = Nodes()
        self.groups = Groups(self.nodes)
        self.strategies = Strategies(self.nodes, self.groups)
        self.pool = Pool(out, self.nodes)
        self.lending = Lending(out)
        self.workers = self.pool.workers
        self.stalls = Stalls(out, tasks, self.workers, refuse)
        self._queues: OrderedDict[Queue, Line] = OrderedDict()
        self._leases: dict[Queue, list[Worker]] = {}

    # queues

    def enqueue(self, task: Task, front: bool = False) -> None:
        """Have it wait for its turn; what can never run is refused at once."""
        kind = task.kind
        task.state, task.worker = QUEUED, None
        if kind.wish is not None and self._refused(task):
            return
        queue = self._queues.setdefault((task.job, kind.shape, task.env, kind.wish), Line())
        depth = 0
        parent = self._tasks.get(task.parent) if task.parent is not None else None
        if parent is not None:
            task.depth = parent.depth + 1
            worker = self.workers.get(parent.worker or 0)
            if worker is not None and worker.blocked:
                depth = task.depth
            elif parent.fresh is None:
                parent.fresh = [task.id]
            else:
                parent.fresh.append(task.id)
        if front:
            queue.appendleft(task.id, depth)
        else:
            queue.append(task.id, depth)

    def _advance_children(self, task: Task) -> None:
        """It waits: what it submitted goes before what nobody waits for."""
        children, task.fresh = task.fresh, None
        for child_id in children or ():
            child = self._tasks.get(child_id)
            if child is not None and child.state == QUEUED:
                queue = self._queues.get((child.job, child.kind.shape, child.env, child.kind.wish))
                if queue is not None:  # it stays at its old place too, where it is passed over
                    queue.append(child_id, child.depth)

    def ahead(self, task: Task) -> tuple[int, int]:
        """How many queued tasks are before this one: in its own queue, and in the others that will move."""
        own = self._queues.get((task.job, task.kind.shape, task.env, task.kind.wish))
        before: set[bytes] = set()
        for other in own or ():
            if other == task.id:
                break
            if other in self._tasks and self._tasks[other].state == QUEUED:
                before.add(other)
        return len(before), sum(len(q) for key, q in self._queues.items() if q is not own and self._can(key))

    def queued(self, job: int, shape: Shape) -> int:
        """How many tasks of a job wait here that need this and may run anywhere."""
        return len(self._queues.get((job, shape, "", None), ()))

    def _can(self, key: Queue) -> bool:
        """Whether what stands in a queue could ever run."""
        return any(seat.resources.ever_fits(key[1]) for seat in self.strategies.seats(key[3]))

    def place(self) -> None:
        """Give out what can be given out."""
        starved: list[Line] = []
        for key in list(self._queues):
            queue = self._queues[key]
            _, shape, env, wish = key
            granted = False
            short: Seat | None = None
            while queue:
                task = self._tasks.get(queue.head)
                if task is None or task.state != QUEUED:
                    queue.popleft()
                    continue
                seat = self.strategies.seat(shape, wish)
                if seat is None:
                    break
                worker = self.pool.pop_idle(seat.node, env)
                if worker is None:
                    short = seat
                    break
                queue.popleft()
                worker.seat = seat
                self.strategies.taken(seat, wish)
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
            if short is not None:
                self._grow(short, key, len(queue))
                if self.pool.full:
                    starved.append(queue)
            if self.lending:
                self.lending.recall(len(queue))
        for client, shape in self.lending.wants():
            self._serve(client, shape)
        if starved:
            self.stalls.look((task for queue in starved for task in queue), self.pool.most)

    def push(self, worker: Worker, task: Task) -> None:
        task.state, task.worker = PUSHED, worker.id
        worker.pushed += 1
        worker.running[task.id] = worker.pushed
        kind = task.kind
        if kind.calls:
            worker.calls[kind.function] += 1
            worker.worn = worker.worn or worker.calls[kind.function] >= kind.calls
        self._out.append(Run(worker.id, task.id, worker.pushed, task.client if kind.role == "method" else 0))

    def _push_more(self, key: Queue, queue: Line) -> None:
        """Fill the leased workers evenly; the more a function's tasks take, the fewer lie ahead."""
        wish = key[3]
        if wish is not None and wish.how == SPREAD:
            return
        leased = [
            w for w in self._leases.get(key, ()) if not (w.blocked or w.held_up or w.seat.resources.overdrawn(w.shape))
        ]
        if not leased:
            return
        share = -(-len(queue) // len(leased))
        for worker in leased:
            for _ in range(share):
                if not queue:
                    return
                task = self._tasks.get(queue.head)
                if task is None or task.state != QUEUED:
                    queue.popleft()
                    continue
                seconds = task.kind.seconds
                if task.kind.role == "actor" or seconds is None or task.kind.calls or worker.worn:
                    break
                if len(worker.running) >= min(DEPTH, max(1, int(AHEAD / max(seconds, 1e-6)))):
                    break
                queue.popleft()
                self.push(worker, task)

    def _grow(self, seat: Seat, key: Queue, wanted: int) -> None:
        _, shape, env, _ = key
        node, free = seat.node, seat.resources.free
        room = min((free.get(n, 0) // a for n, a in shape), default=4 * node.pool + 16)
        if not shape:  # tasks that need nothing are bounded by the number of processes alone
            room -= sum(
                w.state == LEASED and not w.shape and not w.blocked and w.node is node
                for w in self.workers.values()
            )
        self.pool.grow(node, env, min(wanted, room))

    # leases

    def _lease(self, worker: Worker, key: Queue) -> None:
        worker.state = LEASED
        worker.job, shape, _, worker.wish = key
        self.hold(worker, shape)
        self._leases.setdefault(key, []).append(worker)

    def hold(self, worker: Worker, shape: Shape) -> None:
        """Take the shape for it, out of the seat that it was given."""
        worker.shape = shape
        worker.gpus = worker.seat.resources.take(shape)

    def after_task(self, worker: Worker, task: Task | None = None) -> None:
        """A lease ends when nothing of it is left to do; a driver whose task it was may have the worker then."""
        if worker.state == LEASED and not worker.running and worker.worn:
            self._unlease(worker)
            self.pool.end(worker)
        elif worker.state == LEASED and not worker.running:
            wanted = bool(self._queues) or worker.blocked or worker.seat.resources.overdrawn(worker.shape)
            if task is not None and not wanted and self.lending.may_lend(task):
                self._end_lease(worker)
                self.lending.lend(worker)
            else:
                self._unlease(worker)
                self.pool.make_idle(worker)

    def _unlease(self, worker: Worker) -> None:
        self._end_lease(worker)
        self.give_held(worker)

    def _end_lease(self, worker: Worker) -> None:
        key = (worker.job, worker.shape, worker.env, worker.wish)
        leased = self._leases[key]
        leased.remove(worker)
        if not leased:
            del self._leases[key]

    def _serve(self, client: int, shape: Shape) -> None:
        """Tasks wait with a driver: it is lent a worker when nobody waits here, else they queue up with the others."""
        if not self._queues and self._lend_idle(client, shape):
            return
        if self.lending.has(client, shape):
            return  # it goes on with that, until it is asked for it back
        key = (client, shape, "", None)
        line = self._queues.get(key)
        if line is None:
            alone = not self._queues and any(not w.blocked for w in self._leases.get(key, ()))
            room = not alone  # else it is lent those that run the last of its tasks
        else:
            head = self._tasks.get(line.head)
            short = head is not None and head.kind.seconds is not None and head.kind.seconds < SHORT
            room = len(line) <= LOW and not (short and len(self._queues) == 1)
        if room:
            self.lending.admit(client, shape, LOW)

    def _lend_idle(self, client: int, shape: Shape) -> bool:
        seat = self.strategies.seat(shape, None)
        worker = self.pool.pop_idle(seat.node, "") if seat is not None else None
        if seat is not None and worker is not None:
            worker.seat, worker.job = seat, client
            self.hold(worker, shape)
            self.lending.lend(worker)
            return True
        return False

    def end_loan(self, worker: Worker, lease: int) -> None:
        """The worker says that nothing of the loan runs any more."""
        if worker.state == LENT and worker.lease == lease:
            self.lending.drop(worker)
            worker.running.clear()  # what is left is waiting for its client's word only
            worker.over.clear()
            self.give_held(worker)
            self.pool.make_idle(worker)

    def give_held(self, worker: Worker) -> None:
        """Give back what the worker held; if it was blocked its CPU is back already."""
        self.unblock(worker)
        worker.seat.resources.give(worker.shape, worker.gpus)
        worker.seat, worker.shape, worker.gpus, worker.wish = worker.node, (), (), None

    def block(self, worker: Worker) -> None:
        """It waits inside a task: its CPU goes to others, and what lies behind the task is taken back.

        An actor keeps what it holds for its lifetime, as in Ray.
        """
        if worker.blocked or worker.state not in (LEASED, LENT, ACTOR):
            return
        worker.blocked = True
        if worker.state != ACTOR:
            worker.seat.resources.give(only_cpu(worker.shape))
        for task_id in worker.running:
            if (task := self._tasks.get(task_id)) is not None and task.fresh:
                self._advance_children(task)
        if worker.state == LEASED:
            self.take_back(worker)
        elif worker.state == LENT:
            self.lending.close(worker)

    def unblock(self, worker: Worker) -> None:
        if worker.blocked:
            worker.blocked = False
            if worker.state == ACTOR:
                return
            worker.seat.resources.take(only_cpu(worker.shape))
            if self.lending and worker.seat.resources.overdrawn(worker.shape):
                self.lending.recall(1)

    def take_back(self, worker: Worker) -> None:
        behind = tuple(worker.running)[1:]
        if behind and not worker.taking_back:
            worker.taking_back = True
            self._out.append(TakeBack(worker.id, behind))

    # workers

    def lose(self, worker: Worker) -> None:
        """It died: what it held is free."""
        if worker.state == LEASED:
            self._unlease(worker)
        elif worker.state in (LENT, ACTOR):
            self.lending.drop(worker)
            self.give_held(worker)
        self.pool.lose(worker)

    def give_up(self, env: str) -> list[Task]:
        """No worker can be had in this environment; what waited for one is returned."""
        self.pool.give_up(env)
        waiting = []
        for key in [k for k in self._queues if k[2] == env]:
            found = (self._tasks.get(task_id) for task_id in dict.fromkeys(self._queues.pop(key)))
            waiting += [task for task in found if task is not None and task.state == QUEUED]
        return waiting

    # nodes and groups that go

    def end_node(self, node: Node, reason: str) -> list[Worker]:
        """Returns its workers, which are to be killed."""
        self.nodes.end(node, reason)
        self.pool.end_node(node)
        self.dissolve(self.groups.node_died(node))
        return [w for w in self.workers.values() if w.node is node]

    def dissolve(self, places: list[Reservation]) -> list[Worker]:
        """Give reservations back; returns the workers that are busy in them, which go on as their nodes' own."""
        inside = [w for w in self.workers.values() if w.seat in places]
        for place in places:
            place.end()
        for worker in inside:
            worker.seat = worker.node
        return inside

    def recheck(self) -> None:
        """A node or a group is gone: refuse what waited for it."""
        for key in [k for k in self._queues if k[3] is not None]:
            for task_id in list(self._queues[key]):
                task = self._tasks.get(task_id)
                if task is not None and task.state == QUEUED:
                    self._refused(task)

    def _refused(self, task: Task) -> bool:
        kind = task.kind
        why = kind.wish and self.strategies.hopeless(kind.role, kind.name, kind.shape, kind.wish)
        if why:
            self._refuse(task, *why)
        return bool(why)

    # time

    @property
    def watched(self) -> float | None:
        """In how many seconds a look is wanted: at tasks that lie ahead, or at workers too many."""
        if any(w.state == LEASED and len(w.running) > 1 for w in self.workers.values()):
            return OVERDUE
        return self.pool.watched

    def look(self, now: float) -> None:
        for worker in self.workers.values():
            if len(worker.running) > 1 and worker.state == LEASED:
                self._watch_head(worker, now)
        self.pool.look(now)

    def _watch_head(self, worker: Worker, now: float) -> None:
        head = next(iter(worker.running))
        if worker.head != head:
            worker.head, worker.head_since = head, now
        elif now - worker.head_since > OVERDUE:
            task = self._tasks.get(head)
            if task is not None:  # its like are not to be pushed ahead again
                task.kind.seconds = max(task.kind.seconds or 0.0, now - worker.head_since)
            worker.long = head
            self.take_back(worker)
