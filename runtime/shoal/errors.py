"""An exception of user code, from the worker to whoever calls `get`.

What is raised there is an instance of the user's own class and of `TaskError` at once, so that `except ValueError`
works; its remote traceback is kept as text, without shoal's own frames.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from typing import Any

from shoal import exceptions
from shoal.exceptions import ActorError, SerializationError, ShoalError, TaskError, both
from shoal.frames import MARK, is_hidden
from shoal.ids import task_of
from shoal.serial import Packed, pack, unpack

_LIBRARY = os.path.dirname(os.__file__) + os.sep
_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep


def remote_traceback(error: BaseException) -> str:
    """The traceback as Python prints it, without the frames of shoal, of what runs on it, and of what those wait in."""
    told = traceback.TracebackException(type(error), error, error.__traceback__, compact=True)
    _hide_ours(told, frozenset(_hidden_files(error)))
    return "".join(told.format())


def _hidden_files(error: BaseException) -> Iterator[str]:
    tb = error.__traceback__
    while tb is not None:
        if is_hidden(tb.tb_frame):
            yield tb.tb_frame.f_code.co_filename
        tb = tb.tb_next


def _hide_ours(told: traceback.TracebackException, hidden: frozenset[str]) -> None:
    theirs, waiting = [], False
    for frame in told.stack:
        ours = frame.filename.startswith(_HERE) or frame.filename in hidden
        waiting = ours or (waiting and frame.filename.startswith(_LIBRARY))
        if not waiting:
            theirs.append(frame)
    told.stack[:] = theirs
    for other in (told.__cause__, told.__context__, *(told.exceptions or ())):
        if other is not None:
            _hide_ours(other, hidden)


def pack_error(error: BaseException, name: str, text: str | None = None) -> Packed:
    """What a worker sends of an exception; a plain description where it cannot be pickled."""
    text = remote_traceback(error) if text is None else text
    if isinstance(error, TaskError) and error.cause is not None:
        error = error.cause
    try:
        packed = pack(("error", error, text, name))
        unpack(packed.stream, packed.buffers)  # some pickle well and come back wrong
        return packed
    except Exception:
        described = f"{type(error).__name__}: {error}"
        return pack(("described", described, text, name))


def error_value(
    error: BaseException, name: str, text: str | None = None
) -> tuple[tuple[Any, ...], tuple[bytes, ...]]:
    """An exception as the value, ready to travel, of what it leaves undone; and the refs inside it.

    `text` is its remote traceback where the caller has it already.
    """
    try:
        packed = pack_error(error, name, text)
    except SerializationError as second:
        packed = named_error("TaskError", str(second))
    return ("e", packed.stream, [bytes(b) for b in packed.buffers]), packed.contained


def named_error(name: str, message: str, about: bytes = b"") -> Packed:
    """An error of our own; `about` is the actor or the task that it tells of."""
    error = getattr(exceptions, name)(message)
    if about:
        error.__dict__["actor_id" if isinstance(error, ActorError) else "task_id"] = about.hex()
    return pack(("error", error, "", ""))


def name_taken(name: str, namespace: str) -> str:
    return (
        f"The name {name} (namespace={namespace}) is already taken: choose another, "
        f"get that actor by shoal.get_actor({name!r}, namespace={namespace!r}), or pass get_if_exists=True"
    )


def of_argument(packed: Packed) -> Packed:
    """The error of a task that could not run, for an argument of it has this error."""
    what, error, text, name = unpack(packed.stream, packed.buffers)
    if isinstance(error, ShoalError) and not name:
        error = _of_argument(error)
    return pack((what, error, text, name))


def _of_argument(error: BaseException) -> BaseException:
    if isinstance(error, TaskError):
        return error
    said = "at least one of the input arguments for this task could not be computed"
    return both(error, "", f"{said}: {type(error).__name__}: ")


def unpack_error(packed: Packed, of_argument: bool = False) -> BaseException:
    """The exception to raise. `of_argument`: a task could not run, for it is the error of an argument."""
    what, error, text, name = unpack(packed.stream, packed.buffers)
    if of_argument and isinstance(error, ShoalError) and not name:
        return _of_argument(error)
    if what == "described":
        return _noted(TaskError(str(error), None, text), name, text)
    if isinstance(error, TaskError) or (isinstance(error, ShoalError) and not name):
        return error  # ours, and no code of the user's raised it
    return _noted(both(error, text), name, text)


def _noted(error: BaseException, name: str, text: str) -> BaseException:
    note = f"\nRaised in {name} on a worker:\n{text.rstrip()}"
    if text and note not in getattr(error, "__notes__", ()):
        error.add_note(note)
    return error


def marked(error: BaseException, object_id: bytes) -> BaseException:
    """The error of an object, with the task that made it where it does not say which raised it."""
    if isinstance(error, TaskError):
        error.__dict__.setdefault(MARK, task_of(object_id))
    return error
