"""``%%remote``: a cell on the cluster as if it ran here."""

from __future__ import annotations

import re
import sys
from typing import Any, NamedTuple

from IPython.core.error import UsageError
from IPython.core.magic import no_var_expand

from shoal import api, cluster
from shoal.exceptions import ShoalError, TaskCancelledError, TaskError
from shoal.functions import RemoteFunction
from shoal_kernelext.capture import names
from shoal_kernelext.cell_source import CellSource, cell_source, future_flags
from shoal_kernelext.delivery import deliver, error_of, notes, value_of
from shoal_kernelext.errors import rendered
from shoal_kernelext.exchange import Bundle, CellFailed, Request, Result
from shoal_kernelext.magics.arguments import argument, arguments, parsed
from shoal_kernelext.remote_cell import run_cell
from shoal_kernelext.report import at_line
from shoal_kernelext.session import Session
from shoal_kernelext.shipment import Shipment, shipment

_USAGE = "%%remote [--cpus N] [--name NAME] above a cell, or %remote [--cpus N] [--name NAME] EXPRESSION"
_OPTIONS = re.compile(r"\s*(?:--(?:cpus|name)(?:=|\s+)\S+(?:\s+|$))*")


class Shown:
    """The value of a remote cell's last expression, as the worker shows it."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[Any, Any]:
        return self._bundle["data"], self._bundle["metadata"]

    def __repr__(self) -> str:
        return str(self._bundle["data"].get("text/plain", "<shown by a worker>"))


class _Outcome(NamedTuple):
    result: Result | None
    error: BaseException | None


class RemoteMagic:
    """Runs cells and expressions on a worker."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._function: RemoteFunction[..., Any] = RemoteFunction(run_cell, {})

    @no_var_expand
    @arguments(
        argument("--cpus", type=float, default=1.0, help="CPUs that the cell needs"),
        argument("--name", help="what the views call it"),
    )
    def remote(self, line: str, cell: str | None = None) -> Any:
        """Run a cell, or an expression, on a worker of the cluster.

        What it reads is taken from the notebook; what it assigns or changes in place comes back, and its last
        expression is shown.
        """
        match = _OPTIONS.match(line)
        assert match is not None, "it may match nothing"
        options, code = (line, cell) if cell is not None else (match[0], line[match.end() :])
        if cell is None and (code.startswith("--") or not code.strip()):
            options = line  # an option that there is not: the parser says so
        given = parsed(self.remote, options, _USAGE)
        if not code.strip():
            raise UsageError(f"there is nothing to run. Use it so: {_USAGE}")
        if given.cpus < 0:
            raise UsageError(f"--cpus {given.cpus:g} is below zero: leave it out for one CPU")
        value, error = self._remote(code, given.cpus, given.name, fetch=cell is None)
        if error is not None:
            raise error  # from here: IPython keeps the frames of the last error, and they what they hold
        return value

    def _remote(
        self, code: str, cpus: float, name: str | None, *, fetch: bool
    ) -> tuple[Any, BaseException | None]:
        """Run it; returns its value where that is wanted, and what it raised."""
        session, shell = self._session, self._session.shell
        number = session.number
        source = cell_source(code, shell, session.raw or code, f"Cell In[{number}]", number)
        here = cluster.ensure()
        total = here.engine.query("resources")[0].get("CPU", 0)
        if cpus > total:
            raise UsageError(
                f"--cpus {cpus:g} is more than the {total:g} CPUs of this cluster, the cell would wait for ever: "
                f"give {total:g} or less, or start a larger one (%cluster stop, then %cluster start -n N)"
            )
        request, sent = self._request(source, fetch)
        assert session.cell is not None, "a magic runs in a cell"
        if not fetch:
            session.views.open(session.cell)
        task = self._function.options(num_cpus=cpus, name=name or f"In[{number}]", max_retries=0)
        outcome = self._outcome(task, request, source)
        session.output.flush()
        if outcome.result is None:
            return None, outcome.error
        return self._finish(outcome.result, sent)

    def _request(self, source: CellSource, fetch: bool) -> tuple[Request, Shipment]:
        session, shell = self._session, self._session.shell
        found = names(source.tree)
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
        )
        return request, sent

    def _outcome(self, task: RemoteFunction[..., Any], request: Request, source: CellSource) -> _Outcome:
        """Run the cell and wait. Errors are returned: raised in an `except` they would drag ours along."""
        try:
            return _Outcome(api.get(task.remote(request)), None)
        except TaskCancelledError:
            failed: BaseException = TaskCancelledError("the cell was cancelled")
        except TaskError as error:
            if isinstance(error.cause, CellFailed):
                return _Outcome(error.cause.result, None)
            return _Outcome(None, error)
        except KeyboardInterrupt as error:
            failed = error
        except ShoalError as error:
            failed = type(error)(*error.args)
        failed.__traceback__ = failed.__context__ = None
        first = len(source.code) - len(source.code.lstrip("\n")) + 1
        lines = at_line(type(failed).__name__, str(failed), source.source, first)
        return _Outcome(None, rendered(failed, lines))

    def _finish(self, result: Result, sent: Shipment) -> tuple[Any, BaseException | None]:
        """Bring everything back and show it."""
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
