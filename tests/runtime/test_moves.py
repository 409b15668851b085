"""Objects on their way to disk, against a model: a copy counts only if everybody let go and nobody came back."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from shoal.hub.moves import Moves

CLIENTS = range(1, 5)
OBJECTS = [bytes([i]) for i in range(8)]


@dataclass
class Model:
    mover: int
    objects: set[bytes]
    waits: dict[int, set[bytes]]
    deadline: float
    writing: bool = False


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.moves = Moves()
        self.model: dict[int, Model] = {}
        self.now = 0.0

    def moving(self) -> set[bytes]:
        return {o for move in self.model.values() for o in move.objects}

    def settle(self) -> None:
        """The owner of the bookkeeping writes as soon as nobody is waited for."""
        for number in [n for n, m in self.model.items() if not m.writing and not m.waits]:
            self.write(number)

    def write(self, number: int) -> None:
        move = self.model[number]
        for unanswered in move.waits.values():
            move.objects -= unanswered
        move.waits.clear()
        move.writing = True
        assert self.moves.write(number) == sorted(move.objects), "what may be copied"
        if not move.objects:
            del self.model[number]

    @rule(
        mover=st.sampled_from(CLIENTS),
        holders=st.dictionaries(st.sampled_from(OBJECTS), st.sets(st.sampled_from(CLIENTS)), min_size=1),
        patience=st.floats(0, 5),
    )
    def begin(self, mover: int, holders: dict[bytes, set[int]], patience: float) -> None:
        free = {o: clients for o, clients in holders.items() if o not in self.moves}
        if not free:
            return
        number = self.moves.begin(mover, free, self.now + patience)
        assert number not in self.model
        waits = {c: {o for o, clients in free.items() if c in clients} for c in CLIENTS}
        waits = {c: ids for c, ids in waits.items() if ids}
        assert {c: set(ids) for c, ids in self.moves.asked(number).items()} == waits
        self.model[number] = Model(mover, set(free), waits, self.now + patience)
        self.settle()

    @rule(number=st.integers(0, 30), client=st.sampled_from(CLIENTS), kept=st.sets(st.sampled_from(OBJECTS)))
    def answer(self, number: int, client: int, kept: set[bytes]) -> None:
        move = self.model.get(number)
        due = move is not None and not move.writing and client in move.waits
        if move is not None and due:
            kept &= move.waits.pop(client)
            move.objects -= kept
        last = self.moves.answered(number, client, kept)
        assert last == (move is not None and due and not move.waits)
        self.settle()

    @rule(object_id=st.sampled_from(OBJECTS))
    def use(self, object_id: bytes) -> None:
        self.moves.used(object_id)
        for move in self.model.values():
            move.objects.discard(object_id)

    @rule(number=st.integers(0, 30), object_id=st.sampled_from(OBJECTS))
    def copied(self, number: int, object_id: bytes) -> None:
        move = self.model.get(number)
        if move is not None and not move.writing:
            return  # who was not told to write does not
        counts = move is not None and object_id in move.objects
        assert self.moves.written(number, object_id) == counts
        if move is not None:
            move.objects.discard(object_id)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.model)))
        self.moves.end(number)
        del self.model[number]

    @rule(client=st.sampled_from(CLIENTS))
    def die(self, client: int) -> None:
        self.model = {n: m for n, m in self.model.items() if m.mover != client}
        answered = {n for n, m in self.model.items() if not m.writing and list(m.waits) == [client]}
        for move in self.model.values():
            move.waits.pop(client, None)
        assert set(self.moves.gone(client)) == answered
        self.settle()

    @rule(seconds=st.floats(0, 3))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        late = {n for n, m in self.model.items() if not m.writing and m.deadline <= self.now}
        assert set(self.moves.overdue(self.now)) == late
        for number in late:
            self.write(number)

    @invariant()
    def the_same_objects_are_on_their_way(self) -> None:
        assert {o for o in OBJECTS if o in self.moves} == self.moving()
        assert sum(len(m.objects) for m in self.model.values()) == len(self.moving()), "in one move at most"

    @invariant()
    def movers_and_deadlines(self) -> None:
        assert len(self.moves) == len(self.model)
        for number, move in self.model.items():
            assert self.moves.mover(number) == move.mover
        assert self.moves.due() == min((m.deadline for m in self.model.values() if not m.writing), default=None)


TestMoves = Machine.TestCase
