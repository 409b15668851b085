"""Cells that go on when they have ended in the notebook: their names are refs at once."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from shoal import api
from shoal.context import Cell
from shoal.exceptions import TaskCancelledError
from shoal.functions import RemoteFunction
from shoal.refs import ObjectRef
from shoal_kernelext.background_cell import REPORT, Finished, run_for_refs
from shoal_kernelext.capture import assigned
from shoal_kernelext.cell_ref import CellRef, Told
from shoal_kernelext.demands import Demand
from shoal_kernelext.launcher import Launch, end, too_long, unready
from shoal_kernelext.session import Session


class Background:
    """Sends cells of a session and shows, in their own outputs, what becomes of them."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._function: RemoteFunction[..., Any] = RemoteFunction(run_for_refs, {})

    def start(self, launch: Launch, demand: Demand, timeout: float | None) -> dict[str, CellRef]:
        """Send a cell; returns the refs of the names that it will have assigned."""
        session = self._session
        assert session.cell is not None, "a magic runs in a cell"
        names = assigned(launch.source.tree)
        options = {**demand.options(), "num_returns": len(names) + 1}
        task = self._function.options(name=launch.title, **options)
        refs = task.remote(launch.request, names, *unready(launch.sent))
        first, *others = refs if isinstance(refs, list) else [refs]
        told = {name: Told(name, "under way", f"Cell In[{session.number}]") for name in names}
        _Watch(session, session.cell, told, timeout).begin(first)
        return {name: CellRef(ref, told[name]) for name, ref in zip(names, others, strict=True)}


@dataclass
class _Watch:
    """One cell in the background; its end comes in a thread of the engine's."""

    session: Session
    cell: Cell
    told: dict[str, Told]
    timeout: float | None
    _expired: bool = field(default=False, init=False)
    _timer: threading.Timer | None = field(default=None, init=False)

    def begin(self, ref: ObjectRef[Any]) -> None:
        if self.timeout is not None:
            self._timer = threading.Timer(self.timeout, self._expire, [ref])
            self._timer.daemon = True
            self._timer.start()
        ref.future().add_done_callback(self._done)

    def _expire(self, ref: ObjectRef[Any]) -> None:
        if not api.wait([ref], timeout=0)[0]:
            self._expired = True
            end(ref)

    def _done(self, future: Future[Any]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.session.output.flush()  # what it printed comes first
        error = future.exception()
        if error is None:
            self._succeeded(future.result())
            return
        if isinstance(error, TaskCancelledError):
            cancelled = TaskCancelledError("the cell was cancelled")
            error = too_long(self.timeout) if self._expired and self.timeout is not None else cancelled
            error.__dict__[REPORT] = [f"{type(error).__name__}: {error}"]
        self._failed(error)

    def _succeeded(self, found: Finished) -> None:
        for name, told in self.told.items():
            if name in found.missing:
                told.state, told.error = "failed", found.missing[name]
            else:
                told.state, told.facts = "kept", found.facts[name]
        for bundle in [*filter(None, [found.shown]), *found.figures]:
            self._publish("display_data", {**bundle, "transient": {}})
        said = _notes(found)
        if said:
            self._publish("stream", {"name": "stderr", "text": said})

    def _failed(self, error: BaseException) -> None:
        for told in self.told.values():
            told.state, told.error = "failed", f"{type(error).__name__}: {error}"
        lines = getattr(error, REPORT, None) or self.session.render(error)
        self._publish("error", {"ename": type(error).__name__, "evalue": str(error), "traceback": lines})

    def _publish(self, kind: str, content: dict[str, Any]) -> None:
        self.session.output.publish(self.cell, kind, content)


def _notes(found: Finished) -> str:
    lines = [f"shoal: {name!r} has no value: {why}" for name, why in found.missing.items()]
    if found.changed:
        names = ", ".join(map(repr, sorted(found.changed)))
        cure = _cure(sorted(found.changed))
        lines.append(f"shoal: {names} changed in place on the worker, and not in the notebook: {cure}")
    return "".join(f"{line}\n" for line in lines)


def _cure(names: Sequence[str]) -> str:
    return "; ".join(f"let the cell end with {name} = {name}" for name in names) + " to have the ref of what it became"
