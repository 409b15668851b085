"""Cells in a namespace that lasts on the cluster, in a real kernel."""

from __future__ import annotations

import re

import pytest

from .kernels import Kernel


@pytest.fixture(scope="module")
def kernel(at_work: Kernel) -> Kernel:
    """A kernel whose cluster runs."""
    return at_work


def test_what_a_cell_assigns_stays_there_for_the_next(kernel: Kernel) -> None:
    kernel.run("base = 10")
    cell = kernel.run("%%remote --on lab\nprint('hi')\npid = os.getpid()\ntally = base + 1\nlab_rows = [base]\ntally")
    assert cell.text("stdout") == "hi\n" and cell.first("execute_result")["data"]["text/plain"] == "11"
    assert kernel.value("'tally' in globals(), 'lab_rows' in globals()") == "(False, False)"
    kernel.run("%%remote --on lab\nlab_rows.append(tally)\ntally += 1")
    assert kernel.value("%remote --on lab lab_rows, tally, pid == os.getpid()") == "([10, 11], 12, True)"
    assert kernel.value("%remote --on other 'tally' in globals()") == "False"
    kernel.run("%%remote --on lab --into mine\nlab_rows * 2")
    assert kernel.value("mine") == "[10, 11, 10, 11]"
    actors = "[(a.name, a.state) for a in shoal.util.state.list_actors() if a.name == 'lab']"
    assert kernel.value(f"import shoal.util.state\n{actors}") == "[('lab', 'ALIVE')]"


def test_its_own_names_hide_the_notebooks_and_others_are_read_as_they_are_now(kernel: Kernel) -> None:
    kernel.run("own = 'notebook'; lent = 1; items = [1]\ndef helper(): return lent")
    kernel.run("%%remote --on lab\nown = 'lab'\nlent + 1\ndef through(): return helper() * 10\nitems.append(2)")
    kernel.run("own = 'changed'; lent = 5; items = ['new']")
    assert kernel.value("%remote --on lab own, lent, through(), items") == "('lab', 5, 50, [1, 2])"
    kernel.run("%%remote --on lab\ndel own\nlent = lent")
    kernel.run("lent = 7")
    assert kernel.value("%remote --on lab own, lent") == "('changed', 5)"
    assert "'nowhere' is not defined" in kernel.run("%%remote --on lab\nnowhere").traceback


def test_an_error_is_shown_and_leaves_what_was_assigned(kernel: Kernel) -> None:
    cell = kernel.run("%%remote --on lab\nbefore = 1\nclass K:\n    def get(self): return helper()\nk = K()\n1 / 0")
    assert f"Cell In[{cell.count}], line 6" in cell.traceback and "shoal_kernelext" not in cell.traceback
    assert kernel.value("%remote --on lab before, k.get()") == "(1, 5)"


@pytest.mark.parametrize("how", ["by the button", "by its time limit"])
def test_a_stopped_cell_leaves_it_alive(kernel: Kernel, how: str) -> None:
    options = "--timeout 0.5" if how == "by its time limit" else ""
    cell = kernel.cell(kernel.send(f"%%remote --on lab {options}\nheld = 5\nprint('asleep')\ntime.sleep(60)"))
    if not options:
        kernel.wait(lambda: "asleep" in cell.text("stdout"))
        kernel.interrupt()
    kernel.wait(lambda: cell.ended)
    assert cell.first("error")["ename"] == ("CellTimeoutError" if options else "KeyboardInterrupt")
    assert kernel.value("%remote --on lab held, tally") == "(5, 12)"


def test_one_that_dies_is_made_anew(kernel: Kernel) -> None:
    cell = kernel.run("%%remote --on frail\nfrail_x = 1\nos._exit(3)")
    assert cell.first("error")["ename"] == "ActorDiedError" and "namespaces.py" not in cell.traceback
    assert kernel.value("%remote --on frail 'frail_x' in globals()") == "False"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("%%remote --on lab --bg\n1", "--on and --bg do not go together"),
        ('%%remote --on lab --for "x in y"\n1', "--on and --for do not go together"),
        ("%%remote --on lab --cpus 1\n1", "lab was made with other --cpus"),
        ("%%remote --on big --cpus 99\n1", "--cpus 99 is more than the 2 CPUs"),
    ],
)
def test_what_cannot_be_is_refused_with_the_cure(kernel: Kernel, code: str, words: str) -> None:
    cell = kernel.run(code)
    assert re.search("UsageError: .*" + words, cell.text("stderr")), cell.text("stderr")
