"""One and the same code for shoal and Ray: they share the API."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from benchmarks import work

if TYPE_CHECKING:
    from benchmarks.rows import Operations


def operations(ray: Any) -> Operations:
    """How to do each row with a module that has Ray's API and is started."""
    noop, first, large = ray.remote(work.noop), ray.remote(work.first), ray.remote(work.large)
    ray.get(noop.remote())  # the first result, as far as the start row goes
    # One CPU in all is enough for any number of idle actors.
    actor_class = ray.remote(num_cpus=0)(work.Actor)

    @cache
    def actor() -> Any:
        return actor_class.remote()

    @cache
    def ref() -> Any:
        return ray.put(work.array())

    def waits(count: int) -> None:
        rest = [noop.remote() for _ in range(count)]
        while rest:
            _, rest = ray.wait(rest)

    @ray.remote  # type: ignore[untyped-decorator]
    def many(count: int) -> int:
        return len(ray.get([noop.remote() for _ in range(count)]))

    def actors(count: int) -> None:
        crowd = [actor_class.remote() for _ in range(count)]
        ray.get([one.call.remote() for one in crowd])

    return {
        "task": lambda: ray.get(noop.remote()),
        "tasks": lambda count: ray.get([noop.remote() for _ in range(count)]),
        "call": lambda: ray.get(actor().call.remote()),
        "calls": lambda count: ray.get([actor().call.remote() for _ in range(count)]),
        "memcpy": work.copy,
        "put": lambda: ray.put(work.array()),
        "get": lambda: ray.get(ref()),
        "pass_ref": lambda: ray.get(first.remote(ref())),
        "pass_value": lambda: ray.get(first.remote(work.array())),
        "return": lambda: ray.get(large.remote()),
        "waits": waits,
        "nested": lambda count: ray.get(many.remote(count)),
        "actors": actors,
        "stop": lambda: ray.shutdown(),
    }
