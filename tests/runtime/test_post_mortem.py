"""A debugger where a task failed: its frames, those of the task it asked, and their variables."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import shoal
from shoal.frames import Kept, Snapshots, opened

Debug = Callable[..., str]


@pytest.fixture
def debug(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Debug:
    """What a debugger says to some commands."""

    def ask(ref: Any, *commands: str) -> str:
        monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join([*commands, "q", ""])))
        capsys.readouterr()
        shoal.post_mortem(ref)
        return capsys.readouterr().out

    return ask


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    shoal.init(num_cpus=2)
    yield
    shoal.shutdown()


class Thing:
    def __init__(self) -> None:
        self.size = 3


def helper(z: int, thing: Thing) -> float:
    large = bytes(10**6)
    return z / (len(large) - 10**6)


@shoal.remote
def fails(x: int) -> float:
    thing = Thing()
    return helper(x * 2, thing)


@shoal.remote
def asks(x: int) -> Any:
    mine = "asker"
    return shoal.get(fails.remote(x)), mine


@shoal.remote
def passes(x: Any) -> Any:
    return x


def test_the_variables_of_all_frames_are_there(cluster: None, debug: Debug) -> None:
    said = debug(fails.remote(4), "p z, thing.size, thing, large", "up", "p x")
    assert "(8, 3, <Thing of the task:" in said and "<bytes of the task: b'" in said
    assert "helper()" in said and "return z / (len(large)" in said and "\n(Pdb) 4\n" in said


def test_an_error_that_was_passed_on_leads_to_where_it_was_raised(cluster: None, debug: Debug) -> None:
    said = debug(asks.remote(5), "p z", "up", "up", "p mine, x")
    assert "(Pdb) 10\n" in said and "('asker', 5)" in said
    assert "(Pdb) 14\n" in debug(passes.remote(fails.remote(7)), "p z")
    with pytest.raises(ZeroDivisionError) as raised:
        shoal.get(fails.remote(1))
    assert "(Pdb) 2\n" in debug(raised.value, "p z")


def test_what_cannot_be_opened_is_told(cluster: None) -> None:
    with pytest.raises(ValueError, match="did not fail"):
        shoal.post_mortem(shoal.put(1))
    with pytest.raises(ValueError, match="nothing is kept of this error"):
        shoal.post_mortem(KeyError("mine"))
    with pytest.raises(TypeError, match="takes a ref or an exception"):
        shoal.post_mortem(7)


def test_a_snapshot_holds_nothing_and_ends() -> None:
    class Bad:
        def __repr__(self) -> str:
            raise RuntimeError

    sent: dict[bytes, bytes] = {}
    snapshots = Snapshots(sent.__setitem__)

    def fail(bad: Any, many: Any, lock: Any) -> None:
        raise ValueError("x")

    for number in range(30):
        try:
            fail(Bad(), list(range(10**5)), sys.stdout)
        except ValueError as error:
            snapshots.take(error, bytes([number]))
    assert 10 <= len(sent) < 30  # of many failures at once the first
    _, rows = opened(sent[b"\0"])
    kept = rows[-1].variables
    assert all(isinstance(value, Kept) for value in kept.values()) and list(kept) == ["bad", "many", "lock"]
    assert "Bad of the task" in repr(kept["bad"]) and len(repr(kept["many"])) < 100
