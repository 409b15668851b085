"""A worker: it runs calls one at a time, from the hub and from lanes. It may host an actor."""

from __future__ import annotations

from dataclasses import dataclass, field

from .plan import Plan
from .process import Label, Message, Move, Out

HUB = "hub"


@dataclass
class Worker:
    name: str
    plan: Plan = field(compare=False)
    out: Out = field(default_factory=Out, compare=False)
    queue: list[tuple[int, str]] = field(default_factory=list)
    """Calls, and who has sent each: the hub, or a client by its lane."""
    waiting: list[tuple[int, str, str, int]] = field(default_factory=list)
    """An actor's calls that came before their turn: with the caller, and how many of the other way go first."""
    counts: dict[tuple[str, bool], int] = field(default_factory=dict)
    """An actor's calls received, by caller and whether by the hub."""
    running: int = 0
    sender: str = ""
    line: int = 0
    """Of the body that runs."""
    said: bool = False
    """Whether the hub has heard a word from the call that runs; if it is from a lane, it is adopted then."""
    blocked: bool = False
    resumed: bool = False
    """It was blocked, and goes on though its CPU may be somebody else's: until the hub gives it work again."""
    interrupted: bool = False
    cancelled: set[int] = field(default_factory=set)
    looking: list[int] = field(default_factory=list)
    """Calls to interrupt, once the lanes are read."""
    closed: int = 0
    """The highest number of a lease that is closed."""
    closing: int = 0
    """A lease that is closed, and not yet said to be."""
    ending: bool = False
    """It ends when it has nothing left to do."""
    refs: set[int] = field(default_factory=set)
    kept: set[int] = field(default_factory=set)
    values: dict[int, str] = field(default_factory=dict)

    def deaf(self) -> bool:
        return False

    def leaves(self, reader: str) -> tuple[int, ...] | None:
        """A page of memory that the hub and each lane has says what is begun: all else of that is answered."""
        if reader != HUB and reader not in self.plan.programs:
            return None
        return (self.running if self.sender == reader else 0,)

    @property
    def _has_hosts(self) -> bool:
        return self.plan.homes.get(self.name) in self.plan.hosts

    # its main thread

    def moves(self) -> list[Move]:
        moves = []
        if not self.running:
            if self.queue:
                moves.append(Move(("start", self.queue[0][0])))
            elif self.ending:
                moves.append(Move(("exit",)))
        elif self.interrupted:
            moves.append(Move(("end", "cancelled")))
        elif not self.blocked:
            body = self.plan.calls[self.running].body
            op = body[self.line] if self.line < len(body) else ("end", "ok")
            if op[0] != "sleep":
                moves.append(Move(op))
        if self.looking:
            moves.append(Move(("look", self.looking[0]), quiet=tuple(self.plan.programs)))
        return moves

    def act(self, label: Label) -> None:
        op, *rest = label
        if op == "start":
            self._start()
        elif op == "exit":
            self.ending = False
            self.out.send("zygote", "kill", self.name)
        elif op == "end":
            self._end(rest[0])
        elif op == "look":
            self._look()
        elif op == "get":
            self._get(rest[0])
        else:
            self.line += 1
            if op == "print":
                self._say("output")
            elif op == "call":
                self.refs.add(rest[0])
                self._say("submit", rest[0], self.running, ("", 0), ())
            elif op == "drop":
                self.refs.discard(rest[0])
                self._say("release", rest[0])
            elif op == "keep":
                self.kept.add(rest[0])

    def _start(self) -> None:
        self.running, self.sender = self.queue.pop(0)
        self.line, self.said = 0, False
        if self.sender == HUB:
            self.resumed = False
        if self.running in self.cancelled:
            self.cancelled.discard(self.running)
            self._end("cancelled")
            return
        self.out.note("started", self.running, *((self.name,) if self._has_hosts else ()))
        for o in self.plan.calls[self.running].holds:
            if o not in self.refs:
                self.refs.add(o)
                self._say("borrow", o)

    def _say(self, *message: object) -> None:
        """A word to the hub from the call that runs. It adopts a call from a lane before the first."""
        if self.sender != HUB and not self.said and self.plan.broken != "a call is not adopted":
            self.out.send(HUB, "adopt", self.running, self.sender)
        self.said = True
        self.out.send(HUB, *message)

    def _get(self, o: int) -> None:
        if o in self.values:
            self.line += 1
            return
        self.blocked = True
        self._say("blocked")
        self.out.send(HUB, "fetch", o)

    def _end(self, outcome: str) -> None:
        t, call = self.running, self.plan.calls[self.running]
        gives = call.gives if outcome == "ok" else ()
        if self.blocked:
            self._unblock()
        lean = not self.said and not gives and outcome == "ok"
        if self.plan.broken == "it ends by the lane though it has spoken":
            lean = outcome == "ok"
        if self.plan.broken == "it ends by the lane with refs in its value":
            lean = not self.said and outcome == "ok"
        if self.sender != HUB and lean:
            self.out.send(self.sender, "done", t, outcome)
        elif outcome == "cancelled":  # the hub knows of it: it was told before it was cancelled
            self.out.send(HUB, "done", t, outcome, gives)
        else:
            self._say("done", t, outcome, gives)
        needed = self.kept if not gives else self.kept - set(gives)
        for o in sorted(self.refs - needed):
            self.out.send(HUB, "release", o)
        self.refs &= needed
        self.kept &= needed
        self.running, self.sender, self.line, self.said = 0, "", 0, False
        self.interrupted = False
        self.values.clear()
        if self.closing:
            self.out.send(HUB, "closed", self.closing, self.name)
            self.closing = 0

    def _unblock(self) -> None:
        self.blocked, self.resumed = False, True
        self.out.send(HUB, "unblocked")

    # what it hears

    def take(self, sender: str, message: Message) -> None:
        tag, *rest = message
        if tag == "gone":
            self.queue = [(t, s) for t, s in self.queue if s != sender]
            self.waiting = [w for w in self.waiting if w[1] != sender]
        elif tag == "run" and self.name in self.plan.homes:
            self._receive_call(sender, *rest)
        elif tag == "host":
            self.out.send(HUB, "born")
        elif tag == "exit":
            self.ending = True
        elif tag == "run":
            self._receive(sender, *rest)
        else:
            getattr(self, f"_on_{tag}")(*rest)

    def _receive(self, sender: str, t: int, number: int) -> None:
        if sender != HUB and number <= self.closed:
            self.out.send(sender, "returned", t)
        else:
            self.queue.append((t, sender))

    def _receive_call(self, sender: str, t: int, before: int, caller: str = "") -> None:
        """A call of its actor: it waits until the calls before it that came the other way are here."""
        caller = caller or sender
        by_hub = sender == HUB
        self.counts[caller, by_hub] = self.counts.get((caller, by_hub), 0) + 1
        self.waiting.append((t, sender, caller, before))
        again = True
        while again:
            again = False
            for entry in self.waiting:
                t, sender, caller, before = entry
                first = next(e for e in self.waiting if e[2] == caller and e[1] == sender)
                if entry is first and self._passed(caller, sender != HUB) >= before:
                    self.waiting.remove(entry)
                    self.queue.append((t, sender))
                    again = True
                    break

    def _passed(self, caller: str, by_hub: bool) -> int:
        """Calls of the caller that have come one way and do not wait any more."""
        waiting = sum(1 for _, s, c, _ in self.waiting if c == caller and (s == HUB) == by_hub)
        return self.counts.get((caller, by_hub), 0) - waiting

    def _on_close(self, number: int) -> None:
        self.closed = number
        for t, sender in self.queue:
            if sender != HUB:
                self.out.send(sender, "returned", t)
                self.cancelled.discard(t)
        self.queue = [(t, sender) for t, sender in self.queue if sender == HUB]
        if self.running and self.sender != HUB:
            self.closing = number
        else:
            self.out.send(HUB, "closed", number, self.name)

    def _on_interrupt(self, t: int) -> None:
        self.looking.append(t)
        if self.plan.broken == "interrupt does not look through the lanes":
            self._look()

    def _look(self) -> None:
        t = self.looking.pop(0)
        if t == self.running:
            self.interrupted = True
        elif any(u == t for u, *_ in (*self.queue, *self.waiting)):
            self.cancelled.add(t)

    def _on_ready(self, o: int, outcome: str) -> None:
        if outcome == "gone":
            self.out.note("gone", o)
        if self.running:
            self.values[o] = outcome
            if self.blocked:
                body = self.plan.calls[self.running].body
                if body[self.line] == ("get", o):
                    self._unblock()
                    self.line += 1
