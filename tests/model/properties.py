"""What is to hold, in every world and at every end."""

from __future__ import annotations

from .client import Client
from .hub import Hub
from .plan import Plan
from .process import Message, Process, Violation
from .tables import ACTOR, DEAD, IDLE, LENT, OVER, SPARE
from .worker import Worker


class Promises:
    """No call lost or run too often, nothing freed too early, order kept, nobody waits for ever, no record left."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    # what has happened: the ledger

    def enter(self, ledger: Message, note: Message) -> Message:
        tag, *rest = note
        if tag == "gone":
            raise Violation(f"somebody asks for {rest[0]}, and it is gone")
        if tag == "started":
            self._check_start(ledger, *rest)
        elif tag == "given up":
            self._check_given_up(ledger, rest[0])
            return ledger
        elif tag == "outcome":
            before = [n for n in ledger if n[:2] == ("outcome", rest[0])]
            if before and before[0] != note:
                raise Violation(f"{rest[0]} has ended twice: {before[0][2]} and {rest[1]}")
            if before:
                return ledger
        elif tag == "ended" and self._caller(rest[0]) and any(n[:2] == ("ended", rest[0]) for n in ledger):
            raise Violation(f"{rest[0]} has ended twice in the hub's books")  # what a task calls it may call again
        elif tag == "freed":
            return ledger
        return tuple(sorted((*ledger, note)))

    def _check_start(self, ledger: Message, t: int, process: str = "") -> None:
        call = self._plan.calls[t]
        starts = [n[1:] for n in ledger if n[0] == "started"]
        started = [n[0] for n in starts]
        if started.count(t) > call.retries:
            raise Violation(f"{t} has started {started.count(t) + 1} times, and may be retried {call.retries} times")
        if call.actor is not None:
            caller = self._caller(t)
            for later, *where in starts:
                same = self._plan.calls[later].actor == call.actor and self._caller(later) == caller
                if same and (later > t or later == t) and where == ([process] if process else []):
                    raise Violation(f"{later} has started before {t}: both are of {caller}")

    def _check_given_up(self, ledger: Message, t: int) -> None:
        tries, retries = sum(n[:2] == ("started", t) for n in ledger), self._plan.calls[t].retries
        if tries <= retries and ("ended", t, "cancelled") not in ledger:
            raise Violation(f"{t} is given up after {tries} tries, and may be retried {retries} times")

    def _caller(self, t: int) -> str | None:
        for name, ops in self._plan.programs.items():
            if any(op[0] == "call" and t in op for op in ops):
                return name
        return None

    # refs

    def refs(self, process: Process) -> frozenset[int]:
        return frozenset(process.refs) if isinstance(process, (Client, Worker)) else frozenset()

    def carried(self, message: Message) -> frozenset[int]:
        tag, *rest = message
        if tag in ("submit", "run"):
            call = self._plan.calls[rest[0]]
            return frozenset((*rest[3], *call.holds) if tag == "submit" else call.holds)
        if tag in ("done", "ready") and rest[1] == "ok" and rest[0] in self._plan.calls:
            return frozenset(self._plan.calls[rest[0]].gives)
        return frozenset()

    # in every world

    def check(self, processes: dict[str, Process | None]) -> None:
        hub = processes["hub"]
        assert isinstance(hub, Hub)
        workers = [p for p in processes.values() if isinstance(p, Worker) and p.name not in self._plan.homes]
        if sum(bool(w.running) and not w.blocked and not w.resumed for w in workers) > self._plan.cpus:
            raise Violation("more calls run than there are CPUs")
        for name, post in hub.posts.items():
            worker = processes[name]
            if post.state in (IDLE, SPARE) and isinstance(worker, Worker) and (worker.running or worker.queue):
                raise Violation(f"the hub takes {name} to be idle, and it has work")

    # at every end

    def finished(self, processes: dict[str, Process | None], ledger: Message) -> None:
        hub = processes["hub"]
        assert isinstance(hub, Hub)
        for process in processes.values():
            if isinstance(process, Client):
                self._check_client(process)
            elif isinstance(process, Worker) and (process.running or process.queue or process.waiting):
                raise Violation(f"{process.name} has work left: {process}")
        hung = {p.name for p in processes.values() if isinstance(p, Client) and p.hung}
        tasks = {t: task for t, task in hub.tasks.items() if task.job not in hung}
        if tasks or set(hub.queue) & set(tasks) or hub.mailboxes.waiting:
            raise Violation(f"the hub waits for ever: {tasks} {hub.queue} {hub.mailboxes}")
        for name, post in hub.posts.items():
            if post.state not in (IDLE, SPARE, LENT, ACTOR) and (post.lanes - hung or post.task or post.blocked):
                raise Violation(f"what the hub knows of {name} is out of date: {post}")
            if post.closing and post.tenant not in hung:
                raise Violation(f"{name} is never closed: {post}")
        for o, record in hub.objects.table.items():
            holders = [processes[name] for name in record.holders]
            if not any(p is not None and o in self.refs(p) for p in holders) and not record.pins:
                raise Violation(f"{o} is kept, and nobody holds it: {record}")
            for p in holders:
                if p is None or o not in self.refs(p):
                    raise Violation(f"{o} is said to be held by one that does not: {record}")
        self._check_actors(processes, ledger)
        self._check_handles(hub, processes)
        self._check_kills(ledger)

    def _check_client(self, client: Client) -> None:
        if client.hung:
            return
        program = self._plan.programs[client.name]
        if client.line < len(program):
            raise Violation(f"{client.name} waits for ever: {program[client.line]}")
        left = [client.calls, client.queue, client.told, client.held_back, [c for c in client.lanes.values() if c]]
        if any(left):
            raise Violation(f"{client.name} waits for ever: {left}")

    def _check_actors(self, processes: dict[str, Process | None], ledger: Message) -> None:
        """Without a fault every call has started, and once."""
        if any(n[0] in ("died",) for n in ledger) or any(n[2:] == ("cancelled",) for n in ledger):
            return
        started = [n[1] for n in ledger if n[0] == "started"]
        hung = {p.name for p in processes.values() if isinstance(p, Client) and p.hung}
        for name, ops in self._plan.programs.items():
            for op in ops:
                if op[0] == "call" and name not in hung and not set(op[1:]) <= set(started):
                    raise Violation(f"one of {op[1:]} never ran")

    def _check_handles(self, hub: Hub, processes: dict[str, Process | None]) -> None:
        """An actor ends when nobody can reach it."""
        for actor, handle in self._plan.handles.items():
            if not any(p is not None and handle in self.refs(p) for p in processes.values()):
                if hub.lives[actor].state != OVER or hub.posts[hub.lives[actor].host].state != DEAD:
                    raise Violation(f"{actor} lives, and nobody has a handle: {hub.lives[actor]}")

    def _check_kills(self, ledger: Message) -> None:
        """A call that was made after a kill goes to another process."""
        for ops in self._plan.programs.values():
            killed = ""
            for op in ops:
                killed = op[1] if op[0] == "kill" else killed
                for t in op[1:] if op[0] == "call" else ():
                    if ("started", t, killed) in ledger:
                        raise Violation(f"{t} was called after the kill, and came before it")
