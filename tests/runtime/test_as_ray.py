"""Scripts for Ray run unchanged: `python -m shoal.as_ray …`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).parent.parent / "ray_scripts").glob("*.py"))

TASK = """
import shoal
import ray
assert ray is shoal
from ray.util.queue import Queue
assert Queue is shoal.util.queue.Queue

@ray.remote
def inside():
    import subprocess, sys
    import ray
    import ray.util
    code = "import ray; print(ray.__name__)"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return ray.__name__, child.stdout.strip()

ray.init(num_cpus=1)
assert ray.get(inside.remote()) == ("shoal", "shoal"), "the worker's or its child's"
ray.shutdown()
"""


SPAWNED = """
import multiprocessing
import ray

def name(_):
    return ray.__name__

if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(name, [1]) == ["shoal"]
"""


def as_ray(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", "shoal.as_ray", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=100)


def good(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_runs(script: Path) -> None:
    assert good(as_ray(str(script))).endswith("ok\n")


def test_there_are_scripts() -> None:
    assert len(SCRIPTS) >= 5


def test_code_on_the_command_line_its_workers_and_their_children() -> None:
    good(as_ray("-c", TASK))


def test_processes_that_multiprocessing_spawns(tmp_path: Path) -> None:
    script = tmp_path / "spawning.py"
    script.write_text(SPAWNED)
    good(as_ray(str(script)))


def test_rays_address_is_looked_at_in_its_scripts() -> None:
    code = "import os, ray; os.environ['RAY_ADDRESS'] = 'nowhere'; ray.init()"
    done = as_ray("-c", code)
    assert done.returncode and "no cluster named 'nowhere'" in done.stderr


def test_a_module_with_its_arguments_and_folder(tmp_path: Path) -> None:
    package = tmp_path / "tool"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "beside.py").write_text("WORD = 'beside'\n")
    (package / "__main__.py").write_text(
        "import sys, ray\nfrom tool.beside import WORD\nprint(ray.__name__, __name__, WORD, sys.argv[1:])\n"
    )
    assert good(as_ray("-m", "tool", "-x", "1", cwd=tmp_path)) == "shoal __main__ beside ['-x', '1']\n"


def test_a_script_finds_what_lies_beside_it(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("import ray\nNAME = ray.__name__\n")
    code = "import sys, beside\nprint(beside.NAME, __file__ == sys.argv[0], sys.argv[1:])\n"
    (tmp_path / "script.py").write_text(code)
    assert good(as_ray(str(tmp_path / "script.py"), "-v")) == "shoal True ['-v']\n"


def test_pytest_runs_tests_of_rays_under_it(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import ray\n\n"
        "def test_a_task():\n"
        "    ray.init(num_cpus=1)\n"
        "    assert ray.get(ray.remote(abs).remote(-1)) == 1\n"
        "    ray.shutdown()\n"
    )
    assert "1 passed" in good(as_ray("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py", cwd=tmp_path))


@pytest.mark.parametrize(
    "statement, instead",
    [
        ("import ray.data", "no part of shoal"),
        ("from ray import tune", "no part of shoal"),
        ("import ray.util.no_such_thing", "shoal has no ray.util.no_such_thing"),
        ("import ray; ray.no_such_thing", "has no attribute 'no_such_thing'"),
    ],
)
def test_what_shoal_lacks_is_named(statement: str, instead: str) -> None:
    done = as_ray("-c", statement)
    assert done.returncode == 1
    assert instead in done.stderr.splitlines()[-1]


def test_the_function_stays_what_its_module_is_not() -> None:
    code = "import ray.util.placement_group; import ray; assert callable(ray.util.placement_group)"
    good(as_ray("-c", code))
    good(as_ray("-c", "from ray.util.placement_group import PlacementGroup; " + code))


def test_errors_and_exits_are_the_scripts_own(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import sys\nsys.exit(3)\n")
    assert as_ray(str(script)).returncode == 3
    assert "usage:" in as_ray().stderr
    assert "can't open" in as_ray(str(tmp_path / "none.py")).stderr
    assert "no module named" in as_ray("-m", "no_such_module").stderr
