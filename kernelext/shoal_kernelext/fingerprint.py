"""What tells the inputs of a cell from others: the same for the same code and values, also after a kernel's restart."""

from __future__ import annotations

import hashlib
import pickle
from io import BytesIO
from types import CodeType, FunctionType
from typing import Any

import cloudpickle

from shoal.actors import ActorHandle
from shoal.refs import ObjectRef
from shoal_kernelext.parcel import Namespace


def fingerprint(what: object, objects: Namespace, namespace: Namespace) -> str:
    """A digest of `what`, which has a repr that says all, and of captured objects by name.

    Functions of the notebook count by their code, not by the cell that it is in. Raises what pickling raises.
    """
    found = hashlib.blake2b(repr(what).encode(), digest_size=16)
    for name in sorted(objects):
        found.update(f"\0{name}\0".encode())
        buffers: list[pickle.PickleBuffer] = []
        file = BytesIO()
        _Stable(file, buffers, namespace).dump(objects[name])
        found.update(file.getvalue())
        for buffer in buffers:
            found.update(memoryview(buffer).cast("B") if memoryview(buffer).contiguous else bytes(buffer))
    return found.hexdigest()


class _Stable(cloudpickle.Pickler):  # type: ignore[misc]  # it has no types
    """Writes what is never read: places of code and the marks by which classes are known again are left out."""

    def __init__(self, file: Any, buffers: list[pickle.PickleBuffer], namespace: Namespace) -> None:
        super().__init__(file, 5, buffer_callback=buffers.append)
        self._namespace = namespace

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, CodeType):
            return _Stable, _code(value)
        if isinstance(value, ObjectRef):
            return _Stable, (value.binary(),)
        if isinstance(value, ActorHandle):
            return _Stable, (value._ref.binary(),)
        if type(value) is FunctionType and value.__globals__ is self._namespace:
            cells = tuple(_content(cell) for cell in value.__closure__ or ())
            return _Stable, (value.__name__, value.__code__, value.__defaults__, value.__kwdefaults__, cells)
        reduced = super().reducer_override(value)
        if isinstance(value, type) and isinstance(reduced, tuple):
            made, args, *rest = reduced
            return made, tuple(part for part in args if not _is_mark(part)), *rest
        return reduced


def _code(code: CodeType) -> tuple[Any, ...]:
    return (
        code.co_name, code.co_code, code.co_consts, code.co_names, code.co_varnames, code.co_freevars, code.co_flags,
        code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount,
    )  # fmt: skip


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # empty
        return None


def _is_mark(part: Any) -> bool:
    """Whether it is the mark that cloudpickle gives a class, another in each process: 32 hexadecimal digits."""
    return isinstance(part, str) and len(part) == 32 and set(part) <= set("0123456789abcdef")
