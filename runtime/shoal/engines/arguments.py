"""A call's arguments, for the wire."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shoal.refs import ObjectRef
from shoal.serial import Packed, pack, pack_call, pack_plain_call
from shoal.store import LARGE


def pack_arguments(
    args: tuple[Any, ...], kwargs: dict[str, Any], put: Callable[[Packed], ObjectRef[Any]]
) -> tuple[Any, tuple[int | str, ...], tuple[bytes, ...], tuple[bytes, ...], list[ObjectRef[Any]]]:
    """Arguments for the wire: refs at the top level are cut out and become dependencies at their slots."""
    plain = pack_plain_call(args, kwargs)
    if plain is not None and len(plain) < LARGE:
        return plain, (), (), (), []
    slots: list[int | str] = []
    deps: list[bytes] = []
    keep: list[ObjectRef[Any]] = []

    def cut(slot: int | str, value: Any) -> Any:
        if isinstance(value, ObjectRef):
            value.check()
            slots.append(slot)
            deps.append(value.binary())
            return None
        return value

    if any(isinstance(a, ObjectRef) for a in (*args, *kwargs.values())):
        args = tuple(cut(i, a) for i, a in enumerate(args))
        kwargs = {k: cut(k, a) for k, a in kwargs.items()}
    packed = pack_call(args, kwargs)
    if packed.size >= LARGE:

        def put_large(slot: int | str, value: Any) -> Any:
            alone = pack(value, f"argument {slot}")
            if alone.size < LARGE:
                return value
            ref = put(alone)
            keep.append(ref)
            return cut(slot, ref)

        args = tuple(put_large(i, a) for i, a in enumerate(args))
        kwargs = {k: put_large(k, a) for k, a in kwargs.items()}
        packed = pack_call(args, kwargs)
    payload = packed.stream if not packed.buffers else (packed.stream, [bytes(b) for b in packed.buffers])
    return payload, tuple(slots), tuple(deps), packed.contained, keep
