"""What a function or class captures lives as long as it can be used, and its options are what they seem."""

from __future__ import annotations

import abc
import enum
import gc
from typing import Any

import pytest

import shoal

pytestmark = pytest.mark.usefixtures("engine")


class Label(enum.StrEnum):
    NAME = "labelled"
    RESOURCE = "widget"


class Holder:
    def __init__(self) -> None:
        self.n = 0

    def add(self) -> int:
        self.n += 1
        return self.n


def capturing() -> Any:
    """A remote function whose definition alone knows of a ref."""
    ref = shoal.put([1, 2, 3])

    @shoal.remote
    def read() -> Any:
        return shoal.get(ref)

    return read


def test_a_ref_in_a_closure_lives_as_long_as_the_function() -> None:
    read = capturing()
    assert shoal.get(read.remote()) == [1, 2, 3]
    gc.collect()
    assert shoal.get(read.remote()) == [1, 2, 3]


def test_a_ref_in_a_closure_outlives_its_rebinding() -> None:
    ref = shoal.put("first")

    @shoal.remote
    def read() -> Any:
        return shoal.get(ref)

    assert shoal.get(read.remote()) == "first"
    ref = shoal.put("second")
    gc.collect()
    assert shoal.get([read.remote() for _ in range(6)]) == ["first"] * 6


def test_a_ref_in_a_closure_lives_until_the_task_is_done() -> None:
    @shoal.remote
    def first() -> int:
        import time

        time.sleep(0.2)
        return 1

    result = capturing().options(num_returns=1).remote()
    blocked = [first.remote() for _ in range(3)]
    gc.collect()
    assert shoal.get(result) == [1, 2, 3]
    shoal.get(blocked)


def test_a_handle_in_a_closure_keeps_its_actor() -> None:
    actor = shoal.remote(Holder).remote()

    @shoal.remote
    def add() -> Any:
        return shoal.get(actor.add.remote())

    assert shoal.get(add.remote()) == 1
    actor = None
    gc.collect()
    assert sorted(shoal.get([add.remote() for _ in range(4)])) == [2, 3, 4, 5]  # in whichever order they get to it


def test_a_ref_in_a_class_lives_until_its_actor_is_made() -> None:
    def make() -> Any:
        ref = shoal.put("kept")

        class Reader:
            def read(self) -> Any:
                return shoal.get(ref)

        return shoal.remote(Reader).remote()

    actor = make()
    gc.collect()
    assert shoal.get(actor.read.remote()) == "kept"


def test_names_of_a_class_of_ones_own_are_plain_names() -> None:
    actor = shoal.remote(Holder).options(name=Label.NAME, namespace=Label.RESOURCE).remote()
    assert shoal.get_actor("labelled", "widget") == actor == shoal.get_actor(Label.NAME, Label.RESOURCE)
    named = shoal.remote(lambda: 3).options(name=Label.NAME, num_returns=True + 0)
    assert shoal.get(named.remote()) == 3


@pytest.mark.needs_processes
def test_amounts_of_a_class_of_ones_own_are_plain_numbers() -> None:
    import numpy as np

    one = shoal.remote(lambda: 1).options(num_cpus=np.float64(0.5), resources={Label.RESOURCE: 0})
    assert shoal.get(one.remote()) == 1


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"num_cpus": "1"}, TypeError),
        ({"num_cpus": -1}, ValueError),
        ({"num_cpus": 0.00001}, ValueError),
        ({"num_cpus": float("nan")}, ValueError),
        ({"num_gpus": True}, TypeError),
        ({"memory": "1G"}, TypeError),
        ({"resources": [1]}, TypeError),
        ({"resources": {"CPU": 1}}, ValueError),
        ({"resources": {3: 1}}, TypeError),
        ({"name": 3}, TypeError),
        ({"num_returns": -1}, ValueError),
        ({"num_returns": "many"}, ValueError),
        ({"num_returns": 1.5}, TypeError),
        ({"max_retries": -2}, ValueError),
        ({"max_retries": "3"}, TypeError),
        ({"retry_exceptions": ValueError}, TypeError),
        ({"retry_exceptions": [3]}, ValueError),
        ({"retry_exceptions": [BaseException]}, ValueError),
        ({"max_calls": 1}, ValueError),
        ({"enable_task_events": 1}, TypeError),
        ({"_labels": "x"}, TypeError),
        ({"_generator_backpressure_num_objects": 0}, ValueError),
        ({"max_restarts": 1}, ValueError),
        ({"no_such_thing": 1}, ValueError),
    ],
)
def test_wrong_options_of_a_task_are_told_at_once(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=next(iter(options))):
        shoal.remote(lambda: 1).options(**options)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"max_restarts": -2}, ValueError),
        ({"max_restarts": "1"}, TypeError),
        ({"max_task_retries": 0.5}, TypeError),
        ({"max_pending_calls": -5}, ValueError),
        ({"lifetime": "for_ever"}, ValueError),
        ({"lifetime": 3}, TypeError),
        ({"name": ""}, ValueError),
        ({"name": 1}, TypeError),
        ({"namespace": ""}, ValueError),
        ({"namespace": b"x"}, TypeError),
        ({"get_if_exists": "yes"}, TypeError),
        ({"allow_out_of_order_execution": 1}, TypeError),
        ({"max_retries": 1}, ValueError),
        ({"num_returns": 2}, ValueError),
    ],
)
def test_wrong_options_of_an_actor_are_told_at_once(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=next(iter(options))):
        shoal.remote(Holder).options(**options)


def test_an_unknown_option_names_those_there_are() -> None:
    with pytest.raises(ValueError, match="Invalid option keyword cpus for remote functions. .*num_cpus"):
        shoal.remote(cpus=2)(lambda: 1)
    with pytest.raises(ValueError, match="Invalid option keyword cpus for actors. Valid ones are: .*max_restarts"):
        shoal.remote(cpus=2)(Holder)


def test_wrong_options_are_told_in_rays_words() -> None:
    with pytest.raises(TypeError, match=r"The type of keyword 'max_calls' must be \(.*int.*NoneType.*float"):
        shoal.remote(max_calls=0.5)(lambda: 1)
    with pytest.raises(ValueError, match="'max_retries' only accepts None, 0, -1 or a positive integer, where -1"):
        shoal.remote(max_retries=-2)(lambda: 1)
    with pytest.raises(ValueError, match="'max_calls' only accepts None, 0 or a positive integer"):
        shoal.remote(max_calls=-1)(lambda: 1)
    with pytest.raises(ValueError, match=r"'num_returns' only accepts None, a non-negative integer, 'streaming' \("):
        shoal.remote(num_returns=-1)(lambda: 1)
    with pytest.raises(ValueError, match="resource widget cannot go beyond 0.0001"):
        shoal.remote(resources={"widget": 0.00001})(lambda: 1)
    with pytest.raises(ValueError, match=r"Setting 'max_calls' is not supported in '.options\(\)'"):
        shoal.remote(lambda: 1).options(max_calls=1)


def test_the_older_spelling_of_options_and_arguments() -> None:
    def pair(a: int, b: int = 0) -> tuple[int, int]:
        return a, b

    function = shoal.remote(pair)
    assert shoal.get(function._remote([1], num_returns=2)) == [1, 0]
    assert shoal.get(function._remote(args=[1], kwargs={"b": 2})) == (1, 2)
    assert function._remote([1], num_returns=0) is None
    holder: Any = shoal.remote(Holder)._remote(num_cpus=0)
    assert shoal.get(holder.add._remote()) == 1


def test_options_without_a_meaning_here_are_accepted() -> None:
    function = shoal.remote(enable_task_events=False, _labels={"a": "b"}, _metadata={"c": 1})(lambda: 5)
    assert shoal.get(function.remote()) == 5
    actor = shoal.remote(Holder).options(allow_out_of_order_execution=False, enable_task_events=True).remote()
    assert shoal.get(actor.add.options(enable_task_events=False).remote()) == 1


# functions and classes of every make


class Marking(type):
    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        made = super().__call__(*args, **kwargs)
        made.marked = True
        return made


class Marked(metaclass=Marking):
    marked = False

    def is_marked(self) -> bool:
        return self.marked

    @staticmethod
    def double(x: int) -> int:
        return 2 * x

    @classmethod
    def name(cls) -> str:
        return cls.__name__

    def __len__(self) -> int:
        return 3


def test_a_class_with_a_metaclass_and_methods_of_all_kinds() -> None:
    actor: Any = shoal.remote(Marked).remote()
    refs = [actor.is_marked.remote(), actor.double.remote(4), actor.name.remote(), actor.__len__.remote()]
    assert shoal.get(refs) == [True, 8, "Marked", 3]


def test_an_abstract_class_is_told_by_its_first_call() -> None:
    class Shape(abc.ABC):
        @abc.abstractmethod
        def area(self) -> float: ...

    class Square(Shape):
        def area(self) -> float:
            return 4.0

    square: Any = shoal.remote(Square).remote()
    assert shoal.get(square.area.remote()) == 4.0
    shape: Any = shoal.remote(Shape).remote()
    with pytest.raises(shoal.exceptions.ActorDiedError, match="abstract class Shape"):
        shoal.get(shape.area.remote())


def test_parameters_of_every_kind() -> None:
    def spell(a: int, /, b: int = 2, *rest: int, c: int, d: int = 4, **others: int) -> tuple[Any, ...]:
        return a, b, rest, c, d, others

    spelled = shoal.remote(spell)
    assert shoal.get(spelled.remote(1, c=3)) == (1, 2, (), 3, 4, {})
    assert shoal.get(spelled.remote(1, 0, 9, c=3, a=5, self=6, args=7)) == (1, 0, (9,), 3, 4, dict(a=5, self=6, args=7))
    with pytest.raises(TypeError, match="missing 1 required keyword-only argument: 'c'"):
        spelled.remote(1)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'a'"):
        spelled.remote(a=1, c=3)


def test_defaults_are_those_of_the_first_call() -> None:
    box = [1]

    def read(given: list[int] = box) -> list[int]:
        given.append(2)
        return given

    reading = shoal.remote(read)
    assert shoal.get(reading.remote()) == [1, 2]
    box.append(3)
    assert 3 not in shoal.get(reading.remote())
    assert box == [1, 3]
