"""What tasks print, in the output of the program that started them: each line behind `(f pid=17)`, as Ray has it.

A notebook with the extension does without: there it goes to the cell that started the task.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shoal.engines.base import Output

CYAN, PLAIN = "\033[36m", "\033[0m"


class Echo:
    """Called with each piece of output, by one thread at a time.

    Lines that have no end yet wait for it, or for the empty output which says that none will come. `bare`: they are
    written as they are.
    """

    def __init__(self, bare: bool = False) -> None:
        self._bare = bare
        self._begun: dict[tuple[str, str], str] = {}

    def __call__(self, output: Output) -> None:
        if output.stream == "display":
            self._write("stdout", output.source, str(output.data["data"].get("text/plain", "")))
            return
        key = output.stream, output.source
        begun = self._begun.pop(key, "")
        whole, newline, begun = (begun + (output.data or "\n" * bool(begun))).rpartition("\n")
        if begun:
            self._begun[key] = begun
        if newline:
            self._write(*key, whole)

    def close(self) -> None:
        """Write the lines that will have no end."""
        begun, self._begun = self._begun, {}
        for key, text in begun.items():
            self._write(*key, text)

    def _write(self, stream: str, source: str, text: str) -> None:
        file = sys.stdout if stream == "stdout" else sys.stderr
        try:
            before = "" if self._bare else f"{CYAN}({source}){PLAIN} " if file.isatty() else f"({source}) "
            file.write("".join(f"{before}{line}\n" for line in text.split("\n")))
            file.flush()
        except (AttributeError, OSError, ValueError):
            pass  # this program has closed it, or never had one
