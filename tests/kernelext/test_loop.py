"""A cell as the body of a parallel loop, in a real kernel."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from shoal_kernelext.loop import clause, counted_items

from .kernels import Kernel


@pytest.fixture(scope="module")
def kernel(at_work: Kernel) -> Kernel:
    """A kernel whose cluster runs."""
    return at_work


def test_the_values_of_the_items_come_in_order(kernel: Kernel) -> None:
    kernel.run("factor = 3\ndef scaled(x): return x * factor\nx = 'mine'")
    cell = kernel.run('%%remote --for "x in range(30)"\ny = scaled(x)\nfactor = 0\ny + 1')
    shown = "[1, 4, 7, 10, 13, 16, 19, 22, 25, 28, … 20 more]"
    assert cell.first("execute_result")["data"]["text/plain"] == shown
    assert (
        kernel.value("_ == [3 * i + 1 for i in range(30)], x, factor, 'y' in globals()") == "(True, 'mine', 3, False)"
    )


def test_any_target_and_any_iterable_will_do(kernel: Kernel) -> None:
    cell = kernel.run("%%remote --for \"i, (a, *b) in enumerate(zip('ab', [1, 2]))\" --into got\nprint(a)\n(i, a, b)")
    assert not cell.all("execute_result") and sorted(cell.text("stdout").split()) == ["a", "b"]
    assert kernel.value("got") == "[(0, 'a', [1]), (1, 'b', [2])]"
    kernel.run('%%remote --for "_ in ()" --into got\n1')
    assert kernel.value("got") == "[]"
    kernel.run('%%remote --for "n in {3}" --into got\npass')
    assert kernel.value("got") == "[None]"


def test_an_iterable_is_read_as_the_work_goes_on(kernel: Kernel, tmp_path: Path) -> None:
    kernel.run(
        f"folder = {str(tmp_path)!r}\nread = []\n"
        "def endless():\n    while True:\n        read.append(1)\n        yield folder"
    )
    cell = kernel.cell(
        kernel.send('%%remote --for "f in endless()" --into got\nopen(f + f"/{os.getpid()}", "w")\ntime.sleep(60)')
    )
    kernel.wait(lambda: len(list(tmp_path.iterdir())) >= 2)
    kernel.interrupt()
    kernel.wait(lambda: cell.ended)
    assert kernel.value("len(read) < 20, len(got) == len(read)") == "(True, True)"


def test_tiny_items_share_tasks(kernel: Kernel) -> None:
    cell = kernel.run('%%remote --for "n in range(100_000)" --into got\nn * 2')
    assert kernel.value("got == list(range(0, 200_000, 2))") == "True"
    kernel.wait(lambda: cell.records and cell.records[-1].startswith("100,000 items done"))
    tasks = f"sum(t.name == 'In[{cell.count}]' for t in shoal.util.state.list_tasks(limit=10_000))"
    assert int(kernel.value(f"import shoal.util.state\n{tasks}")) < 1000


def test_what_fails_is_a_hole_that_retry_fills(kernel: Kernel) -> None:
    kernel.run("def check(n):\n    assert n not in (2, 5), n\n    return n")
    cell = kernel.run('%%remote --for "n in range(8)"\nwanted = check(n)\nwanted')
    assert cell.first("error")["ename"] == "ItemsFailedError"
    assert "2 of 8 items failed" in cell.traceback and "_[5]: AssertionError: 5" in cell.traceback
    assert f"Cell In[{cell.count}], line 2" in cell.traceback and "----> 2 wanted = check(n)" in cell.traceback
    assert f"Cell In[{cell.count - 1}], line 2, in check" in cell.traceback and ".py" not in cell.traceback
    kernel.run("got = _")
    assert (
        kernel.value("sorted(got.failed), [type(v).__name__ for v in got][1:3]")
        == "([2, 5], ['int', 'AssertionError'])"
    )
    assert "2 of 8 items failed" in kernel.run("%retry got").traceback
    kernel.run("def check(n): return -n")
    assert kernel.value("%retry got") == "[0, 1, -2, 3, 4, -5, 6, 7]"
    assert kernel.value("got.failed") == "{}"
    assert "other is not the list of a loop" in kernel.run("%retry other").text("stderr")


def test_an_item_that_raises_is_done_again_as_often_as_it_may(kernel: Kernel, tmp_path: Path) -> None:
    kernel.run(f"tries = {str(tmp_path)!r}")
    code = "with open(f'{tries}/{n}', 'a+') as f:\n    f.write('x'); f.seek(0); times = len(f.read())\n"
    code += "assert times > n % 4\ntimes"
    kernel.run('%%remote --for "n in range(8)" --into got --retries 2\n' + code)
    assert kernel.value("sorted(got.failed), [got[n] for n in (0, 1, 2, 4, 5, 6)]") == "([3, 7], [1, 2, 3, 1, 2, 3])"


def test_a_crash_costs_only_its_item(kernel: Kernel) -> None:
    kernel.run('%%remote --for "n in range(200)" --into got\nif n == 150: os._exit(3)\nn')
    assert (
        kernel.value("list(got.failed), type(got[150]).__name__, sum(got[:150])")
        == "([150], 'WorkerCrashedError', 11175)"
    )


def test_what_cannot_travel_is_a_hole(kernel: Kernel) -> None:
    kernel.run('%%remote --for "n in range(3)" --into got\n(k for k in "ab") if n == 1 else n')
    assert kernel.value("got[0], type(got[1]).__name__, got[2]") == "(0, 'SerializationError', 2)"
    kernel.run("gens = [1, (k for k in 'ab'), 3]")
    kernel.run('%%remote --for "g in gens" --into got\ng')
    assert kernel.value("got[0], type(got[1]).__name__, got[2]") == "(1, 'SerializationError', 3)"


def test_an_interrupt_keeps_what_is_done(kernel: Kernel, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    kernel.run(f"gate = {str(gate)!r}")
    code = '%%remote --for "n in range(4)" --into got\nwhile n == 2 and not os.path.exists(gate): time.sleep(0.01)\nn'
    cell = kernel.cell(kernel.send(code))
    kernel.wait(lambda: cell.records and cell.records[-1].startswith("3 of 4 items done"))
    kernel.interrupt()
    kernel.wait(lambda: cell.ended)
    assert cell.first("error")["ename"] in ("KeyboardInterrupt", "TaskCancelledError")
    assert kernel.value("[type(v).__name__ for v in got]") == "['int', 'int', 'TaskCancelledError', 'int']"
    gate.touch()
    assert kernel.value("%retry got") == "[0, 1, 2, 3]"


def test_a_loop_that_takes_too_long_keeps_what_is_done(kernel: Kernel) -> None:
    cell = kernel.run('%%remote --for "n in range(6)" --into got --timeout 1\nif n: time.sleep(60)\nn')
    assert "not done after 1 s (--timeout)" in cell.traceback
    assert kernel.value("{type(v).__name__ for v in got[1:]}") == "{'TaskCancelledError'}"


def test_values_may_stay_on_the_cluster(kernel: Kernel) -> None:
    kernel.run('%%remote --for "n in range(40)" --into got --keep\nnp.full(20_000, n)')
    assert "got[2]: ndarray of" in kernel.value("got[2]")
    assert kernel.value("[int(a.mean()) for a in shoal.get(list(got))] == list(range(40))") == "True"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ('%%remote --for "x of y"\n1', "is no loop: give one in quotes"),
        ('%%remote --for "x in y" --bg\n1', "do not go together"),
        ('%remote --for "x in y" 1', "needs a cell"),
        ('%%remote --for "x in nowhere"\n1', "----> 1 %%remote --for.*'nowhere' is not defined"),
        ('%%remote --for "x in [1]"\nnowhere', "----> 2 nowhere.*'nowhere' is not defined"),
        ("def bad():\n    yield 1\n    raise OSError('gone')\nlater = bad()", ""),
        ('%%remote --for "x in later" --into got\nx', "line 3, in bad.*OSError: gone"),
    ],
)
def test_a_loop_that_cannot_be_says_why(kernel: Kernel, code: str, words: str) -> None:
    cell = kernel.run(code)
    said = cell.text("stderr") + (cell.traceback if cell.all("error") else "")
    assert re.search(words, said, re.DOTALL), said
    assert "shoal_kernelext" not in said


@pytest.mark.parametrize(
    ("text", "total"),
    [
        ("range(3)", 3), ("enumerate('abc', start=1)", 3), ("zip([1, 2], 'abc')", 2), ("map(divmod, [1, 2], [3])", 1),
        ("reversed([1, 2])", 2), ("iter([1, 2])", 2), ("(x for x in 'ab')", None),
        ("zip('ab', (x for x in 'ab'))", None),
        ("enumerate(*[[1, 2]])", None), ("{1: 2}.items()", 1),
    ],
)  # fmt: skip
def test_the_number_of_items_is_known_where_it_can_be(text: str, total: int | None) -> None:
    found = clause(f"x in {text}")
    assert found is not None
    items, known = counted_items(found.iterable, lambda node: eval(compile(ast.Expression(node), "", "eval")))
    assert known == total and list(items) == list(eval(text))
