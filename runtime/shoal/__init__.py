"""shoal: a cluster you hold in a notebook.

The floor plan (imports go down only; tests/test_layers.py has the table):

    api, actors, functions           what people call and hold
    cluster                          this process's cluster: started, found, joined
    engines, worker, hub             what runs it
    feed, store, scheduler           the stream of events, shared memory, who runs where
    wire, link, serial, shm          bytes
    exceptions, config, ids          the ground

`%load_ext shoal` loads the notebook's part, which lives in shoal_kernelext; live views live in shoal_widgets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.doors import opened

if TYPE_CHECKING:
    from shoal.actors import ActorHandle as ActorHandle
    from shoal.actors import get_actor as get_actor
    from shoal.api import available_resources as available_resources
    from shoal.api import cancel as cancel
    from shoal.api import cluster_resources as cluster_resources
    from shoal.api import get as get
    from shoal.api import get_gpu_ids as get_gpu_ids
    from shoal.api import kill as kill
    from shoal.api import nodes as nodes
    from shoal.api import put as put
    from shoal.api import remote as remote
    from shoal.api import timeline as timeline
    from shoal.api import wait as wait
    from shoal.explain import why as why
    from shoal.foreign import LOCAL_MODE as LOCAL_MODE
    from shoal.foreign import SCRIPT_MODE as SCRIPT_MODE
    from shoal.foreign import WORKER_MODE as WORKER_MODE
    from shoal.foreign import Language as Language
    from shoal.foreign import cpp_function as cpp_function
    from shoal.foreign import java_actor_class as java_actor_class
    from shoal.foreign import java_function as java_function
    from shoal.generators import DynamicObjectRefGenerator as DynamicObjectRefGenerator
    from shoal.generators import ObjectRefGenerator as ObjectRefGenerator
    from shoal.holders import who_holds as who_holds
    from shoal.ids import ActorClassID as ActorClassID
    from shoal.ids import ActorID as ActorID
    from shoal.ids import ClusterID as ClusterID
    from shoal.ids import FunctionID as FunctionID
    from shoal.ids import JobID as JobID
    from shoal.ids import NodeID as NodeID
    from shoal.ids import PlacementGroupID as PlacementGroupID
    from shoal.ids import TaskID as TaskID
    from shoal.ids import UniqueID as UniqueID
    from shoal.ids import WorkerID as WorkerID
    from shoal.lifecycle import init as init
    from shoal.lifecycle import is_initialized as is_initialized
    from shoal.lifecycle import shutdown as shutdown
    from shoal.log_config import LoggingConfig as LoggingConfig
    from shoal.methods import method as method
    from shoal.refs import ObjectID as ObjectID
    from shoal.refs import ObjectRef as ObjectRef
    from shoal.runtime_context import get_runtime_context as get_runtime_context
    from shoal_widgets.report import report as report

_WHERE = {
    "ActorClassID": "shoal.ids",
    "ActorHandle": "shoal.actors",
    "ActorID": "shoal.ids",
    "ClusterID": "shoal.ids",
    "FunctionID": "shoal.ids",
    "JobID": "shoal.ids",
    "LOCAL_MODE": "shoal.foreign",
    "Language": "shoal.foreign",
    "LoggingConfig": "shoal.log_config",
    "NodeID": "shoal.ids",
    "ObjectID": "shoal.refs",
    "ObjectRef": "shoal.refs",
    "ObjectRefGenerator": "shoal.generators",
    "DynamicObjectRefGenerator": "shoal.generators",
    "PlacementGroupID": "shoal.ids",
    "SCRIPT_MODE": "shoal.foreign",
    "TaskID": "shoal.ids",
    "UniqueID": "shoal.ids",
    "WORKER_MODE": "shoal.foreign",
    "WorkerID": "shoal.ids",
    "available_resources": "shoal.api",
    "cancel": "shoal.api",
    "cluster_resources": "shoal.api",
    "cpp_function": "shoal.foreign",
    "get": "shoal.api",
    "get_actor": "shoal.actors",
    "get_gpu_ids": "shoal.api",
    "get_runtime_context": "shoal.runtime_context",
    "init": "shoal.lifecycle",
    "is_initialized": "shoal.lifecycle",
    "java_actor_class": "shoal.foreign",
    "java_function": "shoal.foreign",
    "kill": "shoal.api",
    "method": "shoal.methods",
    "nodes": "shoal.api",
    "post_mortem": "shoal.debugging",
    "put": "shoal.api",
    "remote": "shoal.api",
    "report": "shoal_widgets.report",
    "shutdown": "shoal.lifecycle",
    "timeline": "shoal.api",
    "wait": "shoal.api",
    "who_holds": "shoal.holders",
    "why": "shoal.explain",
}

__all__ = [
    "ActorClassID",
    "ActorHandle",
    "ActorID",
    "ClusterID",
    "DynamicObjectRefGenerator",
    "FunctionID",
    "JobID",
    "LOCAL_MODE",
    "Language",
    "LoggingConfig",
    "NodeID",
    "ObjectID",
    "ObjectRef",
    "ObjectRefGenerator",
    "PlacementGroupID",
    "SCRIPT_MODE",
    "TaskID",
    "UniqueID",
    "WORKER_MODE",
    "WorkerID",
    "available_resources",
    "cancel",
    "cluster_resources",
    "cpp_function",
    "get",
    "get_actor",
    "get_gpu_ids",
    "get_runtime_context",
    "init",
    "is_initialized",
    "java_actor_class",
    "java_function",
    "kill",
    "method",
    "nodes",
    "post_mortem",
    "put",
    "remote",
    "report",
    "shutdown",
    "timeline",
    "wait",
    "who_holds",
    "why",
]

__version__ = "0.1.0"


__getattr__, __dir__ = opened(__name__, _WHERE)


def load_ipython_extension(shell: Any) -> None:
    """`%load_ext shoal`: registers the magics and hooks; starts nothing."""
    import shoal_kernelext

    shoal_kernelext.load_ipython_extension(shell)


def unload_ipython_extension(shell: Any) -> None:
    import shoal_kernelext

    shoal_kernelext.unload_ipython_extension(shell)
