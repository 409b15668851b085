"""The user's own exception, for interfaces of the standard library, whose users expect just that."""

from __future__ import annotations

from shoal.exceptions import TaskError


class RemoteTraceback(Exception):
    """The cause of an exception that was raised on a worker: its traceback there, as text in `tb`."""

    def __init__(self, tb: str) -> None:
        super().__init__(tb)
        self.tb = tb

    def __str__(self) -> str:
        return f'\n"""\n{self.tb}"""'


def original(error: BaseException) -> BaseException:
    """What user code raised, its remote traceback as the cause; an error of shoal's own as it is."""
    if not isinstance(error, TaskError) or error.cause is None:
        return error
    raised: BaseException = error.cause
    if raised.__cause__ is None:
        raised.__cause__ = RemoteTraceback(error.remote_traceback)
    return raised
