"""What a wheel holds: the three packages, whole, JupyterLab's side panel, and nothing else."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import side_panel

ROOT = Path(__file__).parent.parent
PACKAGES = {
    "shoal": ROOT / "runtime/shoal",
    "shoal_widgets": ROOT / "widgets/shoal_widgets",
    "shoal_kernelext": ROOT / "kernelext/shoal_kernelext",
}


PANEL = "shoal-0.1.0.data/data/share/jupyter/labextensions/shoal-panel"
"""Goes to ``sys.prefix/share/…``, where JupyterLab looks."""


def build(kind: str, source: Path, target: Path) -> Path:
    """A wheel or sdist of a folder."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(target)]
    built = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=100)
    assert built.returncode == 0, built.stderr
    (path,) = target.iterdir()
    return path


def contents(wheel: Path) -> dict[str, bytes]:
    """The files in a wheel, its metadata apart."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What is in a wheel of the checkout."""
    return contents(build("wheel", ROOT, tmp_path_factory.mktemp("dist")))


def test_a_wheel_holds_exactly_the_three_packages_and_the_panel(wheel: dict[str, bytes]) -> None:
    expected = {
        f"{package}/{path.relative_to(folder).as_posix()}"
        for package, folder in PACKAGES.items()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in wheel if not name.startswith(f"{PANEL}/")} == expected


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_is_typed(wheel: dict[str, bytes], package: str) -> None:
    assert f"{package}/py.typed" in wheel


def test_the_views_bring_their_javascript(wheel: dict[str, bytes]) -> None:
    assert any(name.startswith("shoal_widgets/") and name.endswith(".js") for name in wheel)


def test_the_side_panel_is_where_jupyterlab_looks_for_it(wheel: dict[str, bytes]) -> None:
    package = json.loads(wheel[f"{PANEL}/package.json"])
    load = package["jupyterlab"]["_build"]["load"]
    assert {name for name in wheel if name.startswith(f"{PANEL}/")} == {f"{PANEL}/package.json", f"{PANEL}/{load}"}
    assert package["name"] == "shoal-panel" and b'"shoal-panel"' in wheel[f"{PANEL}/{load}"]


def test_another_panel_has_another_name_for_browsers_keep_what_they_have(tmp_path: Path) -> None:
    names = []
    for i in range(3):
        source = shutil.copytree(ROOT / "kernelext/labextension", tmp_path / f"source-{i}")
        if i == 2:
            (source / "panel.css").write_text(".shoal-p { color: red }")
        side_panel.build(source, tmp_path / f"made-{i}", "0")
        names += [path.name for path in (tmp_path / f"made-{i}/static").iterdir()]
    assert names[0] == names[1] != names[2]


def test_a_wheel_of_the_sdist_is_the_same(wheel: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "sdist").mkdir()
    (tmp_path / "wheel").mkdir()
    with tarfile.open(build("sdist", ROOT, tmp_path / "sdist")) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()
    assert contents(build("wheel", source, tmp_path / "wheel")) == wheel
