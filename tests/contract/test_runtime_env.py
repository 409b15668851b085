"""Runtime environments: of jobs, tasks and actors."""

from __future__ import annotations

import gc
import os
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

import shoal
from shoal import venvs
from shoal.exceptions import RuntimeEnvSetupError
from shoal.runtime_env import RuntimeEnv, RuntimeEnvConfig
from shoal.util import state

pytestmark = [pytest.mark.usefixtures("engine"), pytest.mark.needs_processes]


@shoal.remote
def variable(name: str) -> str | None:
    return os.environ.get(name)


@shoal.remote
def pid() -> int:
    return os.getpid()


class PlainHolder:
    def variable(self, name: str) -> str | None:
        return os.environ.get(name)

    def child(self, name: str, **own: str) -> Any:
        task = variable.options(runtime_env={"env_vars": own}) if own else variable
        return shoal.get(task.remote(name))


PlainHolder.__name__ = PlainHolder.__qualname__ = "Holder"
Holder: Any = shoal.remote(PlainHolder)


def test_variables_of_a_task_and_of_an_actor() -> None:
    env = {"env_vars": {"A": "1"}}
    assert shoal.get(variable.options(runtime_env=env).remote("A")) == "1"
    assert shoal.get(Holder.options(runtime_env=env).remote().variable.remote("A")) == "1"
    assert shoal.get(variable.remote("A")) is None


def test_children_inherit_and_lay_theirs_over() -> None:
    actor = Holder.options(runtime_env={"env_vars": {"A": "1", "B": "2"}}).remote()
    assert shoal.get(actor.child.remote("A")) == "1"
    assert shoal.get([actor.child.remote("A", A="3"), actor.child.remote("B", A="3")]) == ["3", "2"]


def test_a_worker_serves_one_environment_only() -> None:
    def of(value: str) -> Any:
        return pid.options(runtime_env={"env_vars": {"A": value}})

    one, other, plain = shoal.get(of("1").remote()), shoal.get(of("2").remote()), shoal.get(pid.remote())
    assert len({one, other, plain}) == 3
    assert shoal.get(of("1").remote()) == one


def test_a_variable_may_refer_to_another() -> None:
    env = {"env_vars": {"A": "${HOME}/x", "B": "${NOT_THERE_AT_ALL}y"}}
    task = variable.options(runtime_env=env)
    assert shoal.get([task.remote("A"), task.remote("B")]) == [os.environ["HOME"] + "/x", "y"]


def test_a_call_does_not_bring_its_callers_environment_along() -> None:
    plain = Holder.remote()

    @shoal.remote(runtime_env={"env_vars": {"A": "1"}})
    def call(actor: Any) -> Any:
        return shoal.get(actor.variable.remote("A"))

    assert shoal.get(call.remote(plain)) is None


def test_working_dir(tmp_path: Path) -> None:
    (tmp_path / "a_module_of_ours.py").write_text("X = 5")
    (tmp_path / "big.bin").write_text("no")
    (tmp_path / ".gitignore").write_text("*.log\n")
    (tmp_path / "some.log").write_text("no")

    @shoal.remote(runtime_env={"working_dir": str(tmp_path), "excludes": ["*.bin"]})
    def look() -> Any:
        import a_module_of_ours  # type: ignore[import-not-found]

        return sorted(os.listdir(".")), a_module_of_ours.X, os.getcwd() == sys.path[0]

    assert shoal.get(look.remote()) == ([".gitignore", "a_module_of_ours.py"], 5, True)


def test_py_modules_and_a_zip(tmp_path: Path) -> None:
    package = tmp_path / "a_package_of_ours"
    package.mkdir()
    (package / "__init__.py").write_text("Y = 6")
    archive = tmp_path / "work.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("data.txt", "seven")

    @shoal.remote(runtime_env={"py_modules": [str(package)], "working_dir": str(archive)})
    def look() -> Any:
        import a_package_of_ours  # type: ignore[import-not-found]

        return a_package_of_ours.Y, Path("data.txt").read_text()

    assert shoal.get(look.remote()) == (6, "seven")


def wheel(folder: Path, name: str, version: str) -> str:
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{name}.py", f"VERSION = {version!r}")
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")
    return str(path)


@pytest.fixture
def cache(tmp_path: Path) -> str:
    return str(tmp_path / "cache")


def test_pip_installs_into_an_environment_of_its_own(
    tmp_path: Path, cache: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shoal.shutdown()
    monkeypatch.setenv("SHOAL_CACHE", cache)
    shoal.init(num_cpus=2)

    @shoal.remote(runtime_env={"pip": ["--no-index", wheel(tmp_path, "shoal_test_wheel", "1.5")]})
    def look() -> Any:
        import shoal_test_wheel  # type: ignore[import-not-found]

        return shoal_test_wheel.VERSION, sys.prefix

    version, prefix = shoal.get(look.remote())
    assert version == "1.5" and prefix.startswith(cache)

    @shoal.remote(runtime_env={"pip": ["--no-index", "shoal-there-is-no-such-package"]})
    def never() -> None: ...

    with pytest.raises(RuntimeEnvSetupError, match="No matching distribution"):
        shoal.get(never.remote())
    assert shoal.get(variable.remote("NOTHING")) is None


@pytest.mark.parametrize("eager", [True, False])
def test_a_jobs_environment_is_set_up_at_once_unless_told_not_to(
    tmp_path: Path, cache: str, monkeypatch: pytest.MonkeyPatch, eager: bool
) -> None:
    shoal.shutdown()
    monkeypatch.setenv("SHOAL_CACHE", cache)
    packages = ["--no-index", wheel(tmp_path, "shoal_test_wheel", "1.6")]
    shoal.init(num_cpus=1, runtime_env={"pip": packages, "config": {"eager_install": eager}})
    if not eager:
        assert state.list_runtime_envs() == []
        shoal.get(pid.remote())
    deadline = time.monotonic() + 120
    while not state.list_runtime_envs():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    [row] = state.list_runtime_envs(detail=True)
    assert row.success and row.runtime_env["pip"]["packages"] == packages
    assert [t.name for t in state.list_tasks()] == ([] if eager else ["pid"])


def test_environments_that_nobody_uses_are_removed_when_another_is_built(
    tmp_path: Path, cache: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOAL_CACHE", cache)

    wheels = {version: wheel(tmp_path, "shoal_test_wheel", version) for version in "123"}

    def build(version: str) -> Path:
        packages = ["--no-index", wheels[version]]
        return Path(venvs.build({"pip": {"packages": packages}})).parent.parent

    old, held = build("1"), build("2")
    long_ago = time.time() - venvs.UNUSED - 10
    for folder in (old, held):
        os.utime(folder / venvs.DONE, (long_ago, long_ago))
        os.utime(folder.with_suffix(".lock"), (long_ago, long_ago))
    with venvs.hold(str(held / "bin" / "python")):
        new = build("3")
    assert not old.exists() and not old.with_suffix(".lock").exists()
    assert held.exists() and new.exists()
    assert build("1") == old and old.exists()


def test_the_same_environment_given_anew_for_each_call_is_settled_once_and_not_kept(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("x")

    def submit() -> Any:
        return pid.options(runtime_env={"working_dir": str(tmp_path)}).remote()

    assert len(set(shoal.get([submit() for _ in range(5)]))) <= 2
    assert len([o for o in gc.get_objects() if isinstance(o, RuntimeEnv)]) <= 1


def test_a_folder_that_is_too_large_is_refused_with_its_largest_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shoal.packages.MOST", 3 << 20)
    (tmp_path / "large.bin").write_bytes(bytes(4 << 20))
    (tmp_path / "small.txt").write_text("small")
    task = pid.options(runtime_env={"working_dir": str(tmp_path)})
    with pytest.raises(ValueError, match=r"large.bin \(4 MiB\).*excludes"):
        task.remote()
    leaner = pid.options(runtime_env={"working_dir": str(tmp_path), "excludes": ["*.bin"]})
    assert shoal.get(leaner.remote()) > 0


def test_a_hook_runs_first_and_what_it_raises_fails_the_work() -> None:
    def hook() -> None:
        os.environ["BY_HOOK"] = "yes"

    def bad() -> None:
        raise RuntimeError("boom")

    assert shoal.get(variable.options(runtime_env={"worker_process_setup_hook": hook}).remote("BY_HOOK")) == "yes"
    with pytest.raises(RuntimeEnvSetupError, match="boom"):
        shoal.get(variable.options(runtime_env={"worker_process_setup_hook": bad}).remote("A"))
    actor = Holder.options(runtime_env={"worker_process_setup_hook": bad}).remote()
    with pytest.raises(RuntimeEnvSetupError, match="boom"):
        shoal.get(actor.variable.remote("A"))


def test_another_interpreter_and_one_that_is_not_there() -> None:
    assert shoal.get(variable.options(runtime_env={"py_executable": sys.executable}).remote("NOTHING")) is None
    with pytest.raises(RuntimeEnvSetupError, match="cannot be run"):
        shoal.get(variable.options(runtime_env={"py_executable": "/not/there"}).remote("A"))


def test_of_a_job(tmp_path: Path) -> None:
    shoal.shutdown()
    shoal.init(num_cpus=2, runtime_env={"env_vars": {"A": "job", "B": "job"}})
    assert shoal.get(variable.remote("A")) == "job"
    own = variable.options(runtime_env={"env_vars": {"A": "task"}})
    assert shoal.get([own.remote("A"), own.remote("B")]) == ["task", "job"]
    assert shoal.get_runtime_context().runtime_env == {"env_vars": {"A": "job", "B": "job"}}


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"env_vars": {"A": 1}}, TypeError, "Dict"),
        ({"env_vars": [1]}, TypeError, "env_vars"),
        ({"working_dir": 1}, TypeError, "must be a string"),
        ({"working_dir": "/not/there"}, ValueError, "neither a folder"),
        ({"working_dir": "s3://x/y.zip"}, ValueError, "not a valid path"),
        ({"py_modules": "x"}, TypeError, "list"),
        ({"pip": 1}, TypeError, "pip"),
        ({"pip": {"nothing": 1}}, ValueError, "can only have these fields"),
        ({"pip": {"pip_check": True}}, ValueError, "must include field 'packages'"),
        ({"pip": ["a"], "uv": ["a"]}, ValueError, "cannot be specified at the same time"),
        ({"pip": "/not/there.txt"}, ValueError, "not a valid file"),
        ({"nothing": 1}, ValueError, "has no field 'nothing'"),
        ({"conda": "x"}, ValueError, "does not work here"),
        ({"image_uri": "x"}, ValueError, "does not work here"),
        ({"config": {"setup_timeout_seconds": 0}}, ValueError, "greater than zero"),
        ({"worker_process_setup_hook": 1}, TypeError, "must be a function"),
        ("x", TypeError, "must be a dict"),
    ],
)
def test_what_is_wrong_is_told_where_it_is_given(given: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        variable.options(runtime_env=given)


def test_a_runtime_env_is_a_dict_that_checks(tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text("# words\na\nb\na\n")
    env = RuntimeEnv(pip=str(file), env_vars={"A": "1"}, config={"setup_timeout_seconds": 5})
    assert env["pip"] == {"packages": ["a", "b"], "pip_check": False}
    assert env["config"] == RuntimeEnvConfig(setup_timeout_seconds=5)
    assert RuntimeEnv.deserialize(env.serialize()) == env
    assert RuntimeEnv(env_vars={}) == {}
    with pytest.raises(TypeError):
        env["env_vars"] = {"A": 1}
