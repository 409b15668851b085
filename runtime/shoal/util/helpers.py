"""Small things over many refs: results as they come, with a bound on what is in flight."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from shoal import api
from shoal.exceptions import ShoalValueError
from shoal.refs import ObjectRef

CHUNK = 10
IN_FLIGHT = 100


def as_completed(
    refs: Sequence[ObjectRef[Any]], *, chunk_size: int = CHUNK, yield_obj_refs: bool = False, **wait_options: Any
) -> Iterator[Any]:
    """The values of the refs as they become ready (or the refs, with `yield_obj_refs`).

    Args: `chunk_size` as many are waited for at a time: 1 hands out each as it comes. `wait_options` go to `wait()`,
    but for num_returns. Raises what a task raised, when its turn comes.

    Follows https://docs.ray.io/en/latest/ray-core/api/doc/ray.util.as_completed.html
    """
    _check(chunk_size, wait_options)
    return _as_completed(list(refs), chunk_size, yield_obj_refs, wait_options)


def map_unordered(
    fn: Any,
    items: Iterable[Any],
    *,
    backpressure_size: int | None = IN_FLIGHT,
    chunk_size: int = CHUNK,
    yield_obj_refs: bool = False,
    **wait_options: Any,
) -> Iterator[Any]:
    """The values of `fn.remote(item)` for each item as they become ready, with a bound on the tasks in flight.

    Args: `backpressure_size` tasks at most are in flight (None: all at once); the rest as in `as_completed`.
    Items are taken from `items` only as the results are consumed.

    Follows https://docs.ray.io/en/latest/ray-core/api/doc/ray.util.map_unordered.html
    """
    if backpressure_size is not None and backpressure_size <= 0:
        raise ShoalValueError(f"backpressure_size={backpressure_size}: give a number above zero, or None for no bound")
    _check(chunk_size, wait_options)
    return _map_unordered(fn, items, backpressure_size, chunk_size, yield_obj_refs, wait_options)


def _check(chunk_size: int, wait_options: dict[str, Any]) -> None:
    if chunk_size < 1:
        raise ShoalValueError(f"chunk_size={chunk_size}: give 1 or more")
    if "num_returns" in wait_options:
        raise ShoalValueError("give chunk_size= instead of num_returns=")


def _as_completed(
    refs: list[ObjectRef[Any]], chunk_size: int, yield_obj_refs: bool, wait_options: dict[str, Any]
) -> Iterator[Any]:
    while refs:
        ready, refs = _batch(refs, chunk_size, yield_obj_refs, wait_options)
        yield from ready


def _map_unordered(
    fn: Any,
    items: Iterable[Any],
    in_flight: int | None,
    chunk_size: int,
    yield_obj_refs: bool,
    wait_options: dict[str, Any],
) -> Iterator[Any]:
    refs: list[ObjectRef[Any]] = []
    for item in items:
        refs.append(fn.remote(item))
        if in_flight is not None and len(refs) >= in_flight:
            ready, refs = _batch(refs, chunk_size, yield_obj_refs, wait_options)
            yield from ready
    yield from _as_completed(refs, chunk_size, yield_obj_refs, wait_options)


def _batch(
    refs: list[ObjectRef[Any]], chunk_size: int, yield_obj_refs: bool, wait_options: dict[str, Any]
) -> tuple[list[Any], list[ObjectRef[Any]]]:
    ready, rest = api.wait(refs, num_returns=min(chunk_size, len(refs)), **wait_options)
    return (ready if yield_obj_refs else api.get(ready)), rest


def get_node_ip_address(address: str = "8.8.8.8:53") -> str:
    """The address of this machine as others would reach it; 127.0.0.1 without a network. Nothing is sent."""
    import socket

    host, _, port = address.rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((host, int(port)))
            found: str = probe.getsockname()[0]
            return found
        except OSError:
            return "127.0.0.1"
