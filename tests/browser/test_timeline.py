"""The timeline in a notebook: it grows while work runs, is zoomed and asked, exported, and stays in the file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Gates, Open
from .lab import WIDGET, wait_for
from .test_main_path import LOAD

pytestmark = pytest.mark.browser


def work(gates: Gates) -> str:
    return (
        f"import shoal\n{gates.code}\n"
        "step = shoal.remote(num_cpus=0)(wait_at)\n"
        "@shoal.remote(num_cpus=0)\ndef broken(): raise ValueError('as asked')\n"
        "refs = [step.remote(i) for i in range(3)] + [broken.remote()]\n"
    )


def test_it_moves_is_asked_and_stays(open_notebook: Open, gates: Gates, tmp_path: Path) -> None:
    notebook = open_notebook([LOAD, work(gates), "%timeline"], width=700)
    notebook.run(0)
    notebook.run(1)
    notebook.run(2)
    view = notebook.cell(2).get_by_role("region", name="Timeline")
    image = view.get_by_role("img")

    def said() -> str:
        return image.get_attribute("aria-label") or ""

    wait_for(lambda: "3 running · 1 failed" in said(), "it shows what runs")
    gates.open(0, 1, 2)
    wait_for(lambda: said().startswith("Timeline: 4 tasks on ") and "running" not in said(), "it shows the end")

    # A bar is asked, and leads to its cell.
    box = image.bounding_box()
    assert box is not None
    rows = int(said().split(" rows")[0].split(" on ")[1])
    for row in range(rows):
        image.click(position={"x": box["width"] * 0.6, "y": 9 + 18 * row})
        if view.get_by_role("button", name="Go to cell [2]").is_visible():
            break
    view.get_by_text("wait_at · done in").wait_for()
    notebook.screenshot("timeline")
    view.get_by_role("button", name="Go to cell [2]").click()
    wait_for(lambda: "jp-mod-active" in (notebook.cell(1).get_attribute("class") or ""), "its cell is selected")

    # The keyboard zooms, and the notebook does not take the keys.
    view.get_by_role("group", name="Timeline: plus and minus zoom").focus()
    for key, pressed in (("+", "false"), ("f", "true"), ("-", "true"), ("0", "false")):
        notebook.page.keyboard.press(key)
        view.locator(f'button[aria-pressed="{pressed}"]', has_text="Follow").wait_for()
    with notebook.page.expect_download() as download:
        view.get_by_role("button", name="Trace").click()
    trace = json.loads(Path(download.value.path()).read_text())
    assert {"wait_at", "broken"} <= {event["name"] for event in trace}

    assert WIDGET not in json.dumps(notebook.save())
    notebook.reopen_without_kernel()
    record = notebook.record(2)
    record.get_by_role("img", name="Timeline: 4 tasks").wait_for()
    assert "broken" in record.inner_text()
