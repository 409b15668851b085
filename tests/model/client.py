"""A driver: it owns its calls, and sends each by a lane or the hub's way."""

from __future__ import annotations

from dataclasses import dataclass, field

from .mailboxes import Before
from .plan import Plan
from .process import Label, Message, Move, Out

QUEUE, HUB = "queue", "hub"
"""Where an unfinished call is; else it is on the lane to the worker that is named."""


@dataclass
class Client:
    name: str
    plan: Plan = field(compare=False)
    out: Out = field(default_factory=Out, compare=False)
    line: int = 0
    """Of its program."""
    hung: bool = False
    refs: set[int] = field(default_factory=set)
    values: dict[int, str] = field(default_factory=dict)
    calls: dict[int, str] = field(default_factory=dict)
    """The unfinished ones, and where each is."""
    known: set[int] = field(default_factory=set)
    """Objects of which the hub knows that they are held here: the drop of such a ref is said to it."""
    told: set[int] = field(default_factory=set)
    """Calls on a lane of which the hub was told."""
    put_in: set[int] = field(default_factory=set)
    """Lean calls: values stand in them where refs were."""
    queue: list[int] = field(default_factory=list)
    leases: dict[str, int] = field(default_factory=dict)
    lanes: dict[str, list[int]] = field(default_factory=dict)
    """By worker, the calls not answered, in their order."""
    offers: dict[str, int] = field(default_factory=dict)
    """Actors whose lane is open, and how many calls go before the lane's by the hub."""
    routes: dict[str, str] = field(default_factory=dict)
    """By actor, the worker to which a lane stands."""
    shut: dict[str, int] = field(default_factory=dict)
    """By actor, how many calls had gone the hub's way when it was killed: an offer must know of a later one."""
    pushed: dict[str, int] = field(default_factory=dict)
    """By actor's process, how many calls went by the lane."""
    sent: dict[str, int] = field(default_factory=dict)
    """By actor, how many calls went the hub's way."""
    ended: dict[str, int] = field(default_factory=dict)
    """Lanes read to their end, and the call that had begun there."""
    lost: list[str] = field(default_factory=list)
    """Lanes of which the hub has said that they are lost, and that are not yet read to their end."""
    held_back: dict[str, list[int]] = field(default_factory=dict)
    """Calls of an actor between the end of its lane and the hub's word."""
    wanting: bool = False
    overdue: bool = False
    """It has found a lane's head overdue; once is enough."""

    # its program

    def deaf(self) -> bool:
        return self.hung

    def leaves(self, reader: str) -> tuple[int, ...] | None:
        return None if reader in self.plan.programs else ()

    def moves(self) -> list[Move]:
        if self.hung:
            return []
        moves = []
        program = self.plan.programs[self.name]
        if self.line < len(program):
            op = program[self.line]
            if op[0] != "get" or op[1] in self.values:
                moves.append(Move(op))
        moves += [Move(("cancels", t), fault=True) for t in self.plan.cancels if t in self.calls and t in self.refs]
        moves += [Move(("tell", t)) for t in self.plan.tells if self._is_on_lane(t) and t not in self.told]
        if self.plan.overdue and not self.overdue:
            moves += [Move(("overdue", w)) for w in self.leases if len(self.lanes[w]) > 1]
        return moves

    def act(self, label: Label) -> None:
        self._act(label)
        self._pass_gets()

    def _pass_gets(self) -> None:
        """A get that finds its value says nothing to anybody: it needs no step of its own."""
        program = self.plan.programs[self.name]
        while self.line < len(program) and program[self.line][0] == "get":
            o = program[self.line][1]
            if o not in self.values or self._inside(o):
                break
            self.line += 1

    def _act(self, label: Label) -> None:
        op, *rest = label
        if op == "cancels":
            self._cancel(rest[0])
            return
        if op == "tell":
            self._tell(rest[0])
            return
        if op == "overdue":
            self.overdue = True
            self.out.send("hub", "overdue", rest[0], self.leases[rest[0]])
            return
        self.line += 1
        if op == "hang":
            self.hung = True
        elif op == "call":
            for t in rest:
                self._call(t)
        elif op == "put":
            self.refs.add(rest[0])
            self.values[rest[0]] = "ok"
            self._put(rest[0])
        elif op == "get":
            self._borrow_inside(rest[0])
        elif op == "cancel" and rest[0] in self.calls:
            self._cancel(rest[0])
        elif op == "drop":
            for o in rest:
                self._drop(o)
        elif op == "kill":
            self._kill(rest[0])

    # calls

    def _call(self, t: int) -> None:
        call = self.plan.calls[t]
        self.refs.add(t)
        inside_ok = self.plan.broken == "refs in arguments are lean"
        lean = call.lean and (not call.holds or inside_ok) and all(self._small(o) for o in call.needs)
        if lean and call.needs:
            self.put_in.add(t)
        if call.actor is not None:
            self._call_actor(t, call.actor, lean)
        elif lean and self.leases:
            self.calls[t] = QUEUE
            self.queue.append(t)
            self._pump()
        else:
            self._submit(t)

    def _small(self, o: int) -> bool:
        """Its value is at hand, and there is no ref in it."""
        return self.values.get(o) == "ok" and not self._inside(o)

    def _inside(self, o: int) -> tuple[int, ...]:
        return self.plan.calls[o].gives if o in self.plan.calls and self.values.get(o) == "ok" else ()

    def _submit(self, t: int) -> None:
        """The hub's way. What the hub does not know yet of the arguments goes before it on the same channel."""
        call = self.plan.calls[t]
        needs = () if t in self.put_in else call.needs
        self.put_in.discard(t)
        for o in (*needs, *call.holds):
            self._export(o)
        before: Before = ("", 0)
        if call.actor is not None:
            route = self.routes.get(call.actor, "")
            before = (route, self.pushed.get(route, 0))
            self.sent[call.actor] = self.sent.get(call.actor, 0) + 1
            if self.plan.broken != "a lane stays open beside the hub's way":
                self.offers.pop(call.actor, None)
        self.out.send("hub", "submit", t, 0, before, needs)
        self._leave_to_hub(t, t in self.told)

    def _leave_to_hub(self, t: int, told: bool) -> None:
        """The call is the hub's from now on; if its ref was dropped while the hub did not know it, it learns that."""
        self.told.discard(t)
        if t in self.refs:
            self.calls[t] = HUB
            self.known.add(t)
        else:
            self.calls.pop(t, None)
            if not told and self.plan.broken != "an earlier drop is not said":
                self._release(t)

    def _pump(self) -> None:
        """Push what the lanes take; without a lane all goes to the hub."""
        if not self.leases:
            queue, self.queue = self.queue, []
            for t in queue:
                self._submit(t)
        for w, n in self.leases.items():
            while self.queue and len(self.lanes[w]) < self.plan.depth:
                t = self.queue.pop(0)
                self.calls[t] = w
                self.lanes[w].append(t)
                self.out.send(w, "run", t, n)
        if self.queue and not self.wanting:
            self.wanting = True
            self.out.send("hub", "want")

    def _call_actor(self, t: int, actor: str, lean: bool) -> None:
        w = self.routes.get(actor, "")
        hold = self.plan.broken != "calls go on between the end of a lane and the hub's word"
        if (w in self.ended and hold) or actor in self.held_back:
            self.calls[t] = QUEUE
            self.held_back.setdefault(actor, []).append(t)
        elif lean and actor in self.offers and w not in self.ended:
            self.pushed[w] = self.pushed.get(w, 0) + 1
            self.calls[t] = w
            self.lanes[w].append(t)
            self.out.send(w, "run", t, self.offers[actor])
        else:
            self._submit(t)

    def _kill(self, actor: str) -> None:
        """What is called from now on comes behind that word."""
        if self.plan.broken != "a kill leaves the lane open":
            self.offers.pop(actor, None)
            self.shut[actor] = self.sent.get(actor, 0)
        self.out.send("hub", "kill", actor)

    # what others may ask about

    def _is_on_lane(self, t: int) -> bool:
        return self.calls.get(t, HUB) not in (QUEUE, HUB)

    def _export(self, o: int) -> None:
        """The ref leaves: the hub is to know what it stands for."""
        if o in self.queue:
            self.queue.remove(o)
            self._submit(o)
        elif self.calls.get(o) == QUEUE:
            self._submit_held_back(self.plan.calls[o].actor or "")
        elif self._is_on_lane(o):
            self._tell(o)
        elif o not in self.known:
            self._put(o)

    def _tell(self, t: int) -> None:
        if t in self.told:
            return
        self.told.add(t)
        self.known.add(t)
        self.out.send("hub", "tell", t, self.calls[t])
        if t not in self.refs:
            self._release(t)

    def _put(self, o: int) -> None:
        if o not in self.values:
            self.out.note("gone", o)
        self.known.add(o)
        self.out.send("hub", "put", o, self.values.get(o, ""))

    def _release(self, o: int) -> None:
        self.known.discard(o)
        self.out.send("hub", "release", o)

    def _drop(self, o: int) -> None:
        self.refs.discard(o)
        self._forget(o)

    def _forget(self, o: int) -> None:
        """Unless a call that is held back needs it yet, or one on a lane is of the actor that it is a handle of."""
        held_back = [t for calls in self.held_back.values() for t in calls]
        if any(o in self._needed_by(t) for t in held_back):
            if self.plan.broken != "a call that is held back holds nothing":
                return
        if any(o == self._handle(t) for calls in self.lanes.values() for t in calls):
            if self.plan.broken != "a call on a lane does not hold its actor":
                return
        self.values.pop(o, None)
        if self.calls.get(o) == HUB:
            del self.calls[o]
        if o in self.known:
            self._release(o)

    def _borrow_inside(self, o: int) -> None:
        for inner in self._inside(o):
            self.refs.add(inner)
            if inner not in self.known:
                self.known.add(inner)
                self.out.send("hub", "borrow", inner)

    def _cancel(self, t: int) -> None:
        where = self.calls[t]
        if where == QUEUE:
            for calls in (self.queue, *self.held_back.values()):
                if t in calls:
                    calls.remove(t)
            self._forget_arguments(t)
            self._answered(t, "cancelled")
            return
        if self._is_on_lane(t):
            self._tell(t)
        self.out.send("hub", "cancel", t)

    # what comes back

    def take(self, sender: str, message: Message) -> None:
        tag, *rest = message
        if tag == "gone":
            self._lane_ended(sender, rest[0])
        else:
            getattr(self, f"_on_{tag}")(sender, *rest)
        self._pass_gets()

    def _answered(self, t: int, outcome: str) -> None:
        self.out.note("outcome", t, outcome)
        self.calls.pop(t, None)
        for w, calls in self.lanes.items():
            self.lanes[w] = [u for u in calls if u != t]
        self.told.discard(t)
        self.put_in.discard(t)
        if t in self.refs:
            self.values[t] = outcome
        self._let_go(t)

    def _on_done(self, w: str, t: int, outcome: str) -> None:
        """By the lane, unless the hub has ended it before."""
        if t not in self.lanes[w]:
            return
        if t in self.told:
            self.out.send("hub", "ended", t, outcome)
        self._answered(t, outcome)
        self._pump()

    def _on_returned(self, w: str, t: int) -> None:
        self.lanes[w].remove(t)
        if t in self.told and self.plan.broken != "a told call goes on to another lease":
            self._submit(t)
        else:
            self.calls[t] = QUEUE
            self.queue.append(t)
        self._pump()

    def _on_ready(self, hub: str, t: int, outcome: str) -> None:
        """By the hub; said of each call that it knows was on a lane, held or not."""
        if outcome == "gone":
            self.out.note("gone", t)
        if t in self.calls:
            self._leave_to_hub(t, t in self.told or self.calls[t] == HUB)
            self._answered(t, outcome)
            self._pump()
        elif t in self.values and self.plan.broken != "what the hub says later replaces a value":
            pass  # the hub has ended it, and the lane's answer was quicker
        elif t in self.refs:
            self.out.note("outcome", t, outcome)
            self.values[t] = outcome
        else:
            self._release(t)  # the hub has heard of it after its ref had gone

    def _on_lend(self, hub: str, w: str, number: int) -> None:
        self.wanting = False
        self.lanes.setdefault(w, [])
        if w not in self.ended:
            self.leases[w] = number
        self._pump()

    def _on_lease_closed(self, hub: str, w: str, number: int) -> None:
        self.wanting = False
        if self.leases.get(w) == number:
            del self.leases[w]
        if self.plan.broken == "close is told to the driver only":
            self.out.send("hub", "closed", number, w)
        self._pump()

    def _on_offer(self, hub: str, actor: str, w: str, dealt: int, sent: int) -> None:
        stale = dealt != self.sent.get(actor, 0) and self.plan.broken != "an offer without counts"
        if stale or actor in self.held_back or dealt <= self.shut.get(actor, -1):
            return
        if w in self.plan.aloof or (w in self.ended and w not in self.lanes):
            return  # there is no connecting to it
        self.lanes.setdefault(w, [])
        self.routes[actor], self.offers[actor] = w, sent

    # a worker's death

    def _lane_ended(self, w: str, begun: int) -> None:
        self.ended[w] = begun
        self.leases.pop(w, None)
        if self.plan.broken == "lost is said before lane_lost" and w in self.lanes:
            self._tell_what_is_lost(w)
        self._tell_in_order()

    def _on_lane_lost(self, hub: str, w: str) -> None:
        self.lost.append(w)
        self.leases.pop(w, None)
        self._tell_in_order()

    def _tell_in_order(self) -> None:
        """Of lanes that are read to their end, in the order of the hub's words."""
        while self.lost and self.lost[0] in self.ended:
            self._tell_what_is_lost(self.lost.pop(0))
        self._pump()

    def _submit_held_back(self, actor: str) -> None:
        calls = self.held_back.pop(actor, [])
        for t in calls:
            self._submit(t)
        for t in calls:
            self._forget_arguments(t)

    def _forget_arguments(self, t: int) -> None:
        """Those that the call alone has held."""
        for o in self._needed_by(t):
            if o not in self.refs:
                self._forget(o)

    def _needed_by(self, t: int) -> tuple[int, ...]:
        call, handle = self.plan.calls[t], self._handle(t)
        return (*call.needs, *call.holds, *(() if handle is None else (handle,)))

    def _handle(self, t: int) -> int | None:
        """Of the actor whose call it is."""
        return self.plan.handles.get(self.plan.calls[t].actor or "")

    def _let_go(self, t: int) -> None:
        """A call is no more on a lane."""
        handle = self._handle(t)
        if handle is not None and handle not in self.refs and handle in self.known:
            self._forget(handle)

    def _tell_what_is_lost(self, w: str) -> None:
        calls = self.lanes.pop(w, [])
        begun = calls[:1] if self.plan.broken == "the first that is lost counts as begun" else [self.ended[w]]
        self.out.send("hub", "lost", w, tuple((t, t in begun) for t in calls))
        for t in calls:
            self._leave_to_hub(t, t in self.told)
            self._let_go(t)
        actor = self.plan.homes.get(w)
        if actor is not None:
            self.sent[actor] = self.sent.get(actor, 0) + len(calls)
            if self.routes.get(actor) == w:
                del self.routes[actor]
                self.offers.pop(actor, None)
                self._submit_held_back(actor)
