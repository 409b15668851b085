"""This process's cluster: started, found, joined, left."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import pickle
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoal import current as _engine_here
from shoal.config import (
    GRACE,
    Settings,
    clusters_dir,
    default_cpus,
    default_gpus,
    default_memory,
    disk_option,
    lineage_option,
    node_spec,
    offered,
    remove_folder,
    spill_option,
)
from shoal.echo import Echo
from shoal.engines.base import Engine, Output
from shoal.engines.facts import facts
from shoal.engines.local import LocalEngine
from shoal.exceptions import ClusterDiedError, ClusterError, ClusterNotFoundError, EngineUnavailable, ShoalValueError
from shoal.labels import node_labels
from shoal.link import connect
from shoal.reasons import Explanation, explained
from shoal.shield import Shield
from shoal.wire import PROTOCOL, check_peer, encode

if TYPE_CHECKING:
    from shoal.feed import Feed

START = 30.0
"""Seconds that a hub may take to start; it takes a tenth of one."""
ANSWER = 5.0
"""Seconds that a cluster which was not joined may take to answer."""
STORE_SHARE = 0.3
"""Part of the memory that objects may take, as in Ray."""


class Log:
    """What a hub prints, which is nothing unless it fails: in memory, gone with the last of us."""

    def __init__(self) -> None:
        self.fd = os.memfd_create("shoal-log", os.MFD_CLOEXEC)

    def last_line(self) -> str:
        try:
            lines = os.pread(self.fd, 1 << 16, 0).decode(errors="replace").strip().splitlines()
        except OSError:  # closed
            return ""
        return lines[-1] if lines else ""

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class Cluster:
    """A connection to a cluster; made by `start`, `connect` or `inline`."""

    def __init__(
        self,
        engine: Engine,
        name: str,
        folder: Path | None = None,
        process: subprocess.Popen[bytes] | None = None,
        log: Log | None = None,
    ) -> None:
        self.engine = engine
        self.name = name
        self.folder = folder
        self._process = process
        self._log = log
        self._feed: Feed | None = None
        self._echo: Echo | None = None
        self._unechoed: Callable[[], None] = lambda: None
        self.quiet = False
        """What its tasks print is not to appear in this program's output."""
        self.bare = False
        """It is to appear there as it is."""
        self._pid = os.getpid()

    @property
    def alive(self) -> bool:
        return self.engine.alive

    def feed(self) -> Feed:
        """The stream of what happens here, opened at first use."""
        if self._feed is None:
            from shoal.feed import Feed

            self.engine.query("feed")
            assert self.folder is not None, "the inline engine answers the query with an error"
            self._feed = Feed(self.folder, lambda: self.engine.query("snapshot"))
        return self._feed

    def on_output(self, handler: Callable[[Output], None]) -> Callable[[], None]:
        """Have `handler` called with what tasks print, in some thread; returns its removal."""
        if isinstance(self.engine, LocalEngine):
            return self.engine.on_output(handler)
        return lambda: None

    def echo(self, on: bool) -> None:
        """Have what tasks print appear in this program's output, or no longer."""
        if on and self._echo is None:
            self._echo = Echo(self.bare)
            self._unechoed = self.on_output(self._echo)
        elif not on and self._echo is not None:
            self._unechoed()
            self._echo.close()
            self._echo = None

    def cancel_cell(self, cell: str, actors_too: bool = False) -> int:
        """Cancel all that the cell launched and is not done; returns how many tasks that were."""
        return self.engine.cancel_cell(cell, actors_too)

    def cell_calls(self, cell: str) -> list[tuple[str, bool, bool]]:
        """What the cell launched and is not done: its name, whether an actor is at it, and one that the cell made."""
        return [] if self.folder is None else self.engine.query("cell_calls", cell)

    def cells(self) -> dict[str, int]:
        """By cell, how many tasks are not done; at least those of this program that wait here count as well."""
        found: dict[str, int] = dict(self.engine.query("cells")) if self.folder is not None else {}
        lanes = getattr(self.engine, "lanes", None)
        for call in lanes.calls() if lanes is not None else ():
            if call.cell is not None and not call.told:
                found[call.cell] = found.get(call.cell, 0) + 1
        return found

    def tasks_named(self, name: str) -> list[bytes]:
        """The ids of this program's tasks of that name that are not done."""
        if self.folder is None:
            return []
        found: list[bytes] = self.engine.query("tasks_named", name, getattr(self.engine, "client", 0))
        lanes = getattr(self.engine, "lanes", None)
        here = [c.task for c in lanes.calls() if c.work.name == name and c.actor is None] if lanes is not None else []
        return list(dict.fromkeys([*found, *here]))

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.engine.query("status")
        return found

    def why(self, object_id: bytes) -> Explanation:
        """Why an object, or the task of that id, is not ready yet, or an actor not there: see `shoal.why`."""
        return explained(facts(self.engine, object_id), interactive())

    def scale(self, cpus: int) -> None:
        """Have another number of tasks run at once from now on, on the head node; what runs goes on."""
        if cpus < 0 or int(cpus) != cpus:
            raise ShoalValueError(f"{cpus} CPUs make no cluster: give a whole number, 0 or more")
        self.engine.query("resize", int(cpus))

    def linger(self, seconds: float) -> None:
        """Have the cluster wait so long for somebody after this process has gone."""
        if isinstance(self.engine, LocalEngine):
            self.engine.linger(seconds)

    def close(self, stop: bool = True) -> None:
        """Leave; the cluster ends with its last client, or at once where `stop`."""
        if self._feed is not None:
            self._feed.close()
            self._feed = None
        if self.alive and stop and self._process is not None:
            try:
                self.engine.query("stop")
            except ClusterDiedError:
                pass  # it took us at our word before it could answer
        self.engine.close()
        self.echo(False)
        if self._process is not None and stop:
            with contextlib.suppress(subprocess.TimeoutExpired):  # it dropped us and serves others
                self._process.wait(START)
        if self._log is not None:
            self._log.close()


class _Here:
    cluster: Cluster | None = None
    watchers: tuple[Callable[[Cluster | None], None], ...] = ()
    interactive: bool = False
    at_exit: bool = False


_here = _Here()


def current() -> Cluster | None:
    """This process's cluster; None before first use, and after its hub died."""
    cluster = _here.cluster
    if cluster is not None and cluster._pid != os.getpid():
        return None  # a fork of a driver is not a driver
    return cluster


def living() -> Cluster | None:
    """This process's cluster, if it answers still."""
    here = current()
    return here if here is not None and here.alive else None


def interactive(on: bool | None = None) -> bool:
    """Whether this process is a notebook, where cells are run again; the extension says so with `on`."""
    if on is not None:
        _here.interactive = on
        if on and _here.cluster is not None:
            _here.cluster.echo(False)
    return _here.interactive


def engine() -> Engine:
    """What this process's work goes to: a worker's own, or the driver's cluster, started when there is none."""
    here = _engine_here.peek()
    if here is not None and here.alive:
        return here
    _engine_here.check_fork()
    return ensure().engine


def use(cluster: Cluster | None) -> None:
    if cluster is not None and not _here.at_exit:
        _here.at_exit = True
        atexit.register(leave)
    _here.cluster = cluster
    if cluster is not None:
        cluster.echo(not (_here.interactive or cluster.quiet))
    _engine_here.set_engine(None if cluster is None else cluster.engine)
    for watcher in _here.watchers:
        watcher(cluster)


def on_change(watcher: Callable[[Cluster | None], None]) -> Callable[[], None]:
    """Have `watcher` called with this process's cluster whenever it becomes another; returns its removal."""
    _here.watchers = (*_here.watchers, watcher)

    def stop() -> None:
        _here.watchers = tuple(w for w in _here.watchers if w is not watcher)

    return stop


def ensure() -> Cluster:
    """This process's cluster, started when there is none; a dead one is replaced."""
    cluster = current()
    if cluster is not None and not cluster.alive:
        leave()
        cluster = None
    if cluster is None:
        cluster = start()
        use(cluster)
    return cluster


def leave(stop: bool = True) -> None:
    cluster = current()
    use(None)
    if cluster is not None:
        cluster.close(stop)


def start(
    *,
    cpus: float | None = None,
    gpus: float | None = None,
    memory: int | None = None,
    store: int | None = None,
    resources: dict[str, float] | None = None,
    name: str | None = None,
    linger: float | None = None,
    labels: dict[str, str] | None = None,
    node_name: str = "",
    nodes: Sequence[dict[str, Any]] = (),
    spill: str | None = None,
    system: Mapping[str, Any] | None = None,
) -> Cluster:
    """Start a cluster on this machine and connect to it.

    Args: `cpus` as many tasks run at once; `memory` and `store` (shared objects) in bytes; `linger` seconds that it
    outlives its last client; `nodes` further nodes to be played, as in `shoal.init`; `spill` the folder for what does
    not fit into memory ("": none); `system` what of Ray's system configuration has a meaning here. Raises ValueError
    for sizes that make no sense, ClusterError when it does not start.
    """
    if sys.platform != "linux":
        raise EngineUnavailable(
            "the engine 'local' needs Linux so far (on Windows: WSL2): "
            "shoal.init('inline') runs everything in this process, anywhere"
        )
    cpus = default_cpus() if cpus is None else cpus
    if cpus < 0 or int(cpus) != cpus:
        raise ShoalValueError(f"num_cpus={cpus} makes no cluster: give a whole number, 0 or more")
    machine = default_memory()
    settings = Settings(
        name=name or f"{os.getpid()}-{os.urandom(3).hex()}",
        cpus=cpus,
        gpus=default_gpus() if gpus is None else gpus,
        memory=machine if memory is None else int(memory),
        store=int(machine * STORE_SHARE) if store is None else store,
        resources=tuple(offered(resources or {}).items()),
        linger=GRACE if linger is None else linger,
        labels=tuple(node_labels(labels or {}).items()),
        node_name=node_name,
        nodes=tuple(node_spec(node) for node in nodes),
        spill=spill_option(spill),
        lineage=lineage_option(system or {}),
        disk=disk_option(system or {}),
    )
    return _begin(settings)


def _begin(settings: Settings) -> Cluster:
    folder = clusters_dir() / settings.name
    if folder.exists():
        if running(settings.name):
            raise ClusterError(f"a cluster named {settings.name!r} runs already: connect to it, or choose another name")
        remove_folder(folder)
    log = Log()
    process = _launch(settings, log)
    try:
        return _connect(folder, process, log)
    except ClusterDiedError:
        process.kill()
        process.wait()
        last = log.last_line() or "no word from it"
        log.close()
        raise ClusterError(f"the cluster did not start: {last}") from None


def restart(here: Cluster, **changes: Any) -> Cluster:
    """End a cluster with all that it holds, and start another like it; `changes` are fields of `Settings`.

    Raises ClusterError while other programs use it.
    """
    others = here.status()["clients"] - 1
    if others:
        raise ClusterError(f"{others} other {'programs use' if others > 1 else 'program uses'} the cluster {here.name}")
    settings = Settings(**{**here.engine.query("settings"), **changes})
    namespace = here.engine.query("context", getattr(here.engine, "client", 0), None)["namespace"]
    with contextlib.suppress(ClusterDiedError):  # it may be gone before it has answered
        here.engine.query("stop")
    if current() is here:
        use(None)
    here.close()
    deadline = time.monotonic() + START
    while running(settings.name) or (clusters_dir() / settings.name).exists():
        if time.monotonic() > deadline:
            raise ClusterError(f"the cluster {settings.name} does not end: kill its processes, and start another")
        time.sleep(0.01)
    made = _begin(settings)
    made.engine.use_namespace(namespace)
    use(made)
    return made


def _launch(settings: Settings, log: Log) -> subprocess.Popen[bytes]:
    roots = [p for p in sys.path if p]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(roots)),
        "SHOAL_DIR": str(clusters_dir()),
    }
    flags = [*(["-S"] if sys.flags.no_site else []), *(["-s"] if sys.flags.no_user_site else [])]
    told = os.memfd_create("shoal-settings", os.MFD_CLOEXEC)
    try:
        os.pwrite(told, json.dumps(asdict(settings)).encode(), 0)
        return subprocess.Popen(
            # -s -E would lose PYTHONPATH; -u keeps the log whole should it crash
            [sys.executable, "-u", *flags, "-m", "shoal.hub.main"],
            stdin=told,  # a command line has room for less
            stdout=log.fd,
            stderr=log.fd,
            env=environment,
            start_new_session=True,
        )
    finally:
        os.close(told)


def _connect(folder: Path, process: subprocess.Popen[bytes] | None = None, log: Log | None = None) -> Cluster:
    deadline = time.monotonic() + START
    while True:
        try:
            sock = connect(folder / "hub.sock", time.monotonic() + 0.2)
            break
        except ClusterDiedError:
            if (process is not None and process.poll() is not None) or time.monotonic() > deadline:
                raise
    check_peer(sock)
    sock.sendall(encode([("hello", PROTOCOL, sys.version)]))
    tag, (answer, *_) = _first_answer(sock)
    if tag != "welcome":
        sock.close()
        raise ClusterError(str(answer))
    engine = LocalEngine(sock, folder, int(answer), shield=Shield())
    if log is not None:
        engine.link.last_words = log.last_line
    return Cluster(engine, folder.name, folder, process, log)


def _first_answer(sock: socket.socket) -> tuple[str, Any]:
    def exactly(count: int) -> bytes:
        data = b""
        while len(data) < count:
            try:
                chunk = sock.recv(count - len(data))
            except OSError:
                chunk = b""
            if not chunk:
                raise ClusterDiedError("the hub hung up")
            data += chunk
        return data

    messages = pickle.loads(exactly(int.from_bytes(exactly(4), "little")))
    tag, *answer = messages[0]
    return tag, answer


def connect_to(name: str) -> Cluster:
    """Join a running cluster of this user; "auto" takes the youngest. Raises ClusterNotFoundError."""
    names = running_names()
    if name == "auto":
        if not names:
            raise ClusterNotFoundError("no cluster of yours runs on this machine: shoal.init() starts one")
        name = names[-1]
    elif name not in names:
        known = ", ".join(names) or "none"
        raise ClusterNotFoundError(f"no cluster named {name!r} runs (running: {known})")
    return _connect(clusters_dir() / name)


def ask(name: str, what: str, *args: Any) -> Any:
    """A question to a running cluster that this process does not join: not even its end waits for us, or comes sooner.

    Raises ClusterNotFoundError where none of that name answers.
    """
    try:
        sock = connect(clusters_dir() / name / "hub.sock", time.monotonic())
    except ClusterDiedError:
        raise ClusterNotFoundError(f"no cluster named {name!r} runs") from None
    with sock:
        check_peer(sock)
        sock.settimeout(ANSWER)
        sock.sendall(encode([("ask", 0, what, args)]))
        try:
            _, (_, good, answer) = _first_answer(sock)
        except ClusterDiedError:
            raise ClusterNotFoundError(f"the cluster {name!r} does not answer") from None
    if not good:
        raise answer
    return answer


def inline() -> Cluster:
    """A cluster in the caller's thread: for debugging, docs and tests."""
    from shoal.engines.inline import InlineEngine

    return Cluster(InlineEngine(), "inline")


def running(name: str) -> bool:
    """Whether a hub of that name listens. Leftovers of one that was killed with its zygote are removed."""
    folder = clusters_dir() / name
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.connect(str(folder / "hub.sock"))
        return True
    except ConnectionRefusedError:
        remove_folder(folder)
        return False
    except OSError:
        return False
    finally:
        sock.close()


def running_names() -> list[str]:
    """This user's clusters on this machine, oldest first."""
    folders = sorted((p for p in clusters_dir().iterdir() if p.is_dir()), key=lambda p: p.stat().st_mtime)
    return [p.name for p in folders if running(p.name)]
