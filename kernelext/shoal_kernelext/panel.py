"""The kernel's end of JupyterLab's side panel: who looks, what they are told, what they ask for.

A page finds it by asking which comms there are, and speaks on the control channel, which is heard while a cell runs.
What it is told goes to all pages, as messages of that comm. Nothing runs and nothing is sent while nobody looks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any

from comm import create_comm

from shoal.exceptions import ShoalError

TARGET = "shoal_panel"
"""The name by which pages find the comm."""
EVERY = 0.25
"""Seconds between two looks at the cluster."""
GLANCE = 16.0
"""Seconds until a page that has not said again that it looks is taken for gone; it says so every 5."""

Data = Mapping[str, Any]
Answer = Mapping[str, Any]


class Panel:
    """Tells pages of the cluster, and has done what they ask for.

    Args:
        kernel: ipykernel's.
        state: what there is to be told now; called several times a second, in a thread of the panel's.
        acts: what can be asked for, by name. Each is called in a thread of its own with what the page sent, and
            returns what the page is to know. What goes wrong is a ShoalError or ValueError, whose words it is told.
    """

    def __init__(
        self, kernel: Any, state: Callable[[], dict[str, Any]], acts: Mapping[str, Callable[[Data], Answer | None]]
    ) -> None:
        self._kernel = kernel
        self._state = state
        self._acts = acts
        self._comm = create_comm(target_name=TARGET, primary=False)  # not announced: who wants it asks
        self._changed = threading.Condition()
        self._looks: dict[str, float] = {}
        """Which page has said when that it looks."""
        self._afresh = False
        """A page has come that knows nothing yet."""
        self._doing: list[str] = []
        self._thread: threading.Thread | None = None
        self._closed = False

    def open(self) -> None:
        """Let pages find it."""
        self._comm.on_msg(lambda message: self._hear(message["content"]["data"]))
        self._kernel.comm_manager.register_comm(self._comm)

    def close(self) -> None:
        """No longer; the pages are told."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join()
        self._kernel.comm_manager.unregister_comm(self._comm)
        self.tell({"type": "gone"})

    def control(self, usual: Any, stream: Any, ident: Any, message: Mapping[str, Any]) -> None:
        """A comm's message on the control channel; of what is not for us there is none else."""
        if message["content"]["comm_id"] == self._comm.comm_id:
            self._hear(message["content"]["data"])
        elif usual is not None:
            usual(stream, ident, message)

    def tell(self, data: Data) -> None:
        """Send to all pages, from any thread."""
        content = {"comm_id": self._comm.comm_id, "data": data}
        self._kernel.session.send(
            self._kernel.iopub_thread, "comm_msg", content, parent={}, ident=f"comm-{self._comm.comm_id}".encode()
        )

    def _hear(self, data: Data) -> None:
        """What a page says; returns at once, for it may be the kernel's control thread that calls."""
        if data["type"] == "looks":
            self._look(str(data["page"]), bool(data["looks"]))
        elif data["type"] == "act":
            threading.Thread(target=self._act, args=(data,), name="shoal-panel-act", daemon=True).start()

    def _look(self, page: str, looks: bool) -> None:
        with self._changed:
            if not looks:
                self._looks.pop(page, None)
                return
            self._afresh |= page not in self._looks
            self._looks[page] = monotonic()
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="shoal-panel", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def _act(self, data: Data) -> None:
        what = str(data["what"])
        with self._changed:
            self._doing.append(what)
            self._changed.notify_all()
        try:
            answer = dict(self._acts[what](data) or {})
        except (ShoalError, ValueError) as error:
            answer = {"error": str(error)}
        finally:
            with self._changed:
                self._doing.remove(what)
                self._changed.notify_all()
        self.tell({"type": "answer", "question": data["question"], **answer})

    def _run(self) -> None:
        told: Data = {}
        while True:
            with self._changed:
                late = monotonic() - GLANCE
                self._looks = {page: at for page, at in self._looks.items() if at > late}
                if self._closed or not self._looks:
                    self._thread = None
                    return
                afresh, self._afresh = self._afresh, False
                doing = list(self._doing)
            now = {"type": "state", "doing": _WORDS.get(doing[-1], "") if doing else "", **self._state()}
            if afresh or now != told:
                told = now
                self.tell(now)
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._afresh or doing != self._doing, EVERY)  # noqa: B023


_WORDS = {"start": "Starting…", "connect": "Connecting…", "stop": "Stopping…", "scale": "Scaling…"}
