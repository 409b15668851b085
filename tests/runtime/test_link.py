"""Many threads that wait at one socket: one reads, and each of the others is woken for what it waits for."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from shoal.link import Link
from shoal.shield import Shield
from shoal.wire import Message, encode

PATIENCE = 30.0


class Ends:
    """A link, and the other end of its socket."""

    def __init__(self) -> None:
        ours, self.other = socket.socketpair()
        self.here: set[int] = set()
        self.link = Link(ours, self._take, shield=Shield())

    def _take(self, message: Message) -> None:
        self.here.add(message[1])

    def answer(self, number: int) -> None:
        self.other.sendall(encode([("answer", number)]))

    def close(self) -> None:
        self.link.close()
        self.other.close()


@pytest.fixture
def ends() -> Iterator[Ends]:
    ends = Ends()
    yield ends
    ends.close()


class Waiting:
    """A thread that waits until `ready()`; `looks` counts how often it has looked itself."""

    def __init__(self, link: Link, ready: Callable[[], bool], timeout: float | None = None) -> None:
        self.looks = 0
        self.result: bool | None = None
        self._link, self._ready, self._timeout = link, ready, timeout
        self._looking = threading.Event()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        assert self._looking.wait(PATIENCE)

    def _run(self) -> None:
        self.result = self._link.wait(self._look, self._timeout)

    def _look(self) -> bool:
        if threading.current_thread() is self.thread:
            self.looks += 1
            self._looking.set()
        return self._ready()

    def ended(self) -> bool:
        self.thread.join(PATIENCE)
        return not self.thread.is_alive()


def test_an_answer_wakes_none_but_the_thread_that_waits_for_it(ends: Ends) -> None:
    count = 100
    waiting = [Waiting(ends.link, lambda n=n: n in ends.here) for n in range(count)]  # type: ignore[misc]
    for number in reversed(range(count)):
        ends.answer(number)
        assert waiting[number].ended() and waiting[number].result
    assert sum(w.looks for w in waiting) < 10 * count  # every one at every answer were 5,000


@pytest.mark.parametrize("leaves", ["by its answer", "by its deadline"])
def test_when_the_one_that_reads_leaves_another_reads(ends: Ends, leaves: str) -> None:
    first = Waiting(ends.link, lambda: 0 in ends.here, 0.05 if leaves == "by its deadline" else None)
    others = [Waiting(ends.link, lambda n=n: n in ends.here) for n in range(1, 5)]  # type: ignore[misc]
    if leaves == "by its answer":
        ends.answer(0)
    assert first.ended()
    for number, other in enumerate(others, 1):
        ends.answer(number)
        assert other.ended() and other.result


def test_deadlines_that_pass_leave_the_others_as_they_are(ends: Ends) -> None:
    last = Waiting(ends.link, lambda: 1 in ends.here)
    short = [Waiting(ends.link, lambda: False, 0.001 * n) for n in range(50)]
    assert all(waiting.ended() and waiting.result is False for waiting in short)
    ends.answer(1)
    assert last.ended() and last.result


def test_what_is_made_here_is_seen_by_who_waits_behind_the_one_that_reads(ends: Ends) -> None:
    reads = Waiting(ends.link, lambda: 0 in ends.here)
    made = threading.Event()
    waits = Waiting(ends.link, made.is_set)
    made.set()
    ends.link.look_again()
    assert waits.ended() and waits.result
    ends.answer(0)
    assert reads.ended()


def test_the_end_of_the_other_side_is_seen_by_all(ends: Ends) -> None:
    seen: list[BaseException] = []

    def wait() -> None:
        try:
            ends.link.wait(lambda: False)
        except Exception as error:
            seen.append(error)

    threads = [threading.Thread(target=wait) for _ in range(20)]
    for thread in threads:
        thread.start()
    ends.other.close()
    for thread in threads:
        thread.join(PATIENCE)
    assert [type(error).__name__ for error in seen] == ["ClusterDiedError"] * 20
