"""JupyterLab's side panel, held by the mouse."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator

from .conftest import Gates, Open
from .lab import Notebook, wait_for
from .test_main_path import fan_out

pytestmark = pytest.mark.browser


def panel_of(notebook: Notebook) -> Locator:
    """The panel, opened as the command palette does."""
    notebook.page.evaluate("window.jupyterapp.commands.execute('shoal:show-panel')")
    panel = notebook.page.locator("#shoal-panel")
    panel.get_by_role("heading", name="shoal").wait_for()
    return panel


def number(panel: Locator, name: str) -> str:
    """One of the live counts."""
    return panel.locator("dl > div").filter(has_text=name).get_by_role("definition").inner_text()


def test_a_cluster_by_mouse(open_notebook: Open, gates: Gates) -> None:
    notebook = open_notebook([fan_out(gates, 3), "'the last cell'"])
    panel = panel_of(notebook)
    panel.get_by_text("shoal is not loaded in this notebook").wait_for()
    panel.get_by_role("button", name="Load shoal").click()
    panel.get_by_label("Name").fill("fish")
    panel.get_by_role("button", name="Start cluster").click()
    stop = panel.get_by_role("button", name="Stop the cluster")
    stop.wait_for()
    notebook.start(0)
    wait_for(lambda: number(panel, "Running") == "3", "three run")
    gates.open(0)
    wait_for(lambda: number(panel, "Done") == "1" and number(panel, "Running") == "2", "one is done")
    assert "2 running, 0 queued" in panel.inner_text()
    assert notebook.prompt(0) == "[*]:"
    # A live view beside the notebook, while the cell runs.
    panel.get_by_role("button", name="Tasks", exact=True).click()
    beside = notebook.page.locator(".shoal-p-beside")
    beside.get_by_text("1 of 3 tasks done").wait_for()
    notebook.screenshot("panel-light")
    notebook.theme("JupyterLab Dark")
    notebook.page.locator("#jupyterlab-splash").wait_for(state="detached")
    notebook.screenshot("panel-dark")
    notebook.theme("JupyterLab Light")
    panel.get_by_role("button", name="Insert connect cell").click()
    inserted = notebook.cell(1).locator(".cm-line")
    wait_for(lambda: inserted.all_inner_texts() == ["%load_ext shoal", "%cluster connect fish"], "the cell is there")
    # What cannot be undone is asked for, and by keyboard the harmless answer comes first.
    stop.focus()
    notebook.page.keyboard.press("Enter")
    panel.get_by_text("This ends 2 unfinished tasks").wait_for()
    notebook.page.keyboard.press("Enter")
    wait_for(lambda: stop.is_visible() and number(panel, "Running") == "2", "it goes on")
    stop.click()
    panel.get_by_role("button", name="Stop it").click()
    notebook.wait_until_done(0)
    assert "ClusterDiedError" in "\n".join(notebook.outputs(0))
    panel.get_by_role("button", name="Start cluster").wait_for()
    wait_for(lambda: beside.count() == 0, "the view goes with its cluster")


def test_a_restarted_kernel_is_found_again(open_notebook: Open) -> None:
    notebook = open_notebook(["%load_ext shoal\n%cluster start --name again", "%cluster"], width=640)
    panel = panel_of(notebook)
    notebook.run(0)
    panel.get_by_role("button", name="Stop the cluster").wait_for()  # a cell has loaded it
    notebook.cell(1).locator(".jp-InputArea-editor").click()
    notebook.restart()
    panel.get_by_role("button", name="Load shoal").click()
    panel.get_by_text("from before the restart").wait_for()
    notebook.screenshot("panel-narrow")
    assert panel.evaluate("node => node.scrollWidth <= node.clientWidth")
    panel.get_by_role("button", name="Connect to again").click()
    panel.get_by_role("button", name="Stop the cluster").wait_for()
    assert "cluster again" in "".join(notebook.run(1))
    panel.get_by_role("button", name="Stop the cluster").click()
    panel.get_by_role("button", name="Start cluster").wait_for()
