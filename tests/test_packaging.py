"""What a wheel holds: the three packages, whole, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = {
    "shoal": ROOT / "runtime/shoal",
    "shoal_widgets": ROOT / "widgets/shoal_widgets",
    "shoal_kernelext": ROOT / "kernelext/shoal_kernelext",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names of the files in a wheel of the checkout, its metadata apart."""
    target = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert built.returncode == 0, built.stderr
    (path,) = target.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def test_a_wheel_holds_exactly_the_three_packages(wheel: set[str]) -> None:
    expected = {
        f"{package}/{path.relative_to(folder).as_posix()}"
        for package, folder in PACKAGES.items()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert wheel == expected


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_is_typed(wheel: set[str], package: str) -> None:
    assert f"{package}/py.typed" in wheel


def test_the_views_bring_their_javascript(wheel: set[str]) -> None:
    assert any(name.startswith("shoal_widgets/") and name.endswith(".js") for name in wheel)
