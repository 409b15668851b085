"""Every exception of shoal.

    ShoalError
    ├── TaskError                    user code raised; also an instance of the user's own class
    ├── TaskCancelledError           the work was cancelled (interrupt button, cancel())
    ├── WorkerCrashedError           the process that ran a task died
    ├── ActorError
    │   ├── ActorDiedError           the actor is gone; says why
    │   └── ActorMethodError         (also AttributeError) the actor has no such method; says which it has
    ├── ObjectLostError              the value of a ref cannot be had any more
    ├── ObjectStoreFullError         no room in shared memory
    ├── GetTimeoutError              (also TimeoutError) get() waited long enough
    ├── ClusterError
    │   ├── AlreadyInitializedError  (also RuntimeError) this program has a cluster already
    │   ├── ClusterDiedError         the hub is gone
    │   ├── ClusterNotFoundError     no cluster of that name
    │   ├── EngineUnavailable        the engine cannot run here; says what to install
    │   └── InitOptionError          (also RuntimeError and ValueError) init() has no such option; says which it has
    ├── RuntimeEnvSetupError         a runtime_env could not be set up; says what the tool said
    ├── UnschedulableError           asks for more than there is
    ├── SerializationError           (also TypeError) a value cannot travel; says which and why
    ├── ShoalRuntimeError            (also RuntimeError) asked where it cannot be known
    ├── ShoalTypeError               (also TypeError) called with the wrong kind of thing
    └── ShoalValueError              (also ValueError) called with a value that makes no sense

In a notebook an error of this tree is shown at the user's line, without our frames.

Ray's names for them: https://docs.ray.io/en/latest/ray-core/api/exceptions.html
"""

from __future__ import annotations

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


class TaskCancelledError(ShoalError):
    """The task was cancelled before it finished."""


class WorkerCrashedError(ShoalError):
    """The worker process died while it ran the task (out of memory, a signal, a crash in C, os._exit)."""


class ActorError(ShoalError):
    """An actor could not do what was asked of it."""


class ActorDiedError(ActorError):
    """The actor is dead: its constructor failed, it was killed, or its process died."""


class ActorMethodError(ActorError, AttributeError):
    """The actor's class has no method of that name."""


class ObjectLostError(ShoalError):
    """The value of a ref cannot be had any more."""


class ObjectStoreFullError(ShoalError):
    """There is no room for the value in shared memory."""


class GetTimeoutError(ShoalError, TimeoutError):
    """`get` waited as long as its timeout says; the task goes on."""


class ClusterError(ShoalError):
    """The cluster as a whole."""


class AlreadyInitializedError(ClusterError, RuntimeError):
    """`init` was called in a program that has a cluster."""


class ClusterDiedError(ClusterError):
    """The hub, the cluster's central process, is gone, and with it all work and objects."""


class ClusterNotFoundError(ClusterError):
    """There is no cluster of that name."""


class EngineUnavailable(ClusterError):
    """The engine cannot run here."""


class InitOptionError(ClusterError, RuntimeError, ValueError):
    """`init` was called with an option that it does not have."""


class UnschedulableError(ShoalError, ValueError):
    """The work asks for more than the cluster has."""


class RuntimeEnvSetupError(ShoalError):
    """A runtime environment could not be set up: no task or actor can run in it."""


class SerializationError(ShoalError, TypeError):
    """A value cannot be sent to another process."""


class ShoalRuntimeError(ShoalError, RuntimeError):
    """Something was asked where it cannot be known."""


class ShoalTypeError(ShoalError, TypeError):
    """Something was called with the wrong kind of thing, or with arguments that it does not take."""


class ShoalValueError(ShoalError, ValueError):
    """Something was called with a value that makes no sense."""


# Ray's names, so that scripts written for it find theirs.
RayError = ShoalError
RayTaskError = TaskError
RayActorError = ActorError
