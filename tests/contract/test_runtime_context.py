"""The runtime context: what a task, an actor and the driver know of themselves."""

from __future__ import annotations

from typing import Any

import pytest

import shoal

pytestmark = [pytest.mark.usefixtures("engine"), pytest.mark.needs_processes]


@shoal.remote
def ask(name: str) -> Any:
    found = getattr(shoal.get_runtime_context(), name)
    return found() if callable(found) else found


class PlainAsker:
    def ask(self, name: str) -> Any:
        found = getattr(shoal.get_runtime_context(), name)
        return found() if callable(found) else found

    def through_itself(self) -> Any:
        return shoal.get_runtime_context().current_actor.ask.remote("get_actor_id")


PlainAsker.__name__ = PlainAsker.__qualname__ = "Asker"
Asker: Any = shoal.remote(PlainAsker)


def test_a_driver_has_a_job_a_node_and_a_worker_id_and_no_task() -> None:
    here = shoal.get_runtime_context()
    assert here.get_node_id() == shoal.nodes()[0]["NodeID"]
    assert len(bytes.fromhex(here.get_job_id())) == 4
    assert bytes.fromhex(here.get_worker_id())
    assert here.get_task_id() is here.get_actor_id() is here.get_task_name() is here.get_actor_name() is None


def test_a_task_knows_its_id() -> None:
    ref = ask.remote("get_task_id")
    assert shoal.get(ref) == ref.task_id().hex()


@pytest.mark.parametrize("name", ["get_job_id", "get_node_id", "get_session_name", "gcs_address", "namespace"])
def test_a_task_and_an_actor_share_what_is_the_drivers(name: str) -> None:
    mine = getattr(shoal.get_runtime_context(), name)
    mine = mine() if callable(mine) else mine
    assert shoal.get([ask.remote(name), Asker.remote().ask.remote(name)]) == [mine, mine]


def test_each_process_has_a_worker_id_of_its_own() -> None:
    actors = [Asker.remote() for _ in range(3)]
    ids = shoal.get([a.ask.remote("get_worker_id") for a in actors])
    assert len({*ids, shoal.get_runtime_context().get_worker_id()}) == 4


def test_a_tasks_name_is_the_option_or_its_functions() -> None:
    assert shoal.get(ask.remote("get_task_name")) == "ask"
    assert shoal.get(ask.options(name="other").remote("get_task_name")) == "other"
    assert shoal.get(Asker.remote().ask.remote("get_task_name")) == "Asker.ask"


def test_a_tasks_function_has_module_and_qualified_name() -> None:
    assert shoal.get(ask.options(name="other").remote("get_task_function_name")) == f"{__name__}.ask"
    assert shoal.get(Asker.remote().ask.remote("get_task_function_name")) == f"{__name__}.Asker.ask"


def test_an_actor_knows_its_id_and_name() -> None:
    actor = Asker.options(name="somebody").remote()
    assert shoal.get(actor.ask.remote("get_actor_name")) == "somebody"
    assert shoal.get(Asker.remote().ask.remote("get_actor_name")) == ""
    first, second = shoal.get([actor.ask.remote("get_actor_id"), Asker.remote().ask.remote("get_actor_id")])
    assert first != second
    assert shoal.get(ask.remote("get_actor_id")) is None


def test_an_actor_has_a_handle_of_itself() -> None:
    actor = Asker.remote()
    assert shoal.get(shoal.get(actor.through_itself.remote())) == shoal.get(actor.ask.remote("get_actor_id"))
    with pytest.raises(RuntimeError, match="only available in an actor"):
        _ = shoal.get_runtime_context().current_actor


def test_assigned_resources_are_what_was_asked_for() -> None:
    name = "get_assigned_resources"
    assert shoal.get(ask.remote(name)) == {"CPU": 1.0}
    assert shoal.get(ask.options(num_cpus=2).remote(name)) == {"CPU": 2.0}
    assert shoal.get(Asker.remote().ask.remote(name)).get("CPU") is None
    assert shoal.get(Asker.options(num_cpus=1).remote().ask.remote(name)) == {"CPU": 1.0}


def test_nothing_is_cancelled_that_nobody_cancelled() -> None:
    assert shoal.get(ask.remote("is_canceled")) is False
    with pytest.raises(RuntimeError):
        shoal.get_runtime_context().is_canceled()


def test_an_actor_that_was_never_restarted_says_so() -> None:
    assert shoal.get(Asker.remote().ask.remote("was_current_actor_reconstructed")) is False


def test_the_older_names_warn_and_give_ids_as_objects() -> None:
    here = shoal.get_runtime_context()
    with pytest.warns(DeprecationWarning, match="get_node_id"):
        assert here.node_id.hex() == here.get_node_id()
    with pytest.warns(DeprecationWarning, match="get_job_id"):
        assert here.job_id.hex() == here.get_job_id()
    with pytest.warns(DeprecationWarning):
        found = here.get()
    assert "task_id" not in found and found["job_id"].hex() == here.get_job_id()
