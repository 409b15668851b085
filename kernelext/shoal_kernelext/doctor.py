"""What could be wrong with a notebook's cluster, looked at thing by thing, each fault with its cure."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from shoal import api, cluster, tables
from shoal.config import clusters_dir, default_cpus, default_memory
from shoal.environment import THREADS
from shoal.exceptions import GetTimeoutError, ShoalError
from shoal.reasons import lasting, sized
from shoal.versions import versions

if TYPE_CHECKING:
    from shoal_kernelext.session import Session

PACKAGES = ("shoal", "cloudpickle", "numpy", "pandas", "pyarrow", "psutil", "pyzmq")
"""Whose versions must be the same on both sides, for what is pickled on one is read on the other."""
FRONT = ("ipykernel", "ipywidgets", "anywidget", "jupyterlab", "notebook")
_WAIT = 10.0
"""Seconds that a worker may take to answer."""
_TIGHT = 0.1
"""Of memory, disk or files, what should be left."""


class Finding(NamedTuple):
    what: str
    found: str
    cure: str = ""
    """What to do; empty where all is well."""


class Report:
    """The findings as a table, faults marked in words."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)

    _HEAD = ("", "looked at", "found", "cure")

    @property
    def faults(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.cure]

    def _summary(self) -> str:
        count = len(self.faults)
        return "all is well" if not count else f"{count} thing{'s' if count > 1 else ''} to look after"

    def _rows(self) -> list[tuple[str, ...]]:
        return [("fault" if f.cure else "ok", f.what, f.found, f.cure) for f in self.findings]

    def __repr__(self) -> str:
        return f"{self._summary()}\n{tables.as_text(self._HEAD, self._rows())}"

    def _repr_html_(self) -> str:
        return tables.as_html(self._HEAD, self._rows(), caption=self._summary())


def examined(here: cluster.Cluster | None, session: Session) -> Report:
    """Look at everything; what of it needs a cluster is left out where there is none."""
    looks: list[Callable[[], Iterator[Finding]]] = [
        _kernel, lambda: _front_end(session), _memory, _files, _cpus, _threads, _leftovers,
    ]  # fmt: skip
    if here is not None and here.folder is not None:
        looks[1:1] = [lambda: _hub(here), lambda: _worker(here), lambda: _store(here), lambda: _disk(here)]
    findings: list[Finding] = []
    for look in looks:
        try:
            findings += look()
        except (ShoalError, OSError) as error:
            findings.append(Finding("the look itself", f"{type(error).__name__}: {error}", "run %cluster doctor again"))
    return Report(findings)


# the two sides


def _python() -> str:
    return f"Python {platform.python_version()}"


def _spelled(found: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in found.items())


def _kernel() -> Iterator[Finding]:
    found = versions(PACKAGES)
    yield Finding("this kernel", f"{_python()}, {_spelled(found)}")
    for name, version in found.items():
        module = sys.modules.get({"pyzmq": "zmq"}.get(name, name))
        loaded = getattr(module, "__version__", version)
        if loaded != version:
            what = f"{name} {loaded} is loaded, {version} is installed since"
            yield Finding("this kernel", what, "restart the kernel, and the cluster")


def _hub(here: cluster.Cluster) -> Iterator[Finding]:
    yield _compared("the cluster's hub", here.engine.query("about", PACKAGES))


def _worker(here: cluster.Cluster) -> Iterator[Finding]:
    ref = api.remote(num_cpus=0, max_retries=0)(_about).remote(PACKAGES)
    try:
        yield _compared("a worker", api.get(ref, timeout=_WAIT))
    except GetTimeoutError:
        api.cancel(ref, force=True)
        cure = "see what runs with %tasks; %cluster restart where nothing should"
        yield Finding("a worker", f"none has answered within {_WAIT:g} s", cure)


def _about(packages: tuple[str, ...]) -> dict[str, Any]:
    from shoal.versions import versions

    return {"pid": os.getpid(), "python": sys.version, "versions": versions(packages)}


def _compared(who: str, about: dict[str, Any]) -> Finding:
    """Against this kernel."""
    mine = versions(PACKAGES)
    other = about["versions"]
    python = about["python"].split()[0]
    unlike = [name for name in PACKAGES if other.get(name) != mine.get(name)]
    differ = [f"{name} {other.get(name, 'missing')} (here {mine.get(name, 'missing')})" for name in unlike]
    if python.split(".")[:2] != platform.python_version().split(".")[:2]:
        differ.insert(0, f"Python {python} (here {platform.python_version()})")
    if differ:
        return Finding(who, ", ".join(differ), "%cluster restart, so that both sides have the same")
    return Finding(who, f"Python {python}, the same packages (pid {about['pid']})")


# the front end


def _front_end(session: Session) -> Iterator[Finding]:
    found = versions(FRONT)
    missing = [name for name in ("ipywidgets", "anywidget") if name not in found]
    cure = f"pip install {' '.join(missing)}, then restart the kernel; the record under each cell needs neither"
    yield Finding("widgets", _spelled(found), cure if missing else "")
    if session.kernel is None:
        yield Finding("front end", "a terminal: what workers print appears, there are no live views")
    elif session.page_heard is None:
        yield Finding("front end", "no page has answered a widget yet: known after the first live view")
    else:
        ago = lasting(time.time() - session.page_heard)
        yield Finding("front end", f"a page that shows widgets is there (heard {ago} ago)")


# memory, disk, files


def _memory() -> Iterator[Finding]:
    import psutil

    memory, limit = psutil.virtual_memory(), default_memory()
    left = memory.available
    told = f"{sized(memory.available)} of {sized(memory.total)} free"
    current = _number("/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory/memory.usage_in_bytes")
    if limit < memory.total:
        told += f"; limited to {sized(limit)}"
        if current is not None:
            reclaimable = _cache()
            left = min(left, limit - current + reclaimable)
            told += f", of which {sized(max(0, current - reclaimable))} are used"
    cure = "free what is not needed (%who_holds), or ask for more memory: a process may be killed at any moment"
    yield Finding("memory", told, cure if left < _TIGHT * min(limit, memory.total) else "")


def _cache() -> int:
    """Bytes of the cgroup's that the system gives back when they are needed."""
    try:
        lines = Path("/sys/fs/cgroup/memory.stat").read_text().splitlines()
    except OSError:
        return 0
    found = dict(line.split() for line in lines if len(line.split()) == 2)
    return int(found.get("inactive_file", 0)) + int(found.get("active_file", 0))


def _number(*paths: str) -> int | None:
    for path in paths:
        try:
            return int(Path(path).read_text())
        except (OSError, ValueError):
            pass
    return None


def _store(here: cluster.Cluster) -> Iterator[Finding]:
    status = here.status()
    used, capacity = status["store"]
    told = f"{sized(used)} of {sized(capacity)} used by objects, {sized(status['spilled'])} on disk"
    cure = "drop refs that are not needed (%who_holds tells who keeps them), or start with more: object_store_memory"
    yield Finding("object store", told, cure if capacity and used > (1 - _TIGHT) * capacity else "")


def _disk(here: cluster.Cluster) -> Iterator[Finding]:
    settings = here.engine.query("settings")
    if settings["spill"] == "":
        yield Finding("disk for objects", "none: a full store is an error", "start with object_spilling_directory=…")
        return
    folder = settings["spill"] or str(here.folder)
    usage = shutil.disk_usage(folder)
    allowed = settings["disk"] * usage.total - (usage.total - usage.free)
    cure = f"make room in {folder}, or name another folder: object_spilling_directory"
    told = f"{sized(max(0.0, allowed))} left in {folder}"
    yield Finding("disk for objects", told, cure if allowed < 1e9 else "")


def _files() -> Iterator[Finding]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(os.listdir("/proc/self/fd"))
    cure = f"ulimit -n {hard} before Jupyter starts, or resource.setrlimit(resource.RLIMIT_NOFILE, ({hard}, {hard}))"
    scarce = soft < 512 or used > (1 - _TIGHT) * soft
    limit = f"{soft:,}" if soft != resource.RLIM_INFINITY else "no limit"
    told = f"{used:,} in this kernel, of {limit} allowed (at most {hard:,})"
    yield Finding("open files", told, cure if scarce else "")


# CPUs and threads


def _cpus() -> Iterator[Finding]:
    there, machine = default_cpus(), os.cpu_count() or 1
    here = cluster.living()
    taken = here.engine.query("resources")[0].get("CPU", 0) if here is not None else there
    told = f"{machine} in the machine, {there} for you by affinity and quota, {taken:g} in the cluster"
    yield Finding("CPUs", told, f"tasks share CPUs: %cluster scale {there}" if taken > there else "")
    load = os.getloadavg()[0]
    cure = "others use this machine too, or tasks start threads of their own: timings say little"
    yield Finding("load", f"{load:.1f} processes want a CPU at once", cure if load > 2 * machine else "")


def _threads() -> Iterator[Finding]:
    given = {name: os.environ[name] for name in THREADS if os.environ.get(name)}
    many = {name: value for name, value in given.items() if value.isdigit() and int(value) > 1}
    told = ", ".join(f"{name}={value}" for name, value in given.items()) or "as many as a task's num_cpus"
    cure = f"unset {', '.join(many)}: each task would use so many threads, whatever its num_cpus"
    yield Finding("threads of BLAS and OpenMP in tasks", told, cure if many else "")


# what is left of others


def _leftovers() -> Iterator[Finding]:
    before = {path.name for path in clusters_dir().iterdir() if path.is_dir()}
    running = set(cluster.running_names())  # which removes what is left of dead ones
    gone = sorted(before - {path.name for path in clusters_dir().iterdir()})
    told = f"{len(running)} running" + (f"; folders of dead ones, now removed: {', '.join(gone)}" if gone else "")
    lost = sorted(_lost_hubs())
    cure = f"kill {' '.join(map(str, lost))}: hubs whose folder is gone" if lost else ""
    yield Finding("clusters of yours", told, cure)


def _lost_hubs() -> Iterator[int]:
    """Processes of hubs in this folder that no socket leads to any more."""
    import psutil

    folder = str(clusters_dir())
    for process in psutil.process_iter(["name", "uids"]):
        try:
            if process.info["name"] != "shoal-hub" or process.info["uids"].real != os.getuid():
                continue
            if process.environ().get("SHOAL_DIR") == folder and time.time() - process.create_time() > 60:
                sockets = [c.laddr for c in process.net_connections("unix") if str(c.laddr).endswith("hub.sock")]
                if sockets and not any(Path(str(path)).exists() for path in sockets):
                    yield process.pid
        except (psutil.Error, OSError):
            continue
