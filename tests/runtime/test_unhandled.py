"""Errors that nobody asked for are told when their last ref goes; in a script, on stderr."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

WORK = """
import os
import shoal
shoal.init(num_cpus=2)

@shoal.remote(max_retries=0)
def fails(how):
    if how == "exit":
        os._exit(3)
    raise ValueError(how)

@shoal.remote
class Actor:
    def fails(self, how):
        if how == "exit":
            os._exit(3)
        raise ValueError(how)

@shoal.remote
def quiet(ref):
    return 1

def settle():
    "All that was dropped is known, and what it says is written."
    import threading
    from shoal.current import peek
    done = threading.Event()
    peek().reclaim()
    peek().later(done.set)
    assert done.wait(20)

actor = Actor.remote()
"""


def said(code: str, **environ: str) -> list[str]:
    """What stderr says of errors, a word each."""
    done = subprocess.run(
        [sys.executable, "-c", WORK + code], capture_output=True, text=True, timeout=60, env={**os.environ, **environ}
    )
    assert done.returncode == 0, done.stderr
    return [line.partition("=1): ")[2] for line in done.stderr.splitlines() if line.startswith("Unhandled error")]


def test_errors_of_tasks_and_calls_that_are_dropped() -> None:
    code = """
refs = [fails.remote("task"), actor.fails.remote("call")]
shoal.wait(refs, num_returns=2)
del refs
settle()
"""
    assert sorted(said(code)) == ["ValueError: call", "ValueError: task"]


def test_errors_that_come_when_nobody_is_there_any_more() -> None:
    code = """
fails.remote("first"), fails.remote("exit"), actor.fails.remote("call")
shoal.get(actor.__ray_ready__.remote())
while shoal.util.state.list_tasks(filters=[("state", "!=", "FAILED"), ("name", "=", "fails")]):
    pass
settle()
"""
    call, first, crashed = sorted(said(code))
    assert (call, first) == ("ValueError: call", "ValueError: first")
    assert crashed.startswith("WorkerCrashedError: fails()")


@pytest.mark.parametrize(
    "code",
    [
        "ref = fails.remote('a')\ntry:\n    shoal.get(ref)\nexcept ValueError:\n    pass",
        "ref = fails.remote('a')\ntry:\n    shoal.get(quiet.remote(ref))\nexcept ValueError:\n    pass",
        "ref = [fails.remote('a'), actor.fails.remote('b')]\nshoal.wait(ref, num_returns=2)\n"
        "try:\n    shoal.get(ref)\nexcept ValueError:\n    pass",
        "ref = None\ndef one():\n    ref = fails.remote('a')\n    return quiet.remote(ref)\n"
        "for _ in range(50):\n    try:\n        shoal.get(one())\n    except ValueError:\n        pass",
        "ref = None\n@shoal.remote\ndef items():\n    yield 1\n    raise ValueError\n"
        "try:\n    for item in items.remote():\n        shoal.get(item)\nexcept ValueError:\n    pass\ndel item",
        "ref = fails.remote('a').future()\nassert ref.exception()",
        "ref = shoal.cancel(fails.options(resources={'nowhere': 1}).remote('a'))",
        "ref = actor.fails.remote('exit')\nshoal.wait([ref])",
    ],
    ids=[
        "got", "passed on", "got with another", "passed on and dropped", "read as an item", "a future", "cancelled",
        "of a dead actor",
    ],
)
def test_those_that_somebody_asked_for_and_those_of_no_code_are_not_told(code: str) -> None:
    assert said(code + "\ndel ref\nsettle()\n") == []


@pytest.mark.parametrize("variable", ["SHOAL_IGNORE_UNHANDLED_ERRORS", "RAY_IGNORE_UNHANDLED_ERRORS"])
def test_a_variable_silences_them(variable: str) -> None:
    code = "ref = fails.remote('a')\nshoal.wait([ref])\ndel ref\nsettle()\n"
    assert said(code, **{variable: "1"}) == []
    assert said(code) == ["ValueError: a"]
