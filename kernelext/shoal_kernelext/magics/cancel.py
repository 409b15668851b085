"""``%cancel``: work that is not wanted any more."""

from __future__ import annotations

from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import no_var_expand

from shoal import api, cluster
from shoal.actors import ActorHandle
from shoal.context import is_numbered
from shoal.exceptions import ShoalError
from shoal.explain import why
from shoal.functions import RemoteFunction
from shoal.generators import ObjectRefGenerator
from shoal.reasons import counted
from shoal.refs import ObjectRef
from shoal_kernelext.magics.arguments import argument, arguments, parsed
from shoal_kernelext.magics.targets import evaluated
from shoal_kernelext.session import Session

_USAGE = "%cancel [--force] REF (a ref, a list of refs or a remote function), %cancel --cell NUMBER, or %cancel --all"


class CancelMagic:
    """Cancels tasks."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @no_var_expand
    @arguments(
        argument("what", nargs="*", help="a ref, a list of refs, or a remote function for all its unfinished tasks"),
        argument("--cell", type=int, help="all that the cell In[NUMBER] has launched, and what that launched"),
        argument("--all", action="store_true", help="all unfinished work of this notebook"),
        argument("--force", action="store_true", help="end the worker processes of running tasks at once"),
    )
    def cancel(self, line: str) -> None:
        """Cancel tasks, and the tasks that they started.

        What is queued never runs, what runs gets a KeyboardInterrupt; an actor's call is not interrupted, and actors go
        on (shoal.kill ends one). What is done stays as it is. In code: shoal.cancel(ref).
        """
        options, expression = _options(line)
        given = parsed(self.cancel, options, _USAGE)
        if sum((bool(expression), given.cell is not None, given.all)) != 1:
            raise UsageError(f"%cancel needs one thing to cancel. Use it so: {_USAGE}")
        here = cluster.living()
        if here is None:
            raise UsageError("there is no cluster, and so nothing to cancel")
        try:
            if expression:
                told = self._refs(here, evaluated(self._session.shell, expression, _USAGE), given.force)
            else:
                told = self._cells(here, given.cell)
        except (ShoalError, ValueError) as error:
            complaint = str(error)
        else:
            print(told)
            return
        raise UsageError(complaint)

    def _cells(self, here: cluster.Cluster, number: int | None) -> str:
        """All of this notebook's, or of one of its cells."""
        ours = [cell for cell in here.cells() if cell.startswith(f"{self._session.id}/")]
        meant = ours if number is None else [cell for cell in ours if is_numbered(cell, self._session.id, number)]
        count = sum(here.cancel_cell(cell) for cell in meant)
        of = "this notebook" if number is None else f"In[{number}]"
        if count:
            return f"cancelled {counted(count, 'task')} of {of}"
        others = sorted({int(cell.rpartition("/")[2]) for cell in ours})
        where = f"; there is of {', '.join(f'In[{n}]' for n in others)}" if others else ""
        return f"nothing of {of} is under way{where}"

    def _refs(self, here: cluster.Cluster, found: Any, force: bool) -> str:
        if isinstance(found, ActorHandle):
            raise UsageError("an actor is no task: shoal.kill(actor) ends it")
        if isinstance(found, RemoteFunction):
            return self._function(here, found, force)
        refs = list(found) if isinstance(found, (list, tuple, set)) else [found]
        if not all(isinstance(ref, (ObjectRef, ObjectRefGenerator)) for ref in refs):
            raise UsageError(f"that is no ref, but {type(found).__name__}. Use it so: {_USAGE}")
        told = [why(ref) for ref in refs] if len(refs) < 100 else []
        if len(refs) == 1 and not told[0].pending and told[0].state != "running":
            return told[0].text
        for ref in refs:
            api.cancel(ref, force=force)
        if not told:
            return f"cancelled what was not done of {len(refs):,} refs"
        count = sum(one.pending or one.state == "running" for one in told)
        done = f"; {len(refs) - count:,} were done" if count < len(refs) else ""
        return f"cancelled {counted(count, 'task')}{done}"

    @staticmethod
    def _function(here: cluster.Cluster, function: Any, force: bool) -> str:
        tasks = here.tasks_named(function.__name__)
        for task in tasks:
            here.engine.cancel(task, force, True)
        if tasks:
            return f"cancelled {counted(len(tasks), 'task')} of {function.__name__}()"
        return f"no task of {function.__name__}() is under way"


def _options(line: str) -> tuple[str, str]:
    """The options, and the expression behind them, which may hold anything."""
    words = line.split()
    count = 0
    while count < len(words) and words[count].startswith("--"):
        count += 2 if words[count] == "--cell" else 1
    return " ".join(words[:count]), line.split(None, count)[count] if count < len(words) else ""
