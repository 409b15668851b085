"""What holds for all work of a program: how it logs, its job's configuration."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import shoal
from shoal.job_config import JobConfig

pytestmark = pytest.mark.needs_processes


@pytest.fixture(autouse=True)
def _left(engine: str) -> Any:
    shoal.shutdown()
    yield
    shoal.shutdown()


LOGS = """
import logging
import shoal
config = shoal.LoggingConfig(encoding={encoding!r}, additional_log_standard_attrs=["name"])
shoal.init(num_cpus=1, logging_config=config)

@shoal.remote
class Speaker:
    def speak(self):
        logging.getLogger("app").info("said by an actor")
        return shoal.get_runtime_context().get_actor_id()

@shoal.remote
def speak():
    logging.getLogger("app").warning("said by %s", "a task", extra=dict(colour="red"))

logging.getLogger("app").info("said by the driver")
speaker = Speaker.remote()
print(shoal.get(speaker.speak.remote()))
shoal.get(speak.remote())
"""


def logs(encoding: str) -> tuple[str, list[str]]:
    code = LOGS.format(encoding=encoding)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if "said by" in line]
    assert len(lines) == 3, done.stderr
    speakers = ("the driver", "a task", "an actor")
    return done.stdout.strip(), [next(line for line in lines if f"said by {who}" in line) for who in speakers]


def test_text_lines_say_who_speaks_and_have_no_other_prefix() -> None:
    actor, (driver, task, by_actor) = logs("TEXT")
    for line in (driver, task, by_actor):
        assert all(f" {name}=" in line for name in ("job_id", "worker_id", "node_id", "timestamp_ns")), line
        assert " name=app " in line and "pid=" not in line
    assert "INFO <string>:" in driver and "task_id=" not in driver and "actor_id=" not in driver
    assert "task_name=speak" in task and "colour=red" in task and "actor_id=" not in task
    assert f"actor_id={actor}" in by_actor


def test_json_lines_are_objects() -> None:
    actor, (driver, task, by_actor) = logs("JSON")
    said = [json.loads(line) for line in (driver, task, by_actor)]
    assert [s["message"] for s in said] == ["said by the driver", "said by a task", "said by an actor"]
    assert said[1]["levelname"] == "WARNING" and said[1]["colour"] == "red" and said[1]["name"] == "app"
    assert said[2]["actor_id"] == actor and "actor_id" not in said[1]


def test_logging_is_as_before_after_shutdown() -> None:
    root = logging.getLogger()
    before = root.level, list(root.handlers)
    shoal.init(num_cpus=1, logging_config=shoal.LoggingConfig(log_level="DEBUG"))
    assert root.level == logging.DEBUG
    shoal.shutdown()
    assert (root.level, list(root.handlers)) == before


@shoal.remote
def imports(name: str) -> Any:
    return __import__(name).ANSWER


def test_a_job_has_a_namespace_a_runtime_env_and_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "of_the_job.py").write_text("ANSWER = 42\n")
    monkeypatch.setattr(sys, "path", list(sys.path))
    env = {"env_vars": {"OF_THE_JOB": "1"}}
    config = JobConfig(code_search_path=[str(tmp_path)], runtime_env=env, ray_namespace="ours")
    shoal.init(num_cpus=1, job_config=config)
    assert shoal.get_runtime_context().namespace == "ours"
    assert shoal.get(imports.remote("of_the_job")) == 42
    assert shoal.get(shoal.remote(lambda: os.environ["OF_THE_JOB"]).remote()) == "1"


def test_what_init_is_told_besides_goes_before_the_jobs() -> None:
    shoal.init(num_cpus=1, namespace="mine", job_config={"ray_namespace": "ours"})
    assert shoal.get_runtime_context().namespace == "mine"


def test_actors_of_a_job_are_detached_where_it_says_so() -> None:
    code = """
import sys, shoal
from shoal.job_config import JobConfig
shoal.init(sys.argv[1], job_config=JobConfig(default_actor_lifetime="detached", ray_namespace="ours"))
@shoal.remote(num_cpus=0)
class Actor:
    def make(self, name, **options):
        self.made = Actor.options(name=name, **options).remote()
        shoal.get(self.made.there.remote())
    def there(self):
        pass
first = Actor.options(name="first").remote()
third = Actor.options(name="third", lifetime="non_detached").remote()
shoal.get([first.make.remote("second"), third.there.remote()])
"""
    context = shoal.init(num_cpus=1, namespace="ours")
    subprocess.run([sys.executable, "-c", code, context.address], check=True, timeout=60)
    assert sorted(shoal.util.list_named_actors()) == ["first", "second"]
    for name in ("first", "second"):
        shoal.kill(shoal.get_actor(name))


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="Default actor lifetime must be one of"):
        JobConfig(default_actor_lifetime="sometimes")
    with pytest.raises(TypeError, match="code search path is incorrect"):
        JobConfig(code_search_path="here")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="job_config"):
        shoal.init(job_config=3)  # type: ignore[arg-type]
