"""What the tasks of one cell print, as the cell shows it.

One voice alone shows as it is. Where there are several, each line is whole and has its voice before it, as Ray does;
a line that is written over and over, a progress bar, stands apart until it has its end: bars of several tasks would
write over each other. Beyond a number of lines only the latest are shown.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field

from shoal_kernelext.limits import Limits

TAIL = 5
"""Lines of a flood that are shown of each voice."""
RECENT = 20
"""Lines that are remembered of each voice."""
_WIDTH = 200
"""Characters of them, each."""
_COLOURS = (36, 35, 32, 33, 34, 31)
"""Of ANSI, for one voice after the other."""


@dataclass
class Voice:
    """Who prints: a function or an actor, in a process."""

    name: str
    colour: int
    lines: int = 0
    recent: deque[str] = field(default_factory=lambda: deque(maxlen=RECENT))
    """The latest of them."""
    rest: dict[str, str] = field(default_factory=dict)
    """By stream, a line that has no end yet."""
    left: int = 0
    """Lines that were not shown."""
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL))
    """The latest of those."""


class Transcript:
    """`show` is called with all that comes, in order; what it returns is to be shown now.

    Args:
        own: what the cell itself is called where it runs on a worker: its lines have no name before them.
        limits: how much is shown.
        colors: whether names are coloured, by ANSI sequences.
    """

    def __init__(self, own: str, limits: Limits, colors: bool = True) -> None:
        self.voices: dict[str, Voice] = {}
        self._own = own
        self._limits = limits
        self._colors = colors
        self._begun: dict[tuple[str, str, str], str] = {}
        """Lines without an end, where there are several voices: by voice, task and stream."""
        self._ragged: dict[str, str] = {}
        """By stream where what is shown ends within a line, that line: what one voice alone has begun."""
        self._lines: dict[str, int] = {}
        self._characters: dict[str, int] = {}
        self._full: set[str] = set()

    def meet(self, name: str) -> None:
        """Somebody prints; said of all that comes at once, before any of it is shown."""
        if name not in self.voices:
            self.voices[name] = Voice(name, _COLOURS[len(self.voices) % len(_COLOURS)])

    def show(self, name: str, task: str, stream: str, text: str) -> str:
        """What to show of a piece of output; an empty one says that the task's line will have no end."""
        voice, several = self.voices[name], len(self.voices) > 1
        self._remember(voice, stream, text)
        ended = ""
        if several:
            text = self._whole((name, task, stream), text)
            if "\r" in self._ragged.get(stream, ""):
                ended = self._ended(stream)
        shown, rest = self._cut(stream, text)
        if rest:
            voice.left += rest.count("\n")
            voice.tail.extend(uncoloured(line)[:_WIDTH] for line in rest[-TAIL * 2 * _WIDTH :].splitlines()[-TAIL:])
        if not shown:
            return ended
        if several:
            lines = [seen(line) for line in shown[:-1].split("\n")]
            return ended + self._ended(stream) + "".join(f"{self._name(voice)}{line}\n" for line in lines)
        line = (self._ragged.pop(stream, "") + shown).rpartition("\n")[2]
        if line:
            self._ragged[stream] = f"\r{seen(line)}" if "\r" in line else line
        return shown

    def _remember(self, voice: Voice, stream: str, text: str) -> None:
        voice.lines += text.count("\n")
        room = RECENT * _WIDTH
        begun = voice.rest.get(stream, "") if len(text) < room else ""
        *whole, rest = (begun + text[-room:]).split("\n")
        voice.rest[stream] = rest[-room:]
        voice.recent.extend(uncoloured(seen(line))[:_WIDTH] for line in whole[-RECENT:])

    @property
    def bars(self) -> list[tuple[str, str]]:
        """Lines that are written over and over, and whose."""
        return [(name, begun.strip("\r")) for (name, _, _), begun in self._begun.items() if "\r" in begun]

    @property
    def left(self) -> int:
        """Lines that were not shown."""
        return sum(voice.left for voice in self.voices.values())

    def _ended(self, stream: str) -> str:
        """What ends the line that is shown and has no end; a bar is wiped out, for it stands elsewhere from now on."""
        line = self._ragged.pop(stream, "")
        if "\r" in line:
            return f"\r{' ' * len(line)}\r"
        return "\n" * bool(line)

    def _name(self, voice: Voice) -> str:
        if not self._limits.names or voice.name.startswith(self._own):
            return ""
        return f"\x1b[{voice.colour}m({voice.name})\x1b[0m " if self._colors else f"({voice.name}) "

    def _whole(self, key: tuple[str, str, str], text: str) -> str:
        """The lines that have their end."""
        begun = self._begun.pop(key, "")
        whole, newline, begun = (begun + (text or "\n" * bool(begun))).rpartition("\n")
        if "\r" in begun:  # of a bar only what is seen is kept
            begun = f"\r{seen(begun)}\r" if begun.endswith("\r") else f"\r{seen(begun)}"
        if begun:
            self._begun[key] = begun
        return whole + newline

    def _cut(self, stream: str, text: str) -> tuple[str, str]:
        """What there is room for, and the rest."""
        if stream in self._full:
            return "", text
        lines = self._lines.get(stream, 0) + text.count("\n")
        # A bar takes the room of one line, however often it is written.
        characters = self._characters.get(stream, 0) + (0 if "\r" in text else len(text))
        if lines <= self._limits.lines and characters <= self._limits.characters:
            self._lines[stream], self._characters[stream] = lines, characters
            return text, ""
        self._full.add(stream)
        room = max(0, self._limits.characters - self._characters.get(stream, 0))
        head = text[:room].split("\n", self._limits.lines - self._lines.get(stream, 0))[:-1]
        shown = "".join(line + "\n" for line in head)
        return shown, text[len(shown) :]


def uncoloured(line: str) -> str:
    """Without sequences of ANSI."""
    return re.sub(r"\x1b\[[\d;]*[A-Za-z]", "", line) if "\x1b" in line else line


def seen(line: str) -> str:
    """What is seen of a line that was written over."""
    return next((part for part in reversed(line.split("\r")) if part), "") if "\r" in line else line
