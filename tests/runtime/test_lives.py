"""Lives and deaths: whoever is killed, nothing of ours is left, and whoever waits is told."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

import shoal
from shoal import cluster, wire
from shoal.exceptions import ClusterDiedError, ClusterNotFoundError

PATIENCE = 10.0


def wait_until(true: Callable[[], Any], seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it has not come true"
        time.sleep(0.02)


def driver(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True)


def of_hub(pid: int) -> list[psutil.Process]:
    hub = psutil.Process(pid)
    return [hub, *hub.children(recursive=True)]


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def gone(processes: list[psutil.Process]) -> bool:
    return not any(lives(p) for p in processes)


BUSY = """
import shoal, subprocess, time
shoal.init(num_cpus=2)
@shoal.remote
def busy():
    subprocess.Popen(["sleep", "1000"], start_new_session=True)
    subprocess.Popen(["sleep", "1000"])
    time.sleep(1000)
refs = [busy.remote() for _ in range(4)]
here = shoal.cluster.current()
while sum(w.state == "busy" for w in here.feed().refresh().workers.values()) < 2: time.sleep(0.01)
time.sleep(0.2)
print(here._process.pid, flush=True)
try:
    shoal.get(refs)
except shoal.exceptions.ClusterDiedError as error:
    print("told:", error, flush=True)
"""


def folder_is_empty() -> bool:
    return not os.listdir(os.environ["SHOAL_DIR"])


def test_a_killed_driver_takes_all_with_it() -> None:
    process = driver(BUSY)
    assert process.stdout is not None
    ours = of_hub(int(process.stdout.readline()))
    assert len(ours) >= 6, "hub, zygote, two workers, what they started"
    process.kill()
    process.wait()
    wait_until(lambda: gone(ours))
    wait_until(folder_is_empty)
    process.stdout.close()


@pytest.mark.parametrize("victim", ["hub", "zygote"])
def test_a_killed_hub_or_zygote_is_told_and_leaves_nothing(victim: str) -> None:
    process = driver(BUSY)
    assert process.stdout is not None
    hub = int(process.stdout.readline())
    ours = of_hub(hub)
    sleeping = {p.pid for p in ours if p.name() == "sleep"}
    pid = hub if victim == "hub" else next(p.pid for p in ours if p.name() == "shoal-zygote")
    os.kill(pid, signal.SIGKILL)
    assert "told: the cluster's hub is gone" in process.stdout.readline()
    assert process.wait(PATIENCE) == 0
    wait_until(lambda: gone([p for p in ours if p.pid not in sleeping]))
    if victim == "hub":  # the zygote was their reaper; without it sessions of their own are out of reach
        wait_until(lambda: gone(ours))
    for left in ours:
        if not gone([left]):
            left.kill()
    wait_until(folder_is_empty)
    process.stdout.close()


@pytest.mark.parametrize("end", ["", "shoal.shutdown()", "raise SystemExit(3)", "1/0", "import os; os._exit(4)"])
def test_however_a_program_ends_nothing_is_left(end: str) -> None:
    code = f"import shoal\nshoal.init(num_cpus=1)\nprint(shoal.cluster.current()._process.pid, flush=True)\n{end}"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    hub = int(process.stdout.readline())
    try:
        ours = of_hub(hub)
    except psutil.NoSuchProcess:
        ours = []
    process.wait(PATIENCE)
    wait_until(lambda: gone(ours))
    wait_until(folder_is_empty)
    process.stdout.close()


def test_the_next_use_after_the_hubs_death_starts_another() -> None:
    shoal.init(num_cpus=1)
    first = cluster.current()
    assert first is not None and first._process is not None
    ref = shoal.put(1)
    first._process.kill()

    @shoal.remote
    def one() -> int:
        return 1

    @shoal.remote
    def slow() -> None:
        time.sleep(100)

    with pytest.raises(ClusterDiedError):
        shoal.get(slow.remote())
    assert shoal.get(one.remote()) == 1
    assert cluster.current() is not first
    with pytest.raises(ClusterDiedError):  # though it was here all the time
        shoal.get(ref)
    shoal.shutdown()


def test_a_killed_workers_children_die_with_it() -> None:
    shoal.init(num_cpus=1)

    @shoal.remote(max_retries=0)
    def parent() -> None:
        child = subprocess.Popen(["sleep", "1000"])
        (Path(os.environ["SHOAL_DIR"]) / "child").write_text(str(child.pid))
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(shoal.exceptions.WorkerCrashedError, match="SIGKILL"):
        shoal.get(parent.remote(), timeout=PATIENCE)
    mark = Path(os.environ["SHOAL_DIR"]) / "child"
    pid = int(mark.read_text())
    mark.unlink()
    wait_until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    shoal.shutdown()


def test_what_a_crashed_worker_printed_last_is_not_lost() -> None:
    shoal.init(num_cpus=1)
    here = cluster.current()
    assert here is not None
    seen: list[str] = []
    here.on_output(lambda output: seen.append(output.data))

    @shoal.remote(max_retries=0)
    def crash() -> None:
        os.write(2, b"last words\n")
        os._exit(1)

    with pytest.raises(shoal.exceptions.WorkerCrashedError):
        shoal.get(crash.remote(), timeout=PATIENCE)
    assert "".join(seen) == "last words\n"
    shoal.shutdown()


def test_two_clusters_of_one_user_do_not_meet() -> None:
    shoal.init(num_cpus=1)
    other = driver("import shoal; shoal.init(num_cpus=3); print(shoal.cluster_resources()['CPU'], flush=True); input()")
    assert other.stdout is not None
    assert other.stdout.readline() == "3.0\n"
    assert shoal.cluster_resources()["CPU"] == 1
    other.kill()
    other.wait()
    other.stdout.close()
    assert shoal.cluster_resources()["CPU"] == 1
    shoal.shutdown()


def test_a_second_program_joins_by_name_and_leaves_without_harm() -> None:
    context = shoal.init(num_cpus=1, namespace="ours")
    code = f"""
import shoal
shoal.init({context.address!r}, namespace="ours")
f = shoal.remote(lambda: shoal.get(shoal.get_actor("shared").add.remote(1)))
print(shoal.get(f.remote()))
"""

    class Tally:
        def __init__(self) -> None:
            self.n = 0

        def add(self, n: int) -> int:
            self.n += n
            return self.n

    tally = shoal.remote(Tally).options(name="shared").remote()
    for expected in ("1\n", "2\n"):
        out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
        assert out.stdout == expected
    assert shoal.get(tally.add.remote(1)) == 3
    shoal.shutdown()


def test_a_detached_actor_restarts_when_its_maker_has_left_and_what_it_reserved_goes() -> None:
    context = shoal.init(num_cpus=2, namespace="ours")
    code = f"""
import shoal
from shoal.util.placement_group import placement_group
shoal.init({context.address!r}, namespace="ours")
class Reserver:
    def reserve(self):
        return placement_group([{{"CPU": 1}}]).wait(30)
options = dict(name="r", lifetime="detached", num_cpus=0, max_restarts=1, max_task_retries=1)
reserver = shoal.remote(Reserver).options(**options).remote()
assert shoal.get(reserver.reserve.remote())
"""
    subprocess.run([sys.executable, "-c", code], timeout=30, check=True)
    reserver = shoal.get_actor("r")
    assert shoal.available_resources()["CPU"] == 1
    shoal.kill(reserver, no_restart=False)
    wait_until(lambda: shoal.available_resources()["CPU"] == 2)
    assert shoal.get(reserver.reserve.remote(), timeout=30)
    assert shoal.available_resources()["CPU"] == 1
    shoal.kill(reserver, no_restart=False)
    wait_until(lambda: shoal.available_resources()["CPU"] == 2)
    shoal.shutdown()


def test_names_of_placement_groups_are_those_of_a_namespace() -> None:
    from shoal.util.placement_group import get_placement_group, placement_group, remove_placement_group

    context = shoal.init(num_cpus=4, namespace="ours")
    group = placement_group([{"CPU": 1}], name="hello", lifetime="detached")
    code = """
import sys, shoal
from shoal.util.placement_group import get_placement_group, placement_group
shoal.init(sys.argv[1], namespace=sys.argv[2])
def find():
    try:
        return get_placement_group("hello").id.hex()
    except ValueError:
        return "none"
print(find(), shoal.get(shoal.remote(num_cpus=0)(find).remote()))
if sys.argv[2] != "ours":
    assert placement_group([{"CPU": 1}], name="hello").wait(10)
"""
    for namespace, found in (("ours", group.id.hex()), ("theirs", "none")):
        arguments = [sys.executable, "-c", code, context.address, namespace]
        out = subprocess.run(arguments, capture_output=True, text=True, timeout=30, check=True).stdout
        assert out.split() == [found, found]
    with pytest.raises(ValueError, match="already"):
        placement_group([{"CPU": 1}], name="hello")
    assert get_placement_group("hello") == group
    remove_placement_group(group)
    shoal.shutdown()


def test_an_unknown_cluster_names_those_that_run() -> None:
    with pytest.raises(ClusterNotFoundError, match="no cluster of yours runs"):
        shoal.init("auto")
    shoal.init(num_cpus=1)
    name = cluster.running_names()
    with pytest.raises(ClusterNotFoundError, match=name[0]):
        cluster.connect_to("nowhere")
    shoal.shutdown()


def test_the_work_of_a_driver_that_left_is_cancelled_and_others_go_on() -> None:
    context = shoal.init(num_cpus=1)
    code = f"""
import shoal, time
shoal.init({context.address!r})
slow = shoal.remote(lambda: time.sleep(1000))
refs = [slow.remote() for _ in range(3)]
print("submitted", flush=True)
shoal.get(refs)
"""
    other = driver(code)
    assert other.stdout is not None
    other.stdout.readline()
    other.kill()
    other.wait()
    other.stdout.close()
    assert shoal.get(shoal.remote(lambda: 5).remote(), timeout=PATIENCE) == 5
    shoal.shutdown()


def test_a_detached_actor_outlives_its_maker() -> None:
    context = shoal.init(num_cpus=1, namespace="ours")
    code = f"""
import shoal
shoal.init({context.address!r}, namespace="ours")
@shoal.remote
class Keeper:
    def value(self): return 11
shoal.get(Keeper.options(name="keeper", lifetime="detached").remote().value.remote())
"""
    subprocess.run([sys.executable, "-c", code], timeout=30, check=True)
    keeper = shoal.get_actor("keeper")
    assert shoal.get(keeper.value.remote()) == 11
    shoal.kill(keeper)
    shoal.shutdown()


def test_a_forked_child_of_a_driver_does_not_use_its_cluster() -> None:
    shoal.init(num_cpus=1)
    code = "assert forked is None"
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writer, b"none" if cluster.current() is None else b"some")
        os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(reader, 10) == b"none", code
    os.close(reader)
    os.close(writer)
    shoal.shutdown()


@pytest.mark.parametrize(
    ("arguments", "match"),
    [({"num_cpus": -1}, "num_cpus=-1"), ({"num_cpus": 0.5}, "whole number"), ({"cpus": 2}, "init.*num_cpus")],
)
def test_bad_sizes_are_refused(arguments: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        shoal.init(**arguments)
    assert not shoal.is_initialized()


def test_the_environment_sets_the_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_CPUS", "3")
    shoal.init()
    assert shoal.cluster_resources()["CPU"] == 3
    shoal.shutdown()
    monkeypatch.setenv("SHOAL_CPUS", "many")
    with pytest.raises(shoal.exceptions.ClusterError, match="SHOAL_CPUS='many'"):
        shoal.init()


def test_a_folder_of_somebody_elses_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o755)
    monkeypatch.setenv("SHOAL_DIR", str(tmp_path))
    with pytest.raises(shoal.exceptions.ClusterError, match="open to other users.*chmod 700"):
        shoal.init()
    monkeypatch.setenv("SHOAL_DIR", str(tmp_path / ("x" * 100)))
    with pytest.raises(shoal.exceptions.ClusterError, match="too long"):
        shoal.init()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can play another user")
def test_another_user_is_turned_away() -> None:
    context = shoal.init(num_cpus=1)
    folder = Path(os.environ["SHOAL_DIR"])
    folder.chmod(0o711)
    (folder / context.address).chmod(0o711)
    (folder / context.address / "hub.sock").chmod(0o777)
    code = f"""
import os, socket
os.setuid(65534)
sock = socket.socket(socket.AF_UNIX)
sock.connect({str(folder / context.address / "hub.sock")!r})
try:
    sock.sendall(b"anything")
    print(sock.recv(10))
except (ConnectionResetError, BrokenPipeError):
    print(b"")
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=True)
    folder.chmod(0o700)
    assert out.stdout.strip() == "b''"
    assert shoal.get(shoal.remote(lambda: 1).remote()) == 1
    shoal.shutdown()


def test_a_worker_that_closes_its_sockets_is_ended_and_its_task_told() -> None:
    shoal.init(num_cpus=1)

    @shoal.remote(max_retries=0)
    def vandal() -> None:
        os.closerange(3, 1000)
        time.sleep(1000)

    with pytest.raises(shoal.exceptions.WorkerCrashedError):
        shoal.get(vandal.remote(), timeout=PATIENCE)
    assert shoal.get(shoal.remote(lambda: 2).remote(), timeout=PATIENCE) == 2
    shoal.shutdown()


@pytest.mark.parametrize(
    "rubbish",
    [
        b"\x05\0\0\0hello",  # no pickle
        wire.encode([("no such message", 1)]),
        wire.encode([("submit", 1)]),
        b"".join([wire.encode([("hello", wire.PROTOCOL, "")]), wire.encode([("kind",)])]),
        wire.encode([3]),  # type: ignore[list-item]
    ],
)
def test_who_sends_rubbish_is_dropped_and_the_others_go_on(rubbish: bytes) -> None:
    context = shoal.init(num_cpus=1)
    folder = Path(os.environ["SHOAL_DIR"]) / context.address
    for name, kind in (("hub.sock", socket.SOCK_STREAM), ("store.sock", socket.SOCK_SEQPACKET)):
        with socket.socket(socket.AF_UNIX, kind) as sock:
            sock.connect(str(folder / name))
            sock.sendall(rubbish)
            sock.settimeout(PATIENCE)
            with contextlib.suppress(ConnectionResetError):
                while sock.recv(1 << 16):  # until it hangs up
                    pass
    assert shoal.get(shoal.remote(lambda: 1).remote(), timeout=PATIENCE) == 1
    shoal.shutdown()


def test_a_program_that_was_dropped_is_told_why() -> None:
    context = shoal.init(num_cpus=1)
    code = f"""
import shoal
shoal.init({context.address!r})
here = shoal.cluster.current().engine
ref = shoal.remote(lambda: __import__("time").sleep(1000)).remote()
here.link.post(("rubbish", 1))
try:
    shoal.get(ref)
except shoal.exceptions.ClusterDiedError as error:
    print(error)
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert "could not read what this process sent (KeyError: 'rubbish')" in out.stdout
    assert shoal.get(shoal.remote(lambda: 1).remote(), timeout=PATIENCE) == 1
    shoal.shutdown()
