"""``%why``: why something is pending, in words."""

from __future__ import annotations

from IPython.core.error import UsageError
from IPython.core.magic import no_var_expand

from shoal.exceptions import ShoalError
from shoal.explain import why
from shoal_kernelext.magics.arguments import argument, arguments, parsed
from shoal_kernelext.magics.targets import evaluated
from shoal_kernelext.session import Session

_USAGE = "%why REF, of a ref, a list of refs or an actor's handle"
_MANY = 10
"""Of a list so many are told one by one."""


class WhyMagic:
    """Explains what becomes of refs."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @no_var_expand
    @arguments(argument("ref", nargs="*", help="a ref, a list of refs or an actor: any expression that gives one"))
    def why(self, line: str) -> None:
        """Why a ref is pending, in words, and what would help.

        It waits for an argument, for CPUs, a GPU or memory, for its place in an actor's mailbox, for an actor that is
        being made, a placement group or a runtime environment; or it is not pending: it runs, has finished or failed.
        In code: shoal.why(ref).
        """
        if not line.strip():
            parsed(self.why, line, _USAGE)
        found = evaluated(self._session.shell, line, _USAGE)
        refs = list(found) if isinstance(found, (list, tuple, set)) else [found]
        complaint = ""
        try:
            told = [str(why(ref)) for ref in refs[:_MANY]]
        except (ShoalError, TypeError, ValueError) as error:
            complaint = str(error)
        if complaint:
            raise UsageError(f"{complaint}. Use it so: {_USAGE}")
        print("\n".join(told) or "the list is empty")
        if len(refs) > _MANY:
            print(f"and {len(refs) - _MANY:,} more")


