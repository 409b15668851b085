"""``%output``: all that the tasks of a cell printed, told apart and folded."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

from IPython.display import HTML, display

from shoal_kernelext.errors import UsageError
from shoal_kernelext.interrupt import counted
from shoal_kernelext.magics.arguments import argument, arguments, parsed, unquoted
from shoal_kernelext.session import Session
from shoal_kernelext.transcript import uncoloured

_USAGE = "%output [CELL] [--of NAME] [--find TEXT] [--last LINES] [--plain] [--save FILE]"
SHOWN = 1000
"""Lines of each task that are shown unless more are asked for."""
_FOLD = "cursor:pointer;font-size:13px;line-height:22px"
_TEXT = "margin:0 0 6px 16px;font-size:13px;line-height:18px;max-height:24em;overflow:auto;background:none"


class OutputMagic:
    """Shows what the session keeps."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @arguments(
        argument("cell", nargs="?", type=int, help="the number of the cell, as in In[3]; else the last that printed"),
        argument("--of", metavar="NAME", help="only of the functions and actors whose name has this in it"),
        argument("--find", metavar="TEXT", help="only lines with this in them"),
        argument("--last", type=int, default=SHOWN, metavar="LINES", help="so many lines of each (default: 1000)"),
        argument("--plain", action="store_true", help="as text, in the order in which it came"),
        argument("--save", metavar="FILE", help="write all of it to a file instead"),
    )
    def output(self, line: str) -> Any:
        """Show all that the tasks of a cell printed, folded by who printed it.

        Also what the cell left out of a flood, and what came while the page was being reloaded.
        """
        given = parsed(self.output, line, _USAGE)
        if given.last < 1:
            raise UsageError(f"--last {given.last} shows nothing: give 1 or more")
        self._session.output.flush()
        archive = self._session.output.archive
        printed = archive.find(given.cell)
        if printed is None:
            known = ", ".join(map(str, archive.numbers())) or "none yet"
            what = "nothing was printed" if given.cell is None else f"the tasks of cell {given.cell} printed nothing"
            raise UsageError(f"{what} that is kept (cells with output: {known})")
        of, text = unquoted(given.of), unquoted(given.find)
        lines = [(voice, line) for voice, line in printed.lines() if of in voice and text in line]
        if given.save:
            path = Path(unquoted(given.save)).expanduser()
            path.write_text("".join(f"{line}\n" for _, line in lines), encoding="utf-8")
            print(f"{counted(len(lines), 'line')} in {path}")
        elif given.plain:
            print("".join(f"{uncoloured(line)}\n" for _, line in lines[-given.last :]), end="")
        else:
            display(HTML(_folded(lines, printed.lost, given.last)))  # type: ignore[no-untyped-call]


def _folded(lines: list[tuple[str, str]], lost: int, last: int) -> str:
    voices: dict[str, list[str]] = {}
    for voice, line in lines:
        voices.setdefault(voice, []).append(line)
    parts = [_line(f"The first {lost:,} lines are kept no more (SHOAL_OUTPUT_KEPT).")] if lost else []
    for voice, said in voices.items():
        text = "\n".join(map(uncoloured, said[-last:]))
        left = len(said) - last
        more = _line(f"{left:,} lines before these: --last, --find or --save has them") if left > 0 else ""
        parts.append(
            f'<details{" open" * (len(voices) == 1)}><summary style="{_FOLD}">{html.escape(voice)}'
            f' · {counted(len(said), "line")}</summary>{more}<pre style="{_TEXT}">{html.escape(text)}</pre></details>'
        )
    return "".join(parts) or _line("No such lines.")


def _line(text: str) -> str:
    return f'<div style="font-size:13px;line-height:22px;margin-left:16px;opacity:.7">{html.escape(text)}</div>'
