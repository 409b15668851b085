"""An exception of user code, from the worker to whoever calls `get`.

What is raised there is an instance of the user's own class and of `TaskError` at once, so that `except ValueError`
works; its remote traceback is kept as text, without shoal's own frames.
"""

from __future__ import annotations

import os
import traceback
from typing import Any

from shoal import exceptions
from shoal.exceptions import ActorError, SerializationError, ShoalError, TaskError, both
from shoal.serial import Packed, pack, unpack

_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep


def remote_traceback(error: BaseException) -> str:
    """The traceback as Python prints it, without the frames of shoal itself at its start."""
    tb = error.__traceback__
    while tb is not None and tb.tb_frame.f_code.co_filename.startswith(_HERE):
        tb = tb.tb_next
    return "".join(traceback.format_exception(type(error), error, tb))


def pack_error(error: BaseException, name: str) -> Packed:
    """What a worker sends of an exception; a plain description where it cannot be pickled."""
    text = remote_traceback(error)
    if isinstance(error, TaskError) and error.cause is not None:
        error = error.cause
    try:
        packed = pack(("error", error, text, name))
        unpack(packed.stream, packed.buffers)  # some pickle well and come back wrong
        return packed
    except Exception:
        described = f"{type(error).__name__}: {error}"
        return pack(("described", described, text, name))


def error_value(error: BaseException, name: str) -> tuple[tuple[Any, ...], tuple[bytes, ...]]:
    """An exception as the value, ready to travel, of what it leaves undone; and the refs inside it."""
    try:
        packed = pack_error(error, name)
    except SerializationError as second:
        packed = named_error("TaskError", str(second))
    return ("e", packed.stream, [bytes(b) for b in packed.buffers]), packed.contained


def named_error(name: str, message: str, about: bytes = b"", within: str = "") -> Packed:
    """An error of our own; `about` is the actor or the task that it tells of.

    `within` is the name of a task that met it: what is raised is a TaskError as well then.
    """
    error = getattr(exceptions, name)(message)
    if about:
        error.__dict__["actor_id" if isinstance(error, ActorError) else "task_id"] = about.hex()
    return pack(("error", error, "", within))


def name_taken(name: str, namespace: str) -> str:
    return (
        f"The name {name} (namespace={namespace}) is already taken: choose another, "
        f"get that actor by shoal.get_actor({name!r}, namespace={namespace!r}), or pass get_if_exists=True"
    )


def met_by(packed: Packed, task: str) -> Packed:
    """The error that a task met which could not run for it, as the task's own."""
    what, error, text, name = unpack(packed.stream, packed.buffers)
    return pack((what, error, text, name or task))


def unpack_error(packed: Packed, within: str = "") -> BaseException:
    """The exception to raise; `within` is the name of a task that met it and could not run for it."""
    what, error, text, name = unpack(packed.stream, packed.buffers)
    name = name or within
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
