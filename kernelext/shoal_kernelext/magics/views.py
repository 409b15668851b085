"""``%tasks`` and the other live views, each alone or all in a ``%dashboard``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from IPython.core.error import UsageError

from shoal import cluster
from shoal.exceptions import ClusterError
from shoal_kernelext.magics.arguments import argument, arguments, parsed
from shoal_kernelext.session import Session
from shoal_kernelext.views import numbered
from shoal_widgets.register import NAMES


class ViewMagics:
    """Opens live views under the cell that asks for them."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @arguments(
        argument("--cell", type=int, metavar="N", help="the record of what cell [N] launched, shown anew"),
    )
    def tasks(self, line: str) -> None:
        """The tasks, live: by function how many there are, how long they take, which fail; down to each single one.

        They are under the cell until it is run again or the cluster ends. `--cell N` shows what cell [N] launched, as
        it stands now.
        """
        given = parsed(self.tasks, line, "%tasks, %tasks --cell N")
        if given.cell is None:
            self._open(("tasks",))
        else:
            try:
                self._session.show_again(given.cell)
            except (LookupError, ClusterError) as error:
                raise UsageError(str(error)) from None

    @arguments()
    def actors(self, line: str) -> None:
        """The actors, live: state, mailbox, what each runs, calls a second, memory and CPU; down to one's log. Kill."""
        parsed(self.actors, line, "%actors")
        self._open(("actors",))

    @arguments()
    def objects(self, line: str) -> None:
        """The objects, live: how full shared memory is, who holds it; the largest with type, shape and size."""
        parsed(self.objects, line, "%objects")
        self._open(("objects",))

    @arguments(argument("view", nargs="?", default=NAMES[0], help=f"the tab that is seen at first: {', '.join(NAMES)}"))
    def dashboard(self, line: str) -> None:
        """All live views in tabs: those that are named in ``%dashboard?``, and each has a magic of its own."""
        given = parsed(self.dashboard, line, f"%dashboard [{'|'.join(NAMES)}]")
        if given.view not in NAMES:
            raise UsageError(f"%dashboard has no view {given.view!r}. Use one of: {', '.join(NAMES)}")
        self._open(NAMES, given.view)

    @arguments(
        argument("--cell", type=int, metavar="N", help="only what cell [N] launched"),
        argument("--export", metavar="FILE", help="write it to a file instead: .json (for Perfetto), .svg or .html"),
    )
    def timeline(self, line: str) -> None:
        """Which worker ran what when, live: a row a worker, coloured by function.

        The wheel zooms once the timeline has been clicked (or with Ctrl), as + and - do; drag to move, double click to
        see all. Click a bar to see what it was and to go to its cell. A file for https://ui.perfetto.dev tells of all
        cells.
        """
        given = parsed(self.timeline, line, "%timeline [--cell N] [--export FILE]")
        here = observed()
        try:
            cell = None if given.cell is None else numbered(self._session.id, given.cell)
            if given.export is None:
                self._open(("timeline",), wants={"timeline": {"cell": cell}})
            else:
                from shoal_widgets.exports import export_timeline

                print(f"wrote {export_timeline(here, given.export, cell)}")
        except (LookupError, ClusterError, OSError, ValueError) as error:
            raise UsageError(str(error)) from None

    @arguments(
        argument("--cell", type=int, metavar="N", help="only what cell [N] launched"),
    )
    def graph(self, line: str) -> None:
        """The task graph, live: which function's tasks are given the values of which, and which start which.

        Each function of a cell is a node, with its tasks' states as a bar; up to 60 tasks are drawn one by one.
        """
        given = parsed(self.graph, line, "%graph, %graph --cell N")
        observed()
        try:
            cell = None if given.cell is None else numbered(self._session.id, given.cell)
        except (LookupError, ClusterError) as error:
            raise UsageError(str(error)) from None
        self._open(("graph",), wants={"graph": {"cell": cell}})

    def _open(self, names: tuple[str, ...], first: str = "", wants: Mapping[str, Any] | None = None) -> None:
        here = observed()
        try:
            self._session.show(names, here, first, wants)
        except ClusterError as error:
            raise UsageError(str(error)) from None


def observed() -> cluster.Cluster:
    """The cluster that there is to look at. Raises UsageError."""
    here = cluster.living()
    if here is None:
        raise UsageError("there is no cluster to look at yet: it starts at first use, or by %cluster start")
    if here.folder is None:
        raise UsageError("there is nothing to look at: all work runs in the notebook's own thread")
    return here
