"""What can be called on a handle: a class's own methods, and those that every actor has."""

# mypy: disable-error-code="attr-defined,no-any-return"
# To a type checker a decorated class stays the class.

from __future__ import annotations

import time
from typing import Any

import pytest

import shoal
from shoal.exceptions import ActorClassInheritanceException, ActorDiedError

pytestmark = pytest.mark.usefixtures("engine")


@shoal.remote
class Bag:
    def __init__(self, *things: Any) -> None:
        self.things = list(things)

    def add(self, thing: Any) -> int:
        self.things.append(thing)
        return len(self.things)

    def __len__(self) -> int:
        return len(self.things)

    def __contains__(self, thing: Any) -> bool:
        return thing in self.things

    def __call__(self) -> str:
        return "called"


@shoal.remote
class Asynchronous:
    def __init__(self) -> None:
        self.things = ["one"]

    async def add(self, thing: Any) -> int:
        self.things.append(thing)
        return len(self.things)


MODELS = [Bag, Bag.options(max_concurrency=3), Asynchronous]


def number_of(actor: Any, more: int = 0) -> int:
    return len(actor.things) + more


async def add_later(actor: Any, thing: Any) -> int:
    return int(await actor.add(thing))


@pytest.mark.parametrize("prefix", ["shoal", "ray"])
@pytest.mark.parametrize("model", MODELS, ids=["sync", "threaded", "asyncio"])
def test_every_actor_has_ready_call_and_terminate(model: Any, prefix: str) -> None:
    actor = model.remote()
    assert shoal.get(getattr(actor, f"__{prefix}_ready__").remote()) is True
    size = shoal.get(actor.add.remote("thing"))
    assert shoal.get(getattr(actor, f"__{prefix}_call__").remote(number_of, more=10)) == size + 10
    with pytest.raises(ActorDiedError, match="terminate"):
        shoal.get(getattr(actor, f"__{prefix}_terminate__").remote())
    with pytest.raises(ActorDiedError, match="terminate"):
        shoal.get(actor.add.remote("late"))


def test_ready_raises_what_went_wrong_in_the_constructor() -> None:
    @shoal.remote
    class Broken:
        def __init__(self) -> None:
            raise ValueError("no such thing")

    with pytest.raises(ActorDiedError, match="no such thing"):
        shoal.get(Broken.remote().__shoal_ready__.remote())


def test_call_awaits_a_coroutine_of_an_asynchronous_actor() -> None:
    actor = Asynchronous.remote()
    assert shoal.get(actor.__ray_call__.remote(add_later, "two")) == 2


@pytest.mark.needs_processes
def test_terminate_lets_what_was_called_before_finish() -> None:
    @shoal.remote
    class Slow:
        def work(self) -> str:
            time.sleep(0.2)
            return "done"

    slow = Slow.remote()
    before = slow.work.remote()
    end = slow.__ray_terminate__.remote()
    assert shoal.get(before) == "done"
    with pytest.raises(ActorDiedError):
        shoal.get(end)


def test_methods_with_double_underscores_are_called_where_the_class_defines_them() -> None:
    bag = Bag.remote(1, 2)
    assert shoal.get([bag.__len__.remote(), bag.__contains__.remote(2), bag.__call__.remote()]) == [2, True, "called"]
    with pytest.raises(AttributeError):
        bag.__getitem__  # noqa: B018
    with pytest.raises(AttributeError):
        bag.__init_subclass_of_nothing__  # noqa: B018


def test_a_direct_call_names_remote() -> None:
    bag = Bag.remote()
    with pytest.raises(TypeError, match=r"Actors cannot be instantiated directly.*Bag\.remote\(\)"):
        Bag()
    with pytest.raises(TypeError, match=r"Actor methods cannot be called directly.*\.add\.remote\(\)"):
        bag.add(1)


def test_what_a_class_has_without_an_actor_is_had_of_the_actor_class_too() -> None:
    @shoal.remote
    class Limits:
        MOST = 3

        @staticmethod
        def double(number: int) -> int:
            return 2 * number

        @classmethod
        def of(cls, most: int) -> int:
            return most + cls.MOST

        def inside(self) -> int:
            return Limits.MOST + Limits.double(2)

    assert (Limits.MOST, Limits.double(4), Limits.of(1)) == (3, 8, 4)
    assert shoal.get(Limits.remote().inside.remote()) == 7
    assert {"MOST", "double", "remote", "options"} <= set(dir(Limits))
    assert [name for name in dir(Limits.remote()) if name[0] != "_"] == ["double", "inside", "of"]
    with pytest.raises(AttributeError, match="LEAST"):
        Limits.LEAST  # noqa: B018


def test_inheriting_from_an_actor_class_names_both() -> None:
    with pytest.raises(ActorClassInheritanceException, match="class Sub inherits from the actor class Bag"):

        class Sub(Bag):
            pass


def test_graphs_are_not_there_and_that_is_said() -> None:
    bag = Bag.remote()
    for target in (Bag, bag.add, shoal.remote(number_of)):
        assert not hasattr(target, "bind")
    with pytest.raises(AttributeError, match="graphs are no part of shoal"):
        bag.add.bind(1)


def test_a_handle_tells_its_actors_id() -> None:
    bag = Bag.remote()
    assert isinstance(bag._actor_id, shoal.ActorID)
    assert bag._actor_id.hex() in repr(bag)


@pytest.mark.parametrize("wrong", [{"num_cpus": 1}, {"max_restarts": 1}, {"nonsense": 1}])
def test_a_methods_unknown_options_are_refused_with_those_there_are(wrong: dict[str, Any]) -> None:
    bag = Bag.remote()
    with pytest.raises(ValueError, match="num_returns"):
        bag.add.options(**wrong)
    with pytest.raises(ValueError, match="num_returns"):
        shoal.method(**wrong)


def test_the_decorator_of_methods_wants_options() -> None:
    with pytest.raises(TypeError, match="options by name"):
        shoal.method(number_of)
    with pytest.raises(TypeError, match="options by name"):
        shoal.method()


def test_older_scripts_call_remote_with_lists() -> None:
    bag = Bag._remote(args=[1, 2], num_cpus=0)
    assert shoal.get(bag.add._remote(args=[3], kwargs={}, num_returns=1)) == 3
    assert shoal.get(shoal.remote(sum)._remote(args=[[1, 2]])) == 3
