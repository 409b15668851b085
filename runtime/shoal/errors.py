"""An exception of user code, from the worker to whoever calls `get`.

What is raised there is an instance of the user's own class and of `TaskError` at once, so that `except ValueError`
works; its remote traceback is kept as text, without shoal's own frames.
"""

from __future__ import annotations

import os
import traceback
from types import FrameType
from typing import Any

from shoal import exceptions
from shoal.exceptions import ActorError, SerializationError, ShoalError, TaskError, both
from shoal.serial import Packed, pack, unpack

HIDDEN = "__shoal_hidden__"
"""A module that sets this to True has the code of users called, and wants no part in their tracebacks."""
_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep


def remote_traceback(error: BaseException) -> str:
    """The traceback as Python prints it, without the frames at its start that are of shoal, or of what runs on it."""
    tb = error.__traceback__
    while tb is not None and _is_hidden(tb.tb_frame):
        tb = tb.tb_next
    return "".join(traceback.format_exception(type(error), error, tb))


def _is_hidden(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(_HERE) or bool(frame.f_globals.get(HIDDEN))


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
