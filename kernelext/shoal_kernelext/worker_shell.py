"""What `get_ipython()` is on a worker: shell commands, and an explanation for all else."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any


class WorkerShell:
    """Runs ``!command`` and ``x = !command``, to which IPython's syntax was translated.

    Args:
        namespace: the cell's names, for ``{expression}`` and ``$name`` in commands.
    """

    def __init__(self, namespace: dict[str, Any]) -> None:
        self.user_ns = namespace

    def system(self, command: str) -> None:
        """Run a shell command; its output goes to the cell, its status to ``_exit_code``."""
        self.user_ns["_exit_code"], _ = _run(self.var_expand(command, 1), keep=False)

    system_raw = system_piped = system

    def getoutput(self, command: str, split: bool = True) -> Any:
        """Run a shell command; returns what it printed, as a list of lines unless `split` is false."""
        from IPython.utils.text import LSString, SList

        _, output = _run(self.var_expand(command, 1), keep=True)
        return SList(output.splitlines()) if split else LSString(output)

    def var_expand(self, command: str, depth: int = 0) -> str:
        """Fill in ``{expression}`` and ``$name``, from the frame `depth` above the caller and the cell."""
        if "$" not in command and "{" not in command:
            return command
        from IPython.utils.text import DollarFormatter

        names = {**self.user_ns, **sys._getframe(depth + 1).f_locals}
        try:
            return str(DollarFormatter().vformat(command, (), names))
        except Exception:  # as IPython does: braces may be the shell's own
            return command

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"get_ipython().{name} works in the notebook only: use it in a cell without %%remote"
        )


def _run(command: str, *, keep: bool) -> tuple[int, str]:
    """The exit status of a shell command and, if `keep`, what it printed."""
    if command.rstrip().endswith("&"):
        raise OSError("a command in the background would outlive its cell: leave out the &")
    sys.stdout.flush()
    sys.stderr.flush()
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT} if keep else {}
    shell = os.environ.get("SHELL")
    process = subprocess.Popen(
        command, shell=True, executable=shell, stdin=subprocess.DEVNULL, errors="replace", **pipes
    )
    try:
        output, _ = process.communicate()
    except BaseException:
        _kill_tree(process.pid)
        process.wait()
        raise
    return process.returncode, output or ""


def _kill_tree(pid: int) -> None:
    import psutil

    try:
        root = psutil.Process(pid)
        tree = [*root.children(recursive=True), root]
    except psutil.NoSuchProcess:
        return
    for process in tree:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            pass
