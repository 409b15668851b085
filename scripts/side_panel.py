"""Puts JupyterLab's side panel into the wheel: its files in one script, whose name has the hash of its content.

A browser keeps such a script for ever, so another content needs another name. There is nothing to compile: what
JupyterLab loads is a container of Webpack's module federation, and that is a few lines by hand (`container.js`).
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NAME = "shoal-panel"
PLACE = f"share/jupyter/labextensions/{NAME}"
"""Where JupyterLab looks for it, below ``sys.prefix`` or a folder of JUPYTER_PATH."""
CONTROL = Path(__file__).parent.parent / "widgets/shoal_widgets/control.js"
"""What the panel has in common with the widgets."""
SOURCES = ("elements.js", "link.js", "notebook.js", "panel.js", "plugin.js", "container.js")
"""In the order in which they use each other."""


def build(source: Path, target: Path, version: str) -> None:
    """Write the extension whose files are in `source` into the folder `target`, which is made."""
    style = json.dumps((source / "panel.css").read_text("utf-8"))
    icon = json.dumps((source / "icon.svg").read_text("utf-8"))
    parts = [f"const STYLE = {style};\nconst ICON = {icon};\n"]
    parts.append(CONTROL.read_text("utf-8"))
    parts += [(source / name).read_text("utf-8") for name in SOURCES]
    body = "\n".join(parts)
    script = f'(window._JUPYTERLAB = window._JUPYTERLAB || {{}})["{NAME}"] = (() => {{\n{body}\n}})();\n'
    load = f"static/remoteEntry.{hashlib.sha256(script.encode()).hexdigest()[:16]}.js"
    (target / "static").mkdir(parents=True)
    (target / load).write_text(script, "utf-8")
    package = {
        "name": NAME,
        "version": version,
        "description": "Clusters of shoal beside the notebook",
        "license": "Apache-2.0",
        "jupyterlab": {"extension": True, "_build": {"load": load, "extension": "./extension"}},
    }
    (target / "package.json").write_text(json.dumps(package, indent=2) + "\n", "utf-8")


class PanelHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the panel to each wheel, an editable one as well: there it is a copy of the moment."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        self._folder = tempfile.TemporaryDirectory()
        made = Path(self._folder.name) / NAME
        build(Path(self.root) / "kernelext/labextension", made, self.metadata.version)
        build_data["shared_data"][str(made)] = PLACE

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        self._folder.cleanup()
