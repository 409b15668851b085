"""From init to shutdown: what scripts written for Ray say there."""

# mypy: disallow-untyped-defs=False, check-untyped-defs=False, disallow-untyped-decorators=False

from __future__ import annotations

import os

import pytest
from simple import same

import shoal
from shoal.exceptions import ShoalError

pytestmark = pytest.mark.usefixtures("engine")


@shoal.remote
def one():
    return 1


def restart(engine, **options):
    shoal.shutdown()
    if engine == "inline":
        return shoal.init("inline", **options)
    return shoal.init("local", num_cpus=1, **options)


def test_options_of_rays_daemons_are_taken(engine):
    restart(
        engine,
        include_dashboard=False,
        dashboard_port=None,
        log_to_driver=False,
        configure_logging=False,
        logging_level="ERROR",
        _system_config={"object_timeout_milliseconds": 200},
        _temp_dir="/tmp",
    )
    assert shoal.get(one.remote()) == 1


def test_an_unknown_option_of_init_is_named(engine):
    shoal.shutdown()
    for kind in (ValueError, RuntimeError, ShoalError):
        with pytest.raises(kind, match="num_cpu'.*num_cpus"):
            shoal.init(num_cpu=1)
    assert not shoal.is_initialized()


def test_the_context_tells_and_closes(engine):
    with restart(engine) as context:
        assert shoal.is_initialized()
        assert context.address_info["node_id"] == context["node_id"] == shoal.nodes()[0]["NodeID"]
        assert context.dashboard_url is None
        assert context.python_version.startswith("3.")
        assert [int(part) for part in context.ray_version.split(".")]
    assert not shoal.is_initialized()


def test_a_context_that_was_left_closes_nothing(engine):
    first = restart(engine)
    restart(engine)
    first.disconnect()
    assert shoal.is_initialized()


def test_local_mode_is_the_engine_inline():
    shoal.shutdown()
    shoal.init(local_mode=True)

    @shoal.remote
    def pid():
        return os.getpid()

    assert shoal.get(pid.remote()) == os.getpid()


def test_shutdown_takes_rays_argument():
    shoal.shutdown(wait_for_processes=True)
    assert not shoal.is_initialized()


def test_a_task_is_in_a_cluster_already():
    @shoal.remote
    def inside():
        before = shoal.is_initialized()
        try:
            shoal.init(num_cpus=3)
        except RuntimeError as error:
            return before, str(error)
        return before, "a second cluster"

    before, what = shoal.get(inside.remote())
    assert before
    assert "ignore_reinit_error" in what


def test_a_task_may_ignore_that():
    @shoal.remote
    def inside():
        shoal.init(ignore_reinit_error=True)
        return shoal.get(one.remote())

    assert shoal.get(inside.remote()) == 1


@pytest.mark.needs_processes
def test_a_task_does_not_shut_the_cluster_down():
    @shoal.remote
    def inside():
        shoal.shutdown()
        return shoal.get(one.remote())

    assert shoal.get(inside.remote()) == 1
    assert shoal.is_initialized()


def test_no_sizes_with_an_address():
    shoal.shutdown()
    for size in ({"num_cpus": 1}, {"num_gpus": 1}, {"resources": {"a": 1}}, {"object_store_memory": 10**8}):
        with pytest.raises(ValueError, match=f"existing cluster, {[*size][0]} must not"):
            shoal.init("auto", **size)
    with pytest.raises(ValueError, match="_system_config must not"):
        shoal.init("auto", _system_config={"a": 1})


def test_no_cluster_of_a_name_is_a_connection_error():
    shoal.shutdown()
    with pytest.raises(ConnectionError, match="no cluster named"):
        shoal.init("nobody's")


def test_every_first_call_starts_a_cluster():
    shoal.shutdown()
    assert shoal.get(shoal.put(3)) == 3
    assert shoal.is_initialized()
    shoal.shutdown()
    assert shoal.get(one.remote()) == 1
    shoal.shutdown()
    with pytest.raises(ValueError, match="nobody"):
        shoal.get_actor("nobody")
    assert shoal.is_initialized()


@shoal.remote
class Counter:
    def count(self):
        return 1


def test_refs_and_handles_of_an_earlier_cluster_fail_cleanly(engine):
    ref, counter = shoal.put(1), Counter.remote()
    restart(engine)
    for use in (
        lambda: shoal.get(same.remote(ref)),
        lambda: shoal.get([one.remote(), ref]),
        lambda: shoal.get(counter.count.remote()),
    ):
        with pytest.raises(ShoalError):
            use()
    assert shoal.get(one.remote()) == 1
