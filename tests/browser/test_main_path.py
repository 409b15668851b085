"""The way a person goes, in a real JupyterLab: load, run, watch, cancel, interrupt, reopen."""

from __future__ import annotations

import pytest

from .conftest import Gates, Open
from .lab import WIDGET, Notebook, wait_for

pytestmark = pytest.mark.browser

LOAD = "%load_ext shoal"
REMOTE_ADD = "%%remote\nprint('added remotely')\ntotal = 40 + 2\ntotal"


def progress(notebook: Notebook, i: int) -> tuple[int, int]:
    """Tasks ended and all tasks, as the progress bar tells a screen reader."""
    bar = notebook.strip(i).get_by_role("progressbar")
    now, most = bar.get_attribute("aria-valuenow"), bar.get_attribute("aria-valuemax")
    return int(now or 0), int(most or 0)


def fan_out(gates: Gates, many: int) -> str:
    """A cell that waits in ``shoal.get`` for `many` tasks, each behind a gate of its own."""
    return (
        f"import shoal\n{gates.code}\n"
        "step = shoal.remote(num_cpus=0)(wait_at)\n"
        f"shoal.get([step.remote(i) for i in range({many})])\n"
    )


def test_output_and_values_come_back_to_the_cell(open_notebook: Open) -> None:
    notebook = open_notebook([LOAD, REMOTE_ADD, "total + 1"])
    assert notebook.run(0) == []
    notebook.run(1)
    wait_for(lambda: len(notebook.outputs(1)) == 3, "output, value and record")
    told = [text for text in notebook.outputs(1) if "task done" not in text]  # the record comes when work takes a while
    assert told == ["added remotely", "42"]
    assert notebook.run(2) == ["43"]


def test_the_doctor_hears_of_a_page_and_tells_in_a_table(open_notebook: Open, gates: Gates) -> None:
    bare = f"import shoal\n{gates.code}\nref = shoal.remote(num_cpus=0)(wait_at).remote('A')"
    notebook = open_notebook([LOAD, bare, "%cluster doctor", "%who_holds ref"])
    notebook.run(0)
    notebook.run(1)
    wait_for(lambda: notebook.strip(1).count(), "the live view")
    notebook.run(2)
    notebook.run(3)
    rows = notebook.cell(2).get_by_role("row")
    front = rows.filter(has_text="front end").inner_text()
    assert "a page that shows widgets is there" in front and front.startswith("ok")
    holders = notebook.cell(3).get_by_role("table").inner_text()
    assert "the variable ref\tthis process" in holders
    gates.open("A")


def test_output_stays_in_its_cell_while_others_run(open_notebook: Open, gates: Gates) -> None:
    talk = (
        f"import shoal\n{gates.code}\n"
        "@shoal.remote(num_cpus=0)\n"
        "def talk(name):\n"
        "    print(name, 'begins')\n"
        "    wait_at(name)\n"
        "    print(name, 'ends')\n"
    )
    notebook = open_notebook([LOAD, talk, "first = talk.remote('A')", "shoal.get(talk.remote('B'))"])
    for i in range(3):
        notebook.run(i)
    notebook.start(3)
    wait_for(lambda: gates.reached("A") and gates.reached("B"), "both run")
    gates.open("A")
    wait_for(lambda: "A ends" in "\n".join(notebook.outputs(2)), "A's last line in A's cell")
    assert notebook.prompt(3) == "[*]:"
    gates.open("B")
    notebook.wait_until_done(3)
    wait_for(lambda: "B ends" in "\n".join(notebook.outputs(3)), "B's last line in B's cell")
    a, b = ("\n".join(notebook.outputs(i)) for i in (2, 3))
    # A view may stand between the two lines: it opens when work lasts.
    assert 0 <= a.find("A begins") < a.find("A ends") and "B" not in a.replace("Bytes", "")
    assert 0 <= b.find("B begins") < b.find("B ends") and "A " not in b


def test_the_view_moves_while_the_kernel_is_blocked(open_notebook: Open, gates: Gates) -> None:
    notebook = open_notebook([LOAD, fan_out(gates, 4)])
    notebook.run(0)
    notebook.start(1)
    notebook.strip(1).wait_for()
    wait_for(lambda: progress(notebook, 1) == (0, 4), "four tasks, none ended")
    assert not notebook.record(1).is_visible()  # one view at a time
    for ended in (1, 2, 3):
        gates.open(ended - 1)
        wait_for(lambda: progress(notebook, 1) == (ended, 4), f"{ended} ended")  # noqa: B023
        assert notebook.prompt(1) == "[*]:"
    notebook.screenshot("view-runs")
    gates.open(3)
    notebook.wait_until_done(1)
    notebook.record(1).wait_for()
    assert notebook.told(1).startswith("4 tasks done")
    assert "[0, 1, 2, 3]" in notebook.outputs(1)
    assert notebook.strip(1).count() == 0


def test_the_record_stays_in_the_saved_notebook(open_notebook: Open, gates: Gates) -> None:
    notebook = open_notebook([LOAD, fan_out(gates, 3)])
    notebook.run(0)
    notebook.start(1)
    notebook.strip(1).wait_for()
    gates.open(0, 1, 2)
    notebook.wait_until_done(1)
    notebook.record(1).wait_for()
    saved = notebook.save()
    assert WIDGET not in str(saved)
    assert "3 tasks done" in str(saved[1]["outputs"])
    notebook.reopen_without_kernel()
    assert notebook.told(1).startswith("3 tasks done")
    assert "rror" not in "\n".join(notebook.outputs(1))
    notebook.record(1).locator("summary").click()
    notebook.record(1).get_by_role("img", name="Timeline: 3 tasks done").wait_for()
    assert notebook.record(1).get_by_role("cell", name="wait_at").is_visible()
    notebook.screenshot("record-reopened")


def test_cancel_stops_the_work_while_the_cell_runs(open_notebook: Open, gates: Gates) -> None:
    notebook = open_notebook([LOAD, fan_out(gates, 3), REMOTE_ADD])
    notebook.run(0)
    notebook.start(1)
    notebook.strip(1).wait_for()
    wait_for(lambda: all(gates.reached(i) for i in range(3)), "all run")
    notebook.strip(1).get_by_role("button", name="Cancel").click()
    notebook.wait_until_done(1)
    notebook.record(1).wait_for()
    wait_for(lambda: "3 cancelled" in notebook.told(1), "the record says so")
    assert "TaskCancelledError" in "\n".join(notebook.outputs(1))
    notebook.screenshot("view-cancelled")
    notebook.run(2)
    assert "42" in notebook.outputs(2)


def test_interrupt_stops_a_remote_cell(open_notebook: Open) -> None:
    notebook = open_notebook([LOAD, "%%remote\nimport time\ntime.sleep(60)", REMOTE_ADD])
    notebook.run(0)
    notebook.start(1)
    notebook.strip(1).wait_for()
    notebook.interrupt()
    notebook.wait_until_done(1, seconds=20)
    assert "KeyboardInterrupt" in "\n".join(notebook.outputs(1))
    wait_for(lambda: "1 cancelled" in notebook.told(1), "the record says so")
    notebook.run(2)
    assert "42" in notebook.outputs(2)


def test_a_kernel_restart_leaves_nothing_broken(open_notebook: Open, gates: Gates) -> None:
    start, connect = "%cluster start --name again", "%cluster connect again"
    notebook = open_notebook([LOAD, start, fan_out(gates, 2), connect, REMOTE_ADD, "%cluster stop"])
    notebook.run(0)
    notebook.run(1)
    notebook.start(2)
    notebook.strip(2).wait_for()
    wait_for(lambda: gates.reached(0) and gates.reached(1), "both run")
    notebook.restart()
    wait_for(lambda: "2 unfinished when last seen" in notebook.told(2), "the view has ended")
    assert notebook.strip(2).count() == 0
    assert WIDGET not in str(notebook.save())
    # The cluster has waited for the new kernel.
    assert connect in "".join(notebook.run(0))
    assert "cluster again" in "".join(notebook.run(3))
    notebook.run(4)
    assert "42" in notebook.outputs(4)
    assert notebook.run(5) == ["stopped the cluster again"]


def test_a_kernel_that_dies_leaves_nothing_broken(open_notebook: Open, gates: Gates) -> None:
    die = (
        f"{fan_out(gates, 0)}"
        "import os, threading\n"
        "threading.Thread(target=lambda: (wait_at('end'), os.kill(os.getpid(), 9))).start()\n"
        "shoal.get([step.remote(i) for i in range(2)])"
    )
    notebook = open_notebook([LOAD, die, REMOTE_ADD])
    notebook.run(0)
    notebook.start(1)
    notebook.strip(1).wait_for()
    wait_for(lambda: gates.reached(0) and gates.reached(1), "both run")
    gates.open("end")
    notebook.accept()
    notebook.wait_until_connected()
    wait_for(lambda: "2 unfinished when last seen" in notebook.told(1), "the view has ended")
    assert WIDGET not in str(notebook.save())
    notebook.run(0)
    notebook.run(2)
    assert "42" in notebook.outputs(2)
