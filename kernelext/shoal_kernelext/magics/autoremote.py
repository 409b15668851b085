"""``%autoremote``: every cell as if ``%%remote`` stood above it."""

from __future__ import annotations

import ast

from IPython.core.error import UsageError
from IPython.core.inputtransformer2 import TransformerManager

from shoal_kernelext.cell_source import magics
from shoal_kernelext.magics.remote import RemoteMagic
from shoal_kernelext.session import Session

_USAGE = "%autoremote on [OPTIONS OF %%remote], %autoremote off, or %autoremote to see which"


class AutoRemoteMagic:
    """Puts ``%%remote`` above the cells of a session, while it is on."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._remote = RemoteMagic(session)
        self._options: str | None = None

    def autoremote(self, line: str) -> None:
        """%autoremote on [OPTIONS]: from now on each cell runs as if %%remote OPTIONS stood above it.

        Cells with a magic of their own, as %%time, %cd and name? are, run in the notebook as ever; %autoremote off
        always works. The options are those of %%remote (see %%remote?), but for --for and --into.
        """
        command, _, options = line.strip().partition(" ")
        if command == "on":
            self._remote.check(options)
            if any(word.startswith(("--for", "--into")) for word in options.split()):
                raise UsageError(f"--for and --into are for one cell: give them above it. Use it so: {_USAGE}")
            self._switch(" ".join(options.split()))
        elif command == "off" and not options:
            self._switch(None)
        elif line.strip():
            raise UsageError(f"%autoremote {line.strip()} is not known. Use it so: {_USAGE}")
        print(self._said())

    def _said(self) -> str:
        if self._options is None:
            return "%autoremote is off: cells run in the notebook, unless %%remote stands above them"
        return (
            f"%autoremote is on: each cell runs as %%remote {self._options}".rstrip()
            + ", but for those with a magic of their own; %autoremote off ends it"
        )

    def _switch(self, options: str | None) -> None:
        self._options = options
        transforms = self._session.shell.input_transformers_cleanup
        transforms[:] = [known for known in transforms if known != self._transform]
        if options is not None:
            transforms.append(self._transform)

    def _transform(self, lines: list[str]) -> list[str]:
        """The lines of a cell, with the magic above them where it is to be there.

        IPython calls it for parts of cells too, while one runs: these are left as they are.
        """
        session = self._session
        if session.shell.shoal_session is not session or session.busy or not _is_plain("".join(lines)):
            return lines
        return [f"%%remote {self._options}".rstrip() + "\n", *lines]


def _is_plain(text: str) -> bool:
    """Whether a cell does something and has no magic of its own."""
    if text.lstrip().startswith("%%"):
        return False
    flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    try:
        tree = compile(TransformerManager().transform_cell(text), "<cell>", "exec", flags, dont_inherit=True)  # type: ignore[no-untyped-call]
    except (SyntaxError, ValueError):
        return True  # that is said in the same words here and there
    return bool(tree.body) and next(magics(tree), None) is None
