"""The live strip on the page: reload, keyboard, screen readers, themes, narrow cells."""

from __future__ import annotations

import json

import pytest

from .conftest import Gates, Open
from .lab import WIDGET, Lab, wait_for
from .test_main_path import LOAD, fan_out

pytestmark = pytest.mark.browser


def test_a_page_loaded_while_the_cell_runs_gets_all_of_it(open_notebook: Open, gates: Gates) -> None:
    notebook = open_notebook([LOAD, fan_out(gates, 3)])
    notebook.run(0)
    notebook.start(1)
    notebook.strip(1).wait_for()
    notebook.save()
    notebook.page.reload()
    gates.open(0, 1, 2)
    notebook.record(1).wait_for()
    wait_for(lambda: notebook.told(1).startswith("3 tasks done"), "the last word")
    saved = notebook.save()
    assert WIDGET not in str(saved)
    assert "3 tasks done" in str(saved[1]["outputs"])


def test_it_can_be_used_by_keyboard_and_screen_reader(open_notebook: Open, gates: Gates) -> None:
    notebook = open_notebook([LOAD, fan_out(gates, 2)])
    notebook.run(0)
    notebook.start(1)
    strip = notebook.strip(1)
    strip.wait_for()
    wait_for(lambda: gates.reached(0) and gates.reached(1), "both run")
    wait_for(lambda: "2 running" in strip.inner_text(), "the strip says so")
    fold = strip.get_by_role("button", name="0 of 2 tasks done · 2 running")
    fold.focus()
    notebook.page.keyboard.press("Enter")
    assert fold.get_attribute("aria-expanded") == "true"
    strip.get_by_role("img", name="Timeline: 0 of 2 tasks done · 2 running").wait_for()
    assert strip.get_by_role("progressbar", name="Tasks ended").is_visible()
    notebook.page.keyboard.press("Tab")
    notebook.page.keyboard.press("Enter")
    notebook.wait_until_done(1)
    wait_for(lambda: "2 cancelled" in notebook.told(1), "Tab and Enter cancelled")
    # What was folded out stays so when the record takes the strip's place.
    notebook.record(1).get_by_role("img").wait_for()


def test_cancel_has_a_way_without_the_control_channel(open_notebook: Open, gates: Gates) -> None:
    notebook = open_notebook([LOAD, fan_out(gates, 2)])
    notebook.run(0)
    notebook.start(1)
    notebook.strip(1).wait_for()
    wait_for(lambda: gates.reached(0) and gates.reached(1), "both run")
    # As in front ends whose widgets are not given the kernel's channels.
    notebook.page.evaluate(
        "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.sendControlMessage = null"
    )
    notebook.strip(1).get_by_role("button", name="Cancel").click()
    notebook.wait_until_done(1)
    wait_for(lambda: "2 cancelled" in notebook.told(1), "the record says so")


def test_escape_gives_the_keys_back_to_the_notebook(open_notebook: Open, gates: Gates) -> None:
    notebook = open_notebook([LOAD, fan_out(gates, 1)])
    notebook.run(0)
    notebook.start(1)
    notebook.strip(1).wait_for()
    notebook.strip(1).get_by_role("button", name="Cancel").focus()
    notebook.interrupt()
    notebook.wait_until_done(1, seconds=20)
    assert "KeyboardInterrupt" in "\n".join(notebook.outputs(1))


@pytest.mark.parametrize("width", [1100, 480])
@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_it_fits_and_follows_the_theme(open_notebook: Open, gates: Gates, theme: str, width: int) -> None:
    notebook = open_notebook([LOAD, fan_out(gates, 6)], width=width)
    notebook.theme(theme)
    notebook.run(0)
    notebook.start(1)
    strip = notebook.strip(1)
    strip.wait_for()
    gates.open(0, 1)
    wait_for(lambda: "2 of 6 tasks done" in strip.inner_text(), "two done")
    strip.get_by_role("button").first.click()
    strip.get_by_role("img").wait_for()
    notebook.screenshot(f"strip-{theme.split()[1].lower()}-{width}")
    assert strip.evaluate("node => node.scrollWidth <= node.clientWidth")
    # The text has the theme's own colour.
    colours = """node => [getComputedStyle(node).color,
                          getComputedStyle(node.closest(".jp-Notebook")).color]"""
    own, page = strip.evaluate(colours)
    assert own == page
    gates.open(2, 3, 4, 5)
    notebook.wait_until_done(1)
    notebook.theme("JupyterLab Light")


def test_a_notebook_that_is_not_trusted_keeps_the_record(open_notebook: Open, gates: Gates, lab: Lab) -> None:
    notebook = open_notebook([LOAD, fan_out(gates, 3)])
    notebook.run(0)
    notebook.start(1)
    notebook.strip(1).wait_for()
    gates.open(0, 1, 2)
    notebook.wait_until_done(1)
    notebook.record(1).wait_for()
    notebook.record(1).locator("summary").click()
    own = _looks(notebook.record(1).evaluate(LOOKS))
    cells = notebook.save()
    # Any change by another hand takes the trust away.
    notebook.page.goto("about:blank")
    file = lab.root / notebook.name
    content = json.loads(file.read_text())
    content["cells"] = [*cells, cells[0] | {"id": "added", "source": "'by another'"}]
    file.write_text(json.dumps(content))
    notebook.reopen_without_kernel()
    notebook.record(1).locator("summary").click()
    assert _looks(notebook.record(1).evaluate(LOOKS)) == own
    notebook.screenshot("record-untrusted")


LOOKS = """node => Array.from(node.querySelectorAll("*"), (child) => {
  const { color, backgroundColor } = getComputedStyle(child);
  const { width, height } = child.getBoundingClientRect();
  return [child.tagName, color, backgroundColor, Math.round(width), Math.round(height)];
})"""


def _looks(found: list[list[str]]) -> list[tuple[str, ...]]:
    assert len(found) > 10
    return [tuple(each) for each in found]
