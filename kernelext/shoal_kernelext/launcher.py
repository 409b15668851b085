"""A remote cell's way in the notebook: made ready, sent, waited for, brought back."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from IPython.core.error import UsageError

from shoal import api
from shoal.exceptions import GetTimeoutError, ShoalError, TaskCancelledError, TaskError
from shoal.functions import RemoteFunction
from shoal.refs import ObjectRef
from shoal_kernelext.capture import Names, names
from shoal_kernelext.cell_ref import CellRef
from shoal_kernelext.cell_source import CellSource, cell_source, future_flags
from shoal_kernelext.delivery import deliver, error_of, notes, value_of
from shoal_kernelext.demands import Demand
from shoal_kernelext.errors import CellTimeoutError, rendered
from shoal_kernelext.exchange import Bundle, CellFailed, Request, Result
from shoal_kernelext.last import bind_last
from shoal_kernelext.remote_cell import run_cell
from shoal_kernelext.report import at_line
from shoal_kernelext.session import Session
from shoal_kernelext.shipment import Shipment, shipment

PATIENCE = 0.5
"""Seconds that interrupted code has until its process is ended."""


class Shown:
    """The value of a remote cell's last expression, as the worker shows it."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[Any, Any]:
        return self._bundle["data"], self._bundle["metadata"]

    def __repr__(self) -> str:
        return str(self._bundle["data"].get("text/plain", "<shown by a worker>"))


class Launch(NamedTuple):
    """A cell that is ready to be sent."""

    source: CellSource
    names: Names
    request: Request
    sent: Shipment
    title: str
    """What the views call it."""


class Outcome(NamedTuple):
    """How a remote cell ended: with a result, or with an error that kept it from having one."""

    result: Result | None
    error: BaseException | None


class Launcher:
    """Sends the cells of a session, and takes back what becomes of them."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._function: RemoteFunction[..., Any] = RemoteFunction(run_cell, {})

    def source(self, code: str) -> CellSource:
        """The text of the cell that runs now; raises what is wrong with it, shown at its line."""
        session = self._session
        number = session.number
        return cell_source(code, session.shell, session.raw or code, f"Cell In[{number}]", number)

    def prepare(
        self, source: CellSource, title: str | None, *, fetch: bool = False, into: str = "", keep: bool = False,
        found: Names | None = None,
    ) -> Launch:
        """Capture what the cell reads.

        Args:
            source: the cell.
            title: what the views call it; None for its number.
            fetch: whether the value of its last expression comes back instead of being shown.
            into: a name for that value.
            keep: whether what it assigns stays on the cluster.
            found: what the cell does with the names of the notebook, where that is not plain from its code.
        """
        session, shell = self._session, self._session.shell
        if into and not bind_last(source.tree, into):
            raise UsageError(f"--into {into} needs a value: let the cell end with an expression, or leave it out")
        found = names(source.tree) if found is None else found
        sent = shipment(
            found, shell.user_ns, session.stock, source.source, hidden=shell.user_ns_hidden, label=session.label
        )
        request = Request(
            code=source.code,
            filename=source.filename,
            flags=future_flags(shell),
            show=not source.quiet and not fetch,
            fetch=fetch,
            colors=session.colors,
            sources={**sent.sources, source.filename: source.source},
            values=tuple(sent.values),
            absent=sent.absent,
            unread=tuple(sent.unread),
            modules=tuple(sorted(sent.modules)),
            binds=frozenset(found.binds),
            into=into,
            keep=keep,
        )
        return Launch(source, found, request, sent, title or f"In[{session.number}]")

    def submit(self, launch: Launch, demand: Demand) -> ObjectRef[Any]:
        """Send it, its demand having been checked; the ref of its `Result`."""
        task = self._function.options(name=launch.title, **demand.options())
        ref: ObjectRef[Any] = task.remote(launch.request, *unready(launch.sent))
        return ref

    def outcome(
        self,
        ref: ObjectRef[Any],
        launch: Launch,
        timeout: float | None = None,
        stop: Callable[[], object] | None = None,
    ) -> Outcome:
        """Wait for it, and `stop` it when its time is up.

        Errors are returned: raised in an `except` they would drag ours along.
        """
        try:
            return Outcome(api.get(ref, timeout=timeout), None)
        except TaskCancelledError:
            failed: BaseException = TaskCancelledError("the cell was cancelled")
        except TaskError as error:
            if isinstance(error.cause, CellFailed):
                return Outcome(error.cause.result, None)
            return Outcome(None, error)
        except KeyboardInterrupt as error:
            failed = error
        except GetTimeoutError as error:
            if api.wait([ref], timeout=0)[0]:
                return Outcome(None, error)  # the cell itself waited too long for something
            assert timeout is not None, "else it would have waited"
            (stop or partial(end, ref))()
            failed = too_long(timeout)
        except ShoalError as error:
            failed = type(error)(*error.args)
        return Outcome(None, self.at_start(failed, launch.source))

    def at_start(self, error: BaseException, source: CellSource) -> BaseException:
        """The error, to be shown at the first line of the cell: it is of the cell as a whole."""
        error.__traceback__ = error.__context__ = None
        first = len(source.code) - len(source.code.lstrip("\n")) + 1
        return rendered(error, at_line(type(error).__name__, str(error), source.source, first))

    def finish(self, result: Result, sent: Shipment) -> tuple[Any, BaseException | None]:
        """Bring everything back and show it; the value that was fetched, and what the cell raised."""
        session, shell = self._session, self._session.shell
        unopened = deliver(result, sent, shell.user_ns, session.stock)
        for note in notes(result, unopened):
            print(f"shoal: {note}", file=sys.stderr)
        if result.shown is not None:
            sys.displayhook(Shown(result.shown))
        for figure in result.figures:
            shell.display_pub.publish(data=figure["data"], metadata=figure["metadata"])
        failure = result.failure
        if failure is not None:
            error = error_of(failure, sent, shell.user_ns)
            if error is None:
                error = type(failure.name, (TaskError,), {})(failure.message)
            return None, rendered(error, failure.traceback)
        value = value_of(result.value, sent, shell.user_ns) if result.value is not None else None
        return value, None


def unready(sent: Shipment) -> list[ObjectRef[Any]]:
    """The refs among what is sent whose values are still being made, as far as we know, or never will be.

    As arguments of its task they have the cell wait in the queue, or fail with their error.
    """
    refs = [c.sent for c in sent.values if isinstance(c.sent, CellRef)]
    return [ref for ref in refs if ref.told.state != "kept"]


def end(*refs: ObjectRef[Any]) -> None:
    """Have a cell's tasks and all below them stopped, by force those that do not listen."""
    for ref in refs:
        api.cancel(ref)
    if refs:
        for ref in api.wait(refs, num_returns=len(refs), timeout=PATIENCE)[1]:
            api.cancel(ref, force=True)


def too_long(timeout: float) -> CellTimeoutError:
    """What ends a cell that has used up its --timeout."""
    return CellTimeoutError(f"the cell was not done after {timeout:g} s (--timeout): its work was stopped")
