"""The traceback people see: the cell's own lines and their frames, in IPython's layout, none of ours.

Made where the exception was raised, as plain lines of text: every front end shows them, and nothing of it depends
on whether the exception itself can travel.
"""

from __future__ import annotations

import linecache
import os
import re
import reprlib
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby, pairwise
from types import TracebackType
from typing import NamedTuple

from shoal import exceptions
from shoal.frames import Kept, Row

_WIDTH = 75
_CONTEXT = 2
"""Lines shown before and after the one that failed."""
_SAME, _FRAMES = 2, 20
"""Frames shown at either end of a run of equal ones, and of all of them."""
_RED, _GREEN, _CYAN, _BOLD, _PLAIN = "\x1b[31m", "\x1b[32m", "\x1b[36m", "\x1b[1m", "\x1b[0m"

_LIBRARY = os.path.dirname(os.__file__) + os.sep

Label = Callable[[str], str | None]
"""What a cell's file name is called (``Cell In[3]``); None for other files."""


class Source(NamedTuple):
    """Where code of the notebook came from: what it is called and its text."""

    label: str
    text: str


def remember(sources: Mapping[str, Source]) -> None:
    """Let tracebacks, `inspect` and debuggers of this process find cells' sources by file name."""
    for filename, source in sources.items():
        lines = source.text.splitlines(keepends=True)
        linecache.cache[filename] = (len(source.text), None, lines, filename)


def report(
    error: BaseException,
    tb: TracebackType | None,
    label: Label,
    *,
    colors: bool = True,
) -> list[str]:
    """The lines of an exception's traceback, causes first.

    Args:
        error: the exception; its notes are shown, too.
        tb: its traceback; may begin below `error.__traceback__`.
        label: tells cells' files from others.
        colors: whether to colour by ANSI sequences.
    """
    found = traceback.TracebackException(type(error), error, tb, compact=True)
    lines = list(_chain(found, label, ours()))
    if not colors:
        lines = [re.sub(r"\x1b\[\d+m", "", line) for line in lines]
    return lines


def variables(rows: Sequence[Row], label: Label) -> list[str]:
    """What the frames of a failed task held, in lines."""
    lines = []
    for row in rows:
        if row.variables:
            where = label(row.filename) or f"File {_short(row.filename)}"
            lines.append(f"\nIn {_CYAN}{row.name}{_PLAIN} ({_GREEN}{where}{_PLAIN}, line {row.lineno}):")
            lines += [f"    {name} = {_short_repr(value)}" for name, value in row.variables.items()]
    return lines


def _short_repr(value: object) -> str:
    text = repr(value) if isinstance(value, Kept) else reprlib.repr(value)
    return " ".join(text.split())


def at_line(
    name: str, message: str, source: Source, line: int, column: int | None = None, end: int = 0
) -> list[str]:
    """The lines of an error found before anything ran: one place of a cell, counted from 1.

    `column` and `end` (from 0) are what is underlined.
    """
    return [
        *_head(name),
        f"{_GREEN}{source.label}{_PLAIN}, line {line}",
        *_excerpt(source.text.splitlines(), line, column, end),
        "",
        f"{_RED}{name}{_PLAIN}: {message}" if message else f"{_RED}{name}{_PLAIN}",
    ]


def ours() -> tuple[str, ...]:
    """Beginnings of the names of our own files."""
    return tuple(os.path.dirname(os.path.abspath(f)) + os.sep for f in (__file__, exceptions.__file__))


def _chain(
    found: traceback.TracebackException, label: Label, hidden: tuple[str, ...]
) -> Iterator[str]:
    if found.__cause__ is not None:
        yield from _chain(found.__cause__, label, hidden)
        yield "\nThe above exception was the direct cause of the following exception:\n"
    elif found.__context__ is not None and not found.__suppress_context__:
        yield from _chain(found.__context__, label, hidden)
        yield "\nDuring handling of the above exception, another exception occurred:\n"
    name = found.exc_type.__name__ if found.exc_type is not None else "Error"
    yield from _head(name)
    waiting = False
    for frame in _folded(found.stack):
        if isinstance(frame, str):
            yield frame
            continue
        ours = frame.filename.startswith(hidden)
        # what we call in the standard library (a lock, asyncio.sleep) is no more the user's than we are
        waiting = ours or (waiting and frame.filename.startswith(_LIBRARY) and label(frame.filename) is None)
        if not waiting:
            yield from _frame(frame, label)
    first, *rest = "".join(found.format_exception_only()).rstrip("\n").split("\n")
    yield _red_name(first)
    for line, after in pairwise([*rest, ""]):
        yield from _named(line, after, label)
    for number, inner in enumerate(found.exceptions or (), 1):
        yield f"\n  +-- {number} of {len(found.exceptions or ())}"
        yield from ("  | " + line for part in _chain(inner, label, hidden) for line in part.split("\n"))


def _folded(stack: traceback.StackSummary) -> Iterator[traceback.FrameSummary | str]:
    """The frames, where of a recursion only the first and last few are left."""
    left: list[traceback.FrameSummary | str] = []
    for _, group in groupby(stack, key=lambda f: (f.filename, f.lineno, f.name)):
        left += _ends(list(group), _SAME)
    yield from _ends(left, _FRAMES)


def _ends(frames: Sequence[traceback.FrameSummary | str], kept: int) -> list[traceback.FrameSummary | str]:
    """At most `kept` at either end, and how many lie between."""
    between = len(frames) - 2 * kept
    if between <= 1:
        return list(frames)
    return [*frames[:kept], f"[... {between} more frames]\n", *frames[-kept:]]


def _red_name(line: str) -> str:
    name, colon, message = line.partition(":")
    return f"{_RED}{name}{_PLAIN}{colon}{message}"


def _named(line: str, after: str, label: Label) -> Iterator[str]:
    """A line of a note; where it is a frame of a cell, as Python prints it, the cell and its code are named.

    `after` is the next line: the code itself, where the process that wrote the note had it.
    """
    frame = re.fullmatch(r'(\W*)File "(.+)", line (\d+)(.*)', line)
    cell = label(frame[2]) if frame else None
    if frame is None or cell is None:
        yield line
        return
    yield f"{frame[1]}{cell}, line {frame[3]}{frame[4]}"
    code = linecache.getline(frame[2], int(frame[3])).strip()
    if code and after.strip(" |") != code:
        yield f"{frame[1]}  {code}"


def _head(name: str) -> list[str]:
    what = "Traceback (most recent call last)"
    return [
        f"{_RED}{'-' * _WIDTH}{_PLAIN}",
        f"{_RED}{name}{_PLAIN}{what.rjust(_WIDTH - len(name))}",
    ]


def _frame(frame: traceback.FrameSummary, label: Label) -> Iterator[str]:
    line = frame.lineno or 0
    inside = "" if frame.name == "<module>" else f", in {_CYAN}{frame.name}{_PLAIN}"
    if (cell := label(frame.filename)) is not None:
        yield f"{_GREEN}{cell}{_PLAIN}, line {line}{inside}"
    else:
        yield f"File {_GREEN}{_short(frame.filename)}:{line}{_PLAIN}{inside}"
    lines = linecache.getlines(frame.filename)
    if lines:
        yield from _excerpt([text.rstrip("\n") for text in lines], line)
    yield ""


def _excerpt(lines: list[str], line: int, column: int | None = None, end: int = 0) -> Iterator[str]:
    first, last = max(1, line - _CONTEXT), min(len(lines), line + _CONTEXT)
    for number in range(first, last + 1):
        text = lines[number - 1]
        if number != line:
            yield f"{number:>7} {text}"
            continue
        arrow = "-" * max(1, 5 - len(str(number))) + ">"
        yield f"{_GREEN}{_BOLD}{arrow} {number}{_PLAIN} {text}"
        if column is not None:
            yield " " * (8 + column) + "^" * max(1, end - column)


def _short(path: str) -> str:
    home = os.path.expanduser("~")
    return "~" + path[len(home) :] if home != "/" and path.startswith(home + os.sep) else path
