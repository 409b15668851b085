"""What the state API asks: rows of tasks, actors, objects, workers and the rest, with Ray's names; and who I am.

Rows are plain dicts with all the fields; `shoal.util.state` makes its dataclasses of them. Tasks that have ended come
from the recorder's history, which is bounded.
"""

from __future__ import annotations

import collections
import json
import socket
import struct
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from shoal import feed_rows as states
from shoal.begun import BegunOf
from shoal.exceptions import ClusterError
from shoal.hub.frames import Frames
from shoal.hub.logs import Logs
from shoal.hub.memory import size_of
from shoal.hub.recorder import Row
from shoal.ids import JobID, task_of, worker_id
from shoal.scheduler.resources import amounts
from shoal.scheduler.tables import DEAD, QUEUED, STARTING, WAITING, Actor, Object, Shape, Task, Worker

if TYPE_CHECKING:
    from shoal.hub.loop import Hub

KEPT = 1000
"""Dead workers and drivers that are remembered."""
IP = "127.0.0.1"
QUEUED_CALL = "PENDING_ACTOR_TASK_ORDERING_OR_CONCURRENCY"
TYPES = {"task": "NORMAL_TASK", "actor": "ACTOR_CREATION_TASK", "method": "ACTOR_TASK"}
ERRORS = {
    "TaskCancelledError": "TASK_CANCELLED",
    "WorkerCrashedError": "WORKER_DIED",
    "ActorDiedError": "ACTOR_DIED",
    "ActorUnavailableError": "ACTOR_UNAVAILABLE",
    "ObjectLostError": "OBJECT_LOST",
    "OutOfMemoryError": "OUT_OF_MEMORY",
    "NodeDiedError": "NODE_DIED",
    "TaskPlacementGroupRemoved": "TASK_PLACEMENT_GROUP_REMOVED",
    "ActorPlacementGroupRemoved": "ACTOR_PLACEMENT_GROUP_REMOVED",
    "OwnerDiedError": "OWNER_DIED",
    "ObjectReconstructionFailedError": "OBJECT_UNRECONSTRUCTABLE",
    "RuntimeEnvSetupError": "RUNTIME_ENV_SETUP_FAILED",
    "TaskUnschedulableError": "TASK_UNSCHEDULABLE_ERROR",
    "ActorUnschedulableError": "ACTOR_UNSCHEDULABLE_ERROR",
}
"""Ray's names for what a task failed with; what user code raised is a TASK_EXECUTION_EXCEPTION."""

Rows = Iterable[dict[str, Any]]


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds * 1000)


def _remember(table: dict[Any, Any], key: Any, value: Any) -> None:
    """The latest 10 × KEPT are."""
    while len(table) >= 10 * KEPT:
        del table[next(iter(table))]
    table[key] = value


def _demand(shape: Shape) -> dict[str, float]:
    return amounts(dict(shape))


class State:
    """Reads the hub's tables; changes nothing but its own memory of who has died."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._dead_workers: collections.deque[dict[str, Any]] = collections.deque(maxlen=KEPT)
        self._jobs: dict[int, dict[str, Any]] = {}
        self._actors: dict[bytes, Actor] = {}
        self._called: dict[bytes, str] = {}
        self._ended: dict[int, tuple[int, str]] = {}
        """Process id and node of workers that are dead."""
        self._pages: dict[int, BegunOf] = {}
        """Of the workers that were looked at for the answer that is made."""
        self._rows: dict[str, Callable[[], Rows]] = {
            "tasks": self._tasks,
            "actors": self._actor_rows,
            "objects": self._objects,
            "workers": self._workers,
            "nodes": self._nodes,
            "jobs": lambda: self._jobs.values(),
            "placement_groups": self._groups,
            "runtime_envs": self._runtime_envs,
        }
        self.frames = Frames()
        self.logs = Logs(lambda number: (self._id(number), self.pid(number)))
        self.questions: dict[str, Callable[..., Any]] = {
            "state": self.rows,
            "context": self.context,
            "log": self.log,
            "locations": self.locations,
            **self.frames.questions,
            **self.logs.questions,
        }

    def rows(
        self, what: str, filters: Sequence[tuple[str, str, Any]], limit: int
    ) -> tuple[int, int, list[dict[str, Any]]]:
        """How many pass the filters, how many are known no more, and the first `limit` of those that pass."""
        self._pages.clear()
        found = [row for row in self._rows[what]() if all(_passes(row, *f) for f in filters)]
        return len(found), self._hub.recorder.forgotten if what == "tasks" else 0, found[:limit]

    # what the hub tells

    def driver_joined(self, number: int, sock: socket.socket) -> None:
        pid, _, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        while len(self._jobs) > KEPT:
            del self._jobs[next(iter(self._jobs))]
        self._jobs[number] = {
            "job_id": self.job(number), "submission_id": None, "entrypoint": _command(pid), "type": "DRIVER",
            "status": "RUNNING", "message": None, "error_type": None, "start_time": _ms(time.time()), "end_time": None,
            "metadata": {}, "runtime_env": {}, "driver_agent_http_address": None, "driver_exit_code": None,
            "driver_node_id": self._head(),
            "driver_info": {"id": self.job(number), "node_ip_address": IP, "pid": str(pid)},
        }  # fmt: skip

    def driver_left(self, number: int) -> None:
        job = self._jobs.get(number)
        if job is not None:
            job["status"], job["end_time"] = "SUCCEEDED", _ms(time.time())

    def worker_died(self, number: int, pid: int | None, reason: str) -> str:
        """Returns the reason with what the process said last: of a task's process, only what that task said."""
        worker = self._hub.scheduler.workers.get(number)
        if worker is not None:
            _remember(self._ended, number, (pid or 0, worker.node.id))
            intended = reason == "exit status 0"
            self._dead_workers.append(
                {
                    **self._worker(worker, pid or 0), "is_alive": False, "end_time_ms": _ms(time.time()),
                    "exit_type": "INTENDED_SYSTEM_EXIT" if intended else "SYSTEM_ERROR", "exit_detail": reason,
                }
            )  # fmt: skip
        tasks = None if worker is None or worker.actor is not None else set(worker.running)
        said = self.logs.last_lines(number, tasks)
        words = "".join(f"\n    {line}" for line in said)
        return f"{reason} (pid {pid})" + (f"\nThe last that it wrote to stderr:{words}" if said else "")

    def actor_changed(self, actor_id: bytes) -> None:
        """Actors are remembered when the scheduler has forgotten them."""
        actor = self._hub.scheduler.actors.table.get(actor_id)
        if actor is not None and actor_id not in self._actors:
            _remember(self._actors, actor_id, actor)

    def remembered(self, actor_id: bytes) -> Actor | None:
        """An actor, dead or alive."""
        return self._actors.get(actor_id)

    def called(self, number: int, name: str) -> None:
        """The actor in this process has words of its own for what it is."""
        worker = self._hub.scheduler.workers.get(number)
        if worker is not None and worker.actor is not None:
            _remember(self._called, worker.actor, name)

    def log(
        self, task: str | None, actor: str | None, pid: int | None, filename: str | None, suffix: str
    ) -> str | None:
        """What was printed: see `shoal.util.state.get_log`."""
        workers = []
        if actor is not None:
            known = self._actors.get(bytes.fromhex(actor))
            workers = [known.worker] if known is not None and known.worker is not None else []
        return self.logs.text(workers, task, pid, filename, suffix)

    # who is who

    def _id(self, number: int) -> str:
        return worker_id(self._hub.settings.name, number)

    @staticmethod
    def job(number: int) -> str:
        return JobID.from_int(max(0, abs(number) - 1)).hex()

    def _head(self) -> str:
        return next(iter(self._hub.scheduler.nodes.table), "")

    def _whereabouts(self, number: int) -> tuple[int | None, str | None]:
        """Process id and node of a worker, dead or alive."""
        worker = self._hub.scheduler.workers.get(number)
        if worker is None:
            return self._ended.get(number, (None, None))
        return self.pid(number) or None, worker.node.id

    def worker(self, number: int) -> tuple[str, int, str]:
        """Id, process id and address of a worker, dead or alive."""
        pid, node_id = self._whereabouts(number)
        node = self._hub.scheduler.nodes.table.get(node_id or "")
        return self._id(number), pid or 0, node.address if node is not None else IP

    def actor(self, actor_id: bytes) -> tuple[str, str | None] | None:
        """Class and name of an actor, dead or alive; None of one that is long forgotten."""
        actor = self._hub.scheduler.actors.table.get(actor_id) or self._actors.get(actor_id)
        return None if actor is None else (actor.kind.name, actor.kind.actor_name)

    def pid(self, number: int) -> int:
        process = self._hub.supervisor.processes.get(number)
        if process is not None:
            return process.pid or 0
        job = self._jobs.get(number)
        return int(job["driver_info"]["pid"]) if job is not None else 0

    def context(self, number: int, task_id: bytes | None) -> dict[str, Any]:
        """What surrounds the task that runs in this process: see `shoal.runtime_context`."""
        scheduler = self._hub.scheduler
        worker = scheduler.workers.get(number)
        task = scheduler.tasks.get(task_id) if task_id is not None else None
        actor = scheduler.actors.table.get(worker.actor) if worker is not None and worker.actor else None
        wish = worker.wish if worker is not None else None
        node = worker.node if worker is not None else next(iter(scheduler.nodes.table.values()))
        job = number if worker is None else task.job if task is not None else worker.job
        if actor is not None:
            job = actor.job
        kind = task.kind if task is not None else None
        return {
            "session": self._hub.settings.name,
            "folder": str(self._hub.folder),
            "job": self.job(job),
            "node": node.id,
            "labels": dict(node.labels),
            "worker": self._id(number),
            "name": kind.name if kind is not None else None,
            "actor": actor.id if actor is not None else None,
            "actor_name": actor.kind.actor_name if actor is not None else None,
            "namespace": self._hub.names.of(number, task_id),
            "restarts": actor.restarted if actor is not None else 0,
            "group": wish.group.hex() if wish is not None and wish.group else None,
            "captures": wish.capture if wish is not None else worker is None,
            "resources": _demand(worker.shape) if worker is not None else {},
            "gpus": [str(index) for index, _ in worker.gpus] if worker is not None else [],
        }

    # tasks

    def _tasks(self) -> Rows:
        """A row for each attempt, the latest of a task's first; the driver's own is not there, as it is none."""
        attempts: dict[str, list[Row]] = {}
        for row in self._hub.recorder.rows():
            attempts.setdefault(row[0], []).append(row)
        for rows in attempts.values():
            for row in reversed(rows):
                kind = self._hub.kinds.get(row.kind)
                if kind is None or kind.listed:
                    yield self._task(row)

    def _task(self, row: Row) -> dict[str, Any]:
        hexa, name, cell, state, worker, actor, parent, submitted, started, ended, error, _ = row
        task = self._hub.scheduler.tasks.get(bytes.fromhex(hexa))
        kind = self._hub.scheduler.kinds.get(row.kind)
        role = kind.role if kind is not None else "task"
        number = int(worker) if worker is not None and worker.isdigit() else None
        process = self._hub.scheduler.workers.get(number) if number is not None else None
        pid, node = self._whereabouts(number or 0)
        name = full_name(name, role)
        if task is not None and ended is None:
            state = self._task_state(task, process)
            if started is None and state == states.RUNNING:
                started = time.time()
        said = row.said
        if error == "TaskCancelledError" and self._outlived(row.job, ended):
            error, said = "WorkerCrashedError", f"Job finishes (job_id={self.job(row.job)}) as driver exits."
        events = [{"state": states.PENDING_ARGS, "created_ms": _ms(submitted)}]
        if started is not None:
            events.append({"state": states.RUNNING, "created_ms": _ms(started)})
        if ended is not None:
            events.append({"state": state, "created_ms": _ms(ended)})
        return {
            "task_id": hexa, "attempt_number": row.attempt, "name": name, "state": state,
            "job_id": self.job(row.job), "actor_id": actor, "type": TYPES[role],
            "func_or_class_name": full_name(kind.name, role) if kind is not None else name,
            "parent_task_id": parent or "", "node_id": node,
            "worker_id": self._id(number) if number is not None else None,
            "worker_pid": pid,
            "error_type": None if error is None else ERRORS.get(error, "TASK_EXECUTION_EXCEPTION"),
            "error_message": (said or error) if error is not None else None, "language": "PYTHON",
            "required_resources": _demand(kind.shape) if kind is not None else {},
            "runtime_env_info": None, "events": events, "profiling_data": None,
            "placement_group_id": _group_of(kind), "creation_time_ms": _ms(submitted), "start_time_ms": _ms(started),
            "end_time_ms": _ms(ended), "task_log_info": None, "is_debugger_paused": None, "call_site": cell,
            "label_selector": {}, "fallback_strategy": None,
        }  # fmt: skip

    def _task_state(self, task: Task, worker: Worker | None) -> str:
        """One that waits in `get` is RUNNING, as in Ray's lists; only Ray's metrics tell it from others."""
        if task.state == WAITING:
            return states.PENDING_ARGS
        if task.state == QUEUED or worker is None:
            return states.PENDING_NODE
        number = worker.running.get(task.id, 0)
        if number:
            begun = number in self._page(worker)
        else:
            begun = next(iter(worker.running), None) == task.id
        if begun:
            return states.RUNNING
        return QUEUED_CALL if task.kind.role == "method" else states.SUBMITTED

    def _page(self, worker: Worker) -> BegunOf | frozenset[int]:
        """Which calls a worker has begun, by now."""
        process = self._hub.supervisor.processes.get(worker.id)
        if process is None:
            return frozenset()
        page = self._pages.get(worker.id)
        if page is None:
            page = self._pages[worker.id] = self._hub.supervisor.begun(process)
        return page

    def _outlived(self, job: int, ended: float | None) -> bool:
        """Whether it was its program's end that ended it."""
        program = self._jobs.get(job)
        over = program["end_time"] if program is not None else None
        return over is not None and ended is not None and int(ended * 1000) >= over

    # actors

    def _actor_rows(self) -> Rows:
        table = self._hub.scheduler.actors.table
        for actor in {**self._actors, **table}.values():
            # One that nobody can reach any more and that had not ended has ended with its last handle.
            gone = actor.id not in table and actor.state != DEAD
            yield self._actor(actor, DEAD if gone else actor.state)

    def _actor(self, actor: Actor, state: str) -> dict[str, Any]:
        kind = actor.kind
        worker = self._hub.scheduler.workers.get(actor.worker) if actor.worker is not None else None
        pid, node = self._whereabouts(actor.worker or 0)
        cause = None
        if state == DEAD:
            cause = {"actor_died_error_context": {"error_message": actor.reason, "actor_id": actor.id.hex()}}
        return {
            "actor_id": actor.id.hex(), "class_name": kind.name, "state": state, "job_id": self.job(actor.job),
            "name": kind.actor_name, "node_id": node, "pid": pid or 0, "ray_namespace": actor.namespace,
            "serialized_runtime_env": self._env_text(worker), "required_resources": _demand(kind.held),
            "death_cause": cause, "is_detached": kind.detached, "placement_group_id": _group_of(kind),
            "repr_name": self._called.get(actor.id, ""), "num_restarts": actor.restarted,
            "num_restarts_due_to_lineage_reconstruction": 0, "num_restarts_due_to_node_preemption": 0,
            "call_site": actor.cell, "label_selector": {}, "fallback_strategy": None,
        }  # fmt: skip

    def _env_text(self, worker: Worker | None) -> str:
        record = self._hub.runtime_envs.table.get(worker.env) if worker is not None else None
        return "{}" if record is None else record.text

    # objects

    def _objects(self) -> Rows:
        values = self._hub.values
        for object_id, record in self._hub.scheduler.objects.table.items():
            task = self._hub.scheduler.tasks.get(task_of(object_id))
            status = "NIL"
            if record.ready:
                status = states.FAILED if record.failed else states.FINISHED
            elif task is not None:
                process = self._hub.scheduler.workers.get(task.worker) if task.worker is not None else None
                status = self._task_state(task, process)
            owner = record.owner if record.owner >= 0 or record.owner in self._jobs else None
            if owner is None:
                owner = next(iter(record.holders), 0)
            yield {
                "object_id": object_id.hex(), "object_size": _size(values.get(object_id)), "task_status": status,
                "attempt_number": 1, "reference_type": _reference(record), "call_site": "disabled",
                "type": "WORKER" if owner > 0 else "DRIVER", "pid": self.pid(owner), "ip": IP,
            }  # fmt: skip

    def locations(self, ids: Sequence[bytes]) -> list[tuple[int | None, str | None]]:
        """Size and node of each object; None where it is not ready, or not known here."""
        found: list[tuple[int | None, str | None]] = []
        for object_id in ids:
            record = self._hub.scheduler.objects.table.get(object_id)
            value = self._hub.values.get(object_id)
            if value is None or record is not None and record.failed:
                found.append((None, self._head()))
            else:
                _, node = self._whereabouts(self._hub.memory.writer(value) or 0)
                found.append((_size(value), node or self._head()))
        return found

    # processes

    def _workers(self) -> Rows:
        for number, job in self._jobs.items():
            alive = job["status"] == "RUNNING"
            yield {
                "worker_id": self._id(number), "is_alive": alive, "worker_type": "DRIVER",
                "exit_type": None if alive else "INTENDED_USER_EXIT", "node_id": job["driver_node_id"], "ip": IP,
                "pid": int(job["driver_info"]["pid"]), "exit_detail": None, "worker_launch_time_ms": -1,
                "worker_launched_time_ms": -1, "start_time_ms": job["start_time"], "end_time_ms": job["end_time"],
                "debugger_port": None, "num_paused_threads": 0,
            }  # fmt: skip
        for number, process in self._hub.supervisor.processes.items():
            worker = self._hub.scheduler.workers.get(number)
            if worker is not None and worker.state != STARTING and process.pid:
                yield self._worker(worker, process.pid)
        yield from self._dead_workers

    def _worker(self, worker: Worker, pid: int) -> dict[str, Any]:
        return {
            "worker_id": self._id(worker.id), "is_alive": True, "worker_type": "WORKER", "exit_type": None,
            "node_id": worker.node.id, "ip": worker.node.address, "pid": pid, "exit_detail": None,
            "worker_launch_time_ms": -1, "worker_launched_time_ms": -1, "start_time_ms": None, "end_time_ms": None,
            "debugger_port": None, "num_paused_threads": 0,
        }  # fmt: skip

    def _nodes(self) -> Rows:
        head = self._head()
        for node in self._hub.scheduler.nodes.table.values():
            yield {
                "node_id": node.id, "node_ip": node.address, "is_head_node": node.id == head,
                "state": "ALIVE" if node.alive else "DEAD", "state_message": node.reason or None,
                "node_name": node.name, "resources_total": amounts(node.resources.total),
                "labels": dict(node.labels), "start_time_ms": _ms(self._hub.started), "end_time_ms": None,
            }  # fmt: skip

    # the rest

    def _groups(self) -> Rows:
        for group in self._hub.scheduler.groups.table.values():
            yield {
                "placement_group_id": group.id.hex(), "name": group.name, "creator_job_id": self.job(group.job),
                "state": group.state, "is_detached": group.detached, "stats": {}, "topology_strategy": {},
                "topology_assignments": {},
                "bundles": [
                    {
                        "bundle_id": {"placement_group_id": group.id.hex(), "bundle_index": str(index)},
                        "node_id": bundle.node.id if bundle.node is not None else "",
                        "unit_resources": _demand(bundle.shape),
                    }
                    for index, bundle in enumerate(group.bundles)
                ],
            }  # fmt: skip

    def _runtime_envs(self) -> Rows:
        for record in self._hub.runtime_envs.table.values():
            if record.state in ("ready", "failed"):
                users = sum(w.env == record.key for w in self._hub.scheduler.workers.values())
                yield {
                    "runtime_env": json.loads(record.text), "success": record.state == "ready",
                    "creation_time_ms": (record.seconds or 0.0) * 1000, "node_id": self._head(), "ref_cnt": users,
                    "error": record.error or None,
                }  # fmt: skip


def _passes(row: dict[str, Any], key: str, predicate: str, value: Any) -> bool:
    """Words are compared without regard to case; a number or truth may be given as a word."""
    if key not in row:
        raise ClusterError(f"there is no field {key!r}")
    found = row[key]
    same = bool(found == value)
    if not same and isinstance(value, str) and found is not None and not isinstance(found, (dict, list)):
        same = str(found).lower() == value.lower()
    return same == (predicate == "=")


def full_name(name: str, role: str) -> str:
    """Of a task: that of an actor's creation is its class's constructor."""
    return f"{name}.__init__" if role == "actor" else name


def _group_of(kind: Any) -> str | None:
    wish = getattr(kind, "wish", None)
    return wish.group.hex() if wish is not None and wish.group else None


def _size(value: tuple[Any, ...] | None) -> int:
    if value is None:
        return -1
    if value[0] in ("s", "d"):
        return size_of(value)
    return len(value[1]) + sum(len(buffer) for buffer in value[2])


def _reference(record: Object) -> str:
    if record.actor:
        return "ACTOR_HANDLE"
    if record.holders:
        return "LOCAL_REFERENCE"
    return "USED_BY_PENDING_TASK" if record.pins else "UNKNOWN_STATUS"


def _command(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""
