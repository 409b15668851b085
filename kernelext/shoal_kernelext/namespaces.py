"""``%%remote --on NAME``: cells sent to a namespace that lasts on the cluster."""

from __future__ import annotations

from typing import Any

from IPython.core.error import UsageError

from shoal import api, cluster
from shoal.actors import ActorClass, ActorHandle, get_actor
from shoal.exceptions import ActorNotFoundError, ShoalError
from shoal_kernelext.capture import Names, assigned, names
from shoal_kernelext.cell_source import CellSource
from shoal_kernelext.demands import Demand
from shoal_kernelext.launcher import Launcher, unready
from shoal_kernelext.namespace_actor import Outline, RemoteNamespace
from shoal_kernelext.session import Session

CELLS = "cells"
"""The namespace of names in which these actors are found, whichever program made them."""


class Namespaces:
    """The remote namespaces that a session uses; they are the cluster's, not its own."""

    def __init__(self, session: Session, launcher: Launcher) -> None:
        self._session = session
        self._launcher = launcher
        self._class = ActorClass(RemoteNamespace, {})

    def run(
        self, source: CellSource, on: str, demand: Demand | None, title: str | None, timeout: float | None, into: str,
        *, fetch: bool,
    ) -> tuple[Any, BaseException | None]:  # fmt: skip
        """Run a cell in the namespace `on`; its value where that is wanted, and what it raised.

        Args:
            source: the cell.
            on: the namespace's name.
            demand: what it is to have, if it has to be made; None for nothing.
            title: what the views call the cell.
            timeout: seconds that the cell may take.
            into: a name for its value in the notebook.
            fetch: whether the value is wanted by whoever called.
        """
        session = self._session
        try:
            actor = self._actor(on, demand)
            outline: Outline = api.get(actor.outline.remote())
        except ShoalError as error:
            failed = type(error)(*error.args)
            return None, self._launcher.at_start(failed, source)
        if demand is not None and demand != outline.demand:
            raise UsageError(
                f"{on} was made with other --cpus, --gpus or --memory: leave them out, or end it first "
                f"(shoal.kill(shoal.get_actor({on!r}, namespace={CELLS!r})))"
            )
        found = without(names(source.tree), outline)
        wanted = fetch or bool(into)
        launch = self._launcher.prepare(source, title or f"{on}: In[{session.number}]", fetch=wanted, found=found)
        request = launch.request._replace(binds=frozenset(assigned(source.tree)))
        ref = actor.run.options(name=launch.title).remote(request, *unready(launch.sent))
        outcome = self._launcher.outcome(ref, launch, timeout, self._stop)
        session.output.flush()
        if outcome.result is None:
            return None, outcome.error
        value, raised = self._launcher.finish(outcome.result, launch.sent)
        if into and raised is None:
            session.shell.user_ns[into] = value
            value = None
        return value, raised

    def _actor(self, name: str, demand: Demand | None) -> ActorHandle:
        try:
            return get_actor(name, CELLS)
        except ActorNotFoundError:
            pass
        options = {"num_cpus": 0.0} if demand is None else demand.options()
        for of_tasks in ("max_retries", "retry_exceptions"):
            options.pop(of_tasks, None)
        made = self._class.options(
            name=name, namespace=CELLS, lifetime="detached", get_if_exists=True, **options
        ).remote(demand)
        return made

    def _stop(self) -> None:
        """Interrupt what this cell has running there; the namespace itself goes on."""
        here, cell = cluster.current(), self._session.cell
        if here is not None and cell is not None:
            here.cancel_cell(cell)


def without(found: Names, outline: Outline) -> Names:
    """What is left to be read from the notebook when a namespace has names of its own."""
    own = outline.names
    found.hints = (found.hints | outline.needs) - own
    found.reads = found.reads - own
    found.drops = found.drops - own
    found.certain = {name: place for name, place in found.certain.items() if name not in own}
    return found
