"""What the options of ``%%remote`` ask for, in a real kernel."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .kernels import Kernel


@pytest.fixture(scope="module")
def kernel(at_work: Kernel) -> Kernel:
    """A kernel whose cluster runs."""
    return at_work


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("%%remote --gpus 1\n1", "--gpus 1 is more than the 0 GPUs.*%cluster start --gpus N"),
        ("%%remote --gpus 1.5\n1", "GPU"),
        ("%%remote --memory 5000GB\n1", "--memory 5,000.0 GB is more than.* GB of this cluster.*give .*GB or less"),
        ("%%remote --memory lots\n1", "--memory lots is no size: give bytes.*500MB"),
        ("%%remote --retries -1\n1", "below zero"),
        ("%%remote --timeout 0\n1", "--timeout 0 makes no sense"),
        ("%%remote --into 2x\n1", "--into 2x is no name"),
        ("%%remote --into x\nx = 1", "--into x needs a value: let the cell end with an expression"),
        ("%remote --keep", "nothing to run"),
    ],
)
def test_what_cannot_be_is_refused_with_the_cure(kernel: Kernel, code: str, words: str) -> None:
    cell = kernel.run(code)
    assert re.search("UsageError: .*" + words, cell.text("stderr")), cell.text("stderr")


def test_the_value_of_the_cell_gets_a_name_instead_of_being_shown(kernel: Kernel) -> None:
    cell = kernel.run("%%remote --into total --memory 100MB --cpus=1\nbase = 20\nbase * 2")
    assert not cell.all("execute_result")
    assert kernel.value("total, base") == "(40, 20)"
    kernel.run("%remote --into 'one' total + 1")
    assert kernel.value("one") == "41"


def test_a_cell_that_fails_is_run_again(kernel: Kernel, tmp_path: Path) -> None:
    kernel.run(f"tries = {str(tmp_path / 'tries')!r}")
    code = "with open(tries, 'a+') as f:\n    f.write('x'); f.seek(0); n = len(f.read())\nassert n == 3\nn"
    cell = kernel.run("%%remote --retries 2\n" + code)
    assert cell.first("execute_result")["data"]["text/plain"] == "3"
    (tmp_path / "tries").unlink()
    assert kernel.run("%%remote --retries 1\n" + code).first("error")["ename"] == "AssertionError"


def test_a_cell_that_takes_too_long_is_stopped_and_says_so(kernel: Kernel) -> None:
    cell = kernel.run("%%remote --timeout 0.5\nwhile True:\n    try: time.sleep(60)\n    except BaseException: pass")
    assert cell.first("error")["ename"] == "CellTimeoutError"
    assert "not done after 0.5 s (--timeout): its work was stopped" in cell.traceback
    assert "launcher" not in cell.traceback
    kernel.wait(lambda: cell.records and "running" not in cell.records[-1])
    assert kernel.value("%remote --timeout 60 6 * 7") == "42"


def test_what_is_kept_becomes_a_ref_that_tells_what_it_is(kernel: Kernel) -> None:
    cell = kernel.run("""%%remote --keep
import math as kept_module
grid = np.ones((1000, 50))
rows = ['a', 'b']
n = 5
def area(r): return kept_module.pi * r * r
area(1)""")
    assert cell.first("execute_result")["data"]["text/plain"].startswith("3.14")
    assert kernel.value("isinstance(grid, shoal.ObjectRef), area(0), kept_module.__name__") == "(True, 0.0, 'math')"
    shown = kernel.run("grid").first("execute_result")["data"]
    assert "ndarray of float64 1,000 × 50, 400.0 kB, on the cluster" in shown["text/plain"].replace("4001", "4000")
    assert "1,000 × 50" in shown["text/html"] and "shoal.get(grid)" in shown["text/html"]
    assert "[&#x27;a&#x27;, &#x27;b&#x27;]" in kernel.run("rows").first("execute_result")["data"]["text/html"]
    assert kernel.value("int(shoal.get(grid).sum()), shoal.get([rows, n])") == "(50000, [['a', 'b'], 5])"
    assert kernel.value("shoal.get(shoal.remote(len).remote(rows))") == "2"


def test_in_a_remote_cell_a_kept_name_means_its_value(kernel: Kernel) -> None:
    kernel.run("%%remote --keep\ntable = np.arange(100_000); few = [1]; five = 5")
    kernel.run("def last(): return int(table[-1])")
    kernel.run("%%remote --keep\nsmall = np.arange(3)")
    assert kernel.value("%remote last() + five, few, int(small.sum())") == "(100004, [1], 3)"
    assert kernel.value("[isinstance(kept, shoal.ObjectRef) for kept in (table, few, five, small)]") == str([True] * 4)
    kernel.run("%%remote\nother = table\nown = 5\npair = (few, 0)\ntable[0] = 7")
    assert kernel.value("isinstance(other, np.ndarray), own, pair") == "(True, 5, ([1], 0))"
    assert kernel.value("table is other and int(table[0])") == "7"
    kernel.run("%%remote\nalias = few")
    assert kernel.value("alias is few and isinstance(few, shoal.ObjectRef)") == "True"


def test_one_expression_may_be_kept(kernel: Kernel) -> None:
    kernel.run("big = %remote --keep np.zeros(100_000)")
    assert "ndarray of float64 100,000" in kernel.value("big")
    assert kernel.value("%remote big.sum()").startswith(("0.0", "np.float64(0.0"))
