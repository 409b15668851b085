"""The frames of a task that failed, as far as they travel: for a debugger afterwards, in another process.

A worker takes a snapshot when user code has raised: of each frame its place, and of each variable the value where that
is small and plain, else what its `repr` says. Nothing is kept alive by it. The hub has the latest of them.
"""

from __future__ import annotations

import os
import pickle
import reprlib
import sys
import time
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import Any, NamedTuple

from shoal.exceptions import TaskError

MARK = "__shoal_task__"
"""Where an exception says which task raised it."""
HIDDEN = "__shoal_hidden__"
"""A module that sets this to True has the code of users called, and wants no part in their tracebacks."""
TIME = 0.05
"""Seconds that a snapshot may take: what comes later, of the outer frames, is left out."""
SIZE = 256 << 10
"""Bytes of a snapshot with values; a larger one goes without."""
RATE, BURST = 5.0, 10.0
"""Snapshots a second, and at once, of one worker: where all fails, the first are enough."""
_TEXT, _ITEMS, _ARRAY = 10_000, 200, 100_000
_FRAMES = 50
_PLAIN = (int, float, bool, complex, type(None))
_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep


class Row(NamedTuple):
    """One frame."""

    filename: str
    lineno: int
    name: str
    module: str
    variables: dict[str, Any]


class Kept:
    """Stands for a value that did not travel: it looks like it, and has those of its attributes that did."""

    def __init__(self, kind: str, text: str, attributes: dict[str, Any]) -> None:
        self.__dict__.update(attributes)
        self.__dict__["__shoal_kept__"] = (kind, text)

    def __repr__(self) -> str:
        kind, text = self.__dict__["__shoal_kept__"]
        return f"<{kind} of the task: {text}>"


class Snapshots:
    """`take` is called with each exception of user code; `send(task, blob)` gets what there is to keep."""

    def __init__(self, send: Callable[[bytes, bytes], None]) -> None:
        self._send = send
        self._tokens, self._at = BURST, 0.0

    def take(self, error: BaseException, task: bytes) -> None:
        """Also marks the exception with the task. Where no code of the user's raised it nothing is kept."""
        told = error.cause if isinstance(error, TaskError) and error.cause is not None else error
        frames = list(_frames(error.__traceback__))[-_FRAMES:]
        if not frames:
            return
        inner = getattr(told, "__dict__", {}).get(MARK)
        if hasattr(told, "__dict__"):
            told.__dict__[MARK] = task
        if not self._allowed():
            return
        deadline = time.monotonic() + TIME
        rows = [_row(frame, line, deadline) for frame, line in reversed(frames)][::-1]
        try:
            blob = pickle.dumps((inner if inner != task else None, rows), 5)
        except Exception:  # a value that looks plain and is not
            blob = b""
        if not blob or len(blob) > SIZE:
            blob = pickle.dumps((inner if inner != task else None, [r._replace(variables={}) for r in rows]), 5)
        self._send(task, blob)

    def _allowed(self) -> bool:
        now = time.monotonic()
        self._tokens = min(BURST, self._tokens + (now - self._at) * RATE)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def is_hidden(frame: FrameType) -> bool:
    """Whether it is of shoal, or of what runs on it: nobody's code."""
    return frame.f_code.co_filename.startswith(_HERE) or bool(frame.f_globals.get(HIDDEN))


def _frames(tb: TracebackType | None) -> Iterator[tuple[FrameType, int]]:
    while tb is not None:
        if not is_hidden(tb.tb_frame):
            yield tb.tb_frame, tb.tb_lineno
        tb = tb.tb_next


def _row(frame: FrameType, line: int, deadline: float) -> Row:
    code = frame.f_code
    module = str(frame.f_globals.get("__name__", ""))
    # A cell's own variables are the notebook's: only what its code names.
    known = frame.f_locals.items() if code.co_flags & 2 else [(n, frame.f_locals.get(n)) for n in code.co_names]
    variables = {}
    for name, value in known:
        if time.monotonic() > deadline:
            break
        if name.isidentifier() and not name.startswith("__"):
            variables[name] = _kept(value, 1)
    return Row(code.co_filename, line, code.co_name, module, variables)


def _kept(value: Any, depth: int) -> Any:
    if _travels(value, 3):
        return value
    attributes: dict[str, Any] = {}
    inner = getattr(value, "__dict__", None)
    if depth and type(inner) is dict and len(inner) <= _ITEMS:
        attributes = {name: _kept(part, 0) for name, part in inner.items() if isinstance(name, str)}
    try:
        text = reprlib.repr(value)
    except Exception as error:
        text = f"its repr() raised {type(error).__name__}"
    return Kept(type(value).__qualname__, text, attributes)


def _travels(value: Any, depth: int) -> bool:
    """Whether it is small, and of types that everybody has."""
    kind = type(value)
    if kind in _PLAIN:
        return True
    if kind in (str, bytes, bytearray):
        return len(value) <= _TEXT
    if kind in (list, tuple, set, frozenset):
        return depth > 0 and len(value) <= _ITEMS and all(_travels(item, depth - 1) for item in value)
    if kind is dict:
        return depth > 0 and len(value) <= _ITEMS and all(
            _travels(k, 0) and _travels(v, depth - 1) for k, v in value.items()
        )  # fmt: skip
    if kind.__module__ == "numpy":
        return bool(getattr(value, "nbytes", _ARRAY + 1) <= _ARRAY and value.dtype.kind != "O")
    if kind.__module__.partition(".")[0] == "pandas" and kind.__name__ in ("DataFrame", "Series"):
        return bool(value.size <= _TEXT)
    return False


# at the other end


def opened(blob: bytes) -> tuple[bytes | None, list[Row]]:
    """The task whose error it was that this one passed on, if any, and the frames."""
    inner, rows = pickle.loads(blob)
    return inner, rows


def rebuilt(rows: list[Row], main: dict[str, Any]) -> TracebackType | None:
    """A traceback of frames that have these names and values; `main` are the names of the main module."""
    tb = None
    for row in reversed(rows):
        tb = TracebackType(tb, _frame(row, main), 0, row.lineno)
    return tb


def _frame(row: Row, main: dict[str, Any]) -> FrameType:
    """A real one: a debugger takes no other."""
    module = sys.modules.get(row.module)
    names = main if module is None or row.module == "__main__" else module.__dict__  # no copy: it would hold them
    variables = dict(row.variables)
    found: list[FrameType] = []
    variables["__frame__"] = lambda: found.append(sys._getframe(1))
    code = compile("__frame__()", row.filename, "exec")
    exec(code.replace(co_name=row.name, co_firstlineno=row.lineno), names, variables)
    del variables["__frame__"]
    return found[0]
