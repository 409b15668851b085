"""The feed's socket: a zmq XPUB. JSON only.

Nothing is made ready while nobody listens. Batches are numbered: PUB/SUB drops at its high-water mark, and a listener
that sees a gap asks for a snapshot, as one that comes late does.
"""

from __future__ import annotations

import json
import select
import time
from pathlib import Path
from typing import Any

from shoal.hub.memory import Memory
from shoal.hub.recorder import Recorder
from shoal.hub.supervisor import Supervisor
from shoal.scheduler.state import Scheduler

PERIOD = 0.05
"""Seconds between batches."""
SAMPLE = 1.0
"""Seconds between looks at the workers' memory and CPU."""


class Publisher:
    """Opened when the first listener asks for it: importing zmq takes as long as starting the cluster."""

    def __init__(
        self,
        folder: Path,
        epoll: select.epoll,
        scheduler: Scheduler,
        recorder: Recorder,
        supervisor: Supervisor,
        memory: Memory,
    ) -> None:
        import zmq

        self._zmq = zmq
        self._scheduler = scheduler
        self._recorder = recorder
        self._supervisor = supervisor
        self._memory = memory
        self._context = zmq.Context(io_threads=1)
        self._stream = self._context.socket(zmq.XPUB)
        self._stream.setsockopt(zmq.LINGER, 0)
        self._stream.bind(f"ipc://{folder}/feed.sock")
        self._epoll = epoll
        self._fd = int(self._stream.getsockopt(zmq.FD))
        epoll.register(self._fd, select.EPOLLIN)
        self._seq = 0
        self._due = 0.0
        self._sample_due = 0.0
        self._listeners = 0
        self._workers: list[list[Any]] = []
        self._watched: dict[int, Any] = {}

    def wait(self, now: float) -> float | None:
        """Seconds until there is something to do."""
        return max(0.0, self._due - now) if self._listeners else None

    def pump(self) -> None:
        """Take subscriptions, send what is due. zmq's fd tells edges: all is taken each time."""
        zmq = self._zmq
        while self._stream.getsockopt(zmq.EVENTS) & zmq.POLLIN:
            word = self._stream.recv()
            self._listeners += 1 if word[:1] == b"\1" else -1
            self._recorder.watched = self._listeners > 0
        now = time.monotonic()
        if self._listeners > 0 and now >= self._due:
            self._due = now + PERIOD
            self._seq += 1
            batch = {"seq": self._seq, **self._recorder.batch(time.time()), **self._slow()}
            self._stream.send(json.dumps(batch, separators=(",", ":")).encode())

    def snapshot(self) -> dict[str, Any]:
        """All that is known now; the batches that follow have higher numbers."""
        return {"seq": self._seq, **self._recorder.snapshot(time.time()), **self._slow()}

    def _slow(self) -> dict[str, Any]:
        now = time.monotonic()
        if now >= self._sample_due:
            self._sample_due = now + SAMPLE
            self._sample()
        state = self._recorder.worker_state
        workers = []
        for number, process in self._supervisor.processes.items():
            worker = self._scheduler.workers.get(number)
            if worker is not None:
                memory, cpu = self._watched[number][1:] if number in self._watched else (0, 0.0)
                actor = worker.actor.hex() if worker.actor else None
                workers.append([str(number), process.pid or 0, state(worker), actor, memory, cpu, worker.node.id])
        memory = self._memory
        objects = len(self._scheduler.objects.table)
        store = [objects, memory.used, memory.granted, memory.capacity, memory.spilled]
        return {"workers": workers, "store": store}

    def _sample(self) -> None:
        import psutil

        alive = {}
        for number, process in self._supervisor.processes.items():
            if process.pid is None:
                continue
            try:
                seen = self._watched.get(number)
                watch = seen[0] if seen is not None else psutil.Process(process.pid)
                info = watch.memory_info()
                alive[number] = (watch, info.rss - getattr(info, "shared", 0), watch.cpu_percent())
            except psutil.Error:
                continue
        self._watched = alive

    def close(self) -> None:
        self._epoll.unregister(self._fd)
        self._stream.close()
        self._context.term()
