"""The Cluster view in a notebook: its chart without a network, its nodes, its size, and what stays in the file."""

from __future__ import annotations

import json

import pytest

from .conftest import Open
from .lab import WIDGET, wait_for
from .test_main_path import LOAD

pytestmark = pytest.mark.browser


def test_its_chart_is_drawn_and_its_size_changes(open_notebook: Open) -> None:
    notebook = open_notebook([LOAD, "import shoal\nshoal.init(num_cpus=1)", "%dashboard cluster"], width=700)
    for i in range(3):
        notebook.run(i)
    view = notebook.cell(2).get_by_role("region", name="Cluster")
    chart = view.get_by_role("img", name="CPU, memory and tasks ended of late")
    chart.locator(".bk-Figure").nth(2).wait_for()
    view.get_by_text("0 of 1 CPUs held").wait_for()
    view.get_by_role("button", name="One CPU more").click()
    view.get_by_text("0 of 2 CPUs held").wait_for()
    told = "() => Bokeh.documents.at(-1).get_model_by_name('history').data.cpus.at(-1) === 2"
    notebook.page.wait_for_function(told)
    notebook.screenshot("cluster")
    wait_for(lambda: "of 2 CPUs held" in json.dumps(notebook.save()), "the record has it")
    assert WIDGET not in json.dumps(notebook.save())
    notebook.reopen_without_kernel()
    assert "of 2 CPUs held" in notebook.cell(2).inner_text()
