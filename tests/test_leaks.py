"""The leak check of conftest.py finds what it is there for, and names it."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

HERE = Path(__file__).parent

LEAKY = """
import mmap, os, socket, subprocess, sys, threading
from pathlib import Path

keep = []

def test_clean():
    subprocess.run(["true"], check=True)
    worker = threading.Thread(target=int)
    worker.start()
    worker.join()

def test_process_of_the_folder_in_a_session_of_its_own():
    code = "import os, sys, time; os.fork() and os._exit(0); time.sleep(60)"
    subprocess.run([sys.executable, "-c", code], start_new_session=True, check=True)
    (Path(os.environ["SHOAL_DIR"]) / "trace").touch()
    (Path(os.environ["SHOAL_DIR"]) / "trace").unlink()

def test_child():
    keep.append(subprocess.Popen(["sleep", "61"]))

def test_thread():
    forever = threading.Event()
    keep.append(forever)
    threading.Thread(target=forever.wait, name="forgotten", daemon=True).start()

def test_folder():
    (Path(os.environ["SHOAL_DIR"]) / "abandoned").mkdir()

def test_socket_into_the_folder():
    here = os.path.join(os.environ["SHOAL_DIR"], "s")
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(here)
        door.listen()
        client = socket.socket(socket.AF_UNIX)
        client.connect(here)
        keep.append(client)
        keep.append(door.accept())
    os.unlink(here)

def test_memory():
    keep.append(os.memfd_create("block"))
    (Path(os.environ["SHOAL_DIR"]) / "trace").touch()
    (Path(os.environ["SHOAL_DIR"]) / "trace").unlink()

def test_shared_memory():
    Path(f"/dev/shm/left-{os.getpid()}").touch()
"""


@pytest.fixture
def outcome(pytester: pytest.Pytester) -> pytest.RunResult:
    """A run of the leaky tests under the real conftest, with less patience and nothing wider."""
    conftest = (HERE / "conftest.py").read_text().replace("PATIENCE = 10.0", "PATIENCE = 0.3")
    pytester.makeconftest(conftest)
    pytester.makeini(f"[pytest]\npythonpath = {HERE.parent / 'scripts'}\n")
    pytester.makepyfile(LEAKY)
    return pytester.runpytest_subprocess()


def test_each_leak_is_found_and_named(outcome: pytest.RunResult) -> None:
    for forgotten in Path("/dev/shm").glob("left-*"):
        forgotten.unlink()
    outcome.stdout.no_fnmatch_line("*teardown of test_clean*")
    outcome.stdout.fnmatch_lines(
        [
            "*teardown of test_process_of_the_folder_in_a_session_of_its_own *",
            "*process * (parent *): * time.sleep(60)",
            "*teardown of test_child *",
            "*process * (parent *): sleep 61",
            "*teardown of test_thread *",
            "*thread forgotten *",
            "*teardown of test_folder *",
            "*$SHOAL_DIR/abandoned",
            "*teardown of test_socket_into_the_folder *",
            "*fd * (socket:*)",
            "*teardown of test_memory *",
            "*fd * (/memfd:block (deleted))",
            "*teardown of test_shared_memory *",
            "*/dev/shm/left-*",
        ]
    )
