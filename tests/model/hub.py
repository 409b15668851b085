"""The hub: it holds the calls that came its way, the objects that more than one process knows, and the workers."""

from __future__ import annotations

from dataclasses import dataclass, field

from .objects import Objects
from .plan import Plan
from .process import Label, Message, Move, Out
from .tables import ACTOR, BUSY, DEAD, IDLE, LENT, PUSHED, QUEUED, SPARE, WAITING, Post, Task


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
    mailboxes: dict[tuple[str, str], list[tuple[int, int]]] = field(default_factory=dict)
    """By actor and caller: calls not yet sent, with how many go before by the lane."""
    dealt: dict[tuple[str, str], int] = field(default_factory=dict)
    sent: dict[tuple[str, str], int] = field(default_factory=dict)

    @classmethod
    def at_work(cls, plan: Plan) -> Hub:
        hub = cls(plan, Objects(Out()))
        hub.posts = {w: Post(ACTOR if w in plan.actors else IDLE) for w in plan.workers}
        hub.posts |= {w: Post(SPARE) for w in plan.spare}
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
            self._worker_died(sender)
        elif tag == "gone":
            self._client_left(sender)
        else:
            getattr(self, f"_on_{tag}")(sender, *rest)
        self._place()

    # calls

    def _on_submit(self, sender: str, t: int, parent: int, before: int, needs: tuple[int, ...]) -> None:
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
        for o in call.holds:
            self.objects.pin(o)
        if call.actor is not None:
            key = call.actor, sender
            self.dealt[key] = self.dealt.get(key, 0) + 1
            if self.posts[call.actor].state == DEAD:
                self._end(t, "crashed")
                return
            self.mailboxes.setdefault(key, []).append((t, before))
        if failed:
            self._end(t, "failed")
        elif job not in self.plan.programs or job in self.left:
            self._end(t, "cancelled")
        elif not task.missing:
            self._enqueue(t)

    def _enqueue(self, t: int) -> None:
        self.tasks[t].state = QUEUED
        if self.plan.calls[t].actor is None:
            self.queue.append(t)
        else:
            self._send_calls(self.plan.calls[t].actor or "")

    def _send_calls(self, actor: str) -> None:
        """Each caller's calls in their order; the lane is offered again when none is left."""
        for key in [k for k in self.mailboxes if k[0] == actor]:
            mailbox = self.mailboxes[key]
            while mailbox:
                t, before = mailbox[0]
                if t in self.tasks and self.tasks[t].missing:
                    break
                mailbox.pop(0)
                if t in self.tasks:
                    self.tasks[t].state, self.tasks[t].worker = PUSHED, actor
                    self.sent[key] = self.sent.get(key, 0) + 1
                    self.out.send(actor, "run", t, before, key[1])
            if not mailbox:
                del self.mailboxes[key]
                if key[1] in self.plan.programs and key[1] not in self.left:
                    self.posts[actor].lanes.add(key[1])
                    self.out.send(key[1], "offer", actor, self.dealt[key], self.sent.get(key, 0))

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
        self.objects.unpin((*task.needs, *call.holds))
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
        if t not in self.objects.table and client not in self.left:
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
        if task.state != PUSHED:
            self._end(t, "cancelled")
        else:
            task.cancelled = True
            self.out.send(task.worker, "interrupt", t)

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

    def _worker_died(self, w: str) -> None:
        """Its last words are taken in. What was on its lanes is for the clients to say; the rest ends here."""
        post = self.posts[w]
        actor = post.state == ACTOR
        post.state, post.tenant, post.closing, post.blocked, post.task = DEAD, "", False, False, 0
        post.lanes -= self.left
        for client in sorted(post.lanes):
            self.out.send(client, "lane_lost", w)
        for key in [k for k in self.mailboxes if k[0] == w]:
            for t, _ in self.mailboxes.pop(key):
                if t in self.tasks:
                    self._end(t, "crashed")
        for t, task in list(self.tasks.items()):
            if task.worker == w and not (task.lane and task.owner in post.lanes):
                self._lose(t, started=True, actor=actor)
        self.objects.leave(w)

    def _lose(self, t: int, started: bool, actor: bool) -> None:
        task = self.tasks.get(t)
        if task is None:
            return
        task.lane, task.worker = False, ""
        if task.cancelled or task.job in self.left:
            self._end(t, "cancelled")
        elif actor or (started and not task.retries):
            self._end(t, "crashed")
        else:
            task.retries -= started
            self._enqueue(t)

    def _on_lost(self, client: str, w: str, calls: tuple[tuple[int, bool], ...]) -> None:
        """The client's calls that nobody has answered: the hub's from now on."""
        post = self.posts[w]
        post.lanes.discard(client)
        actor = w in self.plan.actors
        for t, begun in calls:
            if t not in self.tasks:
                self.objects.expect(t, client, True)
                self.tasks[t] = Task(client, client, self.plan.calls[t].retries)
            self._lose(t, started=begun, actor=actor)
            if t not in self.tasks and not actor:
                self.out.note("given up", t)

    def _client_left(self, client: str) -> None:
        self.left.add(client)
        self.objects.leave(client)
        for w, post in self.posts.items():
            post.lanes.discard(client)
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
