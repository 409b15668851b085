"""What JupyterLab's side panel asks of a kernel, and is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from shoal.feed_rows import ActorRow, Counts, FeedState, StoreRow
from shoal_kernelext.panel_hands import counted

from .kernels import Kernel

BLOCKED = """
import shoal, time
nap = shoal.remote(num_cpus=0)(lambda: time.sleep(600))
shoal.get([nap.remote() for _ in range(3)])
"""


class Page:
    """A panel on some page, as the kernel knows it."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.id = uuid4().hex
        self.comm = ""

    def find(self) -> bool:
        """Ask which comms there are, as the page does: on the control channel."""
        client = self.kernel.client
        asked = client.session.msg("comm_info_request", {"target_name": "shoal_panel"})
        client.control_channel.send(asked)
        answer = client.get_control_msg(timeout=60)
        while answer["parent_header"].get("msg_id") != asked["header"]["msg_id"]:
            answer = client.get_control_msg(timeout=60)
        self.comm = next(iter(answer["content"]["comms"]), "")
        return bool(self.comm)

    def say(self, **data: Any) -> None:
        client = self.kernel.client
        content = {"comm_id": self.comm, "data": {"page": self.id, **data}}
        client.control_channel.send(client.session.msg("comm_msg", content))

    @property
    def told(self) -> list[dict[str, Any]]:
        contents = [m["content"] for m in self.kernel.messages if m["msg_type"] == "comm_msg"]
        return [c["data"] for c in contents if c["comm_id"] == self.comm]

    @property
    def state(self) -> dict[str, Any]:
        """The last state that was told."""
        return next((data for data in reversed(self.told) if data["type"] == "state"), {})

    @property
    def cluster(self) -> dict[str, Any]:
        return self.state.get("cluster") or {}

    def ask(self, what: str, **given: Any) -> dict[str, Any]:
        """Have something done; returns the answer."""
        question = uuid4().hex
        self.say(type="act", question=question, what=what, **given)
        self.kernel.wait(lambda: any(data.get("question") == question for data in self.told))
        return next(data for data in self.told if data.get("question") == question)


@pytest.fixture(scope="module", params=["7", "6"])
def kernel(request: pytest.FixtureRequest) -> Iterator[Kernel]:
    ahead: Path | None = request.getfixturevalue("ipykernel_6") if request.param == "6" else None
    made = Kernel(ahead)
    yield made
    made.close()


@pytest.fixture
def page(kernel: Kernel) -> Page:
    page = Page(kernel)
    assert page.find()
    page.say(type="looks", looks=True)
    kernel.wait(lambda: page.state)
    return page


def test_all_is_heard_and_told_while_a_cell_runs(kernel: Kernel, page: Page) -> None:
    assert page.state["cluster"] is None
    assert "error" not in page.ask("start", cpus=1, name="by-mouse")
    kernel.wait(lambda: page.cluster.get("name") == "by-mouse" and page.cluster["total"] == 1)
    cell = kernel.cell(kernel.send(BLOCKED))
    kernel.wait(lambda: page.cluster["running"] == 3)
    late = Page(kernel)  # loaded meanwhile
    assert late.find()
    late.say(type="looks", looks=True)
    page.ask("cancel")
    kernel.wait(lambda: cell.ended)
    assert "TaskCancelledError" in cell.traceback
    kernel.wait(lambda: page.cluster["running"] == 0)
    cell = kernel.cell(kernel.send(BLOCKED))
    kernel.wait(lambda: page.cluster["running"] == 3)
    page.ask("stop", name="by-mouse")
    kernel.wait(lambda: cell.ended)
    assert "ClusterDiedError" in cell.traceback
    kernel.wait(lambda: page.state["cluster"] is None)
    assert "no cluster yet" in kernel.run("%cluster").text("stdout")
    assert kernel.value("%remote 1 + 1") == "2"  # a new one
    kernel.run("%cluster stop")


def test_what_was_kept_is_in_the_notebook_once_a_cell_runs(kernel: Kernel, page: Page) -> None:
    kernel.run("from shoal import cluster\ncluster.use(cluster.start(cpus=1, name='kept'))")
    kernel.run("kept_rows = [1, 2]\n%cluster keep kept_rows\ndel kept_rows")
    kernel.run("cluster.current().linger(60)\ncluster.leave(stop=False)")
    assert "error" not in page.ask("connect", name="kept")
    cell = kernel.run("sum(kept_rows)")
    assert cell.first("execute_result")["data"]["text/plain"] == "3"
    assert "shoal: here again: kept_rows" in cell.text("stderr")
    kernel.run("%cluster stop")


def test_what_cannot_be_done_is_said_in_words(kernel: Kernel, page: Page) -> None:
    assert "give 1 to" in page.ask("start", cpus=10_000)["error"]
    assert "no cluster named 'nowhere'" in page.ask("connect", name="nowhere")["error"]
    assert "no name for a cluster" in page.ask("start", name="../x")["error"]
    assert "no cluster to look at" in page.ask("open", name="tasks")["error"]
    assert "no cluster to scale" in page.ask("scale", cpus=1)["error"]
    assert "error" not in page.ask("start")
    assert "give 1 to" in page.ask("scale", cpus=0)["error"]
    assert "error" not in page.ask("scale", cpus=1)
    kernel.wait(lambda: page.cluster.get("total") == 1)
    assert "already: stop that first" in page.ask("start")["error"]
    kernel.run("%cluster stop")


def test_nothing_is_told_while_nobody_looks(kernel: Kernel, page: Page) -> None:
    threads = "[t.name for t in __import__('threading').enumerate() if t.name.startswith('shoal-panel')]"
    assert kernel.value(threads) == "['shoal-panel']"
    page.say(type="looks", looks=False)
    kernel.wait(lambda: kernel.value(threads) == "[]")
    before = len(page.told)
    kernel.run("%cluster start -n 1")
    kernel.run("%cluster stop")
    assert len(page.told) == before
    page.say(type="looks", looks=True)
    kernel.wait(lambda: len(page.told) > before)


def test_it_goes_with_the_extension_and_comes_again_with_it(kernel: Kernel, page: Page) -> None:
    kernel.run("%unload_ext shoal")
    assert page.told[-1] == {"type": "gone"}
    assert not Page(kernel).find()
    kernel.run("%load_ext shoal")
    assert Page(kernel).find()


def test_counts_are_summed_over_cells_and_functions() -> None:
    actors = {i: ActorRow(i, "", "A", state, None, None, 0, None) for i, state in (("a", "ALIVE"), ("b", "DEAD"))}
    state = FeedState(
        counts={("x", "f"): Counts(1, 2, 3, 4, 5), (None, "g"): Counts(10, 20, 30, 40, 50)},
        actors=actors,
        store=StoreRow(objects=7, used=8, capacity=9),
        cpus=(1.5, 2.0),
    )
    found = counted(state)
    assert [found[key] for key in ("running", "queued", "done", "failed", "actors")] == [22, 11, 33, 44, 1]
    assert [found[key] for key in ("objects", "bytes", "capacity", "used", "total")] == [7, 8, 9, 1.5, 2.0]
    assert counted(FeedState())["running"] == 0
