"""The stop button, and whose output is whose, in kernels of either ipykernel: of the cell meant, and of no other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .kernels import Cell, Kernel

WORK = """
import asyncio, time, shoal
import numpy as np

@shoal.remote
def nap():
    print("at work"); time.sleep(600)

@shoal.remote
def sort():
    x = np.random.rand(5_000_000); print("at work")
    while True: np.sort(x)

@shoal.remote
def product():
    x = np.random.rand(2000, 2000); print("at work")
    while True: x @ x

@shoal.remote
def tree():
    shoal.get(branch.remote())

@shoal.remote
def branch():
    shoal.get([nap.remote(), nap.remote()])

@shoal.remote
class Actor:
    def nap(self):
        print("at work"); time.sleep(600)
    def deaf(self):
        print("at work")
        while True:
            try: time.sleep(600)
            except BaseException: pass
    def child(self): shoal.get(nap.remote())
    def ping(self): return "pong"

actor, bystander = Actor.remote(), Actor.remote()
other = bystander.nap.remote()
"""
CASES = [
    "shoal.get([nap.remote() for _ in range(3)])",
    "shoal.get(product.remote())",
    "await nap.remote()",
    "await asyncio.gather(nap.remote(), sort.remote())",
    "%%remote\nimport numpy as np\nx = np.random.rand(5_000_000)\nprint('at work')\nwhile True: np.sort(x)",
    "shoal.get(tree.remote())",
    "shoal.get(actor.child.remote())",
    "ref = nap.remote()\nawait asyncio.sleep(600)",  # no loop hears of it by itself
    "from shoal.util.executor import Executor\n"  # which waits for its work at the end of the block
    "with Executor() as pool:\n    pool.submit(lambda: (print('at work'), time.sleep(600))).result()",
    "%remote (print('at work'), time.sleep(600))",
]
UNDER_WAY = """
[row.name for row in shoal.cluster.current().feed().refresh().tasks.values()
 if row.state in ("RUNNING", "PENDING_NODE_ASSIGNMENT")]
"""


@pytest.fixture(scope="module", params=["7", "6"])
def kernel(request: pytest.FixtureRequest) -> Iterator[Kernel]:
    ahead: Path | None = request.getfixturevalue("ipykernel_6") if request.param == "6" else None
    made = Kernel(ahead)
    made.run("%cluster start -n 3 --oversubscribe")
    made.run(WORK)
    assert made.value("__import__('ipykernel').version_info[0]") == request.param
    yield made
    made.close()


def pressed(kernel: Kernel, code: str, at: str = "at work") -> Cell:
    """A cell that was interrupted when it had printed `at`, at its end."""
    cell = kernel.cell(kernel.send(code))
    kernel.wait(lambda: at in cell.text("stdout"))
    kernel.interrupt()
    kernel.wait(lambda: cell.ended)
    return cell


@pytest.mark.parametrize("code", CASES)
def test_a_press_stops_all_work_of_the_cell_and_no_other(kernel: Kernel, code: str) -> None:
    cell = pressed(kernel, code)
    assert cell.first("error")["ename"] in ("KeyboardInterrupt", "CancelledError")
    assert "shoal: stopped" in cell.text("stderr") and "still" not in cell.text("stderr")
    assert kernel.value(UNDER_WAY) == "['Actor.nap']"  # the bystander's


def test_a_cell_that_lets_the_interrupt_pass_goes_on_without_its_work(kernel: Kernel) -> None:
    cell = pressed(kernel, "try: shoal.get(nap.remote())\nexcept KeyboardInterrupt: print('it goes on')")
    assert "it goes on" in cell.text("stdout") and not cell.all("error")
    assert "shoal: stopped 1 task of this cell" in cell.text("stderr")
    assert kernel.value(UNDER_WAY) == "['Actor.nap']"


def test_an_actor_that_does_not_listen_is_named_and_a_second_press_ends_it(kernel: Kernel) -> None:
    cell = pressed(kernel, "mine = Actor.remote()\nshoal.get(mine.deaf.remote())")
    assert "still in a call: Actor.deaf. Stop again" in cell.text("stderr")
    kernel.interrupt()  # no cell runs
    kernel.wait(lambda: "ended the actors of this cell" in cell.text("stderr"))
    assert kernel.run("shoal.get(mine.ping.remote())").first("error")["ename"] == "ActorDiedError"
    assert kernel.value(UNDER_WAY) == "['Actor.nap']"


def test_an_actor_of_another_cell_is_left_alone(kernel: Kernel) -> None:
    kernel.run("mine = Actor.remote()")
    cell = pressed(kernel, "shoal.get(mine.deaf.remote())")
    assert "still in a call: Actor.deaf (the actor is another cell's" in cell.text("stderr")
    kernel.interrupt()
    assert "Actor.deaf" in kernel.value(UNDER_WAY)
    kernel.run("shoal.kill(mine)")


def test_a_press_is_for_the_cell_that_runs(kernel: Kernel) -> None:
    cell = pressed(kernel, "mine = Actor.remote()\nshoal.get(mine.deaf.remote())")
    assert "Stop again" in cell.text("stderr")
    pressed(kernel, "shoal.get(nap.remote())")
    kernel.interrupt()
    assert "Actor.deaf" in kernel.value(UNDER_WAY)
    assert "ended" not in cell.text("stderr")
    kernel.run("shoal.kill(mine)")


def test_cancel_comes_by_the_control_channel(kernel: Kernel) -> None:
    before = kernel.value("get_ipython().shoal_session.cell").strip("'")
    head, count = before.rsplit("/", 1)
    cell = kernel.cell(kernel.send("%%remote\nimport time\nprint('asleep')\ntime.sleep(600)"))
    kernel.wait(lambda: "asleep" in cell.text("stdout"))
    message = kernel.client.session.msg("shoal_cancel", {"cell": f"{head}/{int(count) + 1}"})
    kernel.client.control_channel.send(message)
    kernel.wait(lambda: cell.ended)
    assert cell.first("error")["ename"] == "TaskCancelledError"


def test_what_a_cell_left_running_prints_and_shows_in_it_while_others_run(kernel: Kernel, tmp_path: Path) -> None:
    kernel.run("""
import os
@shoal.remote
class Teller:
    async def tell(self, path, said):
        while not os.path.exists(path): await asyncio.sleep(0.01)
        print(said)
        display({"text/plain": said}, raw=True)
teller = Teller.remote()
""")
    first = kernel.run(f"one = teller.tell.remote({str(tmp_path / 'go')!r}, 'first')")
    second = kernel.run(f"two = teller.tell.remote({str(tmp_path / 'go')!r}, 'second')")
    third = kernel.run(f"open({str(tmp_path / 'go')!r}, 'w').close(); shoal.get([one, two]); print('third')")
    kernel.wait(lambda: first.all("display_data") and second.all("display_data"))
    for cell, said in ((first, "first"), (second, "second")):
        assert cell.text("stdout") == f"{said}\n" and cell.first("display_data")["data"] == {"text/plain": said}
    assert third.text("stdout") == "third\n" and not third.all("display_data")
