"""What a call of a dead actor says: why it died, who it was, and what it said last."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import shoal
from shoal.actor import exit_actor
from shoal.exceptions import ActorDiedError, WorkerCrashedError
from shoal.util import list_named_actors
from shoal.util.state import list_tasks

# mypy: disable-error-code="attr-defined,no-any-return"
# To a type checker a decorated class stays the class.

pytestmark = pytest.mark.usefixtures("engine")


@shoal.remote(num_cpus=0)
class Mortal:
    def __init__(self, wrong: bool = False) -> None:
        if wrong:
            self.build()

    def build(self) -> None:
        raise ValueError("cannot be built")

    def work(self) -> int:
        return 1

    def crash(self) -> None:
        print("what I had to say", file=sys.stderr)
        os._exit(7)

    def signalled(self) -> None:
        os.kill(os.getpid(), signal.SIGUSR1)

    def leave(self) -> None:
        exit_actor()

    def child(self, **options: Any) -> shoal.ActorHandle:
        self.made = Mortal.options(**options).remote()
        return self.made


def why(call: Callable[[], Any]) -> str:
    with pytest.raises(ActorDiedError) as told:
        shoal.get(call())
    return str(told.value)


def test_a_constructor_that_raised_is_told_with_its_traceback() -> None:
    told = why(Mortal.remote(wrong=True).work.remote)
    assert "The actor died because of an error raised in its creation task" in told
    assert "in build" in told and "ValueError: cannot be built" in told


def test_a_kill_is_told_as_such() -> None:
    mortal = Mortal.remote()
    shoal.kill(mortal)
    with pytest.raises(ActorDiedError, match="The actor is dead because it was killed by `ray.kill`") as told:
        shoal.get(mortal.work.remote())
    assert told.value.actor_id == mortal._actor_id.hex()


@pytest.mark.needs_processes
def test_a_crash_is_told_with_what_the_process_said_last_and_which_actor_it_was() -> None:
    mortal = Mortal.options(name="m", namespace="n").remote()
    for told in (why(mortal.crash.remote), why(mortal.work.remote)):
        assert "The actor is dead because its worker process has died: exit status 7" in told
        assert "what I had to say" in told
        assert "class_name: Mortal, name: m, namespace: n" in told
        assert mortal._actor_id.hex() in told


@pytest.mark.needs_processes
def test_a_signal_is_told_by_name() -> None:
    assert "has died: SIGUSR1" in why(Mortal.remote().signalled.remote)


@pytest.mark.needs_processes
def test_leaving_is_told() -> None:
    assert "is dead because it called exit_actor()" in why(Mortal.remote().leave.remote)


@pytest.mark.needs_processes
def test_a_task_that_crashed_is_told_with_its_own_last_words_alone() -> None:
    @shoal.remote(max_retries=0)
    def crash() -> None:
        print("words of the second", file=sys.stderr)
        os._exit(3)

    @shoal.remote
    def speak() -> None:
        print("words of the first", file=sys.stderr)

    shoal.get([speak.remote() for _ in range(4)])
    with pytest.raises(WorkerCrashedError, match="exit status 3") as told:
        shoal.get(crash.remote())
    assert "words of the second" in str(told.value) and "words of the first" not in str(told.value)


@pytest.mark.needs_processes
@pytest.mark.parametrize("end", ["kill", "crash", "leave"])
def test_an_actor_ends_with_the_actor_that_made_it_unless_it_is_detached(end: str) -> None:
    maker = Mortal.remote()
    child, lasting = shoal.get([maker.child.remote(), maker.child.remote(lifetime="detached")])
    assert shoal.get([child.work.remote(), lasting.work.remote()]) == [1, 1]
    if end == "kill":
        shoal.kill(maker)
    else:
        why(getattr(maker, end).remote)
    shoal.get(lasting.work.remote())
    with pytest.raises(ActorDiedError, match="its owner has died"):
        while True:  # until its process is gone, which no call tells
            shoal.get(child.work.remote())
    assert shoal.get(lasting.work.remote()) == 1
    shoal.kill(lasting)


@pytest.mark.needs_processes
def test_force_is_not_for_actors_calls() -> None:
    mortal = Mortal.remote()
    done = mortal.work.remote()
    shoal.get(done)
    for ref in (done, mortal.work.remote()):
        with pytest.raises(ValueError, match="force=True is not supported for actor tasks"):
            shoal.cancel(ref, force=True)
    assert shoal.get(mortal.work.remote()) == 1


def test_leaving_is_for_the_code_of_actors() -> None:
    with pytest.raises(TypeError, match="exit_actor API is called on a non-actor worker"):
        exit_actor()


@pytest.mark.needs_processes
@pytest.mark.filterwarnings("ignore:.*stays pending")
@pytest.mark.parametrize("maker", ["actor", "task"])
def test_what_a_process_that_crashed_had_submitted_ends_unless_others_want_it(maker: str, tmp_path: Path) -> None:
    """Ray ends the work of an owner that died; here a value that somebody else waits for is still made."""

    @shoal.remote(num_cpus=0)
    def child(name: str) -> str:
        (tmp_path / name).touch()
        await_file("go")
        return name

    @shoal.remote(num_cpus=0)
    class Keeper:
        def keep(self, refs: list[Any]) -> None:
            self.refs = refs

        def kept(self) -> Any:
            return shoal.get(self.refs[0])

    def await_file(name: str) -> None:
        while not (tmp_path / name).exists():
            time.sleep(0.01)

    def make(keeper: Any) -> None:
        running, kept = [child.options(name=name).remote(name) for name in ("running", "kept")]
        queued = child.options(name="queued", resources={"nowhere": 1}).remote("queued")
        shoal.get(keeper.keep.remote([kept]))
        await_file("running")
        os._exit(len((running, queued)))

    class Maker:
        def make(self, keeper: Any) -> None:
            make(keeper)

    keeper = Keeper.remote()
    if maker == "task":
        with pytest.raises(WorkerCrashedError):
            shoal.get(shoal.remote(num_cpus=0, max_retries=0)(make).remote(keeper))
    else:
        actor = shoal.remote(Maker).remote()
        with pytest.raises(ActorDiedError):
            shoal.get(actor.make.remote(keeper))
    end = time.monotonic() + 30
    while len([t for t in list_tasks(filters=[("state", "=", "FAILED")]) if t.name in ("running", "queued")]) < 2:
        assert time.monotonic() < end
    (tmp_path / "go").touch()
    assert shoal.get(keeper.kept.remote(), timeout=30) == "kept"


@pytest.mark.needs_processes
def test_what_an_actor_that_leaves_had_submitted_is_done_to_its_end(tmp_path: Path) -> None:
    @shoal.remote(num_cpus=0)
    def child() -> None:
        while not (tmp_path / "go").exists():
            time.sleep(0.01)
        (tmp_path / "done").touch()

    class Leaver:
        def make(self) -> None:
            self.child = child.remote()
            exit_actor()

    assert "called exit_actor()" in why(shoal.remote(Leaver).remote().make.remote)
    (tmp_path / "go").touch()
    end = time.monotonic() + 30
    while not (tmp_path / "done").exists():
        assert time.monotonic() < end


@pytest.mark.needs_processes
def test_an_actor_that_nobody_holds_is_not_made_again_and_again() -> None:
    class Hopeless:
        def __init__(self) -> None:
            os._exit(1)

    actor = shoal.remote(max_restarts=-1)(Hopeless).options(name="hopeless").remote()
    assert list_named_actors() == ["hopeless"]
    del actor
    end = time.monotonic() + 30
    while list_named_actors():
        assert time.monotonic() < end
