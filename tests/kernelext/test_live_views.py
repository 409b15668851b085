"""The magics of live views in a real kernel, with no page: what they publish, and what they say of bad input."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .kernels import Kernel

WORK = """
import shoal
@shoal.remote
def square(x):
    if x == 3:
        raise ValueError("no threes")
    return x * x
@shoal.remote
class Counter:
    def count(self):
        return 1
counter = Counter.remote()
refs = [square.remote(i) for i in range(5)] + [counter.count.remote()]
shoal.wait(refs, num_returns=6)
"""


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    kernel = Kernel()
    kernel.run("%cluster start -n 2")
    yield kernel
    kernel.close()


def test_each_leaves_a_record_and_ends_with_the_cluster(kernel: Kernel) -> None:
    work = kernel.run(WORK)
    tasks = kernel.run("%tasks")
    kernel.wait(lambda: tasks.records)
    assert "1 failed" in tasks.records[0]
    assert "square failed: ValueError" in tasks.records[0]
    actors, objects = kernel.run("%actors"), kernel.run("import numpy; x = shoal.put(numpy.zeros(10**6))\n%objects")
    kernel.wait(lambda: actors.records and objects.records)
    assert "1 actor · 1 alive" in actors.records[0]
    assert "ndarray float64 1,000,000: 8.0 MB, held by notebook" in objects.records[0]
    graph = kernel.run(f"needy = square.remote(square.remote(4))\nshoal.get(needy)\n%graph --cell {work.count + 4}")
    kernel.wait(lambda: graph.records)
    assert "2 tasks done · 1 function" in graph.records[0] and "square → square: 1 value" in graph.records[0]
    again = kernel.run(f"%tasks --cell {work.count}")
    kernel.wait(lambda: again.records)
    assert "1 failed" in again.records[0]
    dashboard = kernel.run("%dashboard objects")
    kernel.wait(lambda: dashboard.records)
    assert dashboard.records[0].startswith("Objects,")
    kernel.run("%cluster stop")
    before = len(dashboard.records)
    assert before > 1, "the last state was recorded before the cluster went"


def test_bad_input_names_the_cure(kernel: Kernel) -> None:
    assert "Use one of: tasks" in kernel.run("%dashboard no_such").streams
    kernel.run("%cluster stop")
    assert "%cluster start" in kernel.run("%tasks").streams
    assert "nothing is known" in kernel.run("%tasks --cell 999").streams
