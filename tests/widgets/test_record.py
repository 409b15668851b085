from __future__ import annotations

import re
from base64 import b64decode
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from shoal.feed_rows import FAILED, PENDING_NODE, RUNNING, Counts, TaskRow
from shoal_widgets.ledger import CellSummary, Printed, summarise
from shoal_widgets.record import record

from .feeds import CELL, row, state_of, tasks

# What JupyterLab leaves of a notebook that is not trusted, as far as the record uses it.
KEPT_TAGS = set("details summary div span pre table thead tbody tr th td img".split())
KEPT_ATTRIBUTES = {"style", "alt", "src"}
MARK = "data-shoal"
"""Lost there, and of no use there: the live strip finds its record by it."""

nasty = st.one_of(
    st.text(max_size=100),
    st.sampled_from(
        [
            "<script>alert(1)</script>",
            '"><img src=x onerror=alert(1)>',
            "a & b",
            "</details></table>",
            "\x00\x1b[31m\ud800\n",
            "'",
        ]
    ),
)


class Structure(HTMLParser):
    """The tags with their attributes, and the text between them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.attributes: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    @property
    def words(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.text))


def summary_of(rows: list[TaskRow]) -> CellSummary:
    summary = summarise(state_of(rows), CELL)
    assert summary is not None
    return summary


def html_of(rows: list[TaskRow]) -> str:
    return record(summary_of(rows))["text/html"]


def images(structure: Structure) -> list[ElementTree.Element]:
    sources = [value for name, value in structure.attributes if name == "src"]
    head = "data:image/svg+xml;base64,"
    assert all(source.startswith(head) for source in sources)
    return [ElementTree.fromstring(b64decode(source[len(head) :])) for source in sources]


@given(tasks(nasty))
def test_an_untrusted_notebook_keeps_all_of_it(rows: list[TaskRow]) -> None:
    html = html_of([*rows, row("last")])
    structure = Structure(html)
    assert {tag for tag, _ in structure.tags} <= KEPT_TAGS
    assert {name for name, _ in structure.attributes} <= KEPT_ATTRIBUTES | {MARK}
    styles = [value for name, value in structure.attributes if name == "style"]
    assert not any(re.search(r"var\(|url\(|expression", style) for style in styles)


@given(nasty, nasty, nasty)
def test_names_are_text_and_nothing_else(name: str, error: str, worker: str) -> None:
    def rows(name: str, error: str, worker: str) -> list[TaskRow]:
        return [
            row("a", name=name, worker=worker),
            row("b", FAILED, name=name, worker=worker, error=error or "E"),
            row("c", RUNNING, name=name, worker=worker),
        ]

    hostile = Structure(html_of(rows(name, error, worker)))
    plain = Structure(html_of(rows("f", "E", "w")))
    assert hostile.tags == plain.tags


@given(nasty)
def test_the_timeline_is_an_image_whatever_its_workers_are_called(worker: str) -> None:
    state = state_of([row("a", worker=worker)])
    state.workers.clear()  # a worker the feed has forgotten goes by its id
    summary = summarise(state, CELL)
    assert summary is not None
    (image,) = images(Structure(record(summary)["text/html"]))
    assert image.tag.endswith("svg")


def test_html_and_plain_text_say_the_same() -> None:
    rows = [
        row("a", times=(0, 1, 3.25)),
        row("b", FAILED, name="divide", error="ZeroDivisionError", times=(0, 1, 2)),
        row("c", FAILED, name="divide", error="TaskCancelledError"),
        row("d", RUNNING),
        row("e", PENDING_NODE),
    ]
    bundle = record(summary_of(rows))
    words = Structure(bundle["text/html"]).words
    head = "1 of 5 tasks done · 1 running · 1 queued · 1 failed · 1 cancelled"
    assert head in words
    assert bundle["text/plain"].startswith(head)
    for told in (words, bundle["text/plain"]):
        assert "divide" in told and "ZeroDivisionError" in told


def test_what_is_unfinished_at_the_end_is_said() -> None:
    summary = summary_of([row("a"), row("b", RUNNING)])
    bundle = record(summary, closed=True)
    assert "1 of 2 tasks done · 1 unfinished when last seen" in bundle["text/plain"]
    assert "running" not in bundle["text/plain"]


def test_a_single_task_that_went_well_takes_few_words() -> None:
    assert record(summary_of([row("a", times=(0, 1, 2))]))["text/plain"] == "1 task done · 2.0 s"


def test_long_lists_are_cut_and_say_so() -> None:
    rows = [row(f"t{i}", name=f"f{i}", worker=f"w{i}") for i in range(40)]
    rows.append(row("bad", FAILED, name="rare", error="ValueError"))
    words = Structure(html_of(rows)).words
    assert "and 29 more functions" in words
    assert "and 28 more workers" in words
    assert "rare" in words  # what failed is not what is cut
    assert len(record(summary_of(rows))["text/plain"].splitlines()) < 20


def test_the_bar_is_divided_as_the_tasks_are() -> None:
    rows = [row("a"), row("b"), row("c", FAILED, error="E"), row("d", PENDING_NODE)]
    styles = " ".join(value for name, value in Structure(html_of(rows)).attributes if name == "style")
    assert re.findall(r"width:(\d+\.\d+)%", styles) == ["50.0000", "25.0000"]


def test_the_record_stays_small() -> None:
    rows = [
        row(f"t{i}", name=f"f{i % 50}", worker=f"w{i % 64}", times=(0, i / 100, i / 100 + 1)) for i in range(10_000)
    ]
    assert len(html_of(rows)) < 100_000


def test_lists_that_do_not_tell_of_all_tasks_say_so() -> None:
    state = state_of([row("a"), row("b")])
    whole = summarise(state, CELL)
    partial = summarise(replace(state, counts={(CELL, "square"): Counts(finished=30_000)}), CELL)
    assert whole is not None and partial is not None
    assert "the last" not in record(whole)["text/html"]
    words = Structure(record(partial)["text/html"]).words
    assert "30,000 tasks done" in words
    assert "the last 2 tasks" in words


@given(nasty)
def test_what_several_printed_folds_by_who_did(text: str) -> None:
    summary = summarise(state_of([row(RUNNING)]), CELL)
    assert summary is not None
    voices = (Printed("f pid=1", 1, "one"), Printed("g pid=2", 2000, text))
    html = record(replace(summary, printed=voices))["text/html"]
    structure = Structure(html)
    assert {tag for tag, _ in structure.tags} <= KEPT_TAGS
    words = "".join(structure.text)
    assert "f pid=1" in words and "2,000 lines" in words and "printed" in words
    assert "f pid=1" not in record(replace(summary, printed=voices[:1]))["text/html"]  # it stands in the cell
