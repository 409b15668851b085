"""A private JupyterLab and its notebooks, held by the keyboard and the mouse as people do."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import side_panel
from playwright.sync_api import Browser, Locator, Page

ARTEFACTS = Path(__file__).parent.parent / "artefacts"
PATIENCE = 30.0
"""Seconds a condition may take before the test fails; it never waits longer than it must."""
WIDGET = "application/vnd.jupyter.widget-view+json"

_READY = """() => {
  const context = window.jupyterapp?.shell.currentWidget?.sessionContext;
  const kernel = context?.session?.kernel;
  return context?.isReady && kernel?.connectionStatus === "connected" && kernel.status === "idle";
}"""


def wait_for(holds: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """Look until `holds()` is true and return it; fail with `what` was expected."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.05)
    return found


class Lab:
    """One JupyterLab server with folders of its own under `folder`."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.root.mkdir()
        port = _free_port()
        self._address = f"http://127.0.0.1:{port}"
        self._token = secrets.token_hex(16)
        self._log = folder / "lab.log"
        quiet = folder / "settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings"
        quiet.parent.mkdir(parents=True)
        quiet.write_text('{"fetchNews": "false", "checkForUpdates": false}')
        # The side panel of this tree, whatever may be installed: JUPYTER_PATH comes first.
        source = Path(__file__).parent.parent.parent / "kernelext/labextension"
        side_panel.build(source, folder / "jupyter/labextensions" / side_panel.NAME, "0")
        own = {
            "JUPYTER_PATH": "jupyter",
            "JUPYTERLAB_SETTINGS_DIR": "settings",
            "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
            "JUPYTER_CONFIG_DIR": "config",
            "JUPYTER_DATA_DIR": "data",
            "JUPYTER_RUNTIME_DIR": "runtime",
            "IPYTHONDIR": "ipython",
        }
        command = [
            *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1"),
            *(
                f"--port={port}",
                "--ServerApp.port_retries=0",
                f"--IdentityProvider.token={self._token}",
            ),
            *(f"--ServerApp.root_dir={self.root}", "--LabApp.extension_manager=readonly"),
            "--LabApp.expose_app_in_browser=True",
        ]
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                command,
                env=os.environ | {name: str(folder / place) for name, place in own.items()},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until_up(self) -> None:
        """Fails with the server's log when it does not answer."""

        def answers() -> bool:
            assert self._process.poll() is None, self._log.read_text()
            try:
                return bool(self.api("GET", "status"))
            except OSError:
                return False

        wait_for(answers, f"JupyterLab answers\n{self._log}")

    def stop(self) -> None:
        """End the server with its kernels."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(PATIENCE)
        finally:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()

    def api(self, method: str, path: str) -> Any:
        """One request to the server's REST interface."""
        rights = {"Authorization": f"token {self._token}"}
        request = Request(f"{self._address}/api/{path}", method=method, headers=rights)
        with urlopen(request, timeout=PATIENCE) as answer:
            body = answer.read()
        return json.loads(body) if body else None

    def address(self, name: str) -> str:
        """Where a notebook opens, in JupyterLab's mode for one document."""
        return f"{self._address}/doc/tree/{name}?reset&token={self._token}"

    def end_kernels(self) -> None:
        """Shut every session down."""
        for session in self.api("GET", "sessions"):
            self.api("DELETE", f"sessions/{session['id']}")

    def write(self, name: str, sources: Sequence[str]) -> None:
        """Make a notebook of code cells."""
        cells: list[dict[str, Any]] = [
            {
                "cell_type": "code",
                "id": f"cell-{i}",
                "execution_count": None,
                "metadata": {},
                "outputs": [],
                "source": source,
            }
            for i, source in enumerate(sources)
        ]
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        notebook = {
            "cells": cells,
            "metadata": {"kernelspec": kernel},
            "nbformat": 4,
            "nbformat_minor": 5,
        }
        (self.root / name).write_text(json.dumps(notebook))


class Notebook:
    """A notebook open in a browser."""

    def __init__(self, lab: Lab, browser: Browser, name: str, width: int = 1100) -> None:
        self._lab = lab
        self.name = name
        self.page: Page = browser.new_page(viewport={"width": width, "height": 800})
        self.open()

    def open(self) -> None:
        """Open the notebook (again), as the file has it; returns when its kernel is connected."""
        self.page.goto(self._lab.address(self.name))
        self.wait_until_connected()
        self.cell(0).wait_for()

    def reopen_without_kernel(self) -> None:
        """Leave the page, end the kernel, open the file anew: no widget is known any more."""
        self.page.goto("about:blank")
        self._lab.end_kernels()
        self.open()

    def close(self) -> None:
        self.page.close()

    def cell(self, i: int) -> Locator:
        return self.page.locator(".jp-Notebook .jp-CodeCell").nth(i)

    def start(self, i: int) -> None:
        """Run a cell by Control+Enter; returns when it runs or has run."""
        before = self.prompt(i)
        self.cell(i).locator(".jp-InputArea-editor").click()
        self.page.keyboard.press("Control+Enter")
        wait_for(lambda: self.prompt(i) != before, f"cell {i} starts")

    def run(self, i: int) -> list[str]:
        """Run a cell to its end; returns the text of its outputs."""
        self.start(i)
        self.wait_until_done(i)
        return self.outputs(i)

    def wait_until_done(self, i: int, seconds: float = PATIENCE) -> None:
        wait_for(lambda: re.search(r"\d", self.prompt(i)), f"cell {i} ends", seconds)

    def prompt(self, i: int) -> str:
        """``[ ]:`` never run, ``[*]:`` runs, ``[3]:`` has run."""
        return self.cell(i).locator(".jp-InputArea-prompt").first.inner_text()

    def outputs(self, i: int) -> list[str]:
        """The text of each output that is on show; empty ones are left out."""
        area = self.cell(i).locator(".jp-Cell-outputArea > .jp-OutputArea-child > .jp-OutputArea-output")
        return [text.strip() for text in area.all_inner_texts() if text.strip()]

    def strip(self, i: int) -> Locator:
        """The live strip under a cell."""
        return self.cell(i).get_by_role("region", name="Work of this cell")

    def record(self, i: int) -> Locator:
        """The record under a cell, hidden while the live strip is on the page."""
        return self.cell(i).locator(".jp-RenderedHTMLCommon details")

    def told(self, i: int) -> str:
        """What the record under a cell says, in short: ``3 tasks done …``."""
        record = self.record(i)
        return record.locator("summary").inner_text().lstrip("● \u2002") if record.count() else ""

    def interrupt(self) -> None:
        """As people do it from the keyboard."""
        self.page.keyboard.press("Escape")
        self.page.keyboard.press("i")
        self.page.keyboard.press("i")

    def restart(self) -> None:
        """Restart the kernel from the keyboard; returns when the new one is connected."""
        self.page.keyboard.press("Escape")
        self.page.keyboard.press("0")
        self.page.keyboard.press("0")
        with self.page.expect_response(re.compile(r"/restart(\?|$)")):
            self.accept()
        self.wait_until_connected()

    def accept(self) -> None:
        """Press the main button of the dialog that is there or comes."""
        self.page.locator(".jp-Dialog .jp-mod-accept").click()

    def wait_until_connected(self) -> None:
        """Wait until the kernel, a new one perhaps, is there and idle."""
        self.page.wait_for_function(_READY, timeout=PATIENCE * 1000)

    def save(self) -> list[dict[str, Any]]:
        """Save; returns the cells that are in the file then.

        By the command that Control+s stands for: a press is dropped while the checkpoint of the last save is made.
        """
        self.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
        cells: list[dict[str, Any]] = json.loads((self._lab.root / self.name).read_text())["cells"]
        return cells

    def theme(self, name: str) -> None:
        """Choose a theme, such as ``JupyterLab Dark``."""
        self.page.evaluate("theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})", name)
        self.page.wait_for_function("theme => document.body.dataset.jpThemeName === theme", arg=name)

    def screenshot(self, name: str) -> Path:
        """Leave a picture of the page in ``tests/artefacts``."""
        ARTEFACTS.mkdir(exist_ok=True)
        path = ARTEFACTS / f"{name}.png"
        self.page.screenshot(path=path)
        return path


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
