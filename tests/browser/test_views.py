"""The live views on the page: how they start, change, end, and what the file keeps."""

from __future__ import annotations

import pytest

from .conftest import Gates, Open
from .lab import WIDGET, Notebook, wait_for
from .test_main_path import LOAD

pytestmark = pytest.mark.browser

START = "%cluster start -n 2"
WORK = """
import shoal
step = shoal.remote(wait_at)
shoal.wait([step.remote(i) for i in range(4)], num_returns=4)
"""
THINGS = """
import shoal
import numpy as np

@shoal.remote
class Counter:
    def step(self, gate):
        print("stepping")
        return wait_at(gate)

@shoal.remote
def after(gate):
    return gate

counter = Counter.options(name="counter").remote()
stepping = counter.step.remote("step")
later = after.remote(stepping)
large = shoal.put(np.zeros((1000, 300)))
"""


def _reopened(notebook: Notebook, cell: int, text: str) -> None:
    """The file has the record and no widget, and shows it without a kernel."""
    wait_for(lambda: text in str(notebook.save()[cell]), "the file has its record")
    assert WIDGET not in str(notebook.save())
    notebook.reopen_without_kernel()
    notebook.record(cell).first.wait_for()
    assert text in "\n".join(notebook.outputs(cell))
    assert "model not found" not in notebook.page.locator(".jp-Notebook").inner_text()


def test_tasks_from_their_start_to_the_reopened_file(open_notebook: Open, gates: Gates) -> None:
    notebook = open_notebook([LOAD, START, "%tasks", gates.code + WORK, "%cluster stop"])
    for cell in (0, 1, 2):
        notebook.run(cell)
    view = notebook.cell(2).get_by_role("region", name="Tasks", exact=True)
    view.get_by_text("No tasks yet").wait_for()
    notebook.start(3)
    view.get_by_text("0 of 4 tasks done · 2 running · 2 queued").wait_for()
    # Down to one task, though a cell runs.
    view.get_by_role("button", name="wait_at").click()
    tasks = view.get_by_role("table", name="Single tasks").get_by_role("button", name="wait_at")
    wait_for(lambda: tasks.count() == 4, "all four are listed")
    tasks.first.click()
    task = view.get_by_role("region", name="One task")
    task.get_by_text("Why it waits").wait_for()
    task.get_by_role("button", name="Cancel this task").click()
    view.get_by_text("1 cancelled").wait_for()
    gates.open(0, 1)
    view.get_by_text("2 of 4 tasks done").wait_for()
    # A file that is saved while it lives holds no widget. A page that is loaded then shows the record, and the widget
    # with all that it showed as soon as the cell that runs lets the kernel answer.
    wait_for(lambda: "2 of 4 tasks done" in str(notebook.save()[2]), "the file has its record")
    assert WIDGET not in str(notebook.save())
    notebook.page.reload()
    notebook.record(2).get_by_text("2 of 4 tasks done").wait_for()
    gates.open(2, 3)
    task.wait_for()
    view.get_by_text("3 of 4 tasks done · 1 cancelled").wait_for()
    notebook.wait_until_connected()
    notebook.screenshot("view-tasks")
    notebook.run(4)
    view.wait_for(state="detached")
    _reopened(notebook, 2, "3 of 4 tasks done · 1 cancelled")


def test_a_dashboard_from_its_start_to_the_reopened_file(open_notebook: Open, gates: Gates) -> None:
    notebook = open_notebook([LOAD, START, "%dashboard actors", gates.code + THINGS], width=560)
    for cell in (0, 1, 2):
        notebook.run(cell)
    tabs = notebook.cell(2)
    actors = tabs.get_by_role("region", name="Actors", exact=True).first
    actors.get_by_text("No actors").wait_for()
    notebook.run(3)
    wait_for(lambda: gates.reached("step"), "the actor is at work")
    actors.get_by_text("Counter.step").wait_for()
    actors.get_by_role("button", name="counter (Counter)", exact=True).click()
    actors.get_by_role("region", name="One actor").get_by_text("stepping").wait_for()
    notebook.screenshot("view-actors-narrow")
    tabs.get_by_role("tab", name="Objects").click()
    objects = tabs.get_by_role("table", name="The largest objects")
    objects.get_by_role("cell", name="1,000 × 300").wait_for()
    assert "ndarray float64" in objects.inner_text() and "notebook" in objects.inner_text()
    tabs.get_by_role("tab", name="Graph").click()
    graph = tabs.get_by_role("region", name="Graph", exact=True)
    graph.get_by_role("img", name="Counter.step to after, 1 value").wait_for()
    graph.get_by_text("As a table").click()
    graph.get_by_role("table", name="Edges").get_by_role("cell", name="after").wait_for()
    notebook.screenshot("view-graph-narrow")
    tabs.get_by_role("tab", name="Actors").click()
    kill = actors.get_by_role("button", name="Kill counter (Counter)")
    kill.click()
    assert kill.inner_text() == "Kill, really?"
    kill.click()
    actors.get_by_role("cell", name="dead", exact=True).wait_for()
    # Run again it is opened anew: the cluster and its work are as they were.
    notebook.run(2)
    actors.get_by_role("cell", name="dead", exact=True).wait_for()
    assert tabs.get_by_role("tab").count() >= 3
    _reopened(notebook, 2, "1 actor · 1 dead")
