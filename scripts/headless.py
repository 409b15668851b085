"""Runs a notebook without a browser and prints, cell by cell, what it took and what it found.

Exit status 0 only if every cell ran and no process is left; a cell tagged ``raises-exception``
must raise.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import nbformat
from leftovers import describe, processes_of, wait_until_none
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

WIDGET = "application/vnd.jupyter.widget-view+json"
ANSI = re.compile(r"\x1b\[[0-9;]*m")
PATIENCE = 10.0
"""Seconds the cluster has, after the kernel's end, to take all its processes down."""


@dataclass(frozen=True)
class CellReport:
    """One code cell that ran; ``number`` counts code cells, ``heading`` is the one above it."""

    number: int
    heading: str
    seconds: float
    text: str
    errors: tuple[str, ...]
    expected: bool
    """Whether the cell did what its tags say: raised if tagged so, else not."""


def run(path: Path, show: Callable[[CellReport], None], timeout: int = 300) -> list[CellReport]:
    """Execute the notebook in a kernel of its own, from its own folder.

    Calls ``show`` after each code cell. Stops at the first cell that fails; its report is the last.
    ``timeout`` is in seconds a cell.
    """
    notebook = nbformat.read(path, as_version=4)
    headings = _headings(notebook.cells)
    reports: list[CellReport] = []
    started = 0.0

    def on_start(cell: Any, cell_index: int) -> None:
        nonlocal started
        started = perf_counter()

    def on_end(cell: Any, cell_index: int, execute_reply: Any) -> None:
        seconds = perf_counter() - started
        report = _report(len(reports) + 1, headings[cell_index], seconds, cell)
        reports.append(report)
        show(report)

    client = NotebookClient(
        notebook,
        timeout=timeout,
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
        resources={"metadata": {"path": str(path.parent)}},
        on_cell_execute=on_start,
        on_cell_executed=on_end,
    )
    try:
        client.execute()
    except CellExecutionError:
        pass  # its cell's report says so
    return reports


def _headings(cells: list[Any]) -> list[str]:
    heading, headings = "", []
    for cell in cells:
        if cell.cell_type == "markdown":
            for line in cell.source.splitlines():
                if line.startswith("#"):
                    heading = line.lstrip("# ")
        headings.append(heading)
    return headings


def _report(number: int, heading: str, seconds: float, cell: Any) -> CellReport:
    errors = tuple(o.ename for o in cell.outputs if o.output_type == "error")
    must_raise = "raises-exception" in cell.metadata.get("tags", [])
    text = "".join(_texts(cell.outputs))
    return CellReport(number, heading, seconds, text, errors, bool(errors) == must_raise)


def _texts(outputs: list[Any]) -> Iterator[str]:
    for output in outputs:
        if output.output_type == "stream":
            yield output.text
        elif output.output_type == "error":
            yield ANSI.sub("", "\n".join(output.traceback)) + "\n"
        elif WIDGET not in output.data and output.data.get("text/plain"):
            yield output.data["text/plain"] + "\n"


class Printer:
    """Prints reports as they come, each heading once."""

    def __init__(self) -> None:
        self._heading = ""

    def __call__(self, report: CellReport) -> None:
        if report.heading != self._heading:
            self._heading = report.heading
            print(f"\n{report.heading}")
        mark = "" if report.expected else "  FAILED"
        first, *rest = report.text.splitlines() or [""]
        print(f"  [{report.number:2}] {report.seconds:6.2f} s{mark}  {first}".rstrip())
        for line in rest:
            print(f"                 {line}".rstrip())
        sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("notebook", type=Path)
    parser.add_argument("--timeout", type=int, default=300, help="seconds a cell may take")
    options = parser.parse_args()

    # A folder of its own: what is left afterwards is this run's, whatever else is running.
    folder = tempfile.mkdtemp(prefix="shoal-")
    os.environ["SHOAL_DIR"] = folder
    try:
        start = perf_counter()
        reports = run(options.notebook, Printer(), options.timeout)
        seconds = perf_counter() - start
        left = wait_until_none(lambda: processes_of(folder), PATIENCE)
    finally:
        shutil.rmtree(folder, ignore_errors=True)

    total = sum(
        cell.cell_type == "code" and bool(cell.source.strip())
        for cell in nbformat.read(options.notebook, as_version=4).cells
    )
    for process in left:
        print(f"left behind: {describe(process)}")
    ran = sum(report.expected for report in reports)
    ok = ran == total and not left
    print(
        f"\n{'' if ok else 'FAILED: '}{ran} of {total} cells ran, in {seconds:.1f} s; "
        f"{len(left) or 'no'} processes left behind."
    )
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
