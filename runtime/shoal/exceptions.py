"""Every exception of shoal.

    ShoalError
    ├── TaskError                    user code raised; also an instance of the user's own class
    │   └── TaskCancelledError       the work was cancelled (interrupt button, cancel())
    ├── WorkerCrashedError           the process that ran a task died
    │   └── OutOfMemoryError         for want of memory
    ├── NodeDiedError                the node that ran it is gone
    ├── ActorError
    │   ├── ActorDiedError           the actor is gone; says why
    │   ├── ActorUnavailableError    its process died under the call and is started anew
    │   ├── ActorExit                what exit_actor() raises in a coroutine
    │   └── ActorMethodError         (also AttributeError) the actor has no such method; says which it has
    ├── OutOfProcessesError          every process waits for tasks that need one; says who waits for whom
    ├── PendingCallsLimitExceeded    the actor has as many unfinished calls as max_pending_calls allows
    ├── ObjectLostError              the value of a ref cannot be had any more
    │   ├── ObjectFreedError         it was freed by hand
    │   ├── OwnerDiedError           it was put by a process that is gone, so nobody can make it again
    │   ├── ObjectReconstructionFailedError  the task that made it cannot be run again; says why
    │   │   ├── ObjectReconstructionFailedMaxAttemptsExceededError  its retries are used up
    │   │   └── ObjectReconstructionFailedLineageEvictedError  what it was called with is kept no more
    │   └── ObjectFetchTimedOutError it could not be brought here in time
    ├── ObjectStoreFullError         no room in shared memory
    ├── OutOfDiskError               no room on disk for objects that do not fit into shared memory
    ├── GetTimeoutError              (also TimeoutError) get() waited long enough
    ├── StreamEndedError             a generator has no further items
    ├── ClusterError
    │   ├── AlreadyInitializedError  (also RuntimeError) this program has a cluster already
    │   ├── AuthenticationError      the other end is another user's
    │   ├── ClusterDiedError         the hub is gone
    │   │   └── ForeignRefError      (also ValueError) the ref is of a cluster that is gone
    │   ├── ClusterNotFoundError     (also ConnectionError) no cluster of that name
    │   ├── EngineUnavailable        the engine cannot run here; says what to install
    │   └── InitOptionError          (also RuntimeError and ValueError) init() has no such option; says which it has
    ├── RuntimeEnvSetupError         a runtime_env could not be set up; says what the tool said
    ├── UnschedulableError           (also ValueError) asks for what there is not
    │   ├── TaskUnschedulableError
    │   ├── ActorUnschedulableError
    │   ├── TaskPlacementGroupRemoved
    │   └── ActorPlacementGroupRemoved
    ├── SerializationError           (also TypeError, PicklingError) a value cannot travel; says which and why
    │   └── DeserializationError     it travelled and cannot be read
    ├── ShoalRuntimeError            (also RuntimeError) asked where it cannot be known
    ├── ShoalTypeError               (also TypeError) called with the wrong kind of thing
    │   ├── ActorInheritanceError    a class inherits from an actor class
    │   └── NotARefError             (also ValueError) get() of something that is no ref
    └── ShoalValueError              (also ValueError) called with a value that makes no sense
        ├── ActorNameTakenError      there is an actor of that name
        └── ActorNotFoundError       there is none

In a notebook an error of this tree is shown at the user's line, without our frames.

Ray's names for them stand at the end: https://docs.ray.io/en/latest/ray-core/api/exceptions.html
"""

from __future__ import annotations

from pickle import PicklingError
from typing import Any


class ShoalError(Exception):
    """The root of all errors that shoal raises by itself."""


class TaskError(ShoalError):
    """User code raised in a task or actor.

    What `get` raises is an instance of this *and* of the user's class, where that class allows it; otherwise
    the user's exception is in `cause`.
    """

    def __init__(self, message: str = "", cause: BaseException | None = None, remote: str = "") -> None:
        super().__init__(message)
        self.cause = cause
        self.remote_traceback = remote

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self.args[0]) if self.args else "", self.cause, self.remote_traceback)

    @property
    def traceback_str(self) -> str:
        """Ray's name for the remote traceback."""
        return self.remote_traceback

    def as_instanceof_cause(self) -> BaseException:
        """An error that is an instance of this class and of the cause's; this one where that cannot be."""
        if self.cause is None or isinstance(self, type(self.cause)):
            return self
        return both(self.cause, self.remote_traceback)


def _of_cause(error: Any, name: str) -> Any:
    cause = error.__dict__.get("cause")
    if cause is None:
        raise AttributeError(name)
    return getattr(cause, name)


def both(cause: BaseException, remote: str, said: str = "") -> BaseException:
    """A `TaskError` that is an instance of its cause's class as well; a plain one where the class does not allow it.

    `said` comes before what the cause says.
    """
    cls = type(cause)
    try:
        made = type(
            cls.__name__,
            (TaskError, cls),
            {
                "__module__": cls.__module__,
                "__init__": lambda self, *a, **k: None,
                "__str__": lambda self: said + str(self.cause),
                "__getattr__": _of_cause,
                "__reduce__": lambda self: (both, (self.cause, self.remote_traceback, said)),
            },
        )
        new: Any = made.__new__(made, *cause.args)
        new.__dict__.update(cause.__dict__)
        new.args = cause.args
    except Exception:  # a class that cannot be subclassed, read-only args, …
        return TaskError(f"{cls.__name__}: {cause}", cause, remote)
    new.cause, new.remote_traceback = cause, remote
    return new  # type: ignore[no-any-return]


class TaskCancelledError(TaskError):
    """The task was cancelled before it finished. In Ray too, one that ran is a task's error."""

    task_id: str | None = None
    """In hexadecimal, where it is known."""


class WorkerCrashedError(ShoalError):
    """The worker process died while it ran the task (out of memory, a signal, a crash in C, os._exit)."""


class OutOfMemoryError(WorkerCrashedError):
    """The worker process was ended for want of memory."""


class NodeDiedError(ShoalError):
    """The node that ran the task is gone."""


class ActorError(ShoalError):
    """An actor could not do what was asked of it."""

    actor_id: str | None = None
    """In hexadecimal, where it is known."""


class ActorDiedError(ActorError):
    """The actor is dead: its constructor failed, it was killed, or its process died."""


class ActorUnavailableError(ActorError):
    """The actor's process died under the call, and the actor is started anew: later calls may work."""


class ActorExit(ActorError):
    """Ends an actor from within a coroutine; let it pass."""


class ActorLeaving(SystemExit):
    """What exit_actor() raises outside of coroutines too: no `except Exception` stops it."""


class ActorMethodError(ActorError, AttributeError):
    """The actor's class has no method of that name."""


class OutOfProcessesError(ShoalError):
    """The task cannot have a process: all that the memory allows are held by tasks that wait for it."""


class PendingCallsLimitExceeded(ShoalError):
    """The actor has as many unfinished calls of this process as its max_pending_calls allows."""


class ObjectLostError(ShoalError):
    """The value of a ref cannot be had any more."""


class ObjectFreedError(ObjectLostError):
    """The object was freed by hand though a ref to it was still there."""


class OwnerDiedError(ObjectLostError):
    """The object was put by a process that is gone: there is no task that could make it again."""


class ObjectReconstructionFailedError(ObjectLostError):
    """The object is lost, and the task that made it cannot be run again."""


class ObjectReconstructionFailedMaxAttemptsExceededError(ObjectReconstructionFailedError):
    """The object is lost, and the task that made it has run again as often as its retries allow."""


class ObjectReconstructionFailedLineageEvictedError(ObjectReconstructionFailedError):
    """The object is lost, and what the task that made it was called with is not kept any more."""


class ObjectFetchTimedOutError(ObjectLostError):
    """The object could not be brought here in time."""


class ObjectStoreFullError(ShoalError):
    """There is no room for the value in shared memory."""


class OutOfDiskError(ShoalError):
    """There is no room on disk for an object that does not fit into shared memory."""


class GetTimeoutError(ShoalError, TimeoutError):
    """`get` waited as long as its timeout says; the task goes on."""


class StreamEndedError(ShoalError):
    """A generator has no further items."""


class ClusterError(ShoalError):
    """The cluster as a whole."""


class AlreadyInitializedError(ClusterError, RuntimeError):
    """`init` was called in a program that has a cluster."""


class AuthenticationError(ClusterError):
    """The process at the other end is not this user's."""


class ClusterDiedError(ClusterError):
    """The hub, the cluster's central process, is gone, and with it all work and objects."""


class ForeignRefError(ClusterDiedError, ValueError):
    """A ref was used whose cluster was shut down, or died."""


class ClusterNotFoundError(ClusterError, ConnectionError):
    """There is no cluster of that name."""


class EngineUnavailable(ClusterError):
    """The engine cannot run here."""


class InitOptionError(ClusterError, RuntimeError, ValueError):
    """`init` was called with an option that it does not have."""


class RuntimeEnvSetupError(ShoalError):
    """A runtime environment could not be set up: no task or actor can run in it."""


class UnschedulableError(ShoalError, ValueError):
    """The work asks for more than the cluster has, or for a place that is not there."""


class TaskUnschedulableError(UnschedulableError):
    """There is no place where the task can run."""


class ActorUnschedulableError(UnschedulableError):
    """There is no place where the actor can live."""


class TaskPlacementGroupRemoved(UnschedulableError):
    """The placement group that the task was to run in is gone."""


class ActorPlacementGroupRemoved(UnschedulableError):
    """The placement group that the actor was to live in is gone."""


class SerializationError(ShoalError, TypeError, PicklingError):
    """A value cannot be sent to another process."""


class DeserializationError(SerializationError):
    """A value that was sent cannot be read here."""


class ShoalRuntimeError(ShoalError, RuntimeError):
    """Something was asked where it cannot be known."""


class ShoalTypeError(ShoalError, TypeError):
    """Something was called with the wrong kind of thing, or with arguments that it does not take."""


class ActorInheritanceError(ShoalTypeError):
    """A class inherits from an actor class instead of the plain one."""


class NotARefError(ShoalTypeError, ValueError):
    """`get` was given something that is no ref."""


class ShoalValueError(ShoalError, ValueError):
    """Something was called with a value that makes no sense."""


class ActorNameTakenError(ShoalValueError):
    """There is an actor of that name already."""


class ActorNotFoundError(ShoalValueError):
    """No actor of that name is alive."""


# Ray's names, so that scripts written for it find theirs.
RayError = RaySystemError = ShoalError
RayTaskError = UserCodeException = CrossLanguageError = TaskError
RayActorError = ActorError
AsyncioActorExit = ActorExit
LocalRayletDiedError = NodeDiedError
ReferenceCountingAssertionError = ObjectLostError
PlasmaObjectNotAvailable = ObjectLostError
ObjectRefStreamEndOfStreamError = StreamEndedError
UnserializableException = DeserializationError
OufOfBandObjectRefSerializationException = SerializationError
ActorAlreadyExistsError = ActorNameTakenError
ActorHandleNotFoundError = ActorNotFoundError
ActorClassInheritanceException = ActorInheritanceError
RayChannelError = RpcError = ClusterError
