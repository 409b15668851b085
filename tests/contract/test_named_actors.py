"""Names of actors: created or found in one step, and the namespaces that keep them apart."""

# mypy: disable-error-code="attr-defined,no-any-return"
# To a type checker a decorated class stays the class.

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

import shoal
from shoal.exceptions import ActorAlreadyExistsError, ActorNotFoundError
from shoal.util import list_named_actors


@shoal.remote(num_cpus=0)
class Holder:
    def __init__(self, value: int = 0) -> None:
        self.value = value

    def get(self) -> int:
        return self.value

    def process(self) -> int:
        return os.getpid()

    def names(self) -> tuple[str, list[str]]:
        return shoal.get_runtime_context().namespace, list_named_actors()

    def make(self, name: str) -> shoal.ActorHandle:
        return Holder.options(name=name).remote()


@pytest.fixture
def namespace(request: pytest.FixtureRequest) -> Iterator[None]:
    shoal.init(num_cpus=2, namespace="here")
    yield
    shoal.shutdown()


@pytest.mark.parametrize("address", ["local", "inline"])
def test_a_program_has_the_namespace_that_it_gave(address: str) -> None:
    with shoal.init(address, namespace="mine"):
        holder = Holder.options(name="a").remote(1)
        assert shoal.get_runtime_context().namespace == "mine"
        assert shoal.get_actor("a") == shoal.get_actor("a", namespace="mine") == holder
        assert shoal.get(holder.names.remote()) == ("mine", ["a"])


@pytest.mark.parametrize("wrong", ["", 3])
def test_a_namespace_is_a_word(wrong: object) -> None:
    with pytest.raises((ValueError, TypeError), match="namespace"):
        shoal.init(namespace=wrong)  # type: ignore[arg-type]


def test_names_of_another_namespace_are_found_by_it_alone(engine: str) -> None:
    there = Holder.options(name="a", namespace="there").remote(1)
    here = Holder.options(name="a").remote(2)
    assert shoal.get_actor("a") == here != there == shoal.get_actor("a", "there")
    assert list_named_actors() == ["a"]
    mine = shoal.get_runtime_context().namespace
    assert sorted(list_named_actors(all_namespaces=True), key=str) == sorted(
        [{"name": "a", "namespace": mine}, {"name": "a", "namespace": "there"}], key=str
    )
    with pytest.raises(ActorNotFoundError, match="nowhere"):
        shoal.get_actor("a", "nowhere")


def test_the_dead_have_no_names(engine: str) -> None:
    holder = Holder.options(name="a").remote()
    shoal.kill(holder)
    assert list_named_actors() == []


def test_a_name_that_is_taken_says_how_to_get_it(engine: str) -> None:
    holder = Holder.options(name="a").remote()
    with pytest.raises(ActorAlreadyExistsError, match=r"shoal.get_actor\('a'"):
        Holder.options(name="a").remote()
    assert shoal.get(holder.get.remote()) == 0


def test_get_if_exists_takes_the_first_ones_arguments(engine: str) -> None:
    big = list(range(100_000))

    @shoal.remote
    class Sized:
        def __init__(self, values: list[int]) -> None:
            self.size = len(values)

        def get(self) -> int:
            return self.size

    model = Sized.options(name="one", get_if_exists=True)
    first, second = model.remote(big), model.remote([])
    assert first == second
    assert shoal.get([first.get.remote(), second.get.remote()]) == [100_000, 100_000]


@pytest.mark.needs_processes
def test_all_who_ask_at_once_get_the_same_actor(namespace: None) -> None:
    @shoal.remote(num_cpus=0)
    def from_a_task() -> tuple[shoal.ActorHandle, int]:
        holder = Holder.options(name="one", get_if_exists=True).remote()
        return holder, shoal.get(holder.process.remote())

    handles: list[shoal.ActorHandle] = []
    threads = [
        threading.Thread(target=lambda: handles.append(Holder.options(name="one", get_if_exists=True).remote()))
        for _ in range(8)
    ]
    found = [from_a_task.remote() for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    processes = {process for _, process in shoal.get(found)} | set(shoal.get([h.process.remote() for h in handles]))
    assert len(processes) == 1
    assert len({*handles, *(handle for handle, _ in shoal.get(found))}) == 1


@pytest.mark.needs_processes
def test_two_programs_share_names_by_giving_the_same_namespace() -> None:
    with shoal.init(num_cpus=1, namespace="shared") as context:
        holder = Holder.options(name="a", lifetime="detached").remote(7)
        alone = Holder.options(name="b", namespace="else").remote(8)
        code = (
            "import shoal, sys\n"
            "name, namespace = sys.argv[1], sys.argv[2] or None\n"
            "shoal.init(name, namespace=namespace)\n"
            "from shoal.util import list_named_actors\n"
            "assert (shoal.get_runtime_context().namespace == namespace) == (namespace is not None)\n"
            "print(list_named_actors(), shoal.get(shoal.get_actor('a', 'shared').get.remote()),\n"
            "      shoal.get(shoal.get_actor('b', 'else').get.remote()))\n"
        )
        for namespace, names in (("shared", "['a']"), ("else", "['b']"), ("", "[]")):
            done = subprocess.run(
                [sys.executable, "-c", code, context.address, namespace], capture_output=True, text=True, timeout=60
            )
            assert done.stdout.strip() == f"{names} 7 8", done.stderr
        shoal.kill(holder)
        del alone


def test_tasks_and_actors_are_in_the_namespace_of_their_program(engine: str) -> None:
    @shoal.remote
    def look() -> tuple[str, list[str]]:
        return shoal.get_runtime_context().namespace, list_named_actors()

    holder = Holder.options(name="elsewhere", namespace="x").remote()
    inner = shoal.get(holder.make.remote("made"))
    mine = shoal.get_runtime_context().namespace
    assert shoal.get_actor("made") == inner
    assert shoal.get(holder.names.remote()) == (mine, ["made"])
    assert shoal.get(look.remote()) == (mine, ["made"])


@pytest.mark.needs_processes
def test_a_detached_actor_keeps_the_namespace_of_its_maker() -> None:
    with shoal.init(num_cpus=1, namespace="kept") as context:
        code = (
            "import shoal, sys\n"
            "shoal.init(sys.argv[1], namespace='maker')\n"
            "@shoal.remote\n"
            "class Maker:\n"
            "    def make(self):\n"
            "        return self.__class__.__name__, shoal.get_runtime_context().namespace, shoal.get(look.remote())\n"
            "@shoal.remote\n"
            "def look():\n"
            "    return shoal.get_runtime_context().namespace\n"
            "shoal.get(Maker.options(name='m', lifetime='detached').remote().__shoal_ready__.remote())\n"
        )
        done = subprocess.run([sys.executable, "-c", code, context.address], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        maker = shoal.get_actor("m", "maker")
        assert shoal.get(maker.make.remote()) == ("Maker", "maker", "maker")
        shoal.kill(maker)
