"""What several tasks print in one cell: told apart, whole lines, bars that stay readable, floods that end."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shoal_kernelext.archive import OVERHEAD, Archive
from shoal_kernelext.aside import aside
from shoal_kernelext.limits import Limits
from shoal_kernelext.transcript import RECENT, TAIL, Transcript


def said(pieces: list[tuple[str, str]], limits: Limits | None = None, stream: str = "stdout") -> tuple[str, Transcript]:
    """All that is shown of (voice, text), which come at once."""
    made = Transcript("In[1]", limits or Limits(), colors=False)
    for voice, _ in pieces:
        made.meet(voice)
    return "".join(made.show(voice, "t", stream, text) for voice, text in pieces), made


def test_one_voice_shows_as_it_is() -> None:
    assert said([("f", "a"), ("f", "b\n\rc\rd")])[0] == "ab\n\rc\rd"


def test_several_have_their_names_before_whole_lines_and_the_cell_itself_none() -> None:
    shown, _ = said([("f pid=1", "a"), ("g pid=2", "b\nc\n"), ("f pid=1", "d\n"), ("In[1] pid=3", "mine\n")])
    assert shown == "(g pid=2) b\n(g pid=2) c\n(f pid=1) ad\nmine\n"
    assert said([("f", "a\n"), ("g", "b\n")], Limits(names=False))[0] == "a\nb\n"


def test_a_line_that_was_begun_alone_is_ended_when_a_second_voice_comes() -> None:
    made = Transcript("In[1]", Limits(), colors=False)
    made.meet("f")
    assert made.show("f", "t", "stdout", "a") == "a"
    made.meet("g")
    assert made.show("g", "u", "stdout", "b\n") == "\n(g) b\n"
    assert made.show("f", "t", "stdout", "c\n") == "(f) c\n"


def test_a_line_without_an_end_is_shown_when_its_task_is_over() -> None:
    assert said([("f", "a\n"), ("g", "b"), ("g", ""), ("f", "")])[0] == "(f) a\n(g) b\n"


def test_bars_of_several_tasks_stand_apart_until_they_end() -> None:
    shown, made = said([("f", "\r 1%"), ("g", "\r 3%"), ("f", "\r 2%"), ("g", "\r 4%\r")], stream="stderr")
    assert shown == "" and made.bars == [("f", " 2%"), ("g", " 4%")]
    assert aside(made, "1")["text/plain"] == "f   2%\ng   4%"
    assert made.show("f", "t", "stderr", "\r99%\n") == "(f) 99%\n"
    assert made.bars == [("g", " 4%")]


def test_a_bar_that_one_task_began_alone_is_wiped_out_when_another_comes() -> None:
    made = Transcript("In[1]", Limits(), colors=False)
    made.meet("f")
    assert made.show("f", "t", "stderr", "\r 1%") == "\r 1%"
    made.meet("g")
    assert made.show("g", "u", "stderr", "\r 1%") == "\r    \r"
    assert made.show("f", "t", "stderr", "\r 2%") == ""
    assert [line for _, line in made.bars] == [" 1%", " 2%"]


def test_of_a_flood_the_first_lines_and_the_latest_are_shown() -> None:
    lines = [f"line {i}\n" for i in range(100)]
    shown, made = said([("f", "".join(lines[:30])), ("f", "".join(lines[30:]))], Limits(lines=50))
    assert shown == "".join(lines[:50]) and made.left == 50
    words = aside(made, "7")["text/plain"]
    assert words.startswith("50 more lines were left out here (%output 7 has them)")
    assert words.endswith("\n".join(f"    line {i}" for i in range(100 - TAIL, 100)))
    assert made.show("f", "t", "stderr", "an error\n") == "an error\n"  # it has room of its own


def test_the_latest_lines_of_each_voice_are_remembered() -> None:
    _, made = said([("f", "a\nb"), ("g", "\x1b[31mred\x1b[0m\n"), ("f", "c\n" + "d\n" * 30), ("f", "no end")])
    f, g = made.voices.values()
    assert (f.lines, list(f.recent)) == (32, ["d"] * RECENT) and list(g.recent) == ["red"]


def test_a_bar_never_fills_a_cell() -> None:
    shown, made = said([("f", f"\r{i:>90}") for i in range(1000)], Limits(lines=10))
    assert len(shown) == 91_000 and not made.left


@given(
    st.lists(st.tuples(st.sampled_from("fg"), st.text("ab\n", min_size=1, max_size=4)), max_size=30), st.integers(0, 12)
)  # fmt: skip
def test_no_line_is_lost_or_changes_its_place_among_its_voice(pieces: list[tuple[str, str]], room: int) -> None:
    ended = [*pieces, ("f", ""), ("g", "")]
    shown, made = said(ended, Limits(lines=room))
    for voice in "fg":
        text = "".join(t for v, t in pieces if v == voice)
        lines = text.splitlines()
        mine = [line[4:] for line in shown.splitlines() if line.startswith(f"({voice})")]
        assert mine == lines[: len(mine)] and len(mine) + made.voices[voice].left == len(lines)
    assert shown.count("\n") <= room


def test_the_archive_has_all_and_a_flood_drives_out_no_other_cell() -> None:
    archive = Archive(room=20 * OVERHEAD)
    archive.add("s//1", "f", "stdout", "small\n")
    for i in range(200):
        archive.add("s//2", "g", "stdout", f"line {i}\n")
    first, second = archive.find(1), archive.find()
    assert first is not None and list(first.lines()) == [("f", "small")]
    assert second is not None and second.cell == "s//2"
    kept = [line for _, line in second.lines()]
    assert kept[-1] == "line 199" and len(kept) + second.lost == 200
    assert archive.find(3) is None and archive.numbers() == [1, 2]


def test_the_archive_tells_streams_and_bars_apart() -> None:
    archive = Archive(room=10_000)
    parts: list[Any] = [("stderr", "\r 1%"), ("stdout", "done\n"), ("stderr", "\r100%\n"), ("stdout", "no end")]
    for stream, text in parts:
        archive.add("s//1", "f", stream, text)
    found = archive.find()
    assert found is not None and [line for _, line in found.lines()] == ["done", "100%", "no end"]
