"""``%who_holds``: what keeps an object."""

from __future__ import annotations

from IPython.core.error import UsageError
from IPython.core.magic import no_var_expand

from shoal.exceptions import ShoalError
from shoal.holders import Holders, who_holds
from shoal_kernelext.magics.arguments import argument, arguments, parsed
from shoal_kernelext.magics.targets import evaluated
from shoal_kernelext.session import Session

_USAGE = "%who_holds X, of a ref, an actor's handle, or a value that shoal.get() has returned"


class WhoHoldsMagic:
    """Tells who keeps an object."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @no_var_expand
    @arguments(argument("x", nargs="*", help="a ref, an actor, or a value in the object store: any expression"))
    def who_holds(self, line: str) -> Holders:
        """What keeps an object, and how many bytes that is.

        Variables of the notebook and the ways from them, Out[n], the last error's frames, tasks whose argument it is,
        actors, other programs and notebooks, and values that hold a ref to it. Showing a ref keeps nothing: Out[n] and
        _ give it only while somebody else holds it. In code: shoal.who_holds(x).
        """
        if not line.strip():
            parsed(self.who_holds, line, _USAGE)
        found = evaluated(self._session.shell, line, _USAGE)
        try:
            return who_holds(found)
        except (ShoalError, TypeError, ValueError) as error:
            complaint = str(error)
        raise UsageError(f"{complaint}. Use it so: {_USAGE}")
