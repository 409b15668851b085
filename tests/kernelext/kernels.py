"""A real kernel, and what it publishes, by cell."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from queue import Empty
from typing import Any

from jupyter_client.manager import KernelManager

PATIENCE = 60.0
"""Seconds after which something has not come at all."""

Message = dict[str, Any]


class Kernel:
    """A kernel with the extension loaded, driven as a front end does.

    Args:
        ahead: a folder whose packages it takes instead of those that are installed, e.g. another ipykernel.
    """

    def __init__(self, ahead: Path | None = None) -> None:
        self.manager = KernelManager(kernel_name="python3")
        path = [str(ahead)] * (ahead is not None) + [os.environ.get("PYTHONPATH", "")]
        self.manager.start_kernel(env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))})
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=PATIENCE)
        self.messages: list[Message] = []
        self.run("%load_ext shoal")

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel()

    def restart(self) -> None:
        self.manager.restart_kernel()
        self.client.wait_for_ready(timeout=PATIENCE)

    def send(self, code: str) -> str:
        """Send a cell; returns its message id, which is what its outputs name as parent."""
        sent: str = self.client.execute(code)
        return sent

    def run(self, code: str) -> Cell:
        """Run a cell to its end."""
        cell = self.cell(self.send(code))
        self.wait(lambda: cell.ended)
        return cell

    def debug(self, code: str, *commands: str) -> str:
        """Run a cell that asks for commands, one after the other, and then is told to quit; what it prints."""
        cell = self.cell(self.send(code))
        answers = iter(commands)

        def answered() -> bool:
            if self.client.stdin_channel.msg_ready():
                self.client.get_stdin_msg(timeout=PATIENCE)
                self.client.input(next(answers, "q"))
            return cell.ended

        self.wait(answered)
        return _uncoloured(cell.text("stdout"))

    def cell(self, sent: str) -> Cell:
        return Cell(self, sent)

    def value(self, expression: str) -> str:
        """The repr of an expression in the kernel."""
        result = self.run(expression).first("execute_result")
        return str(result["data"]["text/plain"])

    def wait(self, condition: Callable[[], object]) -> None:
        """Take messages until the condition holds."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, [(m["msg_type"], m["content"]) for m in self.messages[-20:]]
            try:
                self.messages.append(self.client.get_iopub_msg(timeout=0.1))
            except Empty:
                pass

    @property
    def pid(self) -> int:
        provisioner: Any = self.manager.provisioner
        return int(provisioner.pid)

    def interrupt(self) -> None:
        self.manager.interrupt_kernel()


class Cell:
    """One run of a cell: the messages that name it as parent."""

    def __init__(self, kernel: Kernel, sent: str) -> None:
        self.kernel = kernel
        self.sent = sent

    @property
    def messages(self) -> list[Message]:
        return [m for m in self.kernel.messages if m["parent_header"].get("msg_id") == self.sent]

    @property
    def ended(self) -> bool:
        return any(m["content"].get("execution_state") == "idle" for m in self.messages)

    @property
    def count(self) -> int:
        return int(self.first("execute_input")["execution_count"])

    def all(self, kind: str) -> list[dict[str, Any]]:
        """The contents of its messages of a kind, without those of the live view."""
        contents = [m["content"] for m in self.messages if m["msg_type"] == kind]
        return [c for c in contents if not _is_view(c)]

    def first(self, kind: str) -> dict[str, Any]:
        return self.all(kind)[0]

    def text(self, name: str) -> str:
        """What it printed to a stream."""
        return "".join(c["text"] for c in self.all("stream") if c["name"] == name)

    @property
    def streams(self) -> str:
        """What it printed, in the order of arrival."""
        return "".join(c["text"] for c in self.all("stream"))

    @property
    def traceback(self) -> str:
        """The traceback of its error, without colours."""
        return _uncoloured("\n".join(self.first("error")["traceback"]))

    @property
    def records(self) -> list[str]:
        """What its record said, in words, from first to last."""
        contents = [m["content"] for m in self.messages if m["msg_type"].endswith("display_data")]
        return [c["data"]["text/plain"] for c in contents if "data-shoal" in c["data"].get("text/html", "")]


def _uncoloured(text: str) -> str:
    return re.sub(r"\x1b\[[\d;]*m", "", text)


def _is_view(content: dict[str, Any]) -> bool:
    return str(content.get("transient", {}).get("display_id", "")).startswith("shoal-")
