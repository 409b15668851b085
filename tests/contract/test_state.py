"""The state API: what is and was on the cluster."""

from __future__ import annotations

import os
from typing import Any

import pytest

import shoal
from shoal.util import state
from shoal.util.state.exception import RayStateApiException

pytestmark = [pytest.mark.usefixtures("engine"), pytest.mark.needs_processes]


@shoal.remote
def work(fail: bool = False) -> int:
    if fail:
        raise ValueError("as asked")
    print("a word")
    return os.getpid()


class PlainKeeper:
    def pid(self) -> int:
        return os.getpid()


PlainKeeper.__name__ = PlainKeeper.__qualname__ = "Keeper"
Keeper: Any = shoal.remote(PlainKeeper)


def test_a_task_that_finished() -> None:
    ref = work.remote()
    pid = shoal.get(ref)
    [row] = state.list_tasks(filters=[("name", "=", "work")])
    assert (row.task_id, row.state, row.type) == (ref.task_id().hex(), "FINISHED", "NORMAL_TASK")
    assert row.worker_pid == pid
    assert row["job_id"] == shoal.get_runtime_context().get_job_id()
    assert row.node_id == shoal.get_runtime_context().get_node_id()


def test_a_task_that_failed() -> None:
    with pytest.raises(ValueError):
        shoal.get(work.remote(True))
    [row] = state.list_tasks(filters=[("state", "=", "FAILED")])
    assert row.error_type == "TASK_EXECUTION_EXCEPTION"


def test_a_task_that_cannot_run_yet_is_pending() -> None:
    with pytest.warns(UserWarning, match="stays pending"):
        ref = work.options(resources={"nowhere": 1}).remote()
    found = state.get_task(ref.task_id().hex())
    assert found is not None and found.state == "PENDING_NODE_ASSIGNMENT"
    assert found.required_resources == {"CPU": 1.0, "nowhere": 1.0}


def test_get_of_what_is_not_there_is_none() -> None:
    assert state.get_task("00" * 16) is None
    assert state.get_actor("00" * 16) is None
    assert state.get_objects("00" * 16) == []


def test_an_actor_alive_and_dead() -> None:
    actor = Keeper.options(name="keeper").remote()
    pid = shoal.get(actor.pid.remote())
    [row] = state.list_actors()
    assert (row.class_name, row.state, row.name, row.pid) == ("Keeper", "ALIVE", "keeper", pid)
    shoal.kill(actor)
    again = state.get_actor(row.actor_id)
    assert again is not None and again.state == "DEAD" and again.death_cause


def test_calls_and_creations_have_their_types() -> None:
    actor = Keeper.remote()
    shoal.get(actor.pid.remote())
    types = {row.name: row.type for row in state.list_tasks()}
    assert types == {"Keeper.__init__": "ACTOR_CREATION_TASK", "Keeper.pid": "ACTOR_TASK"}


def test_objects_have_sizes_and_what_refers_to_them() -> None:
    ref = shoal.put(b"x" * 1000)
    [row] = state.get_objects(ref.hex())
    assert row.object_size >= 1000 and row.reference_type == "LOCAL_REFERENCE"


def test_nodes_workers_and_jobs() -> None:
    pid = shoal.get(work.remote())
    [node] = state.list_nodes()
    assert node.state == "ALIVE" and node.is_head_node
    assert state.get_node(node.node_id) is not None
    rows = {row.pid: row for row in state.list_workers()}
    assert rows[os.getpid()].worker_type == "DRIVER" and rows[pid].worker_type == "WORKER"
    [job] = state.list_jobs()
    assert job.status == "RUNNING" and job.job_id == shoal.get_runtime_context().get_job_id()


def test_filters_exclude_and_limit() -> None:
    shoal.get([work.options(name=f"w{i}").remote() for i in range(5)])
    assert len(state.list_tasks(filters=[("name", "!=", "w0")])) == 4
    assert len(state.list_tasks(limit=2)) == 2
    assert state.list_tasks(filters=[("name", "=", "w1"), ("state", "=", "failed")]) == []


def test_wrong_filters_are_told() -> None:
    with pytest.raises(RayStateApiException, match="cannot be filtered by 'nothing'"):
        state.list_tasks(filters=[("nothing", "=", "x")])
    with pytest.raises(ValueError, match="Unsupported filter predicate"):
        state.list_tasks(filters=[("name", ">", "x")])
    with pytest.raises(ValueError, match="exceeds the supported limit"):
        state.list_tasks(limit=100_000)


def test_details_are_told_on_demand() -> None:
    shoal.get(work.remote())
    assert state.list_tasks()[0].events is None
    assert [e["state"] for e in state.list_tasks(detail=True)[0].events or ()][-1] == "FINISHED"


def test_summaries() -> None:
    actor = Keeper.remote()
    shoal.get([actor.pid.remote(), work.remote(), work.remote()])
    tasks = state.summarize_tasks()["cluster"]
    assert tasks["summary"]["work"]["state_counts"] == {"FINISHED": 2}
    assert (tasks["total_tasks"], tasks["total_actor_tasks"], tasks["total_actor_scheduled"]) == (2, 1, 1)
    assert state.summarize_actors()["cluster"]["summary"]["Keeper"]["state_counts"] == {"ALIVE": 1}
    assert state.summarize_objects()["cluster"]["total_objects"] >= 1


def test_logs_of_a_task() -> None:
    ref = work.remote()
    shoal.get(ref)
    assert list(state.get_log(task_id=ref.task_id().hex())) == ["a word\n"]
    [name] = state.list_logs()["worker_out"]
    assert "a word\n" in list(state.get_log(filename=name))
    with pytest.raises(RayStateApiException):
        list(state.get_log(task_id="00" * 16))


def test_runtime_envs_are_listed() -> None:
    shoal.get(work.options(runtime_env={"env_vars": {"A": "1"}}).remote())
    [row] = state.list_runtime_envs()
    assert row.success and row.runtime_env == {"env_vars": {"A": "1"}}
