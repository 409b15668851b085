"""``%closure``: what a function brings along."""

from __future__ import annotations

from IPython.core.error import UsageError
from IPython.core.magic import no_var_expand

from shoal_kernelext.closure import Closure, is_known
from shoal_kernelext.magics.arguments import argument, arguments, parsed
from shoal_kernelext.magics.targets import evaluated
from shoal_kernelext.session import Session

_USAGE = "%closure F, of a function or class, remote or not"


class ClosureMagic:
    """Shows what functions and classes capture."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @no_var_expand
    @arguments(argument("function", nargs="*", help="a function or class, remote or not: any expression"))
    def closure(self, line: str) -> Closure:
        """What a function or class captures, with sizes, before it goes to a worker.

        Globals that it names, variables of its closure, defaults, a class's attributes and bases, and what functions of
        the notebook among them capture in turn. What cannot be pickled comes first, with the reason and the cure; what
        is large and would be better in the object store says so.
        """
        if not line.strip():
            parsed(self.closure, line, _USAGE)
        target = evaluated(self._session.shell, line, _USAGE)
        if not is_known(target):
            raise UsageError(f"{line.strip()} is no function or class but {type(target).__name__}. Use it so: {_USAGE}")
        return Closure(target)
