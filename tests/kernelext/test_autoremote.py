"""Every cell on the cluster, and what the tab key offers, in a real kernel."""

from __future__ import annotations

import re

import pytest

from .kernels import Kernel


@pytest.fixture(scope="module")
def kernel(at_work: Kernel) -> Kernel:
    """A kernel whose cluster runs."""
    at_work.run("home = os.getpid()")
    return at_work


@pytest.mark.parametrize(
    ("cell", "there"),
    [
        ("there = os.getpid() != home", "True"),
        ("\n\n# a comment\n!true\nthere = os.getpid() != home", "True"),
        ("text = '''\n%no magic'''\nawait __import__('asyncio').sleep(0)\nthere = os.getpid() != home", "True"),
        ("%time there = os.getpid() != home", "False"),
        ("%%time\nthere = os.getpid() != home", "False"),
        ("there = os.getpid() != home\n%time pass", "False"),
        ("%%remote --cpus 0\nthere = os.getpid() != home", "True"),
    ],
)
def test_cells_without_a_magic_of_their_own_run_there(kernel: Kernel, cell: str, there: str) -> None:
    said = kernel.run("%autoremote on --cpus 0.5")
    assert "%autoremote is on: each cell runs as %%remote --cpus 0.5, but" in said.text("stdout")
    kernel.run(cell)
    assert kernel.run("there").first("execute_result")["data"]["text/plain"] == there
    assert not kernel.run("# nothing").all("error")
    assert "%autoremote is off" in kernel.run("%autoremote off").text("stdout")
    assert kernel.value("os.getpid() == home") == "True"


def test_an_error_is_shown_at_its_line(kernel: Kernel) -> None:
    kernel.run("%autoremote on")
    cell = kernel.run("x = 1\n1 / 0")
    wrong = kernel.run("x = (")
    kernel.run("%autoremote off")
    assert f"Cell In[{cell.count}], line 2" in cell.traceback and "----> 2 1 / 0" in cell.traceback
    assert wrong.first("error")["ename"] == "SyntaxError"
    assert kernel.value("x, os.getpid() == home") == "(1, True)"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("%autoremote maybe", "%autoremote maybe is not known"),
        ("%autoremote on --fast", "unrecognized arguments: --fast"),
        ('%autoremote on --for "x in y"', "for one cell"),
    ],
)
def test_bad_options_are_told(kernel: Kernel, line: str, words: str) -> None:
    assert re.search("UsageError: .*" + words, kernel.run(line).text("stderr"))
    assert "%autoremote is off" in kernel.run("%autoremote").text("stdout")


def test_the_tab_key_offers_the_options(kernel: Kernel) -> None:
    def offered(text: str) -> list[str]:
        reply = kernel.client.complete(text.replace("|", ""), text.index("|"), reply=True, timeout=60)
        return list(reply["content"]["matches"])

    kernel.run("%%remote --on bench\n1")
    assert {"--cpus", "--for", "--timeout"} <= set(offered("%%remote --|\n1"))
    assert "--timeout" in offered("%%remote --cpus 2 --ti|\n1")
    assert "--keep" in offered("%remote --ke|")
    assert "bench" in offered("%%remote --on b|\n1")
    assert {"on", "off"} <= set(offered("%autoremote o|"))
