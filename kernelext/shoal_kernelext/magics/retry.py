"""``%retry``: the failed items of a parallel loop once more."""

from __future__ import annotations

from typing import Any

from IPython.core.error import UsageError

from shoal_kernelext.loop_list import LoopList
from shoal_kernelext.magics.arguments import argument, arguments, parsed
from shoal_kernelext.session import Session

_USAGE = "%retry [NAME]"


class RetryMagic:
    """Fills the holes of the lists that loops have left."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @arguments(argument("name", nargs="?", default="_", help="the list's; the last one that was shown by default"))
    def retry(self, line: str) -> LoopList:
        """Run the failed and cancelled items of a %%remote --for loop again, and fill the same list.

        The loop's body is as it was, the names that it reads are as they are now: mend a function, and try again.
        """
        name = parsed(self.retry, line, _USAGE).name
        found: Any = self._session.shell.user_ns.get(name)
        if not isinstance(found, LoopList):
            raise UsageError(
                f"{name} is not the list of a loop: give the name that %%remote --for \"…\" --into NAME gave it"
            )
        return found.retry()
