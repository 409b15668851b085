"""The hub: it holds the calls that came its way, the objects that more than one process knows, and the workers."""

from __future__ import annotations

from dataclasses import dataclass, field

from .mailboxes import Before, Mailboxes
from .objects import Object, Objects
from .plan import Plan
from .process import Label, Message, Move, Out
from .tables import (
    ACTOR,
    ALIVE,
    BUSY,
    DEAD,
    IDLE,
    LENT,
    OVER,
    PUSHED,
    QUEUED,
    RESTARTING,
    SPARE,
    WAITING,
    Life,
    Post,
    Task,
)


@dataclass
class Hub:
    plan: Plan = field(compare=False)
    objects: Objects
    out: Out = field(default_factory=Out, compare=False)
    name: str = field(default="hub", compare=False)
    tasks: dict[int, Task] = field(default_factory=dict)
    queue: list[int] = field(default_factory=list)
    posts: dict[str, Post] = field(default_factory=dict)
    left: set[str] = field(default_factory=set)
    """Clients that are gone."""
    lives: dict[str, Life] = field(default_factory=dict)
    """The actors."""
    mailboxes: Mailboxes = field(default_factory=Mailboxes)

    @classmethod
    def at_work(cls, plan: Plan) -> Hub:
        hub = cls(plan, Objects(Out()))
        hub.posts = {w: Post(ACTOR if w in plan.actors else IDLE) for w in plan.workers}
        hub.posts |= {w: Post(SPARE) for w in plan.spare}
        hub.posts |= {w: Post(ACTOR) for w, actor in plan.homes.items() if w != actor}
        hub.lives = {actor: Life(actor, plan.hosts_of(actor)[1:]) for actor in plan.actors}
        for w, client in plan.former.items():
            hub.posts[w].lanes.add(client)
        for handle in plan.handles.values():
            hub.objects.table[handle] = Object("", "ok", holders=set(plan.programs))
        for w, client in plan.lent.items():
            hub.posts[w] = Post(LENT, client, 1, lanes={client})
        return hub

    def moves(self) -> list[Move]:
        return []

    def deaf(self) -> bool:
        return False

    def leaves(self, reader: str) -> None:
        raise NotImplementedError

    def act(self, label: Label) -> None:
        raise NotImplementedError

    def take(self, sender: str, message: Message) -> None:
        self.objects.out = self.out
        tag, *rest = message
        if tag == "gone" and sender in self.posts:
            self._worker_died(sender, *rest)
        elif tag == "gone":
            self._client_left(sender)
        else:
            getattr(self, f"_on_{tag}")(sender, *rest)
        self._end_unreachable()
        self._place()

    # calls

    def _on_submit(self, sender: str, t: int, parent: int, before: Before, needs: tuple[int, ...]) -> None:
        call = self.plan.calls[t]
        if t in self.tasks:  # it was told of, and came back from a lane
            task = self.tasks[t]
            task.lane, task.worker = False, ""
            if task.cancelled:
                self._end(t, "cancelled")
            else:
                self._enqueue(t)
            return
        job = sender
        if parent:
            job = self.tasks[parent].job if parent in self.tasks else ""
        task = self.tasks[t] = Task(sender, job, call.retries, WAITING, needs=needs)
        self.objects.expect(t, sender, sender not in self.left)
        failed = False
        for o in needs:
            self.objects.pin(o)
            record = self.objects.table.get(o)
            if record is not None and not record.outcome:
                record.waiters.append(t)
                task.missing += 1
            elif record is None or record.outcome != "ok":
                failed = True
        for o in self._holds(t):
            self.objects.pin(o)
        if call.actor is not None:
            self.mailboxes.received((call.actor, sender))
            if self.lives[call.actor].state == OVER:
                self._end(t, "crashed")
                return
            self.mailboxes.add((call.actor, sender), t, before)
        if failed:
            self._end(t, "failed")
        elif job not in self.plan.programs or job in self.left:
            self._end(t, "cancelled")
        elif not task.missing:
            self._enqueue(t)

    def _enqueue(self, t: int) -> None:
        self.tasks[t].state = QUEUED
        actor = self.plan.calls[t].actor
        if actor is None:
            self.queue.append(t)
        elif self.lives[actor].state == RESTARTING and not self.plan.calls[t].retries:
            self._end(t, "crashed")  # what may run once at most does not wait for another process
        else:
            self._send_calls(actor)

    def _send_calls(self, actor: str) -> None:
        """Each caller's calls in their order; the lane is offered again when none is left."""
        life, boxes = self.lives[actor], self.mailboxes
        if life.state != ALIVE:
            return
        for key in [k for k in boxes.waiting if k[0] == actor]:
            if any(key[1] == client for client, _ in life.silent):
                if self.plan.broken != "later calls do not wait for what was lost":
                    continue
            for t, (worker, count) in boxes.take(key, lambda t: t not in self.tasks or not self.tasks[t].missing):
                if t in self.tasks:
                    self.tasks[t].state, self.tasks[t].worker = PUSHED, life.host
                    boxes.send(key)
                    self.out.send(life.host, "run", t, count if worker == life.host else 0, key[1])
            if key not in boxes.waiting and key[1] in self.plan.programs and key[1] not in self.left:
                self.posts[life.host].lanes.add(key[1])
                self.out.send(key[1], "offer", actor, life.host, boxes.dealt[key], boxes.sent.get(key, 0))

    def _holds(self, t: int) -> tuple[int, ...]:
        """What a call keeps alive beside what it needs: a call of an actor keeps that."""
        call = self.plan.calls[t]
        handle = self.plan.handles.get(call.actor or "")
        return call.holds if handle is None else (*call.holds, handle)

    def _end(self, t: int, outcome: str, gives: tuple[int, ...] = ()) -> None:
        """The one place where a call ends. Its owner is told, of one from a lane whether it holds the ref or not."""
        task, call = self.tasks.pop(t), self.plan.calls[t]
        self.out.note("ended", t, outcome)
        if t in self.queue:
            self.queue.remove(t)
        record = self.objects.table[t]
        holds = task.owner in record.holders and self.plan.broken != "only who holds the ref hears of its end"
        if (task.lane or holds) and task.owner not in self.left:
            self.out.send(task.owner, "ready", t, outcome)
        waiters = self.objects.settle(t, outcome, gives)
        self.objects.unpin((*task.needs, *self._holds(t)))
        for waiter in waiters:
            if waiter in self.tasks:
                self.tasks[waiter].missing -= 1
                if outcome != "ok":
                    self._end(waiter, "failed")
                elif not self.tasks[waiter].missing:
                    self._enqueue(waiter)
        if call.actor is not None:
            self._send_calls(call.actor)

    def _on_done(self, w: str, t: int, outcome: str, gives: tuple[int, ...]) -> None:
        post, task = self.posts[w], self.tasks.get(t)
        post.over.discard(t)
        if task is not None and task.worker == w:
            self._end(t, outcome, gives)
        if post.state == BUSY and post.task == t:
            post.task, post.state, post.blocked = 0, IDLE, False
            self._place()
            if post.state == IDLE and task is not None and task.owner == task.job and not self.queue:
                if self.plan.calls[t].lean and task.owner not in self.left and self._free_cpus() > 0:
                    self._lend(w, task.owner)

    # objects

    def _on_put(self, sender: str, o: int, outcome: str) -> None:
        self.objects.expect(o, sender, sender not in self.left)
        self.objects.settle(o, outcome)

    def _on_borrow(self, sender: str, o: int) -> None:
        self.objects.hold(sender, o)

    def _on_release(self, sender: str, o: int) -> None:
        self.objects.release(sender, o)

    def _on_fetch(self, sender: str, o: int) -> None:
        self.objects.fetch(sender, o)

    # calls on lanes

    def _on_tell(self, client: str, t: int, w: str) -> None:
        self._know(client, t, w)

    def _on_adopt(self, w: str, t: int, client: str) -> None:
        self._know(client, t, w)

    def _know(self, client: str, t: int, w: str) -> None:
        """Whichever of the two comes first makes the record; the other may even come after the call's end."""
        over = t in self.posts[w].over and self.plan.broken != "an adoption after a cancel makes a second record"
        if t not in self.objects.table and client not in self.left and not over:
            self.objects.expect(t, client, True)
            self.tasks[t] = Task(client, client, self.plan.calls[t].retries, PUSHED, w, True)

    def _on_ended(self, client: str, t: int, outcome: str) -> None:
        if t in self.tasks:
            self.tasks[t].owner = client
            self.tasks[t].lane = False
            self._end(t, outcome)

    def _on_output(self, w: str) -> None:
        pass

    # cancel

    def _on_cancel(self, client: str, t: int) -> None:
        task = self.tasks.get(t)
        if task is None:
            return
        actor = self.plan.calls[t].actor
        if task.state != PUSHED:
            self._end(t, "cancelled")
            return
        task.cancelled = True
        if actor is None or self.posts[task.worker].state != DEAD:
            self.out.send(task.worker, "interrupt", t)
            if actor is not None:  # it is over for its caller, whatever its actor makes of it
                if task.lane:
                    self.posts[task.worker].over.add(t)
                self._end(t, "cancelled")

    # workers and leases

    def _free_cpus(self) -> int:
        return self.plan.cpus - sum(p.state in (BUSY, LENT) and not p.blocked for p in self.posts.values())

    def _place(self) -> None:
        """Give out what can be given out; for the rest, ask for leases back."""
        while self.queue and self._free_cpus() > 0:
            w = next((w for w, p in self.posts.items() if p.state in (IDLE, SPARE)), None)
            if w is None:
                break
            t = self.queue.pop(0)
            task, post = self.tasks[t], self.posts[w]
            task.state, task.worker = PUSHED, w
            post.state, post.task = BUSY, t
            self.out.send(w, "run", t, 0)
        closing = sum(p.closing for p in self.posts.values())
        for w, post in self.posts.items():
            if closing < len(self.queue) and post.state == LENT and not post.closing:
                self._close(w)
                closing += 1

    def _lend(self, w: str, client: str) -> None:
        post = self.posts[w]
        post.state, post.tenant, post.lease = LENT, client, post.lease + 1
        post.lanes.add(client)
        self.out.send(client, "lend", w, post.lease)

    def _close(self, w: str) -> None:
        post = self.posts[w]
        post.closing = True
        if self.plan.broken != "close is told to the driver only":
            self.out.send(w, "close", post.lease)
        if post.tenant not in self.left:
            self.out.send(post.tenant, "lease_closed", w, post.lease)

    def _on_want(self, client: str) -> None:
        idle = next((w for w, p in self.posts.items() if p.state in (IDLE, SPARE)), None)
        if idle is not None and self._free_cpus() > 0 and not self.queue:
            self._lend(idle, client)

    def _on_overdue(self, client: str, w: str, number: int) -> None:
        post = self.posts[w]
        if post.state == LENT and post.lease == number and not post.closing:
            self._close(w)

    def _on_closed(self, sender: str, number: int, w: str) -> None:
        post = self.posts[w]
        if post.state == LENT and post.lease == number:
            post.state, post.tenant, post.closing, post.blocked = IDLE, "", False, False

    def _on_blocked(self, w: str) -> None:
        post = self.posts[w]
        post.blocked = True
        if post.state == LENT and not post.closing:
            self._close(w)

    def _on_unblocked(self, w: str) -> None:
        self.posts[w].blocked = False

    # deaths

    def _worker_died(self, w: str, begun: int) -> None:
        """Its last words are taken in. What was on its lanes is for the clients to say; the rest ends here.

        `begun`: of the calls that the hub had sent, the one that had begun and not ended.
        """
        post, actor = self.posts[w], self.plan.homes.get(w)
        post.state, post.tenant, post.closing, post.blocked, post.task = DEAD, "", False, False, 0
        post.lanes -= self.left
        for client in sorted(post.lanes):
            self.out.send(client, "lane_lost", w)
        if actor is not None:
            self._process_lost(actor, w, post.lanes)
        for t, task in list(self.tasks.items()):
            if task.worker == w and not (task.lane and task.owner in post.lanes):
                self._lose(t, t == begun)
        self.objects.leave(w)

    def _process_lost(self, actor: str, w: str, clients: set[str]) -> None:
        """It is made anew in its next process, or is over."""
        life = self.lives[actor]
        if life.state == OVER or life.host != w:
            return
        spare = [host for host in life.next if self.posts[host].state != DEAD]
        if not spare:
            self._end_actor(actor)
            return
        life.state, life.host, life.next = RESTARTING, spare[0], tuple(spare[1:])
        life.silent |= {(client, w) for client in clients}
        self.mailboxes.moved(actor)
        self.out.send(life.host, "host")

    def _on_born(self, w: str) -> None:
        actor = self.plan.homes[w]
        if self.lives[actor].host == w and self.lives[actor].state == RESTARTING:
            self.lives[actor].state = ALIVE
            self._send_calls(actor)

    def _end_actor(self, actor: str) -> None:
        self.lives[actor].state = OVER
        for t in self.mailboxes.emptied(actor):
            if t in self.tasks:
                self._end(t, "crashed")

    def _on_kill(self, client: str, actor: str) -> None:
        """A client ends the actor's process."""
        life = self.lives[actor]
        if life.state == ALIVE:
            self.out.send("zygote", "kill", life.host)
            if life.next:
                life.state = RESTARTING
            else:
                self._end_actor(actor)
                for t, task in list(self.tasks.items()):
                    if task.worker == life.host and not (task.lane and task.owner in self.posts[life.host].lanes):
                        self._end(t, "crashed")

    def _end_unreachable(self) -> None:
        """Of actors that nobody has a handle of, and that no call holds."""
        for actor, handle in self.plan.handles.items():
            life = self.lives[actor]
            if handle not in self.objects.table and life.state != OVER:
                life.state = OVER
                self.out.send(life.host, "exit")

    def _lose(self, t: int, started: bool) -> None:
        task, actor = self.tasks.get(t), self.plan.calls[t].actor
        if task is None:
            return
        task.lane, task.worker = False, ""
        if task.cancelled or task.job in self.left:
            self._end(t, "cancelled")
        elif actor is not None and self.lives[actor].state == OVER:
            self._end(t, "crashed")
        elif not task.retries and (started or (actor is not None and not self.plan.calls[t].retries)):
            self._end(t, "crashed")
            if actor is None or self.plan.calls[t].retries:
                self.out.note("given up", t)
        else:
            task.retries -= started
            task.state = WAITING if task.missing else QUEUED
            if actor is None:
                self._enqueue(t)
            elif self.plan.broken == "what is repeated goes behind what came later":
                self.mailboxes.add((actor, task.owner), t, ("", 0))
            else:
                self.mailboxes.add_again((actor, task.owner), t)

    def _on_lost(self, client: str, w: str, calls: tuple[tuple[int, bool], ...]) -> None:
        """The client's calls that nobody has answered: the hub's from now on."""
        self.posts[w].lanes.discard(client)
        actor = self.plan.homes.get(w)
        for t, begun in reversed(calls):
            if t not in self.tasks:
                self.objects.expect(t, client, True)
                self.tasks[t] = Task(client, client, self.plan.calls[t].retries)
                for o in self._holds(t):
                    self.objects.pin(o)
            if actor is not None:
                self.mailboxes.received((actor, client))
            self._lose(t, begun)
        if actor is not None:
            self._heard(actor, client, w)

    def _heard(self, actor: str, client: str, w: str) -> None:
        """It has said what it had on a lane to a process of the actor: its later calls may go."""
        life = self.lives[actor]
        if self.plan.broken == "a word of one process is taken for all":
            life.silent = {(c, v) for c, v in life.silent if c != client}
        else:
            life.silent.discard((client, w))
        self._send_calls(actor)

    def _client_left(self, client: str) -> None:
        self.left.add(client)
        self.objects.leave(client)
        for w, post in self.posts.items():
            post.lanes.discard(client)
            if w in self.plan.homes:
                self.lives[self.plan.homes[w]].silent.discard((client, w))
            if post.tenant == client:
                self.out.send("zygote", "kill", w)
        for t, task in list(self.tasks.items()):
            if t not in self.tasks or task.job != client:
                continue
            state = self.posts[task.worker].state if task.worker else DEAD
            if task.state == PUSHED and state == BUSY and not task.lane:
                task.cancelled = True
                self.out.send("zygote", "kill", task.worker)
                continue
            if task.state == PUSHED and state == ACTOR:
                self.out.send(task.worker, "interrupt", t)
            if not task.lane or self.plan.broken != "calls on lanes outlive their client":
                self._end(t, "cancelled")
