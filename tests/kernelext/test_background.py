"""Cells in the background, in a real kernel: refs at once, output and errors in their own cell."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .kernels import Kernel

WAIT = """
import os
def wait_for(path):
    deadline = time.monotonic() + 30
    while not os.path.exists(path):
        assert time.monotonic() < deadline
        time.sleep(0.01)
"""


@pytest.fixture(scope="module")
def kernel(at_work: Kernel) -> Kernel:
    """A kernel whose cluster runs."""
    at_work.run(WAIT)
    return at_work


def test_names_are_refs_at_once_and_the_cell_goes_on(kernel: Kernel, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    kernel.run(f"gate = {str(gate)!r}; base = 20; rows = [1]")
    cell = kernel.run("""%%remote --bg
import math
print("begins")
wait_for(gate)
print("ends")
total = base * 2
grid = np.zeros(100_000)
for i in range(3): pass
rows.append(2)
total + math.floor(2.5)""")
    assert "ends" not in cell.streams
    kernel.run("base = 0")
    assert re.search(r"<total: under way in Cell In\[\d+\]; shoal.get\(\) waits for it>", kernel.value("total"))
    assert kernel.value("'math' in globals(), rows") == "(False, [1])"
    reads = kernel.run("%%remote --bg --name 'reads it'\nmore = total + 1")
    gate.touch()
    assert kernel.value("shoal.get([more, total, i])") == "[41, 40, 2]"
    kernel.wait(lambda: "'rows' changed in place" in cell.text("stderr"))
    assert cell.text("stdout") == "begins\nends\n"
    assert cell.first("display_data")["data"]["text/plain"] == "42"
    assert "ndarray of float64 100,000" in kernel.value("grid")
    assert kernel.value("%remote total + int(grid.sum())") == "40"
    kernel.wait(lambda: reads.records and reads.records[-1].startswith("1 task done"))


def test_an_error_is_shown_in_its_cell_and_raised_by_the_refs(kernel: Kernel, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    kernel.run(f"gate = {str(gate)!r}")
    cell = kernel.run("%%remote --bg\nwait_for(gate)\nbefore = 1\nafter = 1 / 0")
    gate.touch()
    kernel.wait(lambda: cell.all("error"))
    assert cell.first("error")["ename"] == "ZeroDivisionError"
    assert f"Cell In[{cell.count}], line 4" in cell.traceback and "----> 4 after = 1 / 0" in cell.traceback
    assert "; shoal.get() raises it>" in kernel.value("before") and "division by zero" in kernel.value("after")
    for name in ("before", "after"):
        asks = kernel.run(f"shoal.get({name})")
        assert asks.first("error")["ename"] == "ZeroDivisionError"
        assert f"Cell In[{cell.count}], line 4" in asks.traceback and "shoal_kernelext" not in asks.traceback
    reads = kernel.run("%%remote\nafter + 1")
    assert reads.first("error")["ename"] == "ZeroDivisionError" and "shoal_kernelext" not in reads.traceback


def test_a_name_that_is_never_assigned_says_so(kernel: Kernel) -> None:
    cell = kernel.run("%%remote --bg\nif base: never = 1\nstream = (i for i in 'ab')\nok = 5")
    assert kernel.value("shoal.get(ok)") == "5"
    assert "without assigning it" in kernel.run("shoal.get(never)").traceback
    assert "cannot pickle 'generator'" in kernel.run("shoal.get(stream)").traceback
    kernel.wait(lambda: "'never' has no value" in cell.text("stderr"))


def test_an_expression_in_the_background_is_a_ref(kernel: Kernel) -> None:
    kernel.run("double = %remote --bg base + 21 * 2")
    assert kernel.value("shoal.get(double)") == "42"


@pytest.mark.parametrize("how", ["by itself", "by its time limit"])
def test_a_cell_in_the_background_can_be_ended(kernel: Kernel, how: str) -> None:
    options = "--timeout 0.5" if how == "by its time limit" else ""
    cell = kernel.run(f"%%remote --bg {options}\nprint('asleep')\nslept = time.sleep(60)")
    if not options:
        kernel.wait(lambda: "asleep" in cell.text("stdout"))
        kernel.run("shoal.cancel(slept)")
    kernel.wait(lambda: cell.all("error"))
    assert cell.first("error")["ename"] == ("CellTimeoutError" if options else "TaskCancelledError")
    assert kernel.run("shoal.get(slept)").first("error")["ename"] == "TaskCancelledError"
