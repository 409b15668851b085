"""The ways a cell can run on the cluster, as a person sees them: a loop, the background, a kept value."""

from __future__ import annotations

import pytest

from .conftest import Gates, Open
from .lab import wait_for

pytestmark = pytest.mark.browser


def test_a_loop_counts_its_items_and_a_background_cell_fails_in_its_place(open_notebook: Open, gates: Gates) -> None:
    notebook = open_notebook(
        [
            f"%load_ext shoal\n%cluster start -n 2 --oversubscribe\n{gates.code}",
            "%%remote --for \"i, name in enumerate('abcd')\" --into got\n"
            "if i == 3: wait_at('loop')\nassert i != 1\nname * i",
            "got",
            "%%remote --bg\nwait_at('background')\nprint('goes on')\nlate = 1 / 0",
            "late",
            "%%remote --keep\nkept = list(range(1000))",
            "kept",
        ]
    )
    notebook.run(0)
    notebook.start(1)
    strip = notebook.strip(1)
    wait_for(lambda: strip.count() and "2 of 4 items done · 1 running · 1 failed" in strip.inner_text(), "items")
    gates.open("loop")
    notebook.wait_until_done(1)
    wait_for(lambda: "3 of 4 items done · 1 failed" in notebook.told(1), "the record counts items")
    assert "ItemsFailedError: 1 of 4 items failed" in "\n".join(notebook.outputs(1))
    assert notebook.run(2) == ["['', AssertionError(), 'cc', 'ddd']"]
    notebook.run(3)
    assert "under way in Cell In[4]" in notebook.run(4)[0]
    gates.open("background")
    wait_for(lambda: "ZeroDivisionError: division by zero" in "\n".join(notebook.outputs(3)), "its error, in its cell")
    assert "goes on" in "\n".join(notebook.outputs(3)) and "late = 1 / 0" in "\n".join(notebook.outputs(3))
    notebook.run(5)
    assert "list of 1,000" in notebook.run(6)[0] and "shoal.get(kept)" in notebook.run(6)[0]
    kinds = [[output["output_type"] for output in cell["outputs"]] for cell in notebook.save()]
    assert kinds[3].count("error") == 1
