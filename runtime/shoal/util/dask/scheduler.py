"""A scheduler for Dask: each node of a graph is a task, and what a node needs arrives as its arguments."""

from __future__ import annotations

import collections
from collections.abc import Mapping
from typing import Any

import dask
from dask._task_spec import Alias, DataNode, GraphNode, convert_legacy_graph  # Dask 2024.11 and later
from dask.order import order

from shoal import api
from shoal.refs import ObjectRef


def dask_get(dsk: Any, keys: Any, *, ray_remote_args: dict[str, Any] | None = None, **ignored: Any) -> Any:
    """Compute `keys` (one, or lists of them as deep as you like) of a graph on the cluster.

    Args: `ray_remote_args` are options of each task: `dask.compute(x, scheduler=dask_get, ray_remote_args={…})`.
    Raises what a node raised. Other options of Dask's own schedulers are taken and have no effect.
    """
    graph: dict[Any, GraphNode] = convert_legacy_graph(_mapping(dsk))
    wanted = set(_flat(keys))
    values = _submit(graph, wanted, api.remote(_run_node).options(**(ray_remote_args or {})))
    refs = [value for value in values.values() if isinstance(value, ObjectRef)]
    found = dict(zip(refs, api.get(refs), strict=True))

    def value_of(key: Any) -> Any:
        if isinstance(key, list):
            return tuple(value_of(k) for k in key)
        value = values[key]
        return found[value] if isinstance(value, ObjectRef) else value

    return value_of(keys)


def _mapping(dsk: Any) -> Mapping[Any, Any]:
    """The graph itself, where Dask hands over an expression that makes one."""
    if isinstance(dsk, Mapping):
        return dsk
    graph: Mapping[Any, Any] = dsk.__dask_graph__()
    return graph


def _flat(keys: Any) -> list[Any]:
    return [k for key in keys for k in _flat(key)] if isinstance(keys, list) else [keys]


def _submit(graph: dict[Any, GraphNode], wanted: set[Any], run: Any) -> dict[Any, Any]:
    """A ref or a value for each wanted key. Everything between is let go of once what needs it is submitted."""
    users: collections.Counter[Any] = collections.Counter(
        needed for node in graph.values() for needed in node.dependencies
    )
    priorities = order(graph)
    values: dict[Any, Any] = {}
    for key in sorted(graph, key=priorities.__getitem__):
        node = graph[key]
        needed = list(node.dependencies)
        if isinstance(node, DataNode):
            values[key] = node()
        elif isinstance(node, Alias):
            values[key] = values[needed[0]]
        else:
            name = str(key[0] if isinstance(key, tuple) else key)
            values[key] = run.options(name=name).remote(node, needed, *[values[k] for k in needed])
        for other in needed:
            users[other] -= 1
            if not users[other] and other not in wanted:
                del values[other]
    return {key: values[key] for key in wanted}


def _run_node(node: GraphNode, needed: list[Any], /, *values: Any) -> Any:
    return node(dict(zip(needed, values, strict=True)))


ray_dask_get = dask_get
ray_dask_get_sync = dask_get


def enable_dask_on_shoal(shuffle: str | None = "tasks", use_shuffle_optimization: bool = True) -> Any:
    """Have Dask compute everything on the cluster from now on; as a context manager only within it."""
    return dask.config.set({"scheduler": dask_get, "dataframe.shuffle.method": shuffle})


def disable_dask_on_shoal() -> Any:
    """Back to Dask's own schedulers."""
    return dask.config.set({"scheduler": None, "dataframe.shuffle.method": None})


enable_dask_on_ray = enable_dask_on_shoal
disable_dask_on_ray = disable_dask_on_shoal
