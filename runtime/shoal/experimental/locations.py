"""Where objects lie: `get_object_locations` and its company.

Follows https://docs.ray.io/en/latest/ray-core/api/doc/ray.experimental.get_object_locations.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shoal.cluster import engine
from shoal.exceptions import GetTimeoutError, NotARefError, ShoalRuntimeError
from shoal.lifecycle import is_initialized
from shoal.refs import ObjectRef
from shoal.serial import pack

Location = dict[str, Any]


def get_object_locations(obj_refs: Sequence[ObjectRef[Any]], timeout_ms: int = -1) -> dict[ObjectRef[Any], Location]:
    """Where each object lies: `node_ids` in hexadecimal, and `object_size` in bytes.

    An object that is not ready lies nowhere, and its size is None. Nodes that are played on one machine share its
    memory: an object counts as lying where it was made. Raises RuntimeError where there is no cluster, GetTimeoutError
    for `timeout_ms=0`, in which no answer can come.
    """
    if not is_initialized():
        raise ShoalRuntimeError("no cluster is used here: call shoal.init() first")
    for ref in obj_refs:
        if not isinstance(ref, ObjectRef):
            raise NotARefError(f"get_object_locations() takes ObjectRefs; the list holds {type(ref).__name__}")
    if obj_refs and timeout_ms == 0:
        raise GetTimeoutError("timeout_ms=0 leaves no time to ask: give more, or -1 to wait as long as it takes")
    here = engine()
    found: list[tuple[int | None, str | None]] = here.query("locations", [ref.binary() for ref in obj_refs])
    return {ref: _location(here, ref, *where) for ref, where in zip(obj_refs, found, strict=True)}


def get_local_object_locations(obj_refs: Sequence[ObjectRef[Any]]) -> dict[ObjectRef[Any], Location]:
    """As `get_object_locations`; Ray answers it from the process's own memory."""
    return get_object_locations(obj_refs)


def _location(here: Any, ref: ObjectRef[Any], size: int | None, node: str | None) -> Location:
    if size is None and here.wait([ref.binary()], 1, 0):  # small, and known to this process alone
        try:
            size = pack(here.get([ref.binary()], 0)[0]).size
        except Exception:  # what its task raised
            return {"node_ids": [], "object_size": None}
    if size is None:
        return {"node_ids": [], "object_size": None}
    return {"node_ids": [node], "object_size": size}
