"""The text of a remote cell: translated from IPython's syntax, checked, its lines numbered as people see them."""

from __future__ import annotations

import ast
import tokenize
from collections.abc import Iterator
from io import StringIO
from typing import Any, NamedTuple

from shoal_kernelext.errors import UsageError, shown_at
from shoal_kernelext.report import Source

_CURES = {
    "time": "put %%time on a line above %%remote",
    "timeit": "put %%timeit on a line above %%remote",
    "prun": "call cProfile.run(...) in the cell",
    "matplotlib": "leave the line out: figures appear under the cell anyway",
    "pip": "run it in a cell of its own: workers use the notebook's environment",
    "conda": "run it in a cell of its own: workers use the notebook's environment",
    "cd": "run it in a cell of its own: workers follow the notebook's folder",
    "env": "use os.environ, or run it in a cell of its own: workers follow it",
    "set_env": "use os.environ, or run it in a cell of its own: workers follow it",
    "run": "import the file, or run !python FILE",
    "bash": "write !command, or run !bash FILE",
    "sh": "write !command, or run !sh FILE",
    "capture": "put %%capture on a line above %%remote",
    "remote": "the cell is on the cluster already",
    "pinfo": "ask for help in a cell without %%remote",
    "pinfo2": "ask for help in a cell without %%remote",
}
_CURE = "put it in a cell of its own, without %%remote"


class CellSource(NamedTuple):
    """A cell that can be compiled."""

    code: str
    """Plain Python, with empty lines in place of what stands above the cell's body."""
    tree: ast.Module
    filename: str
    source: Source
    quiet: bool
    """Ends with ``;``: its value is not shown."""


def cell_source(body: str, shell: Any, raw: str, label: str, number: int) -> CellSource:
    """Translate and check the body of a cell magic.

    Args:
        body: the cell without the line of the magic.
        shell: IPython's, whose input transformers and future flags apply.
        raw: the whole cell as people see it.
        label: what tracebacks call the cell.
        number: the cell's execution count.

    Raises the cell's SyntaxError as one shown at its line, and UsageError for magics in it.
    """
    above = _lines_above(body, raw)
    filename = str(shell.compile.cache(raw, number))
    source = Source(label, raw)
    code = "\n" * above + str(shell.transform_cell(body))
    flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | future_flags(shell)
    try:
        tree = compile(code, filename, "exec", flags, dont_inherit=True)
        # what only the compiler finds: return outside function, a second nonlocal, …
        compile(tree, filename, "exec", flags & ~ast.PyCF_ONLY_AST, dont_inherit=True)
    except (SyntaxError, ValueError, OverflowError) as error:
        failed = error
    else:
        assert isinstance(tree, ast.Module)
        _refusemagics(tree, source)
        return CellSource(code, tree, filename, source, _ends_quietly(code))
    line = min(getattr(failed, "lineno", None) or above + 1, max(1, len(raw.splitlines())))
    column = max(0, (getattr(failed, "offset", None) or 1) - 1)
    end = getattr(failed, "end_offset", None) or 0
    message = getattr(failed, "msg", None) or str(failed)
    raise shown_at("SyntaxError", message, source, line, column, end - 1, cause=failed)


def future_flags(shell: Any) -> int:
    """The compiler flags of the ``from __future__`` imports of earlier cells."""
    import __future__

    known = 0
    for name in __future__.all_feature_names:
        known |= getattr(__future__, name).compiler_flag
    return int(shell.compile.flags) & known


def _lines_above(body: str, raw: str) -> int:
    """How many lines of the cell stand above its body, those with magics included."""
    at = raw.rfind(body.rstrip("\n"))
    above = raw[:at].count("\n") if at >= 0 else 1
    return above + len(body[: len(body) - len(body.lstrip("\n"))])


def _refusemagics(tree: ast.Module, source: Source) -> None:
    for call, name, shown in magics(tree):
        cure = _CURES.get(name, _CURE)
        message = f"{shown} works in the notebook only: {cure}"
        raise shown_at(
            "UsageError", message, source, call.lineno, call.col_offset, 0, kind=UsageError
        )


def magics(tree: ast.Module) -> Iterator[tuple[ast.Call, str, str]]:
    """Calls that IPython's ``%magic``, ``%%magic`` and ``name?`` were translated to."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                ast.Attribute(ast.Call(ast.Name("get_ipython")), "run_line_magic" | "run_cell_magic" as kind),
                [ast.Constant(str(name)), *_],
            ):
                mark = "%" if kind == "run_line_magic" else "%%"
                yield node, name, "?" if name.startswith("pinfo") else mark + name


def _ends_quietly(code: str) -> bool:
    last = ""
    try:
        for token in tokenize.generate_tokens(StringIO(code).readline):
            if token.type not in (
                tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENDMARKER, tokenize.DEDENT
            ):  # fmt: skip
                last = token.string
    except tokenize.TokenError:
        return False
    return last == ";"
