"""The extension in a real kernel, seen from a front end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from .kernels import Kernel


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    """A kernel whose cluster runs."""
    made = Kernel()
    made.run("%cluster start -n 2 --oversubscribe")
    yield made
    made.close()


def test_a_remote_cell_prints_shows_and_brings_back(kernel: Kernel) -> None:
    cell = kernel.run("%%remote\nimport os\nx = 5\nprint('hello')\nhere = os.getpid()\nx * 2")
    assert cell.text("stdout") == "hello\n"
    assert cell.first("execute_result")["data"] == {"text/plain": "10"}
    assert kernel.value("x, here != __import__('os').getpid()") == "(5, True)"


def test_a_dataframe_is_shown_as_a_table(kernel: Kernel) -> None:
    cell = kernel.run("%%remote\nimport pandas as pd\ndf = pd.DataFrame({'a': range(3)})\ndf")
    data = cell.first("execute_result")["data"]
    assert "<table" in data["text/html"] and "a" in data["text/plain"]
    kernel.run("df['b'] = 1")
    cell = kernel.run("%%remote\ndf['c'] = df.a + df.b")
    assert not cell.all("execute_result")
    assert kernel.value("list(df.c)") == "[1, 2, 3]"


def test_figures_left_open_are_shown_after_the_result(kernel: Kernel) -> None:
    cell = kernel.run("%%remote\nimport matplotlib.pyplot as plt\nplt.plot([1, 2]); plt.figure(); plt.plot([1])")
    figures = cell.all("display_data")
    assert len(figures) == 2 and all("image/png" in f["data"] for f in figures)
    kinds = [m["msg_type"] for m in cell.messages]
    last_figure = len(kinds) - 1 - kinds[::-1].index("display_data")
    assert kinds.index("execute_result") < last_figure


def test_a_figure_that_is_the_value_is_shown_once_and_show_shows_at_once(kernel: Kernel) -> None:
    cell = kernel.run("%%remote\nfig, ax = plt.subplots(); ax.plot([1])\nfig")
    assert "image/png" in cell.first("execute_result")["data"] and not cell.all("display_data")
    cell = kernel.run("%%remote\nprint('a')\nplt.plot([1]); plt.show()\nprint('b')")
    order = [m["msg_type"] for m in cell.messages if m["content"] in [*cell.all("stream"), *cell.all("display_data")]]
    assert order == ["stream", "display_data", "stream"]


def test_a_semicolon_keeps_the_value_to_itself(kernel: Kernel) -> None:
    assert not kernel.run("%%remote\n5;  # quiet").all("execute_result")


def test_both_streams_keep_their_order(kernel: Kernel) -> None:
    cell = kernel.run("""%%remote
import sys, os
for i in range(3):
    print("out", i)
    print("err", i, file=sys.stderr)
os.write(1, b"from below\\n")
!echo from a shell
print("end")""")
    assert cell.text("stderr") == "err 0\nerr 1\nerr 2\n"
    assert cell.text("stdout") == "out 0\nout 1\nout 2\nfrom below\nfrom a shell\nend\n"


def test_ten_thousand_lines_come_whole_and_in_few_messages(kernel: Kernel) -> None:
    cell = kernel.run("%%remote\nfor i in range(10_000): print(i)")
    assert cell.text("stdout") == "".join(f"{i}\n" for i in range(10_000))
    assert len(cell.all("stream")) < 200


def test_what_several_tasks_print_is_told_apart_and_folds(kernel: Kernel) -> None:
    kernel.run("""
import os, time, shoal
@shoal.remote
def says(folder, name, other):  # each waits for the other: they are two processes
    print("from", name)
    open(f"{folder}/{name}", "w").close()
    while not os.path.exists(f"{folder}/{other}"): time.sleep(0.01)
""")
    cell = kernel.run(
        "import tempfile\nwith tempfile.TemporaryDirectory() as d:\n"
        "    shoal.get([says.remote(d, 'a', 'b'), says.remote(d, 'b', 'a')])"
    )
    assert re.fullmatch(r"(\x1b\[3\dm\(says pid=\d+\)\x1b\[0m )?from [ab]\n.*pid=.* from [ab]\n", cell.text("stdout"))
    folded = kernel.run("%output").first("display_data")["data"]["text/html"]
    assert len(re.findall(r"<summary[^>]*>says pid=\d+ · 1 line<", folded)) == 2 and "from a" in folded
    assert sorted(kernel.run(f"%output {cell.count} --plain").text("stdout").splitlines()) == ["from a", "from b"]
    assert kernel.run("%output --plain --find 'm b'").text("stdout") == "from b\n"


def test_of_a_flood_a_cell_shows_the_beginning_and_the_latest(kernel: Kernel) -> None:
    kernel.run("@shoal.remote\ndef flood():\n    for i in range(30_000): print('line', i)")
    cell = kernel.run("shoal.get(flood.remote())")
    assert cell.text("stdout").count("\n") == 10_000
    asides = [m["content"] for m in cell.messages if "aside" in str(m["content"].get("transient"))]
    words = asides[-1]["data"]["text/plain"]
    assert words.startswith(f"20,000 more lines were left out here (%output {cell.count} has them)")
    assert words.endswith("line 29999")
    assert kernel.run(f"%output {cell.count} --plain --find 29998").text("stdout") == "line 29998\n"


def test_work_of_two_cells_in_flight_prints_in_its_own_cell(kernel: Kernel, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    kernel.run(f"""
import shoal, time, os
gate = {str(gate)!r}
@shoal.remote(num_cpus=0)
def talk(word):
    print(word, "begins")
    deadline = time.monotonic() + 30
    while not os.path.exists(gate):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    print(word, "ends")
    return word
""")
    first = kernel.run("a = talk.remote('first')\nprint('launched')")
    second = kernel.cell(kernel.send("b = talk.remote('second')\nshoal.get([a, b])"))
    kernel.wait(lambda: "begins" in first.text("stdout") and "begins" in second.text("stdout"))
    assert first.ended and not second.ended
    gate.touch()
    kernel.wait(lambda: second.ended and "ends" in first.text("stdout"))
    assert first.text("stdout") == "launched\nfirst begins\nfirst ends\n"
    assert second.text("stdout") == "second begins\nsecond ends\n"
    assert second.first("execute_result")["data"]["text/plain"] == "['first', 'second']"


def test_what_tasks_print_comes_before_what_is_shown_of_them(kernel: Kernel) -> None:
    kernel.run("import shoal\n@shoal.remote\ndef say(): print('said'); return 7")
    cell = kernel.run("shoal.get(say.remote())")
    assert [m["msg_type"] for m in cell.messages][-3:-1] == ["stream", "execute_result"]
    cell = kernel.run("print('first'); shoal.get(say.remote()); print('last')")
    assert cell.text("stdout") == "first\nsaid\nlast\n"


def test_display_from_a_worker_arrives_in_order(kernel: Kernel) -> None:
    cell = kernel.run("""%%remote
from IPython.display import HTML, display as show
print("before")
display(HTML("<b>one</b>"))
handle = show("two", display_id=True)
print("after")
handle.update("three")""")
    shown = [m for m in cell.messages if m["content"] in cell.all("stream") + cell.all("display_data")]
    assert [m["msg_type"] for m in shown] == ["stream", "display_data", "display_data", "stream"]
    assert shown[1]["content"]["data"]["text/html"] == "<b>one</b>"
    (update,) = cell.all("update_display_data")
    assert update["data"]["text/plain"] == "'three'"
    assert update["transient"] == shown[2]["content"]["transient"] != {}


def test_plain_tasks_and_actors_display_and_plot_in_their_cell(kernel: Kernel) -> None:
    kernel.run("""
import shoal
@shoal.remote
def shows():
    import matplotlib.pyplot as plt
    from IPython.display import HTML
    print('a'); display(HTML('<b>b</b>')); plt.plot([1]); plt.show(); print('c'); plt.plot([2])
@shoal.remote
class Shows:
    def __init__(self): self.handle = display({'text/plain': '0'}, raw=True, display_id='of an actor')
    def count(self): self.handle.update({'text/plain': '1'}, raw=True)
""")
    cell = kernel.run("shoal.get(shows.remote())")
    order = [m["msg_type"] for m in cell.messages if m["content"] in [*cell.all("stream"), *cell.all("display_data")]]
    assert order == ["stream", "display_data", "display_data", "stream", "display_data"]
    assert ["image/png" in c["data"] for c in cell.all("display_data")] == [False, True, True]
    assert not kernel.run("shoal.get(shoal.remote(lambda: None).remote())").all("display_data")
    kernel.run("shows = Shows.remote()")
    cell = kernel.run("shoal.get(shows.count.remote())")
    assert cell.first("update_display_data")["transient"] == {"display_id": "of an actor"}


def test_capture_takes_what_workers_print(kernel: Kernel) -> None:
    cell = kernel.run("%%capture taken\nprint('here')\n%remote print('there')")
    assert cell.streams == ""
    assert kernel.value("taken.stdout") == repr("here\nthere\n")


def test_a_magic_may_stand_above(kernel: Kernel) -> None:
    assert "Wall time" in kernel.run("%%time\n%%remote\nx = 1").streams
    assert "----> 3 1 / 0" in kernel.run("%%time\n%%remote\n1 / 0").traceback


def test_an_expression_comes_back_as_its_value(kernel: Kernel) -> None:
    kernel.run("base = 3")
    assert kernel.value("%remote {'sum': base + 1}") == "{'sum': 4}"
    kernel.run("got = %remote --cpus 1 [base] * 2")
    assert kernel.value("got") == "[3, 3]"


def test_an_error_shows_the_cell_and_the_users_frames_only(kernel: Kernel) -> None:
    kernel.run("def invert(x):\n    return 1 / x")
    cell = kernel.run("%%remote\nkept = 'before'\n\ninvert(0)")
    error = cell.first("error")
    assert (error["ename"], error["evalue"]) == ("ZeroDivisionError", "division by zero")
    text = cell.traceback
    assert f"Cell In[{cell.count}], line 4" in text and "----> 4 invert(0)" in text
    assert f"Cell In[{cell.count - 1}], line 2, in invert" in text and "----> 2     return 1 / x" in text
    assert "shoal" not in text and ".py" not in text
    assert kernel.value("kept") == "'before'"


def test_no_frame_of_ours_is_shown_whatever_the_error(kernel: Kernel) -> None:
    kernel.run("""
import shoal
@shoal.remote
def fails(x): return 1 / x
@shoal.remote
def asks(x): return shoal.get(fails.remote(x))
@shoal.remote
def several(): raise ExceptionGroup("both", [ValueError("a"), KeyError("b")])
@shoal.remote
class Fails:
    def __init__(self): 1 / 0
    def method(self): pass
""")
    nested = kernel.run("shoal.get(asks.remote(0))")
    cause = kernel.run("try: shoal.get(fails.remote(0))\nexcept Exception as e: raise RuntimeError('mine') from e")
    group = kernel.run("shoal.get(several.remote())")
    actor = kernel.run("shoal.get(Fails.remote().method.remote())")
    said = [cell.first("error")["ename"] for cell in (nested, cause, group, actor)]
    assert said == ["ZeroDivisionError", "RuntimeError", "ExceptionGroup", "ActorDiedError"]
    for cell in (nested, cause, group, actor):
        assert not re.search(r"\bruntime/shoal|kernelext|/tmp/ipykernel|interactiveshell", cell.traceback)
    assert re.search(r"in asks\n.*shoal.get[^Z]*Zero.*\n\nRaised in fails[^Z]*in fails\n.*1 / x\n", nested.traceback)
    assert "direct cause" in cause.traceback and cause.traceback.endswith("RuntimeError: mine")
    assert "1 of 2" in group.traceback and "in several\n" in group.traceback
    assert "def __init__(self): 1 / 0" in actor.traceback


def test_debug_opens_the_frames_of_the_task_that_failed(kernel: Kernel) -> None:
    kernel.run("""
import shoal
def half(z):
    inner = [z, z + 1]
    return inner[2]
@shoal.remote
def halves(x): return half(x * 2)
""")
    kernel.run("failed = halves.remote(4)\nshoal.get(failed)")
    said = kernel.debug("%debug", "p inner", "up", "p x")
    assert "return inner[2]" in said and "[8, 9]" in said and "\n4\n" in said
    assert "[8, 9]" in kernel.debug("shoal.post_mortem(failed)", "p inner")
    kernel.run("%%remote\ny = 7\nhalf(y)")
    assert "[7, 8]" in kernel.debug("%debug", "p inner", "up", "p y")
    kernel.run("%xmode Verbose")
    assert "In half (Cell In[" in (cell := kernel.run("shoal.get(failed)")).traceback
    assert "    inner = [8, 9]" in cell.traceback
    kernel.run("%xmode Context\n1 / 0")
    assert "1 / 0" in kernel.debug("%debug")  # an error of the notebook's own


def test_an_error_of_a_task_shows_where_in_which_cell(kernel: Kernel) -> None:
    cell = kernel.run("@shoal.remote\ndef bad(x):\n    return 1 / x\n\nshoal.get(bad.remote(0))")
    text = cell.traceback
    assert "----> 5 shoal.get(bad.remote(0))" in text
    assert f"Cell In[{cell.count}], line 3, in bad" in text and "return 1 / x" in text
    assert "engines" not in text and "api.py" not in text


@pytest.mark.parametrize(
    ("code", "name", "words"),
    [
        ("%%remote\nx = 1\nprint(x", "SyntaxError", "----> 3 print\\(x\n *\\^.*'\\(' was never closed"),
        ("%%remote\nx = 1\n  y = 2", "IndentationError|SyntaxError", "----> 3   y = 2"),
        ("%%remote\nreturn 5", "SyntaxError", "----> 2 return 5.*outside function"),
        ("%%remote\nx = nowhere + 1", "NameError", "----> 2 x = nowhere.*'nowhere' is not defined"),
        ("gen = (i for i in 'a')\n%remote next(gen)", "SerializationError", "----> 2 .*'gen' cannot be sent"),
        ("%%remote\nx = 1\n%timeit x", "UsageError", "----> 3 %timeit x.*put %%timeit on a line above"),
        ("%%remote\nif 1:\n    %matplotlib inline", "UsageError", "----> 3 .*leave the line out"),
        ("%%remote\n%unheard_of", "UsageError", "cell of its own"),
        ("%%remote\nraise SystemExit(2)", "SystemExit", "2"),
        ("%%remote\nimport os\nos._exit(3)", "WorkerCrashedError", "died"),
        ("%%remote\nraise ExceptionGroup('many', [ValueError(1)])", "ExceptionGroup", "line 2.*1 of 1.*ValueError: 1"),
        ("%%remote\neval('1 +')", "SyntaxError", "----> 2 eval.*invalid syntax"),
    ],
)
def test_bad_cells_are_told_at_their_line(kernel: Kernel, code: str, name: str, words: str) -> None:
    cell = kernel.run(code)
    assert re.fullmatch(name, cell.first("error")["ename"])
    assert re.search(words, cell.traceback, re.DOTALL), cell.traceback
    assert "shoal_kernelext" not in cell.traceback
    assert kernel.value("%remote 1 + 1") == "2"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("%%remote --fast\n1", "unrecognized arguments: --fast.*--cpus N"),
        ("%%remote --cpus many\n1", "invalid float value.*Use it so"),
        ("%%remote --cpus 99\n1", "more than the 2 CPUs.*%cluster start -n N"),
        ("%%remote --cpus -1\n1", "below zero"),
        ("%remote", "nothing to run"),
        ("%remote --fast 1", "unrecognized arguments"),
        ("%cluster start -n 0", "-n 0 makes no cluster: give 1 or more"),
        ("%cluster start -n 4096", "more than the .* CPUs there are"),
        ("%cluster start -n two", "invalid int value.*Use it so"),
        ("%cluster start -n 1", "already: run %cluster stop first"),
        ("%cluster redo", "knows no 'redo'"),
        ("%cluster scale", "needs a number"),
        ("%cluster connect nobody", "run %cluster stop first"),
        ("%cluster stop now", "no cluster named 'now' runs"),
        ("%cluster status -n 3", "sizes are for %cluster start"),
    ],
)
def test_bad_options_are_told_with_the_cure(kernel: Kernel, code: str, words: str) -> None:
    cell = kernel.run(code)
    assert re.search("UsageError: .*" + words, cell.text("stderr")), cell.text("stderr")


def test_what_cannot_come_back_is_said_and_holds_back_nothing(kernel: Kernel) -> None:
    cell = kernel.run("%%remote\nimport sqlite3\nlink = sqlite3.connect(':memory:'); fine = 4")
    assert "'link' stays on the worker: cannot pickle 'sqlite3.Connection'" in cell.text("stderr")
    assert kernel.value("fine") == "4"


def test_a_remote_cell_leaves_a_record(kernel: Kernel) -> None:
    cell = kernel.run("%%remote\nimport time\ntime.sleep(0.5)")
    kernel.wait(lambda: cell.records and "1 task done" in cell.records[-1])


def test_a_plain_cell_gets_its_view_when_its_work_lasts(kernel: Kernel) -> None:
    quick = kernel.run("shoal.get([shoal.remote(lambda: 1).remote() for _ in range(3)])")
    slow = kernel.run("import time\nshoal.get([shoal.remote(lambda: time.sleep(0.4)).remote() for _ in range(4)])")
    kernel.wait(lambda: slow.records and slow.records[-1].startswith("4 tasks done"))
    assert not quick.records


def test_interrupt_stops_the_work_and_the_next_cell_runs(kernel: Kernel) -> None:
    cell = kernel.cell(kernel.send("%%remote\nimport time\nprint('asleep')\ntime.sleep(60)"))
    kernel.wait(lambda: "asleep" in cell.text("stdout"))
    kernel.interrupt()
    kernel.wait(lambda: cell.ended)
    assert cell.first("error")["ename"] == "KeyboardInterrupt" and "engines" not in cell.traceback
    assert "stopped 1 task of this cell" in cell.text("stderr")
    assert kernel.value("%remote 6 * 7") == "42"


def test_interrupt_stops_what_a_plain_cell_launched(kernel: Kernel) -> None:
    kernel.run("""
@shoal.remote
def stubborn():
    print("stubborn")
    while True:
        try: time.sleep(60)
        except BaseException: pass
""")
    cell = kernel.cell(kernel.send("shoal.get([stubborn.remote() for _ in range(4)])"))
    kernel.wait(lambda: "stubborn" in cell.text("stdout"))
    kernel.interrupt()
    kernel.wait(lambda: cell.ended)
    assert cell.first("error")["ename"] == "KeyboardInterrupt" and "shield" not in cell.traceback
    assert "stopped 4 tasks" in cell.text("stderr")
    assert kernel.value("%remote 1") == "1"


def test_the_cell_is_told_by_its_id(kernel: Kernel) -> None:
    message = kernel.client.session.msg(
        "execute_request",
        {"code": "__import__('shoal').context.get_cell()", "silent": False, "store_history": True,
         "user_expressions": {}, "allow_stdin": False, "stop_on_error": True},
        metadata={"cellId": "vscode-notebook-cell:/a/b.ipynb#W1s%3D"},
    )  # fmt: skip
    kernel.client.shell_channel.send(message)
    cell = kernel.cell(message["header"]["msg_id"])
    kernel.wait(lambda: cell.ended)
    parts = cell.first("execute_result")["data"]["text/plain"].strip("'").split("/")
    assert len(parts) == 3 and parts[1] == "W1s_3D" and parts[2] == str(cell.count)
