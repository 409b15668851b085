"""A store too small for all objects: they go to disk and come back, and memory goes to who needs it."""

from __future__ import annotations

import ctypes
import gc
import json
import os
import resource
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from leftovers import wait_until_none

import shoal
from shoal import cluster
from shoal.exceptions import ClusterError, ObjectLostError, ObjectStoreFullError, OutOfDiskError

MB = 1 << 20
STORE = 64 * MB


@contextmanager
def store(**options: Any) -> Iterator[None]:
    shoal.init(num_cpus=2, object_store_memory=STORE, **options)
    try:
        yield
    finally:
        shoal.shutdown()


@pytest.fixture
def small() -> Iterator[None]:
    with store():
        yield


def wait_until(condition: Callable[[], bool]) -> None:
    late = wait_until_none(lambda: [] if condition() else ["it has not come"], 10.0)
    assert not late


def block(megabytes: int, value: int = 1) -> Any:
    return np.full(megabytes * MB, value, np.uint8)


@shoal.remote
def make(megabytes: int, value: int = 1) -> Any:
    return np.full(megabytes * MB, value, np.uint8)


@shoal.remote
def first(*arrays: Any) -> list[int]:
    return [int(array[0]) for array in arrays]


def here() -> Any:
    found = cluster.current()
    assert found is not None
    return found


def books() -> tuple[int, int]:
    """Bytes in memory and on disk, when all that was dropped is known."""
    gc.collect()
    here().engine.reclaim()
    status = here().status()
    return status["store"][0], status["spilled"]


def files() -> list[Path]:
    return sorted((here().folder / "spill").iterdir())


# objects go to disk and come back


@pytest.mark.usefixtures("small")
def test_more_objects_than_memory_can_be_put_and_got() -> None:
    refs = [shoal.put(block(10, i)) for i in range(20)]
    assert [int(shoal.get(ref)[0]) for ref in refs] == list(range(20))
    in_memory, on_disk = books()
    assert in_memory <= STORE
    assert in_memory + on_disk == 200 * MB
    assert [int(shoal.get(ref, timeout=0)[-1]) for ref in reversed(refs)] == list(reversed(range(20)))


@pytest.mark.usefixtures("small")
def test_a_value_from_disk_is_equal_read_only_and_aligned() -> None:
    value = {"a": np.arange(2 * MB), "b": np.arange(10), "text": "x" * 200_000, "list": list(range(100))}
    ref = shoal.put(value)
    kept = [shoal.put(block(15)) for _ in range(4)]
    assert files()
    back = shoal.get(ref)
    assert (back["a"] == value["a"]).all()
    assert (back["b"] == value["b"]).all()
    assert (back["text"], back["list"]) == (value["text"], value["list"])
    assert not back["a"].flags.writeable
    assert back["a"].ctypes.data % 64 == 0
    assert len(kept) == 4


@pytest.mark.usefixtures("small")
def test_a_view_from_disk_outlives_its_ref_and_its_file() -> None:
    ref = shoal.put(block(20, 7))
    kept = [shoal.put(block(20)) for _ in range(3)]
    view = shoal.get(ref)[5:]
    del ref, kept
    assert books()[1] == 20 * MB, "a view counts as a ref"
    assert (view == 7).all()
    del view
    assert books() == (0, 0)
    assert files() == []


@pytest.mark.usefixtures("small")
def test_what_is_looked_at_stays_in_memory_and_a_new_object_goes_to_disk_itself() -> None:
    looked_at = shoal.get(shoal.put(block(40, 1)))
    ref = shoal.put(block(40, 2))
    assert books() == (40 * MB, 40 * MB)
    assert (looked_at == 1).all()
    assert (shoal.get(ref) == 2).all()


@pytest.mark.usefixtures("small")
def test_results_of_tasks_go_to_disk() -> None:
    refs = [make.remote(10, i) for i in range(15)]
    assert [int(shoal.get(ref)[0]) for ref in refs] == list(range(15))
    assert books()[1] > 0


@pytest.mark.usefixtures("small")
def test_a_task_takes_arguments_from_disk() -> None:
    refs = [shoal.put(block(10, i)) for i in range(12)]
    assert books()[1] > 0
    assert shoal.get(first.remote(*refs)) == list(range(12))
    assert shoal.get([first.remote(ref) for ref in refs]) == [[i] for i in range(12)]


@pytest.mark.usefixtures("small")
def test_a_task_gets_from_disk_what_it_was_given_in_a_list() -> None:
    @shoal.remote
    def total(refs: list[Any]) -> int:
        return sum(int(shoal.get(ref)[0]) for ref in refs)

    refs = [shoal.put(block(10, i)) for i in range(12)]
    assert shoal.get(total.remote(refs)) == sum(range(12))


@pytest.mark.usefixtures("small")
def test_arguments_by_value_that_fill_the_store() -> None:
    refs = [first.remote(block(20, i), block(20, i + 1)) for i in range(8)]
    assert shoal.get(refs) == [[i, i + 1] for i in range(8)]
    del refs
    assert books() == (0, 0)


@pytest.mark.usefixtures("small")
def test_wait_and_await_take_what_is_on_disk_as_ready() -> None:
    import asyncio

    refs = [make.remote(20, i) for i in range(6)]
    shoal.wait(refs, num_returns=6)
    assert shoal.wait(refs, num_returns=6, timeout=0) == (refs, [])

    async def main() -> list[int]:
        return [int((await ref)[0]) for ref in refs]

    assert asyncio.run(main()) == list(range(6))


@pytest.mark.usefixtures("small")
def test_an_actor_keeps_its_views_while_others_need_memory() -> None:
    @shoal.remote
    class Keeper:
        def __init__(self) -> None:
            self.kept: list[Any] = []

        def keep(self, array: Any) -> None:
            self.kept.append(array)

        def sums(self) -> list[int]:
            return [int(array[0]) for array in self.kept]

    keeper = Keeper.remote()  # type: ignore[attr-defined]
    for i in range(4):
        shoal.get(keeper.keep.remote(shoal.put(block(10, i))))
    refs = [shoal.put(block(10, 50 + i)) for i in range(10)]
    assert shoal.get(keeper.sums.remote()) == [0, 1, 2, 3]
    assert [int(shoal.get(ref)[0]) for ref in refs] == list(range(50, 60))


@pytest.mark.usefixtures("small")
def test_many_writers_and_readers_at_once() -> None:
    @shoal.remote
    def churn(seed: int) -> bool:
        rng = np.random.default_rng(seed)
        kept: list[tuple[Any, int]] = []
        for i in range(30):
            size = int(rng.integers(1, 8))
            kept.append((shoal.put(np.full(size * MB, i, np.uint8)), i))
            ref, value = kept[int(rng.integers(len(kept)))]
            array = shoal.get(ref)
            if not (array[0] == array[-1] == value):
                return False
            if len(kept) > 8:
                kept.pop(int(rng.integers(len(kept))))
        return True

    tasks = [churn.remote(i) for i in range(4)]
    mine = [shoal.put(block(5, i)) for i in range(10)]
    assert shoal.get(tasks) == [True] * 4
    assert [int(shoal.get(ref)[-1]) for ref in mine] == list(range(10))
    del mine, tasks
    wait_until(lambda: books() == (0, 0))


@pytest.mark.usefixtures("small")
def test_threads_that_read_what_another_thread_pushes_out() -> None:
    refs = [shoal.put(block(8, i)) for i in range(6)]
    wrong: list[Any] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            for i, ref in enumerate(refs):
                array = shoal.get(ref)
                if not (array[0] == array[-1] == i):
                    wrong.append((i, array[0], array[-1]))

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for _ in range(6):
        shoal.put(block(40))
    done.set()
    for reader in readers:
        reader.join()
    assert wrong == []


@pytest.mark.usefixtures("small")
def test_a_process_that_hangs_keeps_what_it_holds_and_holds_nobody_up(tmp_path: Path) -> None:
    hangs = tmp_path / "hangs"

    @shoal.remote
    class Holder:
        def hold(self, refs: list[Any]) -> None:
            self.refs = refs

        def hang(self) -> None:
            hangs.touch()
            ctypes.PyDLL(None).sleep(60)  # no other thread of it runs meanwhile

    holder = Holder.remote()  # type: ignore[attr-defined]
    refs = [shoal.put(block(20, i)) for i in range(3)]
    shoal.get(holder.hold.remote(refs))
    hanging = holder.hang.remote()
    wait_until(hangs.exists)
    refs.append(shoal.put(block(20, 3)))
    assert shoal.wait([hanging], timeout=0) == ([], [hanging])
    assert [int(shoal.get(ref)[0]) for ref in refs] == list(range(4))
    shoal.kill(holder)


# memory that is idle in one process and wanted by another


@pytest.mark.usefixtures("small")
def test_memory_goes_from_the_driver_to_a_worker_and_back() -> None:
    for i in range(3):
        shoal.get(shoal.put(block(50, i)))
        array = shoal.get(make.remote(50, i))
        assert int(array[-1]) == i
        del array
    assert books() == (0, 0)
    assert not (here().folder / "spill").exists(), "there was memory enough"


@pytest.mark.usefixtures("small")
def test_memory_in_pieces_is_put_together() -> None:
    refs = [shoal.put(block(1, i)) for i in range(60)]
    kept = refs[::2]
    del refs
    assert int(shoal.get(shoal.put(block(25, 9)))[0]) == 9
    assert [int(shoal.get(ref)[0]) for ref in kept] == list(range(0, 60, 2))
    assert books() == (30 * MB, 0)


@pytest.mark.usefixtures("small")
def test_the_memory_of_a_dead_worker_is_given_back() -> None:
    @shoal.remote(max_retries=0)
    def leave() -> Any:
        kept = [shoal.put(block(10)) for _ in range(5)]
        return os.getpid(), block(5, 3), len(kept)

    ref = leave.remote()
    pid = shoal.get(ref)[0]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{pid}").exists())
    assert int(shoal.get(shoal.put(block(50, 4)))[0]) == 4
    assert int(shoal.get(ref)[1][0]) == 3


# full


def test_without_spilling_a_full_store_names_the_largest_and_the_cure() -> None:
    with store(object_spilling_directory=""):
        kept = [shoal.put(block(20)) for _ in range(3)]
        with pytest.raises(ObjectStoreFullError) as raised:
            shoal.put(block(20))
        message = str(raised.value)
        assert "60 of 64 MiB" in message
        assert "del" in message and "object_store_memory" in message
        assert f"20.0 MiB ObjectRef({kept[0].hex()}) held by driver" in message
        kept.pop()
        assert int(shoal.get(shoal.put(block(20, 5)))[0]) == 5


def test_without_spilling_a_task_whose_result_does_not_fit_fails() -> None:
    with store(_system_config={"automatic_object_spilling_enabled": False}):
        kept = shoal.put(block(50))
        with pytest.raises(ObjectStoreFullError, match="is full"):
            shoal.get(make.remote(30))
        del kept
        assert int(shoal.get(make.remote(30, 2))[0]) == 2


@pytest.mark.usefixtures("small")
def test_an_object_larger_than_the_store_lies_on_disk() -> None:
    small = shoal.put(block(20, 5))
    large = shoal.put(block(100, 6))
    [file] = files()
    assert file.stat().st_size >= 100 << 20
    assert int(shoal.get(large)[-1]) == 6 and int(shoal.get(make.remote(100, 7))[-1]) == 7
    assert int(shoal.get(small)[0]) == 5
    assert int(shoal.get(shoal.put(block(64, 6)))[0]) == 6
    del large
    wait_until(lambda: not file.exists())


def test_without_spilling_an_object_larger_than_the_store_says_so() -> None:
    with store(object_spilling_directory=""):
        with pytest.raises(ObjectStoreFullError, match=r"100 MiB is larger than the object store \(64 MiB\)"):
            shoal.put(block(100))
        assert int(shoal.get(shoal.put(block(20, 5)))[0]) == 5


@pytest.mark.usefixtures("small")
def test_an_object_whose_file_vanished_is_lost() -> None:
    refs = [shoal.put(block(20, i)) for i in range(5)]
    (gone, *_) = files()
    gone.unlink()
    with pytest.raises(ObjectLostError):
        shoal.get(refs)
    assert int(shoal.get(refs[-1])[0]) == 4


# where the files are


def test_files_lie_in_the_folder_that_was_named_and_go_with_the_cluster(tmp_path: Path) -> None:
    with store(object_spilling_directory=str(tmp_path / "disk")):
        kept = [shoal.put(block(20, i)) for i in range(5)]
        (folder,) = (tmp_path / "disk").iterdir()
        assert folder.stat().st_mode & 0o777 == 0o700
        assert list(folder.iterdir())
        assert len(kept) == 5
    assert list((tmp_path / "disk").iterdir()) == []


@pytest.mark.parametrize("several", [False, True])
def test_the_folder_can_be_named_as_rays_system_configuration_does(tmp_path: Path, several: bool) -> None:
    folder: Any = [str(tmp_path / "a"), str(tmp_path / "b")] if several else str(tmp_path / "a")
    config = json.dumps({"type": "filesystem", "params": {"directory_path": folder}})
    with store(_system_config={"object_spilling_config": config}):
        kept = [shoal.put(block(40, i)) for i in range(2)]
        assert len(list((tmp_path / "a").glob("shoal-*/*"))) == 1
        assert len(kept) == 2


@pytest.mark.parametrize("config", ["no JSON", '{"type": "s3", "params": {}}', '{"type": "filesystem", "params": {}}'])
def test_a_system_configuration_that_names_no_folder_is_refused(config: str) -> None:
    with pytest.raises(ValueError, match="names no folder"):
        shoal.init(_system_config={"object_spilling_config": config})


def test_the_folder_can_be_named_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_SPILL_DIR", str(tmp_path))
    with store():
        kept = [shoal.put(block(40, i)) for i in range(2)]
        assert len(list(tmp_path.glob("shoal-*/*"))) == 1
        assert len(kept) == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("victim", ["hub", "zygote"])
def test_files_go_however_the_cluster_ends(tmp_path: Path, victim: str) -> None:
    import psutil

    with store(object_spilling_directory=str(tmp_path)):
        kept = [shoal.put(block(40, i)) for i in range(2)]
        assert len(kept) == 2
        hub = psutil.Process(here().status()["pid"])
        target = hub if victim == "hub" else hub.children()[0]
        target.kill()
        wait_until(lambda: list(tmp_path.iterdir()) == [])


def test_a_folder_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ClusterError, match="cannot be spilled"):
        shoal.init(object_spilling_directory=str(tmp_path / "file"))
    assert not shoal.is_initialized()


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    old, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (old, hard))


@pytest.mark.usefixtures("small")
def test_a_full_disk_is_an_error_and_nothing_is_lost() -> None:
    refs = [shoal.put(block(20, i)) for i in range(4)]
    with no_file_larger_than(MB):
        for _ in range(4):
            with pytest.raises(OutOfDiskError, match=r"20\.0 MiB does not fit .* not on disk either .*spill"):
                shoal.put(block(20, 9))
        assert [int(shoal.get(ref)[-1]) for ref in refs] == [0, 1, 2, 3]
        assert books() == (60 * MB, 20 * MB)
        assert len(files()) == 1, "nothing half written is left"
    refs += [shoal.put(block(20, i)) for i in range(4, 6)]
    assert [int(shoal.get(ref)[-1]) for ref in refs] == list(range(6))


def test_a_folder_that_went_away_is_an_error(tmp_path: Path) -> None:
    with store(object_spilling_directory=str(tmp_path)):
        (folder,) = tmp_path.iterdir()
        folder.rmdir()
        folder.write_text("in the way")
        refs = [shoal.put(block(20, i)) for i in range(3)]
        for _ in range(3):
            with pytest.raises(OutOfDiskError, match=str(folder)):
                shoal.put(block(20))
        assert [int(shoal.get(ref)[-1]) for ref in refs] == [0, 1, 2]
        folder.unlink()
        refs.append(shoal.put(block(20, 3)))
        assert [int(shoal.get(ref)[-1]) for ref in refs] == [0, 1, 2, 3]


# what is told


@pytest.mark.usefixtures("small")
def test_status_and_feed_tell_what_is_on_disk() -> None:
    feed = here().feed()
    kept = [shoal.put(block(20, i)) for i in range(5)]
    state = feed.refresh()
    assert state.store.spilled == here().status()["spilled"] == 40 * MB
    assert state.store.used == 60 * MB
    assert len(kept) == 5



def test_what_objects_take_is_not_available() -> None:
    def left() -> float:
        return shoal.available_resources().get("object_store_memory", 0.0) / 2**20

    with store():
        assert left() == 64
        kept = shoal.put(block(20))
        assert left() == 44
        del kept
        wait_until(lambda: left() == 64)
        large = [shoal.put(block(32)) for _ in range(2)]
        assert "object_store_memory" not in shoal.available_resources()
        assert shoal.cluster_resources()["object_store_memory"] == 64 << 20
        del large


def test_a_disk_is_not_filled_to_its_end() -> None:
    with store(_system_config={"local_fs_capacity_threshold": 0.0}):
        kept = [shoal.put(block(20, i)) for i in range(3)]
        with pytest.raises(OutOfDiskError, match=r"20\.0 MiB does not fit .*the disk would be over 0% full"):
            shoal.put(block(20))
        with pytest.raises(OutOfDiskError, match="100"):
            shoal.put(block(100))
        with pytest.raises(OutOfDiskError):
            shoal.get(make.remote(30))
        assert [int(shoal.get(ref)[0]) for ref in kept] == [0, 1, 2]
        del kept
        assert int(shoal.get(make.remote(30, 3))[0]) == 3


def test_the_share_of_a_disk_is_checked() -> None:
    with pytest.raises(ValueError, match="share of a disk"):
        shoal.init(_system_config={"local_fs_capacity_threshold": 95})
