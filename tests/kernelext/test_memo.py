"""What a cell did is remembered by its code and inputs, in a real kernel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .kernels import Cell, Kernel


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    """A kernel whose cluster runs."""
    made = Kernel()
    made.run("%cluster start -n 2 --oversubscribe\nimport shoal, time, os, numpy as np")
    yield made
    made.run("%cluster stop")
    made.close()


@pytest.fixture
def times(kernel: Kernel, tmp_path: Path) -> str:
    """Where cells leave a mark each time they really run."""
    kernel.run(f"folder = {str(tmp_path)!r}")
    return "len(os.listdir(folder))"


MARK = "\nopen(f'{folder}/{time.monotonic_ns()}', 'w').close()\n"


def remembered(cell: Cell) -> bool:
    return "shoal: remembered from" in cell.text("stdout")


def test_the_second_time_all_is_there_at_once(kernel: Kernel, times: str) -> None:
    kernel.run("rows = [1, 2]\ndef double(r): return [2 * n for n in r]")
    code = (
        "%%remote --memo" + MARK + "print('counting')\ndisplay('seen')\ngrid = np.full(50_000, len(rows))\n"
        "rows.append(3)\ntotal = sum(double(rows))\ntotal"
    )
    first = kernel.run(code)
    kernel.run("rows = [1, 2]; grid = total = None")
    second = kernel.run("# not the same text\n".join([code[:15] + "\n", code[15:]]))
    assert not remembered(first) and remembered(second) and kernel.value(times) == "1"
    for cell in (first, second):
        assert cell.text("stdout").startswith("counting\n")
        assert cell.first("display_data")["data"]["text/plain"] == "'seen'"
        assert cell.first("execute_result")["data"]["text/plain"] == "12"
    assert kernel.value("rows, total, int(grid.sum()), grid.flags.writeable") == "([1, 2, 3], 12, 100000, True)"


def test_other_inputs_run_anew(kernel: Kernel, times: str) -> None:
    code = "got = %remote --memo (open(f'{folder}/{time.monotonic_ns()}', 'w').close(), scaled(3))[1]"
    runs = []
    for change in (
        "factor = 2\ndef scaled(x): return x * factor", "pass", "# moved\n\ndef scaled(x): return x * factor",
        "factor = 3", "def scaled(x): return x + factor",
    ):  # fmt: skip
        kernel.run(change)
        kernel.run(code)
        runs.append((kernel.value("got"), kernel.value(times)))
    assert runs == [("6", "1"), ("6", "1"), ("6", "1"), ("9", "2"), ("6", "3")]


def test_what_failed_is_not_remembered(kernel: Kernel, times: str) -> None:
    for _ in range(2):
        assert kernel.run("%%remote --memo" + MARK + "1 / 0").first("error")["ename"] == "ZeroDivisionError"
    assert kernel.value(times) == "2"


def test_it_outlives_a_restart_of_the_kernel(kernel: Kernel, times: str, tmp_path: Path) -> None:
    made = f"import os, time, shoal\nfolder = {str(tmp_path)!r}\nclass P:\n    def get(self): return 6\np = P()"
    code = "%%remote --memo" + MARK + "answer = p.get() * 7\nanswer"
    kernel.run(made)
    kernel.run(code)
    name = kernel.value("shoal.cluster.current().name").strip("'")
    kernel.restart()
    kernel.run(f"%load_ext shoal\n%cluster connect {name}")
    kernel.run(made)
    again = kernel.run(code)
    assert remembered(again) and again.first("execute_result")["data"]["text/plain"] == "42"
    assert kernel.value(f"{times}, answer") == "(1, 42)"
