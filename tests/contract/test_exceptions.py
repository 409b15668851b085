"""The tree of exceptions: ours, Ray's names for them, and what user code raised in tasks."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

import shoal
from shoal import exceptions
from shoal.exceptions import ActorDiedError, ActorError, GetTimeoutError, ShoalError, TaskCancelledError, TaskError

CLASSES = [c for c in vars(exceptions).values() if isinstance(c, type) and issubclass(c, ShoalError)]
RAYS = """RayError RayTaskError TaskCancelledError WorkerCrashedError RayActorError ActorDiedError ActorUnavailableError
ObjectLostError ObjectFreedError OwnerDiedError ObjectReconstructionFailedError ObjectFetchTimedOutError GetTimeoutError
ObjectStoreFullError OutOfDiskError OutOfMemoryError NodeDiedError LocalRayletDiedError RuntimeEnvSetupError
TaskUnschedulableError ActorUnschedulableError TaskPlacementGroupRemoved ActorPlacementGroupRemoved
PendingCallsLimitExceeded AsyncioActorExit AuthenticationError UserCodeException UnserializableException
ActorAlreadyExistsError ActorHandleNotFoundError ObjectRefStreamEndOfStreamError RayChannelError
RaySystemError""".split()


@pytest.mark.parametrize("cls", CLASSES)
def test_each_error_pickles_and_comes_back_the_same(cls: type[ShoalError]) -> None:
    error = pickle.loads(pickle.dumps(cls("what happened")))
    assert type(error) is cls
    assert str(error) == "what happened"


@pytest.mark.parametrize("name", RAYS)
def test_rays_name_is_an_error_of_the_tree(name: str) -> None:
    assert issubclass(getattr(exceptions, name), ShoalError)


def test_what_an_error_is_about_travels_with_it() -> None:
    died = ActorDiedError("gone")
    died.actor_id = "ab"
    assert pickle.loads(pickle.dumps(died)).actor_id == "ab"
    assert TaskCancelledError("x").task_id is None


@pytest.mark.usefixtures("engine")
def test_an_error_of_ours_that_a_task_lets_through_is_told_from_ones_own() -> None:
    @shoal.remote
    def waits() -> None:
        raise GetTimeoutError("inside")

    with pytest.raises(GetTimeoutError, match="inside") as caught:
        shoal.get(waits.remote())
    assert isinstance(caught.value, TaskError)
    assert isinstance(caught.value.cause, GetTimeoutError)


@pytest.mark.usefixtures("engine")
def test_a_task_that_fails_since_its_actor_died_is_an_actor_error() -> None:
    class Broken:
        def __init__(self) -> None:
            raise ValueError("cannot be built")

        def call(self) -> None:
            pass

    @shoal.remote
    def use(actor: Any) -> Any:
        return shoal.get(actor.call.remote())

    with pytest.raises(ActorError, match="cannot be built") as caught:
        shoal.get(use.remote(shoal.remote(Broken).remote()))
    assert isinstance(caught.value, ActorDiedError)
    assert isinstance(caught.value, TaskError)


def test_as_instanceof_cause_is_both() -> None:
    error = TaskError("boom", ValueError("boom"), "a traceback").as_instanceof_cause()
    assert isinstance(error, ValueError) and isinstance(error, TaskError)
    assert error.traceback_str == "a traceback"
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, ValueError) and again.args == ("boom",)
