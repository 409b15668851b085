"""The report of a plain script, in a browser without a network."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

import shoal
from shoal.exceptions import ClusterError

pytestmark = pytest.mark.browser


def test_a_script_tells_what_it_did_in_one_file(browser: Browser, tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="no cluster runs"):
        shoal.report(str(tmp_path / "none.html"))
    shoal.init(num_cpus=1)
    try:
        square = shoal.remote(lambda x: x * x)
        broken = shoal.remote(max_retries=0)(lambda: 1 / 0)
        assert sum(shoal.get([square.remote(i) for i in range(20)])) == 2470
        with pytest.raises(ZeroDivisionError):
            shoal.get(broken.remote())
        path = shoal.report(str(tmp_path / "run.html"))
    finally:
        shoal.shutdown()
    context = browser.new_context(offline=True)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda told: errors.append(told.text) if told.type == "error" else None)
    page.goto(Path(path).as_uri())
    page.get_by_role("img", name="Timeline: 21 tasks on 1 row").wait_for()
    page.locator("#chart-2 *").first.wait_for(state="attached")
    assert "ZeroDivisionError" in page.inner_text("body")
    assert errors == []
    context.close()
