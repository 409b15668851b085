"""The tour runs from top to bottom, and finds what it says."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from headless import CellReport, run

TOUR = Path(__file__).parent.parent / "notebooks/01_tour.ipynb"


@pytest.fixture(scope="module")
def reports() -> dict[str, CellReport]:
    """What each code cell of the tour did, by the cell's id."""
    cells = nbformat.read(TOUR, as_version=4).cells
    ids = [cell.id for cell in cells if cell.cell_type == "code"]
    reports = run(TOUR, lambda report: None)
    return dict(zip(ids, reports, strict=False))


@pytest.mark.timeout(300)
def test_every_cell_runs(reports: dict[str, CellReport]) -> None:
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
def test_it_finds(reports: dict[str, CellReport], cell: str, finding: str) -> None:
    assert re.search(finding, reports[cell].text), reports[cell].text


def test_an_error_shows_the_users_lines_and_not_ours(reports: dict[str, CellReport]) -> None:
    assert not re.search(r"shoal(_kernelext)?/\w+\.py", reports["error"].text)


def test_the_tour_is_kept_without_outputs() -> None:
    cells = nbformat.read(TOUR, as_version=4).cells
    assert [cell.id for cell in cells if cell.get("outputs") or cell.get("execution_count")] == []
