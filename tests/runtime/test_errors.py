"""Errors: each survives pickling, and a user's comes back as itself and as ours."""

from __future__ import annotations

import inspect
import pickle

import pytest

from shoal import exceptions
from shoal.errors import named_error, pack_error, unpack_error
from shoal.exceptions import ShoalError, TaskError

OURS = sorted(
    {c for _, c in inspect.getmembers(exceptions, inspect.isclass) if issubclass(c, ShoalError)},
    key=lambda c: c.__name__,
)


@pytest.mark.parametrize("cls", OURS)
def test_each_of_ours_survives_pickling(cls: type[ShoalError]) -> None:
    back = pickle.loads(pickle.dumps(cls("why")))
    assert type(back) is cls and str(back) == "why"


@pytest.mark.parametrize("cls", OURS)
def test_each_of_ours_stands_in_the_tree_of_the_page(cls: type[ShoalError]) -> None:
    assert cls.__name__ in (exceptions.__doc__ or "")


def test_a_named_error_comes_back() -> None:
    error = unpack_error(named_error("WorkerCrashedError", "it died"))
    assert isinstance(error, exceptions.WorkerCrashedError) and str(error) == "it died"


class Final(type):
    def __new__(mcls, name: str, bases: tuple[type, ...], namespace: dict[str, object]) -> Final:
        if any(isinstance(b, Final) for b in bases):
            raise TypeError("no subclasses")
        return super().__new__(mcls, name, bases, namespace)


class Unwilling(Exception, metaclass=Final):
    pass


def test_a_class_that_cannot_be_subclassed_arrives_as_ours_with_the_cause() -> None:
    error = unpack_error(pack_error(Unwilling("no"), "f"))
    assert type(error) is TaskError
    assert isinstance(error.cause, Unwilling)
    assert "no" in str(error)


def test_the_dual_error_itself_survives_pickling() -> None:
    import cloudpickle

    error = unpack_error(pack_error(KeyError("k"), "f"))
    back = pickle.loads(cloudpickle.dumps(error))
    assert isinstance(back, KeyError) and isinstance(back, TaskError) and back.args == ("k",)
