"""One JupyterLab and one Chromium for all browser tests; a notebook and a kernel for each."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from .lab import Lab, Notebook

Open = Callable[..., Notebook]
_failed = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if call.when == "call":
        item.stash[_failed] = report.failed
    return report


@pytest.fixture(scope="package")
def chromium() -> str:
    """Where Chromium is. Without it the test is skipped, or fails if SHOAL_REQUIRE_BROWSER=1."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None and os.environ.get("SHOAL_REQUIRE_BROWSER") == "1":
        pytest.fail("SHOAL_REQUIRE_BROWSER=1, but there is no Chromium; install it")
    if found is None:
        pytest.skip("there is no Chromium; install it (Debian: apt install chromium)")
    return found


@pytest.fixture(scope="package")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def lab(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab(tmp_path_factory.mktemp("lab"))
    try:
        lab.wait_until_up()
        yield lab
    finally:
        lab.stop()


@pytest.fixture
def open_notebook(request: pytest.FixtureRequest, lab: Lab, browser: Browser) -> Iterator[Open]:
    """Opens a notebook of code cells; a picture of it is kept when the test fails."""
    opened: list[Notebook] = []

    def open_one(sources: Sequence[str], width: int = 1100) -> Notebook:
        name = f"{request.node.name}-{len(opened)}.ipynb"
        lab.write(name, sources)
        opened.append(Notebook(lab, browser, name, width))
        return opened[-1]

    yield open_one
    for notebook in opened:
        if request.node.stash.get(_failed, True):
            notebook.screenshot(f"failed-{notebook.name.removesuffix('.ipynb')}")
        notebook.close()
    lab.end_kernels()


@pytest.fixture
def gates(tmp_path: Path) -> Gates:
    return Gates(tmp_path)


class Gates:
    """Where remote work waits until the test lets it through: no test depends on a duration."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def code(self) -> str:
        """The source of ``wait_at(i)`` for a notebook's cell."""
        return (
            "def wait_at(gate):\n"
            "    import pathlib, time\n"
            f"    folder = pathlib.Path({str(self._folder)!r})\n"
            "    (folder / f'{gate}.waits').touch()\n"
            "    while not (folder / f'{gate}.open').exists():\n"
            "        time.sleep(0.01)\n"
            "    return gate\n"
        )

    def open(self, *gates: object) -> None:
        for gate in gates:
            (self._folder / f"{gate}.open").touch()

    def reached(self, gate: object) -> bool:
        """Whether work waits, or has waited, at the gate."""
        return (self._folder / f"{gate}.waits").exists()
