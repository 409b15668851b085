"""The runtime environments of a cluster: known by a key, set up before the first worker in one is forked."""

from __future__ import annotations

import hashlib
import json
import select
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, Any

from shoal import venvs
from shoal.environment import Surroundings
from shoal.hub.peer import Peer
from shoal.hub.supervisor import Supervisor


@dataclass
class RuntimeEnvRecord:
    """One environment. `python` is the interpreter of its workers, where it is another than the cluster's."""

    key: str
    text: str
    around: Surroundings
    """Those of the first that asked for it: what its hook finds."""
    state: str = "new"  # "new", "setting up", "ready", "failed"
    python: str = ""
    error: str = ""
    seconds: float | None = None
    waiting: list[int] = field(default_factory=list)
    workers: int = 0
    held: IO[str] | None = None
    """What keeps its virtual environment from being removed while the cluster lives."""

    @property
    def fields(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.text)
        return found


class RuntimeEnvs:
    """`failed(key, message)` is called when one cannot be set up, `started(worker)` when a worker can be spoken to."""

    def __init__(
        self,
        supervisor: Supervisor,
        epoll: select.epoll,
        failed: Callable[[str, str], None],
        started: Callable[[int], None],
    ) -> None:
        self.table: dict[str, RuntimeEnvRecord] = {}
        self._supervisor = supervisor
        self._epoll = epoll
        self._failed = failed
        self._started = started
        self._builders: dict[int, tuple[subprocess.Popen[bytes], RuntimeEnvRecord, float]] = {}

    def define(self, text: str, around: Surroundings) -> str:
        """The key of an environment, empty for the empty one."""
        key = _key(text)
        if not key:
            return ""
        record = self.table.setdefault(key, RuntimeEnvRecord(key, text, around))
        if record.state in ("new", "failed"):
            record.text, record.around = text, around
        return key

    def start_worker(self, worker: int, key: str) -> None:
        """Have a worker forked in this environment, as soon as it is set up."""
        record = self.table[key]
        record.waiting.append(worker)
        if record.state == "ready":
            self._fork(record)
        elif record.state != "setting up":
            self._set_up(record)

    def prepare(self, peer: Peer, text: str) -> None:
        """A message: an environment is to be set up before anything asks for a worker in it."""
        key = _key(text)
        if key and self.table[key].state in ("new", "failed"):
            self._set_up(self.table[key])

    def _set_up(self, record: RuntimeEnvRecord) -> None:
        fields = record.fields
        record.python = fields.get("py_executable", "")
        if not (fields.get("pip") or fields.get("uv")):
            record.state, record.seconds = "ready", 0.0
            self._fork(record)
            return
        record.state, record.error = "setting up", ""
        # Its own process: it may take minutes, and the hub waits for nobody.
        builder = subprocess.Popen(
            [sys.executable, "-P", "-m", "shoal.venvs"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert builder.stdin is not None and builder.stdout is not None
        builder.stdin.write(record.text.encode())
        builder.stdin.close()
        fd = builder.stdout.fileno()
        self._builders[fd] = (builder, record, time.monotonic())
        self._epoll.register(fd, select.EPOLLIN)

    def handles(self, fd: int) -> bool:
        return fd in self._builders

    def serve(self, fd: int) -> None:
        """A builder has said what came of it."""
        builder, record, began = self._builders.pop(fd)
        self._epoll.unregister(fd)
        assert builder.stdout is not None
        said = builder.stdout.readline()
        builder.stdout.close()
        status = builder.wait()
        try:
            answer = json.loads(said)
        except ValueError:
            answer = {"error": f"its builder ended with status {status}"}
        record.seconds = time.monotonic() - began
        if "error" in answer:
            self.fail(record.key, answer["error"])
        else:
            record.state = "ready"
            record.held = venvs.hold(answer["python"])
            record.python = record.python or answer["python"]
            self._fork(record)

    def _fork(self, record: RuntimeEnvRecord) -> None:
        waiting, record.waiting = record.waiting, []
        for worker in waiting:
            record.workers += 1
            process = self._supervisor.start(worker, record.python, True)
            process.task.send(("runtime_env", record.key, record.text, *record.around))
            self._started(worker)

    def fail(self, key: str, message: str) -> None:
        """It cannot be set up, or no worker can live in it. The next that asks for it has it tried again."""
        record = self.table[key]
        record.state, record.error, record.waiting = "failed", message, []
        self._failed(key, f"Failed to set up runtime environment.\n{message}")

    def close(self) -> None:
        for record in self.table.values():
            if record.held is not None:
                record.held.close()
        for builder, _, _ in self._builders.values():
            builder.terminate()
            builder.wait()


def _key(text: str) -> str:
    """By what an environment is, empty for the empty one; how it is set up is no part of that."""
    what = {name: value for name, value in json.loads(text or "{}").items() if name != "config"}
    return hashlib.blake2b(json.dumps(what, sort_keys=True).encode(), digest_size=16).hexdigest() if what else ""
