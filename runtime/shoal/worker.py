"""One worker process: runs tasks one at a time, or hosts one actor.

Its main thread reads the *task* socket while idle and runs user code otherwise. All that the hub says comes on it, in
order. When something there must not wait for user code (cancel, take-back) the hub also pokes the *control* socket,
and the watcher thread reads the task socket then, unless somebody does already. The watcher reads the pipes behind
fds 1 and 2 as well. Output is sent before the `done` of its task on the same socket, so the two never change order.
"""

from __future__ import annotations

import atexit
import collections
import contextlib
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from shoal import assigned, context, current
from shoal.engines.local import LocalEngine
from shoal.environment import Environments
from shoal.exceptions import ActorLeaving, ClusterDiedError
from shoal.execution import Execution, Value, error_value, wants_retry
from shoal.incoming import Incoming
from shoal.lane import lane_path
from shoal.output import OutputPipes
from shoal.runs import Kind, Run
from shoal.shield import WorkerShield
from shoal.wire import READ, Message

HOLD_BACK = 0.002
"""Seconds that results of quick tasks may gather while more tasks wait here."""


def main(
    number: int,
    task: socket.socket,
    control: socket.socket,
    pipes: list[int],
    folder: Path,
    settles: bool = False,
    own_path: Sequence[str] = (),
) -> int:
    """Run until told to end, or until the hub is gone; returns the exit status.

    With `settles` it is for one runtime environment and enters that first. `own_path` is the import path of another
    interpreter than the cluster's.
    """
    worker = Worker(number, task, control, pipes, folder, own_path)
    return worker.run() if not settles or worker.settle() else 1


class Worker:
    """See the module. All of its state is touched by the main thread, but for what `_lock` guards."""

    def __init__(
        self,
        number: int,
        task: socket.socket,
        control: socket.socket,
        pipes: list[int],
        folder: Path,
        own_path: Sequence[str],
    ) -> None:
        self._kinds: dict[bytes, Kind] = {}
        self._environments = Environments(list(own_path))
        self._lock = threading.RLock()  # a word said under it has the calls that run adopted
        self._queue: collections.deque[Run] = collections.deque()
        self._cancelled: set[bytes] = set()
        self._running: bytes | None = None
        self._interrupted: bytes | None = None
        self._blocked = 0
        self._waits: list[Callable[[], bool]] = []
        self._ending = False
        self._sent_at = 0.0
        self._main = threading.get_ident()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._shield = WorkerShield(self._wants_interrupt)
        self._shield.install()
        out_r, err_r, out_w, err_w = pipes
        self._output = OutputPipes((out_r, err_r), (out_w, err_w), self._send_output)
        self.engine = LocalEngine(
            task,
            folder,
            number,
            shield=self._shield,
            on_message=self._take_message,
            on_lost=self._hub_gone,
            blocking=self._blocking,
            attend=False,
        )
        self._execution = Execution(self.engine)
        self._incoming = Incoming(lane_path(folder, number), self.engine.link, self._lock, self._kinds, self._take_call)
        self._control = control
        current.set_engine(self.engine)
        context.on_display(self._send_display)
        context.on_describe(self._describe)
        threading.Thread(target=self._watch, name="shoal-watch", daemon=True).start()

    # the main thread

    def settle(self) -> bool:
        """Enter the runtime environment that the hub names first; False when that went wrong, and the hub is told."""
        link, environments = self.engine.link, self._environments
        try:
            link.wait(lambda: environments.told or self._ending)
        except ClusterDiedError:
            return False
        if not environments.told:
            return True
        wrong = environments.settle()
        self.engine.surroundings.enclose(environments.text, lambda: environments.changed)
        if wrong is not None:
            self._output.drain()
            link.append(("runtime_env_failed", wrong))
            link.flush()
        return wrong is None

    def run(self) -> int:
        link = self.engine.link
        link.report(("hello",))
        try:
            while True:
                if not self._queue:
                    link.wait(self._has_work)
                with self._lock:
                    if not self._queue:
                        if self._ending:
                            break
                        continue
                    run = self._queue.popleft()
                    self._running = run.task
                    self._blocked = 0
                    if run.lane is not None:
                        self._incoming.begin(run)
                self._execute(run)
        except ClusterDiedError:
            return 1
        except SystemExit as leaving:
            self._output.drain()
            link.flush()
            return leaving.code if isinstance(leaving.code, int) else 0 if leaving.code is None else 1
        self._execution.instance = None
        atexit._run_exitfuncs()
        self._output.drain()
        link.flush()
        return 0

    def _has_work(self) -> bool:
        return bool(self._queue) or self._ending

    def _execute(self, run: Run) -> None:
        kind = self._kind = self._kinds[run.kind]
        context.set_cell(run.cell)
        context.set_task(run.task)
        error_name: str | None = None
        outcome = "ok"
        started = ended = time.time()
        try:
            if run.task in self._cancelled:
                raise KeyboardInterrupt
            self._environments.enter(run.environment, kind.threads)
            started = time.time()
            value = self._execution.call(kind, run)
            # What it returned stands: an interrupt from here on comes too late.
            self._running = None
            ended = time.time()
            values = self._execution.results(kind, value)
        except KeyboardInterrupt:
            outcome, values = "cancelled", []
        except ActorLeaving:
            outcome, values, error_name = "exit", [], "it called exit_actor()"
        except SystemExit:
            raise
        except BaseException as error:
            outcome, error_name = "error", type(error).__name__
            if kind.role == "actor":
                error_name = f"{type(error).__name__}: {error}"
            elif kind.retry_on and wants_retry(kind, error):
                outcome = "retry"
            values = [error_value(error, kind.name)] * max(1, kind.returns)
        self._running = None
        self._cancelled.discard(run.task)
        if outcome != "ok":
            ended = time.time()
        self._output.drain()
        self._report(run, kind, outcome, values, started, ended, error_name)
        if run.lane is not None:
            self._incoming.reported(run)
        if outcome == "exit":
            self.engine.link.flush()
            with self._lock:  # what waits here fails: the hub has ended the actor
                self._queue.clear()
                self._ending = True

    def _report(
        self, run: Run, kind: Kind, outcome: str, values: list[Value], started: float, ended: float, error: str | None
    ) -> None:
        """By its lane if it came by one and the hub need not know of it; what it printed is on its way already."""
        results = [v for v, _ in values]
        at_once = not self._queue or not kind.retries
        if run.lane is not None:
            lean = outcome in ("ok", "error") and all(v[0] in "ie" and not refs for v, refs in values)
            if self._incoming.end(run, lean):
                answer = ("done", run.task, outcome, results, started, ended, error)
                self._incoming.answer(run, answer, at_once)
                return
        link = self.engine.link
        link.report(("done", run.task, outcome, results, tuple(c for _, c in values), started, ended, error))
        now = time.monotonic()
        # What may not run twice is told at once: should the next task crash this worker, it is known as done.
        if at_once or now - self._sent_at > HOLD_BACK:
            self._sent_at = now
            link.flush()

    def _describe(self, task: bytes) -> tuple[str, str]:
        return self._kind.name, self._execution.function_name(self._kind)

    # messages

    def _take_message(self, message: Message) -> None:
        """Called by whichever thread reads the task socket."""
        tag = message[0]
        if tag == "run":
            self._take_run(Run(*message[1:]))
        elif tag == "kind":
            self._kinds[message[1]] = message[2]
        elif tag == "function":
            self._execution.define(*message[1:])
        elif tag == "assigned":
            assigned.assign(message[1])
            self._environments.assign(message[1].gpus)
        elif tag == "environment":
            self._environments.define(*message[1:])
        elif tag == "runtime_env":
            self._environments.tell(*message[1:])
        elif tag == "interrupt":
            self._interrupt(message[1])
        elif tag == "cancel":
            self._cancel_call(message[1])
        elif tag == "close":
            self._incoming.close_lease(message[1], self._queue)
        elif tag == "take_back":
            self._give_back(message[1])
        elif tag == "ask_stuck":
            self._say_stuck(message[1])
        elif tag == "exit":
            self._ending = True

    def _take_run(self, run: Run) -> None:
        """From the hub: an actor's calls keep their order with those of the same caller that come by its lane."""
        client = run.environment[0]
        if run.before:
            self._incoming.from_hub(client, run.before)
        self._take_call(run)
        if self._kinds[run.kind].role == "method":
            self._incoming.received_from_hub(client)

    def _take_call(self, run: Run) -> None:
        with self._lock:
            self._queue.append(run)

    @contextlib.contextmanager
    def _blocking(self, ready: Callable[[], bool]) -> Iterator[None]:
        """Around a wait inside a task: its CPU is given to others meanwhile; `ready` says whether it is over.

        A thread that waits longer than its task runs counts no more when that is over.
        """
        link = self.engine.link
        with self._lock:
            task = self._running
            self._waits.append(ready)
            if task is not None:
                self._blocked += 1
                if self._blocked == 1:
                    link.append(("blocked",))
        try:
            yield
        finally:
            last = False
            with self._lock:
                self._waits.remove(ready)
                if task is not None and self._running == task:
                    self._blocked -= 1
                    last = self._blocked == 0
            if last and not link.lost:
                link.post(("unblocked",))

    def _say_stuck(self, number: int) -> None:
        """All that was sent before has been taken: whether whoever waits here still has to."""
        with self._lock:
            stuck = bool(self._waits) and not any(ready() for ready in self._waits)
        self.engine.link.report(("stuck", number, stuck))
        self.engine.link.kick()

    # output

    def _send_output(self, stream: str, text: str) -> None:
        self.engine.link.append(("output", context.get_task(), context.get_cell(), stream, text))

    def _send_display(self, bundle: dict[str, Any]) -> None:
        self._output.drain()
        self.engine.link.append(("output", context.get_task(), context.get_cell(), "display", bundle))
        self.engine.link.flush()

    # interrupts

    def _interrupt(self, task: bytes) -> None:
        """It comes after its task did, so one that is neither here nor running is done."""
        self._incoming.read_all()  # its client wrote it before it told of it
        with self._lock:
            if any(run.task == task for run in self._queue):
                self._cancelled.add(task)
            elif self._running == task:
                self._interrupted = task
                signal.pthread_kill(self._main, signal.SIGINT)

    def _cancel_call(self, task: bytes) -> None:
        """An actor's call that nobody waits for any more: it does not start, and goes on if it has."""
        with self._lock:
            if any(run.task == task for run in self._queue):
                self._cancelled.add(task)

    def _wants_interrupt(self) -> bool:
        """In the signal handler: raise only in the task that is meant."""
        if self._interrupted is not None and self._interrupted == self._running:
            self._interrupted = None
            return True
        return False

    def _give_back(self, tasks: tuple[bytes, ...]) -> None:
        wanted = set(tasks)
        with self._lock:
            back = tuple(run.task for run in self._queue if run.task in wanted)
            if back:
                kept = [run for run in self._queue if run.task not in wanted]
                self._queue.clear()
                self._queue.extend(kept)
        self.engine.link.report(("returned", back))

    # the watcher thread

    def _watch(self) -> None:
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        for fd in self._output.fds:
            poll.register(fd, select.POLLIN)
        while True:
            for fd, _ in poll.poll():
                if fd == self._control.fileno():
                    try:
                        data = self._control.recv(READ)
                    except OSError:
                        data = b""
                    if not data:
                        self._hub_gone()
                    self.engine.link.drain()
                else:
                    self._output.read(fd)
            self.engine.link.flush()

    def _hub_gone(self) -> None:
        """Nothing here has a meaning without the hub, whatever user code is doing."""
        os._exit(1)
