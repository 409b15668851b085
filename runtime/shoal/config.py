"""Settings of a cluster: what this machine offers and what the environment overrides.

SHOAL_DIR     folder of the clusters' sockets (default: shoal-UID in the system's temporary folder)
SHOAL_CPUS    CPUs a cluster has by default
SHOAL_MEMORY  bytes of memory a cluster may count on by default
SHOAL_ADDRESS name of the cluster that init() connects to
SHOAL_MAX_LINEAGE_BYTES  bytes that a cluster keeps of what tasks were called with, so that they can run again when what
              they made is lost (default: 268435456); 0: lost objects stay lost
SHOAL_SPILL_DIR  folder for objects that do not fit into shared memory (default: where the sockets are); empty: they
              stay in memory, and a full store is an error
SHOAL_LOCAL_FS_CAPACITY_THRESHOLD  share of that folder's disk, from 0 to 1, beyond which nothing is spilled to it
              (default: 0.95)
"""

from __future__ import annotations

import numbers
import os
import shutil
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shoal.exceptions import ClusterError, ShoalTypeError, ShoalValueError
from shoal.labels import node_labels

LINGER_RESTART = 15 * 60.0
"""Seconds a cluster waits for a kernel that restarts."""
LINEAGE = 256 << 20
"""Bytes of what is kept of tasks that may have to run again; Ray's are 1 GiB in each process that calls tasks."""
DISK = 0.95
"""As in Ray: https://docs.ray.io/en/latest/ray-core/objects/object-spilling.html"""
GRACE = 2.0
"""Seconds a cluster without clients lives on: long enough to reconnect, short enough to leave nothing behind."""


@dataclass(frozen=True)
class Settings:
    """What a hub is started with: first what its head node offers."""

    name: str
    cpus: float
    gpus: float
    memory: int
    store: int
    resources: tuple[tuple[str, float], ...] = ()
    linger: float = GRACE
    labels: tuple[tuple[str, str], ...] = ()
    node_name: str = ""
    nodes: tuple[dict[str, Any], ...] = ()
    """Further nodes to be played, as `shoal.init(nodes=…)` takes them."""
    spill: str | None = None
    """Folder for objects on disk; None: within the cluster's own, "": nowhere."""
    lineage: int = LINEAGE
    """Bytes of what is kept of tasks that may have to run again."""
    disk: float = DISK
    """The share of its disk beyond which nothing is spilled."""


SPILL = "spill"


def lineage_option(given: Mapping[str, Any]) -> int:
    """Bytes of lineage, as Ray's system configuration says it or else SHOAL_MAX_LINEAGE_BYTES.

    Raises ValueError for what is no number of bytes.
    """
    if given.get("lineage_pinning_enabled") is False:
        return 0
    wanted = given.get("max_lineage_bytes", os.environ.get("SHOAL_MAX_LINEAGE_BYTES") or LINEAGE)
    if not str(wanted).isdigit():
        raise ShoalValueError(f"{wanted!r} bytes of lineage make no sense: give a whole number, 0 or more")
    return int(wanted)


def disk_option(given: Mapping[str, Any]) -> float:
    """How full objects may make a disk, as Ray's system configuration says it or else the environment.

    Raises ValueError for what is no share from 0 to 1.
    """
    name = "local_fs_capacity_threshold"
    wanted = given.get(name, os.environ.get(f"SHOAL_{name.upper()}") or DISK)
    try:
        share = float(wanted)
    except (TypeError, ValueError):
        share = -1.0
    if not 0 <= share <= 1:
        raise ShoalValueError(f"{name}={wanted!r} makes no sense: give the share of a disk, from 0 to 1")
    return share


def spill_option(folder: str | None) -> str | None:
    """Where a new cluster is to spill, as Settings has it; SHOAL_SPILL_DIR where nothing is said.

    Raises ClusterError for a folder that cannot be written to.
    """
    if folder is None:
        folder = os.environ.get("SHOAL_SPILL_DIR")
    if not folder:
        return folder
    path = Path(folder).absolute()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ClusterError(f"objects cannot be spilled to {path}: {error.strerror}; name another folder") from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise ClusterError(f"objects cannot be spilled to {path}: it is not yours to write to; name another folder")
    return str(path)


def spill_of_system(given: Mapping[str, Any]) -> str | None:
    """The folder that Ray's system configuration names, "" where it switches spilling off, None where it says nothing.

    Raises ValueError for what is no folder. Of several folders the first is used.
    """
    if given.get("automatic_object_spilling_enabled") is False:
        return ""
    text = given.get("object_spilling_config")
    folder = given.get("object_spilling_directory")
    if folder or not text:
        return folder or None
    import json

    try:
        found = json.loads(text)
        kind, folder = found["type"], found["params"]["directory_path"]
    except (ValueError, TypeError, KeyError):
        kind, folder = "", None
    if isinstance(folder, list) and folder:
        folder = folder[0]
    if kind != "filesystem" or not isinstance(folder, str) or not folder:
        raise ShoalValueError(
            f"object_spilling_config={text!r} names no folder: give "
            '{"type": "filesystem", "params": {"directory_path": …}} as JSON'
        )
    return folder


def spill_folder(settings: Settings, folder: Path) -> Path | None:
    """Where objects are written that do not fit into memory, made when needed; None where they are not.

    A folder elsewhere is made at once, with a link to it in the cluster's own: it is removed with that.
    """
    if settings.spill == "":
        return None
    if settings.spill is None:
        return folder / SPILL
    elsewhere = Path(settings.spill) / f"shoal-{settings.name}"
    elsewhere.mkdir(mode=0o700, parents=True)
    (folder / SPILL).symlink_to(elsewhere)
    return elsewhere


def remove_folder(folder: Path) -> None:
    """Remove a cluster's folder and all that it wrote to disk."""
    link = folder / SPILL
    try:
        shutil.rmtree(os.readlink(link), ignore_errors=True)
    except OSError:
        pass  # there is none
    shutil.rmtree(folder, ignore_errors=True)


NODE = frozenset({"num_cpus", "num_gpus", "memory", "object_store_memory", "resources", "labels", "node_name"})


def node_spec(given: Any) -> dict[str, Any]:
    """What a node offers, as `shoal.init(nodes=[…])` and `Cluster.add_node(…)` take it, checked."""
    if not isinstance(given, Mapping):
        raise ShoalTypeError(f"a node is a dict like {{'num_cpus': 2, 'labels': {{'zone': 'a'}}}}, not {given!r}")
    found: dict[str, Any] = {"num_cpus": 1, "num_gpus": 0, "memory": 0, "object_store_memory": 0, "node_name": ""}
    for name, value in given.items():
        if name not in NODE:
            raise ShoalValueError(f"a node has no option {name!r}; there are: {', '.join(sorted(NODE))}")
        if value is None:
            continue
        if name == "labels":
            value = node_labels(value)
        elif name == "resources":
            value = offered(value)
        elif name == "node_name":
            value = str(value)
        else:
            value = _offer(name, value)
        found[name] = value
    return found


def offered(resources: Any) -> dict[str, float]:
    """The custom resources of a node."""
    if not isinstance(resources, Mapping):
        raise ShoalTypeError(f"resources is a dict of name and amount, not {resources!r}")
    for name in resources:
        if name in ("CPU", "GPU"):
            raise ShoalValueError(
                f"`{name}` cannot be a custom resource because it is one of the default resources: "
                f"give it by num_{name.lower()}s="
            )
        if name in ("memory", "object_store_memory"):
            raise ShoalValueError(
                f"`{name}` cannot be a custom resource because it is one of the default resources: "
                f"give it by {'_memory' if name == 'memory' else name}="
            )
        if not isinstance(name, str):
            raise ShoalTypeError(f"a resource's name is a string, not {name!r}")
    return {name: _offer(f"resources[{name!r}]", amount) for name, amount in resources.items()}


def _offer(name: str, amount: Any) -> float:
    if not isinstance(amount, numbers.Real) or isinstance(amount, bool):
        raise ShoalTypeError(f"{name} is a number, not {amount!r}")
    found = float(amount)
    if not 0 <= found < float("inf"):
        raise ShoalValueError(f"{name}={amount} makes no sense: give 0 or more")
    return found


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def _number(variable: str) -> int | None:
    text = os.environ.get(variable)
    if not text:
        return None
    if not text.isdigit() or not int(text):
        raise ClusterError(f"{variable}={text!r} is no whole number above zero")
    return int(text)


def default_cpus() -> int:
    """The least of the affinity mask and the cgroup's quota; SHOAL_CPUS overrides it."""
    if (override := _number("SHOAL_CPUS")) is not None:
        return override
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, _, period = _read("/sys/fs/cgroup/cpu.max").strip().partition(" ")
    if not quota:  # cgroup v1
        quota = _read("/sys/fs/cgroup/cpu/cpu.cfs_quota_us").strip()
        period = _read("/sys/fs/cgroup/cpu/cpu.cfs_period_us").strip()
    if quota.isdigit() and period.isdigit() and int(period):
        count = min(count, max(1, int(quota) // int(period)))
    return max(1, count)


def default_gpus() -> int:
    """NVIDIA GPUs that this process may use."""
    try:
        there = len(os.listdir("/proc/driver/nvidia/gpus"))
    except OSError:
        return 0
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return there if visible is None else min(there, len([d for d in visible.split(",") if d.strip()]))


def default_memory() -> int:
    """Bytes: the least of the machine's memory and the cgroup's limit; SHOAL_MEMORY overrides it."""
    if (override := _number("SHOAL_MEMORY")) is not None:
        return override
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        if (limit := _read(path).strip()).isdigit():
            total = min(total, int(limit))
    return total


def clusters_dir() -> Path:
    """The folder of this user's clusters: made with mode 0700, its owner checked.

    Raises ClusterError when it belongs to somebody else, is open to others, or is too long for a socket.
    """
    if sys.platform == "win32":
        raise ClusterError("shoal needs Unix sockets and fork: on Windows run it inside WSL2")
    override = os.environ.get("SHOAL_DIR")
    if override:
        path = Path(override)
    else:
        import tempfile  # takes as long to load as all the rest here

        path = Path(tempfile.gettempdir()) / f"shoal-{os.getuid()}"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise ClusterError(f"{path} does not belong to you: set SHOAL_DIR to a folder of your own")
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise ClusterError(f"{path} is open to other users: chmod 700 {path}, or set SHOAL_DIR to another folder")
    if len(os.fsencode(path)) > 70:  # a Unix socket's path ends at 107 bytes
        raise ClusterError(f"{path} is too long a path for a Unix socket: set SHOAL_DIR to a shorter one")
    return path
