"""The feed, as its readers have it: a thread that follows the stream and merges it into one immutable state."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shoal.exceptions import ClusterError
from shoal.feed_rows import KEPT, ActorRow, Counts, FeedState, NodeRow, StoreRow, TaskRow, WorkerRow

Listener = Callable[[FeedState], None]


def merge(state: FeedState | None, batch: dict[str, Any]) -> FeedState:
    """The state after a batch; pure. Counts are absolute, rows replace older rows of the same task."""
    tasks = state.tasks if state is not None else {}
    if batch["tasks"]:  # else the same dict as before says that nothing has changed
        tasks = dict(tasks)
    for row in batch["tasks"]:
        tasks[row[0]] = TaskRow(*row)
    if len(tasks) > KEPT:
        for old in list(tasks)[: len(tasks) - KEPT]:
            del tasks[old]
    counts = state.counts if state is not None else {}
    if batch["counts"]:
        counts = dict(counts)
    for cell, name, *numbers in batch["counts"]:
        counts[cell, name] = Counts(*numbers)
    return FeedState(
        seq=batch["seq"],
        time=batch["t"],
        tasks=tasks,
        counts=counts,
        workers={row[0]: WorkerRow(*row) for row in batch["workers"]},
        actors={row[0]: ActorRow(*row) for row in batch["actors"]},
        store=StoreRow(*batch["store"]),
        cpus=(batch["cpus"][0], batch["cpus"][1]),
        nodes={row[0]: NodeRow(*row) for row in batch["nodes"]},
    )


class Feed:
    """Follows the feed of the cluster whose folder is given, until `close`.

    `snapshot()` asks the hub for all that is known now, in the form of a batch.
    """

    def __init__(self, folder: Path, snapshot: Callable[[], dict[str, Any]]) -> None:
        self._folder = folder
        self._snapshot = snapshot
        self._listeners: list[Listener] = []
        self._lock = threading.Lock()
        self._first = threading.Event()
        self._closed = False
        self.state: FeedState | None = None
        self._thread = threading.Thread(target=self._follow, name="shoal-feed", daemon=True)
        self._thread.start()

    def listen(self, callback: Listener) -> Callable[[], None]:
        """Have `callback(state)` called after each batch, in the feed's thread; returns its removal."""
        with self._lock:
            self._listeners.append(callback)
        if self.state is not None:
            callback(self.state)

        def stop() -> None:
            with self._lock:
                if callback in self._listeners:
                    self._listeners.remove(callback)

        return stop

    def wait_first(self, timeout: float) -> bool:
        """Wait for the first state; False when it has not come in `timeout` seconds."""
        return self._first.wait(timeout)

    def _follow(self) -> None:
        import zmq

        context = zmq.Context(io_threads=1)
        stream = context.socket(zmq.SUB)
        stream.setsockopt(zmq.LINGER, 0)
        stream.setsockopt(zmq.RCVTIMEO, 100)
        stream.subscribe(b"")
        stream.connect(f"ipc://{self._folder}/feed.sock")
        try:
            while not self._closed:
                try:
                    batch = json.loads(stream.recv())
                except zmq.Again:
                    continue
                try:
                    self._take(batch)
                except ClusterError:
                    break  # the hub is gone: what is known stays
        finally:
            stream.close()
            context.term()

    def _take(self, batch: dict[str, Any]) -> None:
        state = self.state
        if state is None or batch["seq"] > state.seq + 1:
            self.refresh()  # it is younger than this batch, and holds it
            return
        with self._lock:
            state = self.state
            assert state is not None
            if batch["seq"] <= state.seq:
                return  # a snapshot was ahead of the stream
            self.state = state = merge(state, batch)
        self._tell(state)

    def refresh(self) -> FeedState:
        """Ask for all that is known now: what a `get` has returned before is in it. Raises ClusterError."""
        snapshot = self._snapshot()
        with self._lock:
            if self.state is None or snapshot["seq"] >= self.state.seq:
                self.state = merge(None, snapshot)
            state = self.state
        self._tell(state)
        return state

    def _tell(self, state: FeedState) -> None:
        self._first.set()
        with self._lock:
            listeners = list(self._listeners)
        for listener in listeners:
            try:
                listener(state)
            except Exception:  # a view's fault must not stop the others
                import traceback

                traceback.print_exc()

    def close(self) -> None:
        self._closed = True
        if threading.current_thread() is not self._thread:
            self._thread.join()
