"""``%logs``: what tasks, actors, workers and cells have printed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import no_var_expand

from shoal import cluster
from shoal.actors import ActorHandle
from shoal.exceptions import ShoalError
from shoal.generators import ObjectRefGenerator
from shoal.ids import task_of
from shoal.refs import ObjectRef
from shoal_kernelext.magics.arguments import argument, arguments, parsed
from shoal_kernelext.magics.targets import evaluated
from shoal_kernelext.session import Session

_USAGE = "%logs [-n LINES] REF (or an actor, or a worker's pid), or %logs [-n LINES] --cell NUMBER"
_LINES = 100


class LogsMagic:
    """Shows what was printed."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @no_var_expand
    @arguments(
        argument("what", nargs="*", help="a ref, whose task is meant; an actor; or the pid or number of a worker"),
        argument("--cell", type=int, help="what the work of the cell In[NUMBER] has printed"),
        argument("-n", type=int, default=_LINES, help=f"the last so many lines; {_LINES} by default, 0 for all"),
    )
    def logs(self, line: str) -> None:
        """What a task, an actor, a worker or a cell's work has printed, each task's lines under its name.

        The cluster remembers the last 262,144 characters of each worker, also of those that have died.
        """
        options, expression = _options(line)
        given = parsed(self.logs, options, _USAGE)
        if bool(expression) == (given.cell is not None):
            raise UsageError(f"%logs needs one thing to tell of. Use it so: {_USAGE}")
        if given.n < 0:
            raise UsageError(f"-n {given.n} is below zero: give a number of lines, or 0 for all")
        here = cluster.living()
        if here is None or here.folder is None:
            raise UsageError("there is no cluster that remembers what was printed")
        self._session.output.flush()
        asked = self._asked(expression) if expression else {"cell": f"{self._session.id}//{given.cell}"}
        try:
            parts = here.engine.query("printed", *(asked.get(name) for name in ("task", "actor", "pid", "cell")))
        except ShoalError as error:
            raise UsageError(str(error)) from None
        lines = list(_told(parts))
        if not lines:
            print(f"{expression or f'In[{given.cell}]'} has printed nothing that is still remembered")
        elif given.n and len(lines) > given.n:
            print(f"({len(lines) - given.n:,} earlier lines: %logs -n 0)")
            lines = lines[-given.n :]
        print("\n".join(lines))

    def _asked(self, expression: str) -> dict[str, Any]:
        found = evaluated(self._session.shell, expression, _USAGE)
        if isinstance(found, ActorHandle):
            return {"actor": found._ref.binary()}
        if isinstance(found, ObjectRefGenerator):
            return {"task": task_of(found.awaits()).hex()}
        if isinstance(found, ObjectRef):
            return {"task": task_of(found.binary()).hex()}
        if isinstance(found, int) and not isinstance(found, bool):
            return {"pid": found}
        raise UsageError(f"{expression} is no ref, actor or pid but {type(found).__name__}. Use it so: {_USAGE}")


def _told(parts: list[tuple[str, int, str, str, str]]) -> Iterator[str]:
    """The lines; a heading wherever another task or process begins to speak."""
    speaker: tuple[Any, ...] | None = None
    text = ""
    for who, pid, task, _, said in parts:
        now = (who, pid, task)
        if now != speaker:
            yield from text.splitlines()
            yield f"--- {who} (pid {pid})"
            speaker, text = now, ""
        text += said
    yield from text.splitlines()


def _options(line: str) -> tuple[str, str]:
    """The options, and the expression behind them."""
    words = line.split()
    count = 0
    while count < len(words) and words[count].startswith("-") and not words[count][1:].isdigit():
        count += 1 if "=" in words[count] or (words[count].startswith("-n") and words[count] != "-n") else 2
    return " ".join(words[:count]), line.split(None, count)[count] if count < len(words) else ""
