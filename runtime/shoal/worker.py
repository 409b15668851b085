"""One worker process: runs tasks one at a time, or hosts one actor.

Its main thread reads the *task* socket while idle and runs user code otherwise. (Where the actor runs several calls at
once, it only reads, and hands the calls to groups of threads or coroutines.) All that the hub says comes on it, in
order. When something there must not wait for user code (cancel, take-back) the hub also pokes the *control* socket,
and the watcher thread reads the task socket then, unless somebody does already. The watcher reads the pipes behind
fds 1 and 2 as well. Output is sent before the `done` of its task on the same socket, so the two never change order.
"""

from __future__ import annotations

import _thread
import atexit
import collections
import contextlib
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from shoal import assigned, context, current
from shoal.backpressure import Backpressure
from shoal.begun import Begun
from shoal.engines.local import LocalEngine
from shoal.environment import Environments
from shoal.exceptions import ActorLeaving, ClusterDiedError, ShoalValueError
from shoal.execution import Ended, Execution
from shoal.importing import PATIENCE as IMPORT_PATIENCE
from shoal.importing import is_importing
from shoal.incoming import Incoming
from shoal.lane import lane_path
from shoal.output import OutputPipes
from shoal.running import Calls
from shoal.runs import Concurrency, Kind, Run
from shoal.shield import WorkerShield
from shoal.wire import READ, Message

if TYPE_CHECKING:
    from shoal.concurrency import Groups

IMPORT_LOOK = 0.02
"""Seconds between looks whether an import that must not be interrupted is over."""
HOLD_BACK = 0.002
"""Seconds that results of quick tasks may gather while more tasks wait here."""


def main(
    number: int,
    task: socket.socket,
    control: socket.socket,
    fds: list[int],
    folder: Path,
    settles: bool = False,
    own_path: Sequence[str] = (),
) -> int:
    """Run until told to end, or until the hub is gone; returns the exit status.

    `fds` are both ends of its output pipes and the page of begun calls. With `settles` it is for one runtime
    environment and enters that first. `own_path` is the import path of another interpreter than the cluster's.
    """
    worker = Worker(number, task, control, fds, folder, own_path)
    return worker.run() if not settles or worker.settle() else 1


class Worker:
    """See the module. All of its state is touched by the main thread, but for what `_lock` guards."""

    def __init__(
        self,
        number: int,
        task: socket.socket,
        control: socket.socket,
        fds: list[int],
        folder: Path,
        own_path: Sequence[str],
    ) -> None:
        self._kinds: dict[bytes, Kind] = {}
        self._environments = Environments(list(own_path))
        self._lock = threading.RLock()  # a word said under it has the calls that run adopted
        self._queue: collections.deque[Run] = collections.deque()
        self._described: dict[bytes, Kind] = {}
        """What runs now, by task."""
        self._groups: Groups | None = None
        self._handed: dict[bytes, str | None] = {}
        """Calls that the groups have and that have not ended: their group, None once they have started."""
        self._begun_lines: dict[str, bool] = {}
        """By stream, whether what was printed last has no end of line."""
        self._threads = 0
        """Of the actor that lives here: its methods have the CPUs that it has."""
        self._running: bytes | None = None
        self._interrupted: bytes | None = None
        self._interrupted_at = 0.0
        self._ending = False
        self._leaving = False
        self._sent_at = 0.0
        self._main = threading.get_ident()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._shield = WorkerShield(self._wants_interrupt)
        self._shield.install()
        out_r, err_r, out_w, err_w, page = fds
        self._begun = Begun(page)
        os.close(page)
        self._output = OutputPipes((out_r, err_r), (out_w, err_w), self._send_output)
        self._calls = Calls(context.get_task, self._give_cpu, self._shield, self._lock)
        self.engine = LocalEngine(
            task,
            folder,
            number,
            shield=self._shield,
            on_message=self._take_message,
            on_lost=self._hub_gone,
            blocking=self._calls.blocking,
            attend=False,
        )
        self._backpressure = Backpressure(self.engine.link.wait)
        self._execution = Execution(self.engine, self._backpressure, self._calls.is_cancelled)
        self._incoming = Incoming(lane_path(folder, number), self.engine.link, self._lock, self._kinds, self._take_call)
        self._control = control
        current.set_engine(self.engine)
        context.on_display(self._send_display)
        context.on_describe(self._describe)
        context.on_failure(self._execution.snapshots.take)
        context.on_cancelled(self._calls.is_cancelled)
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
                    kind = self._kinds[run.kind]
                    handed = self._groups is not None and self._groups.has(kind.group) and kind.role == "method"
                    if handed and self._leaving:
                        link.report(("returned", (run.task,)))
                        continue
                    if handed:
                        self._handed[run.task] = kind.group
                    else:
                        self._running = run.task
                    if run.lane is not None:
                        self._incoming.begin(run)
                    elif not handed:
                        self._begun.begin(run.number)
                if handed and self._groups is not None:
                    self._groups.submit(kind.group, run)
                else:
                    self._execute(run, kind)
        except ClusterDiedError:
            return 1
        except SystemExit as leaving:
            self._output.drain()
            link.flush()
            return _status(leaving)
        self._execution.instance = None
        atexit._run_exitfuncs()
        self._output.drain()
        link.flush()
        return 0

    def _has_work(self) -> bool:
        return bool(self._queue) or self._ending

    def _execute(self, run: Run, kind: Kind) -> None:
        """In the main thread."""
        self._described[run.task] = kind
        context.enter(run.task, run.cell)
        self._calls.begin(run.task)
        try:
            if self._incoming.is_cancelled(run):
                raise KeyboardInterrupt
            if kind.concurrency is not None:
                self._open_groups(kind.concurrency)
            if kind.role == "actor":
                self._threads = kind.threads
            self._environments.enter(run.environment, self._threads or kind.threads)
            if kind.group:
                raise ShoalValueError(f"{kind.name}(): its actor has no concurrency group {kind.group!r}")
            ended = self._attempt(run, kind, self._over)
        except KeyboardInterrupt:
            now = time.time()
            ended = Ended("cancelled", [], now, now)
        except Exception as error:  # not the user's code
            self._over()
            ended = self._execution.failed(kind, run, error, time.time())
        self._over()
        if kind.role == "task":
            context.end_task()
        if kind.role == "actor" and ended.outcome == "ok":
            self._introduce()
        self._conclude(run, kind, ended, not self._queue or not kind.retries)

    def _introduce(self) -> None:
        """An actor whose class has a `__repr__` of its own is called by it wherever its output is shown."""
        instance = self._execution.instance
        if getattr(type(instance), "__repr__", None) is not object.__repr__:
            with contextlib.suppress(Exception):
                self.engine.link.append(("called", repr(instance)))

    def _over(self) -> None:
        """What it returned stands: an interrupt from here on comes too late."""
        self._running = None

    def _attempt(self, run: Run, kind: Kind, over: Callable[[], None]) -> Ended:
        """Run it in this thread, again and again where that is wanted."""
        tries = 0
        while self._goes_again(run, kind, ended := self._execution.attempt(kind, run, over), tries):
            tries += 1
        return ended

    def _goes_again(self, run: Run, kind: Kind, ended: Ended, tries: int) -> bool:
        """Whether an actor's call that raised is repeated: in its place, so that the later ones of its caller wait."""
        if ended.outcome != "retry" or kind.role != "method" or tries == run.retries:
            return False
        self._output.drain()
        self.engine.link.report(("again", run.task, ended.error))
        self.engine.link.flush()
        if run.task not in self._handed:  # it is the main thread's, and may be interrupted there again
            self._running = run.task
        return True

    def _conclude(self, run: Run, kind: Kind, ended: Ended, at_once: bool) -> None:
        self._output.drain()
        self._end_lines()
        self._calls.end(run.task)
        self._described.pop(run.task, None)
        if kind.ahead:
            self._backpressure.close(run.task)
        self._report(run, kind, ended, at_once)
        if ended.kept is not None:
            ended.kept.clear()
        if run.lane is not None:
            self._incoming.reported(run)
        if ended.outcome == "exit":
            self._give_up()

    def _give_up(self) -> None:
        """The actor has left: what waits here fails. The hub knows, and says when the last of what runs has ended."""
        link = self.engine.link
        link.flush()
        with self._lock:
            if self._groups is None:
                self._queue.clear()
                self._ending = True
                return
            self._leaving = True
            waiting = [run.task for run in self._queue]
            waiting += [task for task, group in self._handed.items() if group is not None]
            self._queue.clear()
            for task in waiting:
                self._handed.pop(task, None)
        link.report(("returned", tuple(waiting)))
        link.flush()

    def _report(self, run: Run, kind: Kind, ended: Ended, at_once: bool) -> None:
        """By its lane if it came by one and the hub need not know of it; what it printed is on its way already."""
        results = [v for v, _ in ended.values]
        if run.lane is not None:
            lean = ended.outcome in ("ok", "error") and all(v[0] in "ie" and not refs for v, refs in ended.values)
            if self._incoming.end(run, lean):
                answer = ("done", run.task, ended.outcome, results, ended.started, ended.ended, ended.error)
                self._incoming.answer(run, answer, not self._queue)
                return
        link = self.engine.link
        if run.lane is not None and kind.retries and any(v[0] in "sd" for v in results):
            self._incoming.specify(run)
        contained = tuple(c for _, c in ended.values)
        times = (ended.started, ended.ended)
        link.report(("done", run.task, ended.outcome, results, contained, *times, ended.error, ended.phases))
        now = time.monotonic()
        # What may not run twice is told at once: should the next task crash this worker, it is known as done.
        if at_once or now - self._sent_at > HOLD_BACK:
            self._sent_at = now
            link.flush()

    def _describe(self, task: bytes) -> tuple[str, str]:
        kind = self._described.get(task)
        return ("", "") if kind is None else (kind.name, self._execution.function_name(kind))

    # several calls at once

    def _open_groups(self, concurrency: Concurrency) -> None:
        from shoal.concurrency import Groups

        self._groups = Groups(concurrency, self._execute_in_thread, self._execute_on_loop, self._heard, self._left)
        self._output.split(context.get_task)
        context.threads_inherit()

    def _begin(self, run: Run) -> bool:
        """False when it was cancelled before it could start."""
        with self._lock:
            if self._handed.pop(run.task, None) is None:
                return False
            self._handed[run.task] = None
            self._begun.open(run.number)
            self._calls.begin(run.task)
        context.enter(run.task, run.cell)
        self._described[run.task] = self._kinds[run.kind]
        return True

    def _execute_in_thread(self, run: Run) -> None:
        if self._begin(run):
            kind = self._kinds[run.kind]
            try:
                ended = self._attempt(run, kind, lambda: None)
            except SystemExit as leaving:
                self._leave(_status(leaving))
            self._end(run, kind, ended)

    async def _execute_on_loop(self, run: Run) -> None:
        if self._begin(run):
            kind, tries = self._kinds[run.kind], 0
            try:
                while self._goes_again(run, kind, ended := await self._execution.attempt_async(kind, run), tries):
                    tries += 1
            except SystemExit as leaving:
                self._leave(_status(leaving))
            self._end(run, kind, ended)

    def _left(self, leaving: SystemExit) -> None:
        """A task that a coroutine has started ends the actor: with the call that it belongs to, or at once."""
        if not (isinstance(leaving, ActorLeaving) and any(task in self._handed for task in context.leavers())):
            self._leave(_status(leaving))

    def _end(self, run: Run, kind: Kind, ended: Ended) -> None:
        with self._lock:
            del self._handed[run.task]
        self._conclude(run, kind, ended, at_once=True)
        with self._lock:
            self._begun.close(run.number)

    def _leave(self, status: int) -> NoReturn:
        """End the process from a thread that is not the main one."""
        self._output.drain()
        self.engine.link.flush()
        os._exit(status)

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
        elif tag == "close":
            self._incoming.close_lease(message[1], self._queue)
        elif tag == "cancel":
            self._cancel(message[1])
        elif tag == "passed":  # a call that was counted as sent, and has ended before it was
            self._incoming.received_from_hub(message[1])
        elif tag == "taken":
            self._backpressure.taken(message[1], message[2])
        elif tag == "take_back":
            self._give_back(message[1])
        elif tag == "ask_stuck":
            self._say_stuck(message[1])
        elif tag == "exit":
            self._ending = True

    def _take_run(self, run: Run) -> None:
        """From the hub: an actor's calls keep their order with those of the same caller that come by its lane."""
        if self._kinds[run.kind].ahead:
            self._backpressure.open(run.task)
        client = run.environment[0]
        if run.before:
            self._incoming.from_hub(client, run.before)
        self._take_call(run)
        if self._kinds[run.kind].role == "method":
            self._incoming.received_from_hub(client)

    def _take_call(self, run: Run) -> None:
        with self._lock:
            self._queue.append(run)

    def _give_cpu(self, back: bool) -> None:
        link = self.engine.link
        if back:
            link.append(("blocked",))
        elif not link.lost:
            link.post(("unblocked",))

    def _say_stuck(self, number: int) -> None:
        """All that was sent before has been taken: whether whoever waits here still has to."""
        stuck = self._calls.are_stuck()
        self.engine.link.report(("stuck", number, stuck))
        self.engine.link.kick()

    # output

    def _end_lines(self) -> None:
        """The call is over: of lines that it began and did not end no more will come, which empty output says."""
        for stream in [stream for stream, begun in self._begun_lines.items() if begun]:
            self._begun_lines[stream] = False
            self.engine.link.append(("output", context.get_task(), context.get_cell(), stream, ""))

    def _send_output(self, stream: str, text: str) -> None:
        self._begun_lines[stream] = not text.endswith("\n")
        self.engine.link.append(("output", context.get_task(), context.get_cell(), stream, text))

    def _send_display(self, bundle: dict[str, Any]) -> None:
        self._output.drain()
        self.engine.link.append(("output", context.get_task(), context.get_cell(), "display", bundle))
        self.engine.link.flush()

    # interrupts

    def _interrupt(self, task: bytes) -> None:
        """Raise KeyboardInterrupt in it."""
        self._incoming.read_all()
        self._heard(task)
        with self._lock:
            if self._running == task:
                self._interrupted, self._interrupted_at = task, time.monotonic()
                signal.pthread_kill(self._main, signal.SIGINT)
                return
        self._cancel(task)

    def _cancel(self, task: bytes) -> None:
        """Have it not start, or tell it that nobody waits for it any more.

        Its client wrote it before it told the hub of it: one that is not here when all lanes are read is done.
        """
        self._incoming.read_all()
        with self._lock:
            if self._incoming.cancel(task, self._queue):
                return  # a lane's call ends when its turn comes
            group = self._handed.get(task)
            queued = [run for run in self._queue if run.task == task]
            for run in queued:
                self._queue.remove(run)
            if group is not None:
                del self._handed[task]
            elif not queued:
                self._calls.cancel(task)
        self._backpressure.close(task)  # it need not wait for somebody who reads on
        if queued or group is not None:
            now = time.time()
            self.engine.link.report(("done", task, "cancelled", [], (), now, now, None))
        elif self._groups is not None and task in self._handed:
            self._groups.cancel(task)

    def _heard(self, task: bytes) -> None:
        """Its code knows of the cancel: what it submitted before goes with it, what it submits now does not."""
        self.engine.link.report(("cancel_heard", task))

    def _wants_interrupt(self) -> bool:
        """In the signal handler: raise only in the task that is meant, and not in the midst of an import."""
        if self._interrupted is None or self._interrupted != self._running:
            return False
        if is_importing() and time.monotonic() - self._interrupted_at < IMPORT_PATIENCE:
            _thread.start_new_thread(self._interrupt_later, ())
            return False
        self._interrupted = None
        return True

    def _interrupt_later(self) -> None:
        time.sleep(IMPORT_LOOK)
        signal.pthread_kill(self._main, signal.SIGINT)

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


def _status(leaving: SystemExit) -> int:
    return leaving.code if isinstance(leaving.code, int) else 0 if leaving.code is None else 1
