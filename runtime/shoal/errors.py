"""An exception of user code, from the worker to whoever calls `get`.

What is raised there is an instance of the user's own class and of `TaskError` at once, so that `except ValueError`
works; its remote traceback is kept as text, without shoal's own frames.
"""

from __future__ import annotations

import os
import traceback
from typing import Any

from shoal import exceptions
from shoal.exceptions import ShoalError, TaskError
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
    if isinstance(error, ShoalError) and not isinstance(error, TaskError):
        return pack(("error", error, text, name))
    if isinstance(error, TaskError) and error.cause is not None:
        error = error.cause
    try:
        packed = pack(("error", error, text, name))
        unpack(packed.stream, packed.buffers)  # some pickle well and come back wrong
        return packed
    except Exception:
        described = f"{type(error).__name__}: {error}"
        return pack(("described", described, text, name))


def named_error(name: str, message: str) -> Packed:
    """An error of our own."""
    return pack(("error", getattr(exceptions, name)(message), "", ""))


def unpack_error(packed: Packed) -> BaseException:
    """The exception to raise."""
    what, error, text, name = unpack(packed.stream, packed.buffers)
    if what == "described":
        return _noted(TaskError(str(error), None, text), name, text)
    if isinstance(error, ShoalError):
        return error
    return _noted(_dual(error, text), name, text)


def _dual(cause: BaseException, text: str) -> BaseException:
    cls = type(cause)
    try:
        both = type(
            cls.__name__,
            (TaskError, cls),
            {
                "__module__": cls.__module__,
                "__init__": lambda self, *a, **k: None,
                "__str__": lambda self: str(self.cause),
                "__reduce__": lambda self: (_dual, (self.cause, self.remote_traceback)),
            },
        )
        new: Any = both.__new__(both, *cause.args)
        new.__dict__.update(cause.__dict__)
        new.args = cause.args
    except Exception:  # a class that cannot be subclassed, read-only args, …
        return TaskError(f"{cls.__name__}: {cause}", cause, text)
    new.cause, new.remote_traceback = cause, text
    return new  # type: ignore[no-any-return]


def _noted(error: BaseException, name: str, text: str) -> BaseException:
    note = f"\nRaised in {name} on a worker:\n{text.rstrip()}"
    if text and note not in getattr(error, "__notes__", ()):
        error.add_note(note)
    return error
