"""A notebook that is executed with no page in sight: what is left in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from shoal_widgets.outputs import WIDGET

FAN_OUT = """
import shoal
@shoal.remote
def step(i):
    import time
    time.sleep(0.7)
    return i
shoal.get([step.remote(i) for i in range(4)])
"""


@pytest.fixture
def executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    sources = ["%load_ext shoal", "%cluster start -n 2", FAN_OUT, "%%remote\n1 + 1"]
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(notebook, timeout=60, kernel_name="python3").execute(cwd=str(tmp_path))
    return notebook


def test_the_records_are_final_and_no_widget_is_left(executed: Any) -> None:
    fan, remote = (cell.outputs for cell in executed.cells[2:])
    record, strip, result = fan
    assert record.data["text/plain"].startswith("4 tasks done")
    assert "4 tasks done" in record.data["text/html"]
    assert dict(strip.data) == {"text/plain": ""}
    assert result.data["text/plain"] == "[0, 1, 2, 3]"
    assert WIDGET not in str(fan) + str(remote)
