"""Exhaustive exploration of processes that send each other messages.

A *world* is a set of processes and a FIFO channel for each pair that talks. In a step one process takes one message
from one channel, or makes one move of its own, or a fault strikes. `Explorer` visits every world that any order of
steps can reach, breadth first, so a violation comes with a shortest trace.

What a process does depends on itself and on what it takes, never on the rest of the world. So its steps are computed
once and looked up afterwards, and a world is a tuple of small numbers: processes may be written plainly, and slowly.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Any, NamedTuple

from .process import Label, Message, Move, Out, Process, Properties, Violation, clone, freeze

World = tuple[int, ...]


class Effect(NamedTuple):
    process: int
    sent: tuple[tuple[int, Message], ...]
    notes: tuple[Message, ...]


GONE = 0
"""The number of a process that has died."""
EMPTY = 0
"""The number of a channel with nothing in it."""


class Explorer:
    """Visits all worlds. `zygote` is no process: a message from it to a process is its death."""

    def __init__(
        self, processes: list[Process], properties: Properties, mortal: tuple[str, ...] = (), faults: int = 1
    ) -> None:
        self._properties = properties
        self._names = [p.name for p in processes]
        self._index = {name: i for i, name in enumerate(self._names)}
        self._mortal = mortal
        self._processes: list[Process | None] = [None]
        self._numbers: dict[Any, int] = {}
        pairs = [(a, b) for a in [*self._names, "zygote"] for b in self._names if a != b]
        self._pairs = pairs
        self._base = 2 + len(processes)
        self._slot = {pair: self._base + i for i, pair in enumerate(pairs)}
        self._contents: list[tuple[Message, ...]] = [()]
        self._content_numbers: dict[tuple[Message, ...], int] = {(): EMPTY}
        self._incoming = [
            [(sender, self._slot[sender, name]) for sender in [*self._names, "zygote"] if sender != name]
            for name in self._names
        ]
        self._ledgers: list[Message] = [()]
        self._ledger_numbers: dict[Message, int] = {(): 0}
        self._effects: dict[tuple[int, Label], Effect] = {}
        self._moves: dict[int, tuple[list[Move], bool]] = {}
        self._checked: set[World] = set()
        self._entries: dict[tuple[int, Message], int] = {}
        start = [faults, 0, *(self._number(p) for p in processes), *(EMPTY for _ in pairs)]
        self.start: World = tuple(start)
        self.worlds: dict[World, int] = {self.start: 0}
        self._parents = array("l", [-1])
        self._labels: list[Label] = [()]

    def run(self, limit: int = 1_000_000) -> int:
        """Explore; returns the number of worlds, raises `Violation`."""
        order = [self.start]
        sources, targets = array("l"), array("l")
        ends: list[int] = []
        for number, world in enumerate(order):
            if number > limit:
                raise RuntimeError(f"more than {limit:,} worlds")
            calm = True
            try:
                for label, fault, following in self._steps(world):
                    known = self.worlds.get(following)
                    if known is None:
                        known = self.worlds[following] = len(order)
                        order.append(following)
                        self._parents.append(number)
                        self._labels.append(label)
                        self._check(following, known)
                    if not fault:
                        calm = False
                        sources.append(number)
                        targets.append(known)
                if calm:
                    ends.append(number)
                    self._properties.finished(self.processes(world), self._ledgers[world[1]])
            except Violation as violation:
                violation.trace = self.trace(getattr(violation, "at", number)) + violation.trace
                raise
        self._all_can_end(len(order), sources, targets, ends)
        return len(order)

    # steps

    def _steps(self, world: World) -> Iterator[tuple[Label, bool, World]]:
        faults = world[0]
        for i, name in enumerate(self._names):
            number = world[2 + i]
            if number == GONE:
                continue
            moves, deaf = self._moves_of(number)
            for move in moves:
                if move.fault and not faults:
                    continue
                if any(world[self._slot[sender, name]] for sender in move.quiet):
                    continue
                label = (name, "does", *move.label)
                yield label, move.fault, self._step(world, i, move.label, None, move.fault)
            for sender, slot in self._incoming[i]:
                if world[slot] == EMPTY or (deaf and sender != "zygote"):
                    continue
                if sender == "zygote":
                    yield (name, "is killed"), False, self._die(world, i, False)
                else:
                    message = self._contents[world[slot]][0]
                    label = (sender, "says", *message)
                    yield (name, "hears", *label), False, self._step(world, i, label, slot, False)
            if faults and name in self._mortal:
                yield (name, "dies"), True, self._die(world, i, True)

    def _step(self, world: World, i: int, label: Label, slot: int | None, fault: bool) -> World:
        number = world[2 + i]
        effect = self._effects.get((number, label))
        if effect is None:
            effect = self._effects[number, label] = self._effect(number, label)
        after = list(world)
        if fault:
            after[0] -= 1
        if slot is not None:
            after[slot] = self._channel(self._contents[after[slot]][1:])
        after[2 + i] = effect.process
        for target, message in effect.sent:
            if after[2 + self._index[self._pairs[target - self._base][1]]] != GONE:
                after[target] = self._channel((*self._contents[after[target]], message))
        for note in effect.notes:
            self._enter(after, note, label)
        return tuple(after)

    def _effect(self, number: int, label: Label) -> Effect:
        process = clone(self._processes[number])
        assert process is not None
        if label[1:2] == ("says",):
            process.take(label[0], label[2:])
        else:
            process.act(label)
        sent = tuple((self._slot[process.name, to] if to in self._index else self._doom(m), m)
                     for to, m in process.out.sent)  # fmt: skip
        notes = tuple(process.out.notes)
        process.out = Out()
        return Effect(self._number(process), sent, notes)

    def _doom(self, message: Message) -> int:
        """`send("zygote", "kill", name)`: a signal, in order with nothing."""
        return self._slot["zygote", message[1]]

    def _die(self, world: World, i: int, fault: bool) -> World:
        """What it has said can still be heard; what was said to it is lost; all hear last that it is gone."""
        name, process = self._names[i], self._processes[world[2 + i]]
        assert process is not None
        after = list(world)
        after[0] -= fault
        after[2 + i] = GONE
        for _, slot in self._incoming[i]:
            after[slot] = EMPTY
        for other, receiver in enumerate(self._names):
            left = process.leaves(receiver) if other != i and after[2 + other] != GONE else None
            if left is not None:
                slot = self._slot[name, receiver]
                after[slot] = self._channel((*self._contents[after[slot]], ("gone", *left)))
        self._enter(after, ("died", name), ())
        return tuple(after)

    def _enter(self, after: list[int], note: Message, label: Label) -> None:
        try:
            if note[0] == "freed":
                self._check_freed(after, note[1])
            key = (after[1], note)
            if key not in self._entries:
                ledger = self._properties.enter(self._ledgers[after[1]], note)
                if ledger not in self._ledger_numbers:
                    self._ledger_numbers[ledger] = len(self._ledgers)
                    self._ledgers.append(ledger)
                self._entries[key] = self._ledger_numbers[ledger]
            after[1] = self._entries[key]
        except Violation as violation:
            violation.trace = [" ".join(map(str, label))]
            raise

    # properties

    def _check_freed(self, after: list[int], freed: int) -> None:
        for i, name in enumerate(self._names):
            process = self._processes[after[2 + i]]
            if process is not None and freed in self._properties.refs(process):
                raise Violation(f"{freed} was freed while {name} holds it")
        for pair, slot in self._slot.items():
            for message in self._contents[after[slot]]:
                if freed in self._properties.carried(message):
                    raise Violation(f"{freed} was freed while a message {pair[0]} → {pair[1]} holds it: {message}")

    def _check(self, world: World, number: int) -> None:
        part = world[2 : self._base]
        if part in self._checked:
            return
        try:
            self._properties.check(self.processes(world))
        except Violation as violation:
            violation.at = number  # type: ignore[attr-defined]
            raise
        self._checked.add(part)

    def _all_can_end(self, count: int, sources: array[int], targets: array[int], ends: list[int]) -> None:
        """From every world an end can be reached without a fault: nothing goes round for ever."""
        before: list[list[int]] = [[] for _ in range(count)]
        for source, target in zip(sources, targets, strict=True):
            before[target].append(source)
        reached = bytearray(count)
        stack = ends[:]
        for end in ends:
            reached[end] = 1
        while stack:
            for source in before[stack.pop()]:
                if not reached[source]:
                    reached[source] = 1
                    stack.append(source)
        if not all(reached):
            violation = Violation("no end can be reached from here")
            violation.trace = self.trace(reached.index(0))
            raise violation

    # looking in

    def processes(self, world: World) -> dict[str, Process | None]:
        return {name: self._processes[world[2 + i]] for i, name in enumerate(self._names)}

    def trace(self, number: int) -> list[str]:
        lines = []
        while number > 0:
            lines.append(" ".join(map(str, self._labels[number])))
            number = self._parents[number]
        return lines[::-1]

    # numbers for things

    def _number(self, process: Process) -> int:
        key = (process.name, freeze(process))
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._processes)
            self._processes.append(process)
        return number

    def _channel(self, content: tuple[Message, ...]) -> int:
        number = self._content_numbers.get(content)
        if number is None:
            number = self._content_numbers[content] = len(self._contents)
            self._contents.append(content)
        return number

    def _moves_of(self, number: int) -> tuple[list[Move], bool]:
        known = self._moves.get(number)
        if known is None:
            process = self._processes[number]
            assert process is not None
            known = self._moves[number] = (process.moves(), process.deaf())
        return known
