"""The benchmark measures what is installed, names what is not, and its ratios point the right way."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = {"loky": "loky", "Ray": "ray", "Dask": "distributed", "ipyparallel": "ipyparallel"}


def benchmark(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    """What one short run printed, and what it wrote."""
    path = tmp_path_factory.mktemp("results") / "run.json"
    rows = ["--rows", "start", "task", "pss"]
    done = benchmark("--rounds", "1", "--peers", "shoal", "stdlib pool", "--json", str(path), *rows)
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(path.read_text())


def test_each_peer_has_its_values(run: tuple[str, dict[str, Any]]) -> None:
    _, report = run
    assert set(report["median"]) == {"shoal", "stdlib pool"}
    for values in report["median"].values():
        assert set(values) == {"start", "task", "pss"}
        assert all(value > 0 for value in values.values())


def test_the_table_tells_how_many_times_better_shoal_is(run: tuple[str, dict[str, Any]]) -> None:
    printed, report = run
    (line,) = (line for line in printed.splitlines() if line.startswith("one no-op task"))
    shown = float(line.rpartition("×")[2].replace(",", ""))
    values = report["median"]
    assert shown == pytest.approx(values["stdlib pool"]["task"] / values["shoal"]["task"], rel=0.06)


def test_what_is_not_installed_is_skipped_and_named(tmp_path: Path) -> None:
    missing = [name for name, package in PACKAGES.items() if not find_spec(package)]
    if not missing:
        pytest.skip("all peers are installed here")
    done = benchmark("--peers", *missing, "--json", str(tmp_path / "run.json"))
    assert done.returncode == 0
    for name in missing:
        assert f"skipped: {name} (not installed: pip install" in done.stdout


def test_a_mistyped_row_is_an_error_that_names_the_rows() -> None:
    done = benchmark("--rows", "tusk")
    assert done.returncode == 2
    assert "'task'" in done.stderr
