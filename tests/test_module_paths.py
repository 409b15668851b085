"""Ray's module paths: each is importable under shoal's name, and an attribute of what it lies in."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import shoal

PATHS = """
    _raylet: ObjectRef ObjectRefGenerator
    actor: ActorClass ActorHandle ActorMethod ActorProxy ActorClassInheritanceException exit_actor method
    autoscaler.sdk: request_resources
    cloudpickle: dumps loads CloudPickler
    cluster_utils: Cluster AutoscalingCluster cluster_not_supported
    exceptions: RayError RayTaskError RayActorError GetTimeoutError TaskCancelledError
    experimental: get_object_locations get_local_object_locations
    experimental.tqdm_ray: tqdm
    remote_function: RemoteFunction
    runtime_context: get_runtime_context RuntimeContext
    runtime_env: RuntimeEnv
    types: ObjectRef
    util.accelerators: NVIDIA_TESLA_V100
    util.actor_group: ActorGroup
    util.actor_pool: ActorPool
    util.annotations: PublicAPI DeveloperAPI
    util.check_serialize: inspect_serializability
    util.dask: ray_dask_get enable_dask_on_ray disable_dask_on_ray
    util.debug: log_once
    util.helpers: as_completed map_unordered
    util.joblib: register_ray
    util.metrics: Counter Gauge Histogram
    util.multiprocessing: Pool
    util.placement_group: placement_group PlacementGroup remove_placement_group placement_group_table
    util.queue: Queue Empty Full
    util.scheduling_strategies: PlacementGroupSchedulingStrategy NodeAffinitySchedulingStrategy
    util: register_serializer deregister_serializer list_named_actors
    util.serialization: register_serializer deregister_serializer
    util.state: list_tasks list_actors get_task summarize_tasks
"""
MODULES = {path.strip(): names.split() for path, names in (line.split(":") for line in PATHS.strip().splitlines())}


@pytest.mark.parametrize("path", MODULES)
def test_a_module_is_there_and_has_what_it_is_imported_for(path: str) -> None:
    if path == "util.dask":
        pytest.importorskip("dask")
    module = importlib.import_module(f"shoal.{path}")
    assert [name for name in MODULES[path] if not hasattr(module, name)] == []


def test_each_is_an_attribute_without_further_imports() -> None:
    paths = [path for path in MODULES if path not in ("util.dask", "util.placement_group")]
    code = "import shoal\n" + "".join(f"assert shoal.{path}.__name__ == 'shoal.{path}'\n" for path in paths)
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_all_of_the_utilities_are_there() -> None:
    assert [name for name in shoal.util.__all__ if not hasattr(shoal.util, name)] == []
    assert shoal.util.__all__ == sorted(shoal.util.__all__)


def test_placement_group_is_the_function_whatever_was_imported_before() -> None:
    module = importlib.import_module("shoal.util.placement_group")
    assert shoal.util.placement_group is module.placement_group
