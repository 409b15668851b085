"""The notebooks run from top to bottom, and find what they say."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from headless import CellReport, run

FOLDER = Path(__file__).parent.parent / "notebooks"
TOUR, VIEWS = FOLDER / "01_tour.ipynb", FOLDER / "02_cells_and_views.ipynb"
Reports = dict[str, CellReport]
"""What each code cell did, by the cell's id."""


def reports_of(notebook: Path) -> Reports:
    cells = nbformat.read(notebook, as_version=4).cells
    ids = [cell.id for cell in cells if cell.cell_type == "code"]
    return dict(zip(ids, run(notebook, lambda report: None), strict=False))


@pytest.fixture(scope="module")
def tour() -> Reports:
    return reports_of(TOUR)


@pytest.fixture(scope="module")
def views() -> Reports:
    return reports_of(VIEWS)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["tour", "views"])
def test_every_cell_runs(name: str, request: pytest.FixtureRequest) -> None:
    reports: Reports = request.getfixturevalue(name)
    unexpected = {name: report.text for name, report in reports.items() if not report.expected}
    assert unexpected == {}
    assert list(reports)[-1] == "stop"


@pytest.mark.parametrize(
    ("cell", "finding"),
    [
        ("first-remote", "a process of its own: True"),
        ("names-came-back", r"mean = 4\.20, history = \['mean of 5 samples'\]"),
        ("remote-line-code", r"96\.08"),
        ("live-output", "(?s)step 1 of 3.*step 2 of 3.*step 3 of 3.*and a shell command"),
        ("table", r"(?s)digit.*0 +178"),
        ("figure", "<Figure size 800x140 with 8 Axes>"),
        ("count-remote", r"[\d,]+ words in [\d.]+ s on [\d.]+ CPUs"),
        ("count-remote", r"most imported modules: sys \(\d+\)"),
        ("put-get", "writeable: False"),
        ("grid-remote", r"best accuracy: 0\.97"),
        ("grid-table", r"(?s)gamma.*0\.9733"),
        ("actor", r"\d files seen, the longest so far is \S+ with [\d,]+ lines"),
        ("error", "ZeroDivisionError"),
        ("error", r"-> 3 shares = \[12 / portion for portion in portions\]"),
        ("error-caught", "is a ZeroDivisionError"),
        ("timeline", r"\d+\.\d+ s  count"),
    ],
)
def test_the_tour_finds(tour: Reports, cell: str, finding: str) -> None:
    assert re.search(finding, tour[cell].text), tour[cell].text


@pytest.mark.parametrize(
    ("cell", "finding"),
    [
        ("loop", r"texts\[3\]: FileNotFoundError"),
        ("retry-code", "'NORTH', 'SOUTH', 'EAST', 'WEST'"),
        ("bg-why", r"In\[\d+\]\(\) "),
        ("bg-get", "42"),
        ("keep-shown", "ndarray of float64 2,000 × 1,000, 16.0 MB, on the cluster"),
        ("keep-used", r"\(\(2000, 1000\), True\)"),
        ("keep-who", "the variable matrix"),
        ("on-read", r"\['a', 'b', 'c'\]"),
        ("closure-cell", r"lock +global +lock .*cannot be pickled"),
        ("tasks", "work In.*40 tasks done"),
        ("objects", "objects? · .* committed"),
        ("doctor-cell", "the cluster's hub"),
    ],
)
def test_the_page_on_cells_and_views_finds(views: Reports, cell: str, finding: str) -> None:
    assert re.search(finding, views[cell].text), views[cell].text


def test_an_error_shows_the_users_lines_and_not_ours(tour: Reports) -> None:
    assert not re.search(r"shoal(_kernelext)?/\w+\.py", tour["error"].text)


@pytest.mark.parametrize("notebook", [TOUR, VIEWS])
def test_notebooks_are_kept_without_outputs(notebook: Path) -> None:
    cells = nbformat.read(notebook, as_version=4).cells
    assert [cell.id for cell in cells if cell.get("outputs") or cell.get("execution_count")] == []
