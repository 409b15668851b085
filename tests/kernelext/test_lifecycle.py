"""The extension and its cluster: loaded, started, stopped, left, found again."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from .kernels import PATIENCE, Kernel


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    made = Kernel()
    yield made
    made.close()


def test_loading_starts_nothing_and_first_use_a_cluster(kernel: Kernel) -> None:
    assert not psutil.Process(kernel.pid).children(recursive=True)
    assert "no cluster yet" in kernel.run("%cluster").text("stdout")
    assert kernel.value("%remote 1 + 1") == "2"
    assert psutil.Process(kernel.pid).children(recursive=True)


def test_the_first_use_may_be_a_plain_task(kernel: Kernel) -> None:
    cell = kernel.run("import shoal\n@shoal.remote\ndef f(): print('hello')\nshoal.get(f.remote())")
    kernel.wait(lambda: cell.text("stdout") == "hello\n")


def test_stop_and_start_again(kernel: Kernel) -> None:
    kernel.run("%remote 1")
    assert "stopped the cluster" in kernel.run("%cluster stop").text("stdout")
    assert "no cluster to stop" in kernel.run("%cluster stop").text("stdout")
    assert "cluster tiny: 0 of 1 CPUs busy" in kernel.run("%cluster start -n 1 --name tiny").text("stdout")
    assert kernel.value("%remote 3") == "3"
    assert "cluster tiny" in kernel.run("%cluster").text("stdout")


def test_values_in_a_store_that_is_gone_are_sent_anew(kernel: Kernel) -> None:
    kernel.run("import numpy as np; big = np.ones(1_000_000)")
    assert kernel.value("%remote big.sum()") == "np.float64(1000000.0)"
    kernel.run("%cluster stop")
    assert kernel.value("%remote big.sum()") == "np.float64(1000000.0)"


def test_the_store_is_empty_again_when_the_names_are_gone(kernel: Kernel) -> None:
    kernel.run("import gc, shoal, numpy as np; gc.disable(); big = np.ones(1_000_000)")
    kernel.run("%%remote\nimport gc; gc.disable()\ndef f(): return big.sum()\nmade = big * f()")
    failed = kernel.run("%%remote\nalso = np.ones(1_000_000)\nf(); 1 / 0")
    assert failed.first("error")["ename"] == "ZeroDivisionError"
    used = "shoal.cluster.current().status()['store'][0]"
    assert int(kernel.value(used)) >= 24_000_000
    kernel.run("del big, made, also")
    deadline = time.monotonic() + PATIENCE
    while kernel.value(used) != "0":
        assert time.monotonic() < deadline


def test_a_restarted_kernel_finds_its_cluster(kernel: Kernel) -> None:
    kernel.run("%cluster start -n 1 --name old")
    kernel.restart()
    assert "cluster old of before the restart still runs (left" in kernel.run("%load_ext shoal").text("stdout")
    assert "cluster old" in kernel.run("%cluster connect old").text("stdout")
    assert kernel.value("%remote 3") == "3"
    assert "stopped the cluster old" in kernel.run("%cluster stop").text("stdout")


def test_unloading_takes_all_back(kernel: Kernel) -> None:
    kernel.run("%unload_ext shoal")
    assert "not found" in kernel.run("%remote 1").text("stderr")
    assert kernel.value("sorted(k for k in get_ipython().kernel.control_handlers if 'shoal' in k)") == "[]"
    kernel.run("%load_ext shoal")
    assert kernel.value("%remote 1") == "1"


def test_the_engine_inline_runs_cells_in_the_notebook_itself(kernel: Kernel) -> None:
    kernel.run("import shoal, os, matplotlib.pyplot as plt; shoal.init('inline'); backend = plt.get_backend()")
    kernel.run("class A:\n    def get(self): return word\nword = 1; a = A()")
    cell = kernel.run("%%remote\nprint('hello'); here = os.getpid(); plt.plot([1])\nword = 2; a.get()")
    assert cell.text("stdout") == "hello\n" and len(cell.all("display_data")) == 1
    assert cell.first("execute_result")["data"]["text/plain"] == "2"
    kernel.run("word = 3")
    assert kernel.value("a.get(), here == os.getpid(), plt.get_backend() == backend") == "(3, True, True)"
    assert "stopped the cluster inline" in kernel.run("%cluster stop").text("stdout")


def test_without_a_kernel_all_is_printed() -> None:
    code = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
for cell in [
    "%load_ext shoal",
    "%%remote\\nx = 4\\nprint('printed')\\ndisplay({'shown': 1})\\nx * 2",
    "print('back', x)",
    "%%remote\\nx = 5\\n1 / 0",
    "print('then', x)",
]:
    shell.run_cell(cell, store_history=True)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    lines = done.stdout.splitlines()
    assert lines[:4] == ["printed", "{'shown': 1}", "Out[2]: 8", "back 4"], done.stdout + done.stderr
    assert any("----> 3" in line for line in lines) and lines[-1] == "then 5"
    assert done.returncode == 0


def test_what_has_a_name_is_there_again_after_a_restart(kernel: Kernel) -> None:
    kernel.run("%cluster start -n 1 --name old\nimport shoal, numpy as np")
    kernel.run("@shoal.remote\nclass Counter:\n    n = 0\n    def more(self): self.n += 1; return self.n")
    kernel.run("c = Counter.options(name='counter', lifetime='detached').remote(); shoal.get(c.more.remote())")
    kernel.run("value = np.ones(1_000_000); ref = shoal.put([1, 2]); mine = 3")
    assert "kept on the cluster" in kernel.run("%cluster keep value ref mine").text("stdout")
    assert "named results: value (8.0 MB), ref (" in kernel.run("%cluster").text("stdout")
    assert "the notebook has no 'nothing' to keep" in kernel.run("%cluster keep nothing").text("stderr")
    kernel.restart()
    offered = kernel.run("%load_ext shoal").text("stdout")
    for part in ("1 actor (counter)", "3 named results (value, ref, mine)", "8.0 MB in", "%cluster connect old takes"):
        assert part in offered, offered
    assert "The cluster old of before the restart still runs" in kernel.run("%cluster").text("stdout")
    kernel.run("mine = 'taken'")
    connected = kernel.run("%cluster connect").text("stdout")
    assert "here again: value, ref" in connected
    assert "not taken, for the notebook has such a name: mine" in connected
    assert "actors: shoal.get_actor('counter')" in connected
    kernel.run("import shoal")
    assert kernel.value("shoal.get(shoal.get_actor('counter').more.remote())") == "2"
    assert kernel.value("value.sum(), shoal.get(ref), mine") == "(np.float64(1000000.0), [1, 2], 'taken')"
    kernel.run("%cluster drop mine")
    assert "mine" not in kernel.run("%cluster").text("stdout")
    assert "stopped the cluster old" in kernel.run("%cluster stop").text("stdout")


def test_start_again_scale_restart_list_and_help(kernel: Kernel) -> None:
    assert "0 of 1 CPUs busy" in kernel.run("%cluster start -n 1 --name mine").text("stdout")
    for again in ("%cluster start", "%cluster start -n 1 --name mine"):
        assert "cluster mine: 0 of 1 CPUs busy" in kernel.run(again).text("stdout")
    assert "works on the cluster mine already" in kernel.run("%cluster start -n 2 --oversubscribe").text("stderr")
    assert "0 of 3 CPUs busy" in kernel.run("%cluster scale 3 --oversubscribe").text("stdout")
    assert "takes no" not in kernel.run("%cluster scale 3 --oversubscribe").text("stderr")
    assert "needs a number" in kernel.run("%cluster scale lots").text("stderr")
    assert "add --oversubscribe" in kernel.run("%cluster scale 3000").text("stderr")
    kernel.run("kept = 1\n%cluster keep kept")
    restarted = kernel.run("%cluster restart --gpus 1").text("stdout")
    assert "cluster mine: 0 of 3 CPUs busy" in restarted and "kept" not in restarted
    assert kernel.value("%remote --gpus 1 1 + 1") == "2"
    listed = kernel.run("%cluster list").first("execute_result")["data"]
    assert "mine (this notebook's)" in listed["text/plain"] and "<table" in listed["text/html"]
    assert "sizes are for %cluster start and restart" in kernel.run("%cluster stop -n 3").text("stderr")
    kernel.client.complete("%cluster sca")
    completed = kernel.client.get_shell_msg(timeout=PATIENCE)
    while completed["msg_type"] != "complete_reply":
        completed = kernel.client.get_shell_msg(timeout=PATIENCE)
    assert "scale" in completed["content"]["matches"]


def test_the_doctor_looks_at_both_sides(kernel: Kernel) -> None:
    alone = kernel.run("%cluster doctor").first("execute_result")["data"]["text/plain"]
    assert "this kernel" in alone and "hub" not in alone
    kernel.run("%cluster start -n 1")
    found = kernel.run("%cluster doctor").first("execute_result")["data"]
    lines = found["text/plain"].splitlines()
    for what in (
        "the cluster's hub", "a worker", "object store", "disk for objects", "widgets", "memory", "open files", "CPUs"
    ):  # fmt: skip
        assert any(line.split("  ")[1:] and what in line for line in lines), (what, lines)
    assert any("ok" in line and "a worker" in line and "the same packages" in line for line in lines), lines
    assert "<table" in found["text/html"] and "class=" not in found["text/html"]
    kernel.run("import os; os.environ['OMP_NUM_THREADS'] = '8'")
    found = kernel.run("%cluster doctor").first("execute_result")["data"]
    assert "unset OMP_NUM_THREADS: each task would use so many threads" in found["text/plain"]
