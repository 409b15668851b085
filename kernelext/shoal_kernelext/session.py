"""This notebook and its cluster: which cell runs, where its output goes, what happens at its end."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from IPython.core.error import UsageError

from shoal import cluster, context, holders, worker_setup
from shoal.context import Cell
from shoal.debugging import on_debug, rows_of
from shoal.exceptions import ShoalError, TaskError
from shoal.frames import rebuilt
from shoal_kernelext.clusters import offer
from shoal_kernelext.errors import rendered
from shoal_kernelext.interrupt import Interrupts, cancel_soon
from shoal_kernelext.live_views import LiveViews
from shoal_kernelext.output import KernelSink, OutputRouter, TerminalSink
from shoal_kernelext.panel import Panel
from shoal_kernelext.panel_hands import PanelHands
from shoal_kernelext.presses import Presses
from shoal_kernelext.report import report, variables
from shoal_kernelext.restart import leave_for_restart, left_behind
from shoal_kernelext.roots import roots
from shoal_kernelext.shown import ShownRefs
from shoal_kernelext.stock import Stock
from shoal_kernelext.views import Views
from shoal_kernelext.worker_display import SETUP


class _Record(NamedTuple):
    """Output of one cell that somebody wants to have."""

    cell: Cell | None
    outputs: list[Any]


class Session:
    """The extension in one IPython shell; `open` registers all there is, `close` takes it back.

    Args:
        shell: IPython's, with a `kernel` where there is one.
    """

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self.kernel = getattr(shell, "kernel", None)
        self.id = str(self.kernel.session.session) if self.kernel is not None else uuid.uuid4().hex
        self.cell: Cell | None = None
        self.raw = ""
        """The text of the cell that runs."""
        self.number = 0
        """Its execution count."""
        sink = KernelSink(self.kernel) if self.kernel is not None else TerminalSink()
        self.output = OutputRouter(sink, lambda: self.cell, self.colors)
        self.views = Views(self.output.publish, cancel_soon, self.output.voices, live=self.kernel is not None)
        self._interrupts = Interrupts(self._say, self.kernel)
        self._presses = Presses(self._pressed)
        self.live_views = LiveViews(self.output.publish)
        self.page_heard: float | None = None
        """When a page last spoke of widgets, in Unix seconds."""
        self.before_next_cell: list[Callable[[], object]] = []
        """What other threads leave to be done where the notebook's names are no cell's."""
        self.stock = Stock()
        self.shown = ShownRefs(shell)
        self._running: list[tuple[Any, Cell]] = []
        """The cells that run, with what IPython says of each: more than one where a cell runs a cell."""
        self._records: tuple[_Record, ...] = ()
        self._undo: list[Callable[[], object]] = []
        self._stop_output: Callable[[], object] = lambda: None

    def open(self) -> None:
        """Register hooks and handlers; starts nothing."""
        cluster.interactive(True)
        self._presses.open()
        os.environ[worker_setup.VARIABLE] = SETUP  # and so the workers'
        self._undo.append(lambda: os.environ.pop(worker_setup.VARIABLE, None))
        events = self.shell.events
        hooks: dict[str, Any] = {"pre_run_cell": self._cell_starts, "post_run_cell": self._cell_ended}
        for event, hook in hooks.items():
            events.register(event, hook)
            self._undo.append(partial(events.unregister, event, hook))
        for showing, method in ((self.shell.displayhook, "start_displayhook"), (self.shell.display_pub, "publish")):
            self._before(showing, method, self.output.flush)  # what workers printed until then comes first
        self._undo.append(self.shown.open())
        self._undo.append(holders.add_roots(lambda: roots(self.shell, self.shown.kept, self.stock)))
        self._undo.append(cluster.on_change(self._cluster_changed))
        self._undo.append(lambda: self._stop_output())
        self._cluster_changed(cluster.current())
        if not self.shell.custom_exceptions:  # there is room for one handler only, and it may be the user's
            self.shell.set_custom_exc((KeyboardInterrupt, asyncio.CancelledError, Exception), self._show_error)
            self._undo.append(lambda: self.shell.set_custom_exc((), None))
        ShoalError._render_traceback_ = lambda error: self.render(error)  # type: ignore[attr-defined]
        self._undo.append(lambda: delattr(ShoalError, "_render_traceback_"))
        on_debug(lambda: self.shell.InteractiveTB.debugger_cls())
        self._undo.append(lambda: on_debug(None))
        if self.kernel is not None:
            self._handle("shoal_cancel", lambda usual, stream, ident, message: self._cancel(message))
            self._handle("shoal_view", lambda usual, stream, ident, message: self._hear(message))
            self._handle("shutdown_request", self._shutdown)
            hands = PanelHands(self)
            panel = Panel(self.kernel, hands.state, hands.acts)
            panel.open()
            self._undo.append(panel.close)
            self._handle("comm_msg", panel.control)
            for kind in ("comm_open", "comm_msg", "comm_info_request"):
                self._listen(kind)
            for left in left_behind(self.kernel):
                print(offer(left))
        self._cell_starts(None)  # the cell that loads the extension runs already

    def close(self) -> None:
        """Take back what `open` registered; the cluster stays."""
        for undo in reversed(self._undo):
            undo()
        self._undo.clear()
        self._presses.close()
        self._interrupts.begin()
        self.views.close()
        self.live_views.end_all()
        self.output.close()
        context.set_cell(None)
        cluster.interactive(False)

    def label(self, filename: str) -> str | None:
        """What people call the cell with that file name, e.g. ``Cell In[3]``; None for other files."""
        found = self.shell.compile.format_code_name(filename)
        return " ".join(found) if found else None

    @property
    def busy(self) -> bool:
        """Whether a cell runs."""
        return bool(self._running)

    @property
    def colors(self) -> bool:
        return str(self.shell.colors).lower() != "nocolor"

    def render(self, error: BaseException) -> list[str]:
        """The traceback of an error that came from a worker, without our frames."""
        tb = error.__traceback__
        while tb is not None and self.label(tb.tb_frame.f_code.co_filename) is None:
            tb = tb.tb_next
        return report(error, tb or error.__traceback__, self.label, colors=self.colors)

    def _show_error(self, shell: Any, kind: Any, error: BaseException, tb: Any, tb_offset: Any = None) -> Any:
        """Show where a cell was interrupted, and not where in a wait of ours; so with errors that led to others."""
        own = getattr(error, "_render_traceback_", None)
        theirs = own is None and isinstance(error, Exception) and not _is_ours(error)
        if theirs or isinstance(error, (UsageError, SyntaxError)):
            shell.showtraceback((kind, error, tb), running_compiled_code=True)
            return None
        lines = own() if own is not None else self.render(error)
        rows = rows_of(error)
        if rows:
            # For %debug and %tb: the frames on the workers. What is asked for so is noted as the last error.
            frames = rebuilt(rows, shell.user_ns)
            last = rendered(TaskError(str(error), error), lines).with_traceback(frames)
            shell._get_exc_info((type(last), last, frames))
            if shell.InteractiveTB.mode == "Verbose":
                lines = [*lines, *variables(rows, self.label)]
        else:
            shell._get_exc_info((kind, error, tb))
        shell._showtraceback(kind, error, lines)
        if shell.call_pdb:
            shell.debugger(force=True)
        return lines

    # cells

    def _cell_starts(self, info: Any) -> None:
        cell_id = str(getattr(info, "cell_id", None) or "").rpartition("#")[2]
        self.raw = str(getattr(info, "raw_cell", None) or "")
        self.number = self._number(info)
        cell = f"{self.id}/{re.sub('[^A-Za-z0-9_.-]', '_', cell_id)}/{self.number}"
        self._running = [entry for entry in self._running if entry[0] is not None]
        self._running.append((info, cell))
        self._presses.listen()
        self._interrupts.begin()
        self._enter(cell)
        self.output.begin(cell, self._parent())
        self.live_views.end(cell)
        self.views.watch(cell)
        while self.before_next_cell:
            self.before_next_cell.pop(0)()

    def show(
        self, names: Sequence[str], here: cluster.Cluster, first: str = "", wants: Mapping[str, Any] | None = None
    ) -> None:
        """Open live views under the cell that runs; `wants` says, by view, what is looked at first."""
        assert self.cell is not None, "set by the first cell, and never unset"
        self.live_views.open(names, self.cell, here, first, wants or {})

    def show_again(self, number: int) -> None:
        """Show under the cell that runs what an earlier one launched, as it stands now. Raises LookupError."""
        assert self.cell is not None, "set by the first cell, and never unset"
        self.views.show_again(self.id, number, self.cell)

    def _number(self, info: Any) -> int:
        """The execution count of a cell that starts; IPython has counted on already, or will at its end."""
        count = int(self.shell.execution_count)
        stored = len(self.shell.history_manager.input_hist_parsed)  # the first entry is for no cell
        return stored if getattr(info, "store_history", False) and stored == count - 1 else count

    def _cell_ended(self, result: Any) -> None:
        cell = self.cell
        assert cell is not None, "set by the first cell, and never unset"
        error = getattr(result, "error_in_exec", None)
        self.output.flush()
        self._presses.settle()
        self._interrupts.end(cell, isinstance(error, (KeyboardInterrupt, asyncio.CancelledError)))
        self.output.flush()
        self.shown.cell_ended(result)
        self.views.end(cell)
        self.stock.sweep(list(self.shell.user_ns.values()))
        if self._running:
            self._running.pop()
        if self._running:
            self._enter(self._running[-1][1])

    def _pressed(self) -> None:
        """The stop button, in a thread of its own."""
        self._interrupts.press(self._running[-1][1] if self._running else None)

    def _say(self, cell: Cell, text: str) -> None:
        """A line of our own in a cell, from any thread."""
        self.output.publish(cell, "stream", {"name": "stderr", "text": f"shoal: {text}\n"})

    def _enter(self, cell: Cell) -> None:
        """What is launched from now on is this cell's; after its end, until another starts, it still is."""
        self.cell = cell
        context.set_cell(cell)

    def _before(self, owner: Any, method: str, call: Callable[[], object]) -> None:
        """Have `call` made before each call of a method of one object."""
        usual = getattr(owner, method)

        def both(*args: Any, **kwargs: Any) -> Any:
            call()
            return usual(*args, **kwargs)

        setattr(owner, method, both)
        self._undo.append(lambda: delattr(owner, method))

    def _parent(self) -> Any:
        if self.kernel is None:
            return {}
        get = getattr(self.shell, "get_parent", None)
        return get() if get is not None else self.shell.parent_header

    # the cluster

    def _cluster_changed(self, to: cluster.Cluster | None) -> None:
        self.views.cluster_changed(to)
        self.live_views.end_all()
        self._stop_output()
        self._stop_output = to.on_output(self._take) if to is not None else lambda: None

    def _take(self, output: Any) -> None:
        if output.cell is None or output.cell.startswith(self.id):
            for record in self._records:
                if output.cell == record.cell:
                    record.outputs.append(output)
            self.output.take(output)

    @contextlib.contextmanager
    def recording(self) -> Iterator[list[Any]]:
        """What comes of the running cell's work meanwhile, as the cluster tells it."""
        record = _Record(self.cell, [])
        self._records = (*self._records, record)
        try:
            yield record.outputs
        finally:
            self._records = tuple(other for other in self._records if other is not record)

    # the kernel's control channel

    def _handle(self, kind: str, handler: Callable[..., Any]) -> None:
        """Put `handler(usual, stream, ident, message)` before a control handler."""
        assert self.kernel is not None, "only a kernel has control handlers"
        handlers = self.kernel.control_handlers
        usual = handlers.get(kind)
        handlers[kind] = lambda stream, ident, message: handler(usual, stream, ident, message)

        def undo() -> None:
            if usual is None:
                del handlers[kind]
            else:
                handlers[kind] = usual

        self._undo.append(undo)

    def _listen(self, kind: str) -> None:
        """Note when a page speaks of widgets."""
        assert self.kernel is not None, "only a kernel has handlers"
        handlers = self.kernel.shell_handlers
        usual = handlers.get(kind)
        if usual is None:
            return

        def heard(*arguments: Any) -> Any:
            self.page_heard = time.time()
            return usual(*arguments)

        handlers[kind] = heard
        self._undo.append(lambda: handlers.update({kind: usual}))

    def _hear(self, message: dict[str, Any]) -> None:
        """A page speaks to a view: those there are know which is meant."""
        self.live_views.hear(message)
        self.views.hear(message)

    def _cancel(self, message: dict[str, Any]) -> None:
        cancel_soon(str(message["content"]["cell"]))

    async def _shutdown(self, usual: Any, stream: Any, ident: Any, message: dict[str, Any]) -> None:
        if message["content"].get("restart"):
            leave_for_restart(self.kernel)
        answer = usual(stream, ident, message)
        if inspect.isawaitable(answer):
            await answer


def _is_ours(error: BaseException | None) -> bool:
    """Whether it came from a worker, or one that it came of or holds did."""
    seen: set[int] = set()
    todo = [error]
    while todo:
        error = todo.pop()
        if error is None or id(error) in seen:
            continue
        if isinstance(error, ShoalError):
            return True
        seen.add(id(error))
        todo += [error.__cause__, *getattr(error, "exceptions", ())]
        if not error.__suppress_context__:
            todo.append(error.__context__)
    return False
