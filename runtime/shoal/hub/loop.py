"""The hub's loop: sockets in, scheduler events; scheduler commands, sockets out."""

from __future__ import annotations

import os
import select
import socket
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shoal import runs, wire
from shoal.config import LINGER_RESTART, Settings, spill_folder
from shoal.exceptions import ClusterError
from shoal.failure import Failure
from shoal.hub import groups, nodes
from shoal.hub.answers import Answers
from shoal.hub.lanes import Lanes
from shoal.hub.losses import Losses
from shoal.hub.memory import Memory, made
from shoal.hub.names import Names
from shoal.hub.outputs import Outputs
from shoal.hub.peer import Peer
from shoal.hub.publisher import Publisher
from shoal.hub.recorder import Recorder
from shoal.hub.results import Results
from shoal.hub.room import Room
from shoal.hub.runtime_envs import RuntimeEnvs
from shoal.hub.specs import Spec
from shoal.hub.state import State
from shoal.hub.streams import Streams
from shoal.hub.supervisor import Supervisor
from shoal.hub.value_commands import ValueCommands
from shoal.scheduler import commands as cmd
from shoal.scheduler import events as ev
from shoal.scheduler.resources import shape_of
from shoal.scheduler.state import Scheduler
from shoal.scheduler.tables import DEAD, STARTING, Kind
from shoal.series import Series
from shoal.wire import PROTOCOL

FIRST_CLIENT = 30.0
"""Seconds that a hub waits for the one that started it."""
IDLE_CHECK = 1.0
BACKLOG = 512


class Hub:
    """Owns the sockets and the values' bytes; every decision is the scheduler's."""

    def __init__(self, settings: Settings, folder: Path, zygote: socket.socket) -> None:
        self.settings = settings
        self.folder = folder
        self.scheduler = Scheduler(nodes.head(settings), settings.lineage)
        self.nodes = nodes.HubNodes(self)
        self.groups = groups.HubGroups(self)
        self.names = Names(self)
        self.epoll = select.epoll()
        self.recorder = Recorder(self.scheduler)
        self.metrics = Series()
        self.supervisor = Supervisor(zygote, self.epoll)
        self.values: dict[bytes, tuple[Any, ...]] = {}
        self.functions: dict[bytes, bytes] = {}
        self.publisher: Publisher | None = None
        self.started = time.time()
        self._zygote = zygote
        self._peers: dict[int, Peer] = {}
        self._by_fd: dict[int, Peer] = {}
        self._events: list[ev.Event] = []
        self.specs: dict[bytes, Spec] = {}
        self.environments: dict[tuple[int, int], tuple[Any, ...]] = {}
        self.runtime_envs = RuntimeEnvs(self.supervisor, self.epoll, self._env_failed, self._is_started)
        self._last_driver = -1
        self._jobs: dict[int, int] = {}
        self.kinds: dict[bytes, runs.Kind] = {}
        self._linger = settings.linger
        self._deadline: float | None = time.monotonic() + FIRST_CLIENT
        self._stopping = False
        self._dirty: set[Peer] = set()
        self.state = State(self)
        self.results = Results(self)
        self._answers = Answers(self)
        self.memory = Memory(folder, settings.store, self.epoll, self.tell, self.tell_all)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(folder / "starting"))
        self._listener.listen(BACKLOG)
        self._listener.setblocking(False)
        # Renamed into place when all is there: whoever can connect can be served.
        os.rename(folder / "starting", folder / "hub.sock")
        self.epoll.register(self._listener.fileno(), select.EPOLLIN)
        self.epoll.register(zygote.fileno(), select.EPOLLIN)
        self.handlers: dict[str, Callable[..., None]] = {
            name.removeprefix("_on_"): getattr(self, name) for name in dir(self) if name.startswith("_on_")
        }
        """By a message's tag; subjects of their own add theirs with `hear`."""
        self.hear(await_group=self.groups.await_ready, metrics=lambda peer, batch: self.metrics.add(batch))
        self.hear(prepare=self.runtime_envs.prepare)
        self.room = Room(self, spill_folder(settings, folder), settings.disk)
        self.hear(**self.room.handlers, create=self.names.create, namespace=self.names.use)
        self.hear(
            again=self._repeats,
            returned=lambda peer, tasks: self.happened(ev.Returned(peer.number, tasks)),
            blocked=lambda peer: self.happened(ev.Blocked(peer.number)),
            unblocked=lambda peer: self.happened(ev.Unblocked(peer.number)),
            stuck=lambda peer, number, stuck: self.happened(ev.Stuck(peer.number, number, stuck)),
        )
        self.perform: dict[type, Callable[[Any], None]] = {
            cmd.StartWorker: self._start_worker,
            cmd.StopWorker: lambda c: self.tell(c.worker, ("exit",)),
            cmd.KillWorker: lambda c: self.supervisor.kill(c.worker),
            cmd.Run: self._run_task,
            cmd.GroupPlaced: self.groups.placed,
            cmd.Interrupt: lambda c: self.tell(c.worker, ("interrupt", c.task), urgent=True),
            cmd.CancelCall: lambda c: self.tell(c.worker, ("cancel", c.task), urgent=True),
            cmd.TakeBack: lambda c: self.tell(c.worker, ("take_back", c.tasks), urgent=True),
            cmd.AskStuck: lambda c: self.tell(c.worker, ("ask_stuck", c.round), urgent=True),
            cmd.TaskEnded: self._task_ended,
            cmd.AttemptOver: self._attempt_over,
            cmd.Forget: self._forget,
            cmd.ActorChanged: lambda c: self.state.actor_changed(c.actor),
        }
        self._lanes = Lanes(self)
        self.losses = Losses(self)
        ValueCommands(self)
        self.streams = Streams(self)
        self.outputs = Outputs(self)

    def hear(self, **handlers: Callable[..., None]) -> None:
        """Have messages of these tags taken; each tag has one place."""
        assert self.handlers.keys().isdisjoint(handlers), f"taken already: {self.handlers.keys() & handlers.keys()}"
        self.handlers.update(handlers)

    # the loop

    def run(self) -> None:
        self.scheduler.fill_pool()
        self.schedule()
        self.nodes.start()
        listener, zygote = self._listener.fileno(), self._zygote.fileno()
        while not self._stopping:
            self._flush()
            for fd, _mask in self.epoll.poll(self._timeout()):
                peer = self._by_fd.get(fd)
                if peer is not None:
                    self._serve(peer)
                elif fd == listener:
                    self._accept()
                elif fd == zygote:
                    self._hear_zygote()
                elif self.runtime_envs.handles(fd):
                    self.runtime_envs.serve(fd)
                elif self.memory.handles(fd):
                    self.memory.serve(fd)
            tick = self.scheduler.next_tick()
            if tick is not None:
                self._events.append(ev.Tick(time.monotonic()))
            if self._events:
                self.schedule()
            if self.publisher is not None:
                self.publisher.pump()
            self.room.look(time.monotonic())
            self._check_idle()
        for peer in self._peers.values():
            peer.flush()
        self.runtime_envs.close()
        if self.publisher is not None:
            self.publisher.close()

    def _timeout(self) -> float:
        waits = [IDLE_CHECK]
        if (tick := self.scheduler.next_tick()) is not None:
            waits.append(tick)
        now = time.monotonic()
        if self._deadline is not None:
            waits.append(max(0.0, self._deadline - now))
        if self.publisher is not None and (due := self.publisher.wait(now)) is not None:
            waits.append(due)
        if (late := self.room.wait(now)) is not None:
            waits.append(late)
        return min(waits)

    def schedule(self) -> None:
        events, self._events = self._events, []
        perform = self.perform
        for command in self.scheduler.handle(*events):
            perform[type(command)](command)

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, set()
        for peer in dirty:
            peer.flush()

    def stop(self) -> None:
        self._stopping = True

    def _check_idle(self) -> None:
        """Nobody left: wait a moment for somebody to come back, then end."""
        if any(number < 0 for number in self._peers):
            self._deadline = None
        elif self._deadline is None:
            wait = self._linger
            actors = self.scheduler.actors.table.values()
            if self.results.table or any(a.kind.detached and a.state != DEAD for a in actors):
                wait = max(wait, LINGER_RESTART)
            self._deadline = time.monotonic() + wait
        elif time.monotonic() >= self._deadline:
            self.stop()

    # peers

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        try:
            wire.check_peer(sock)
        except ClusterError:
            sock.close()
            return
        self._last_driver -= 1
        peer = Peer(sock, self._last_driver, self.epoll)
        self._by_fd[peer.fd] = peer

    def _serve(self, peer: Peer) -> None:
        try:
            messages = peer.receive()
        except Exception as error:  # what unpickling it may raise is anything
            self._drop(peer, error)
            return
        if messages is None:
            self._lose(peer)
            return
        self._take(peer, messages)
        if peer.alive:
            self._dirty.add(peer)  # what it could not take before may go now

    def _take(self, peer: Peer, messages: list[wire.Message]) -> None:
        for message in messages:
            try:
                self.handlers[message[0]](peer, *message[1:])
            except Exception as error:
                self._drop(peer, error)
                return

    def _drop(self, peer: Peer, error: Exception) -> None:
        """One client's fault is not to be everybody's end, but its own: somebody may wait for what it said."""
        traceback.print_exception(error)
        peer.send(("dropped", f"{type(error).__name__}: {error}"))
        peer.flush()
        self._lose(peer)

    def _lose(self, peer: Peer) -> None:
        if peer.number < 0:
            self._driver_left(peer)
        else:  # the zygote tells of its death; one that lives without its socket is of no use
            peer.ignore()
            self.supervisor.kill(peer.number)

    def _driver_left(self, peer: Peer) -> None:
        self._by_fd.pop(peer.fd, None)
        if self._peers.pop(peer.number, None) is not None:
            self.state.driver_left(peer.number)
            self.names.left(peer.number)
            self._events.append(ev.ClientLeft(peer.number))
            self.schedule()
            self._lanes.left(peer.number)
            self._left(peer.number)
        peer.close()

    def _left(self, number: int) -> None:
        """What a driver or a worker had here goes with it."""
        self.memory.left(number)
        self.room.left(number)
        for key in [k for k in self.environments if k[0] == number]:
            del self.environments[key]

    def tell(self, number: int, message: tuple[Any, ...], urgent: bool = False) -> None:
        peer = self._peers.get(number)
        if peer is not None:
            peer.send(message, urgent)
            self._dirty.add(peer)

    def tell_all(self, message: tuple[Any, ...]) -> None:
        for number in self._peers:
            self.tell(number, message)

    # workers

    def _start_worker(self, command: cmd.StartWorker) -> None:
        if command.env:
            self.runtime_envs.start_worker(command.worker, command.env)
        else:
            self.supervisor.start(command.worker)
            self._is_started(command.worker)

    def _is_started(self, number: int) -> None:
        peer = self.supervisor.processes[number].task
        self._peers[number] = peer
        self._by_fd[peer.fd] = peer
        self._dirty.add(peer)

    def _hear_zygote(self) -> None:
        died = self.supervisor.hear()
        if died is None:
            self.stop()  # nothing can be started any more
            self.supervisor.kill_all()
            return
        for number, reason in died:
            process = self.supervisor.processes[number]
            pid, process.pid = process.pid, None  # by now it may be somebody else's
            try:
                self._take(process.task, process.task.receive_rest())
            except Exception as error:
                self._drop(process.task, error)
            words = self.supervisor.last_words(process)
            for stream, text in words:
                self.outputs.take(process.task, *self._running_on(number), stream, text)
            worker = self.scheduler.workers.get(number)
            if worker is not None and worker.env and worker.state == STARTING:
                said = "".join(text for _, text in words)
                self.runtime_envs.fail(worker.env, f"a worker in it ended before it could work: {reason}\n{said}")
            reason = self.state.worker_died(number, pid, reason)
            self._events.append(ev.WorkerDied(number, reason, self.supervisor.begun(process)))
            self.schedule()
            self._by_fd.pop(process.task.fd, None)
            self._peers.pop(number, None)
            self._dirty.discard(process.task)
            self.supervisor.bury(number)
            self._lanes.buried(number)
            self._left(number)
            self._jobs.pop(number, None)
            self.outputs.died(number)

    def _running_on(self, number: int) -> tuple[bytes | None, str | None]:
        worker = self.scheduler.workers.get(number)
        task = next(iter(worker.running), None) if worker is not None else None
        record = self.scheduler.tasks.get(task) if task is not None else None
        return task, record.cell if record is not None else None

    # messages of drivers and workers

    def _on_hello(self, peer: Peer, protocol: int = PROTOCOL, python: str = "") -> None:
        if peer.number > 0:
            self._events.append(ev.WorkerReady(peer.number))
            return
        if protocol != PROTOCOL:
            peer.send(("refused", f"the cluster speaks protocol {PROTOCOL}, this shoal {protocol}: restart the older"))
        else:
            self._peers[peer.number] = peer
            self.state.driver_joined(peer.number, peer.sock)
            self._events.append(ev.ClientJoined(peer.number))
            self._linger = self.settings.linger
            peer.send(("welcome", peer.number))
        self._dirty.add(peer)

    def _on_function(self, peer: Peer, function: bytes, blob: bytes) -> None:
        self.functions[function] = blob

    def _on_kind(self, peer: Peer, kind: bytes, run: runs.Kind, *rest: Any) -> None:
        resources, held, actor_name, namespace, detached, methods, plain, wish = rest
        self.kinds[kind] = run
        if run.role == "actor":
            self.names.define(kind, methods, namespace)
        self._events.append(
            ev.KindDefined(
                Kind(
                    kind, run.function, run.name, run.role, shape_of(resources), shape_of(held), run.returns,
                    run.retries, run.method, actor_name, namespace, detached, run.group,
                    run.concurrency is not None, run.yields == "stream", wish, plain=plain, restarts=run.restarts,
                    asynchronous=run.concurrency is not None and run.concurrency.asynchronous,
                    calls=run.calls,
                )
            )
        )  # fmt: skip

    def _on_environment(
        self, peer: Peer, number: int, cwd: str, path: list[str], environ: dict[str, str], env: str
    ) -> None:
        around = (cwd, path, environ)
        key = self.runtime_envs.define(env, around)
        self.environments[peer.number, number] = (*around, key)

    def _on_runtime_env_failed(self, peer: Peer, message: str) -> None:
        worker = self.scheduler.workers.get(peer.number)
        if worker is not None:
            self.runtime_envs.fail(worker.env, message)

    def _env_failed(self, env: str, message: str) -> None:
        self._events.append(ev.EnvironmentFailed(env, message))

    def job_of(self, peer: Peer, parent: bytes | None) -> int:
        if peer.number < 0:
            return peer.number
        task = self.scheduler.tasks.get(parent) if parent is not None else None
        if task is not None:
            worker = self.scheduler.workers.get(peer.number)
            actor = self.scheduler.actors.table.get(worker.actor) if worker and worker.actor else None
            return 0 if actor is not None and actor.kind.detached else task.job
        return self._jobs.get(peer.number, 0)

    def _on_submit(self, peer: Peer, *work: Any) -> None:
        self._events.append(self.submitted(peer, *work))

    def submitted(
        self,
        peer: Peer,
        task: bytes,
        kind: bytes,
        actor: bytes | None,
        cell: str | None,
        parent: bytes | None,
        environment: int,
        payload: Any,
        slots: Any,
        deps: tuple[bytes, ...],
        holds: tuple[bytes, ...],
        before: tuple[int, int],
    ) -> ev.Submitted:
        """Note what a worker will need; `before`: a worker, and how many calls on the lane to it come first."""
        key = peer.number, environment
        around = self.environments[key]  # kept with it: its client may be gone when it runs, or runs again
        spec = self.specs[task] = Spec(payload, slots, key, around, before)
        job = self.job_of(peer, parent)
        self.recorder.submitted(task, self.kinds[kind].name, cell, actor, parent, deps, time.time(), kind, job)
        where = self.names.of_new(peer, kind, parent)
        env = around[3]
        return ev.Submitted(task, kind, peer.number, job, cell, parent, actor, deps, holds, env, *where, spec.size)

    def _on_put(self, peer: Peer, object_id: bytes, place: tuple[Any, ...], contained: tuple[bytes, ...]) -> None:
        self.values[object_id] = place
        self.memory.written(place)
        self.room.arrived(place)
        self._events.append(ev.Put(peer.number, object_id, contained, place[0] == "e", made(place)))

    def _on_borrow(self, peer: Peer, ids: tuple[bytes, ...]) -> None:
        self._events.append(ev.Borrowed(peer.number, ids))

    def _on_release(self, peer: Peer, ids: tuple[bytes, ...]) -> None:
        self._events.append(ev.Released(peer.number, ids))

    def _on_fetch(self, peer: Peer, ids: tuple[bytes, ...]) -> None:
        self._events.append(ev.Fetched(peer.number, ids))

    def _on_done(
        self,
        peer: Peer,
        task: bytes,
        outcome: str,
        values: list[tuple[Any, ...]],
        contained: tuple[tuple[bytes, ...], ...],
        started: float,
        ended: float,
        failure: Failure | None,
        phases: tuple[float, float] | None = None,
    ) -> None:
        for value in values:
            self.memory.written(value)
            self.room.arrived(value)
        worker = self.scheduler.workers.get(peer.number)
        record = self.scheduler.tasks.get(task)
        if worker is None or record is None or task not in worker.running or not worker.node.alive:
            for value in values:  # nobody waits for it any more, or it is lost with its node
                self.memory.freed(value)
            if worker is not None:
                worker.over.discard(task)
            if outcome == "exit":
                self._events.append(ev.Finished(peer.number, task, outcome, (), 0.0, failure and failure[1]))
            return
        objects = self.scheduler.objects.table
        for object_id, value in zip(record.returns, values, strict=False):
            if object_id not in objects or not objects[object_id].ready:
                self.values[object_id] = value
            else:  # a generator filled it, and failed later
                self.memory.freed(value)
        self.recorder.timed(task, started, ended, phases)
        error, said = failure or (None, "")
        if outcome == "exit" or record.kind.role == "actor":
            error = said or None  # which the actor's end is told with
        if outcome == "exit":  # it did what it was to do, though its caller is told of the actor's end
            self.recorder.ended(task, None, "", time.time())
        self.recorder.said(task, said)
        sizes = tuple(map(made, values))
        self._events.append(ev.Finished(peer.number, task, outcome, contained, ended - started, error, sizes))

    def _repeats(self, peer: Peer, task: bytes, failure: Failure) -> None:
        self.recorder.said(task, failure[1])
        self.post(ev.Repeated(peer.number, task, failure[0]))  # the next attempt's end may come with the same read

    def _on_cancel(self, peer: Peer, task: bytes, force: bool, recursive: bool) -> None:
        self._events.append(ev.Cancelled(task, force, recursive))

    def _on_cancel_heard(self, peer: Peer, task: bytes) -> None:
        self._events.append(ev.CancelHeard(task))

    def _on_kill(self, peer: Peer, actor: bytes, restart: bool) -> None:
        self._events.append(ev.ActorKilled(actor, "it was killed by `ray.kill` or `shoal.kill`", restart))

    def _on_linger(self, peer: Peer, seconds: float) -> None:
        self._linger = seconds

    def _on_ask(self, peer: Peer, question: int, what: str, args: tuple[Any, ...]) -> None:
        self.schedule()  # the answer is to know of all that was said before
        try:
            answer, good = self._answers.answer(peer, what, args), True
        except Exception as error:
            answer, good = error, False
        peer.send(("answer", question, good, answer))
        self._dirty.add(peer)

    # what the answers and other subjects need

    def driver_of(self, peer: Peer, job: int | None) -> Peer | None:
        """The driver whose work it is: that of the job, or the one that a worker last worked for."""
        return self._peers.get(self._jobs.get(peer.number, 0) if job is None else job)

    def touched(self, peer: Peer) -> None:
        """Something was said to it: what it is sent goes out before the hub waits."""
        self._dirty.add(peer)

    def catch_up(self) -> None:
        """Deal with all that was said so far."""
        if self._events:
            self.schedule()

    def tell_assigned(self, worker: int) -> None:
        """Before its driver can push on it: what the worker holds now."""
        peer, record = self._peers.get(worker), self.scheduler.workers.get(worker)
        if peer is not None and record is not None:
            self.nodes.assign(peer, record)
            self._dirty.add(peer)

    def happened(self, event: ev.Event) -> None:
        """The scheduler learns of it with the next `schedule`."""
        self._events.append(event)

    def on_worker(self, worker: int, job: int) -> None:
        """What the worker prints without a task that is known belongs to this job."""
        self._jobs[worker] = job

    def post(self, event: ev.Event) -> None:
        self._events.append(event)
        self.schedule()

    def publish(self) -> None:
        if self.publisher is None:
            self.publisher = Publisher(
                self.folder, self.epoll, self.scheduler, self.recorder, self.supervisor, self.memory
            )

    # commands

    def _run_task(self, command: cmd.Run) -> None:
        task = self.scheduler.tasks.get(command.task)
        peer = self._peers.get(command.worker)
        worker = self.scheduler.workers.get(command.worker)
        if peer is None or worker is None:
            return  # an event of the same batch was its worker's death
        if task is None:  # one has ended it
            if command.caller:
                self.tell(command.worker, ("passed", command.caller))
            return
        payload, slots, environment, around, before, deps, values = self.specs[command.task]
        kind = task.kind
        self._jobs[command.worker] = task.job
        if kind.id not in peer.known:
            peer.known.add(kind.id)
            if kind.function not in peer.known:
                peer.known.add(kind.function)
                if kind.role != "method":
                    peer.send(("function", kind.function, self.functions[kind.function]))
            peer.send(("kind", kind.id, self.kinds[kind.id]))
        if environment not in peer.known:
            peer.known.add(environment)
            peer.send(("environment", environment, *around))
        self.nodes.assign(peer, worker)
        if task.deps:  # else they came by a lane, if there are any
            deps, values = task.deps, tuple(self.values[d] for d in task.deps)
            self.room.used(deps)
        first = before[1] if before[0] == command.worker else 0
        run = (task.id, kind.id, task.cell, environment, payload, slots, deps, values, first)
        peer.send(("run", *run, command.number, task.retries))
        if kind.stream and (taken := self.scheduler.streams.how_many_taken(task)):
            peer.send(("taken", task.id, taken))  # by the reader of an earlier attempt
        self._dirty.add(peer)
        alone = len(worker.running) == 1
        self.recorder.pushed(task.id, command.worker, alone, time.time())

    def _forget(self, command: cmd.Forget) -> None:
        self.specs.pop(command.task, None)

    def _attempt_over(self, command: cmd.AttemptOver) -> None:
        self.recorder.repeated(command.task, command.error, command.said, command.at_once, time.time())

    def _task_ended(self, command: cmd.TaskEnded) -> None:
        if not command.keep:
            self.specs.pop(command.task, None)
        self.recorder.ended(command.task, command.error, command.said, time.time())
