"""What a pickled value is: its type, shape and beginning, told from the stream alone.

Large arrays lie outside the stream, so it is short. It is read by the pickle machine with every class and function
replaced by a note of its name: nothing is imported, and no code of anybody runs.
"""

from __future__ import annotations

import io
import itertools
import pickle
from collections.abc import Iterable
from typing import Any, NamedTuple

MOST = 60
"""Characters of a preview."""


class Contents(NamedTuple):
    """E.g. ``ndarray float64``, ``1,000 × 3``, and what it begins with."""

    kind: str = ""
    shape: str = ""
    preview: str = ""


class _Noted:
    """Stands for a class, for what it makes, or for what a function would return."""

    def __init__(self, module: str, name: str, args: tuple[Any, ...] = (), of: _Noted | None = None) -> None:
        self.module, self.name, self.args, self.of = module, name, args, of
        self.state: Any = None
        self.items: list[Any] = []

    def __call__(self, *args: Any, **kwargs: Any) -> _Noted:
        return _Noted(self.module, self.name, args, self)

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def append(self, item: Any) -> None:
        self.items.append(item)

    def extend(self, items: Iterable[Any]) -> None:
        self.items.extend(items)

    def add(self, item: Any) -> None:
        self.items.append(item)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.items.append(key)

    def __hash__(self) -> int:
        return id(self)


_Unpickler: Any = getattr(pickle, "_Unpickler")  # noqa: B009  # the one in C makes objects of classes only


class _Reader(_Unpickler):  # type: ignore[misc]
    def find_class(self, module: str, name: str) -> Any:
        return _Noted(module, name)

    def persistent_load(self, pid: Any) -> Any:
        return _Noted("", "", (pid,))

    def _new(self) -> None:
        args = self.stack.pop()
        self.append(self.stack.pop()(*args))

    def _new_ex(self) -> None:
        self.stack.pop()
        self._new()

    dispatch = {
        **_Unpickler.dispatch,
        pickle.NEWOBJ[0]: _new,
        pickle.NEWOBJ_EX[0]: _new_ex,
    }


def contents(stream: bytes) -> Contents:
    """What the value is; empty words where the stream does not tell.

    >>> contents(pickle.dumps([1, 2, 3], 5))
    Contents(kind='list', shape='of 3', preview='[1, 2, 3]')
    """
    try:
        value = _Reader(io.BytesIO(stream), buffers=itertools.repeat(b"")).load()
        return _told(value)
    except Exception:
        return Contents()


def _told(value: Any) -> Contents:
    if not isinstance(value, _Noted):
        sized = isinstance(value, list | tuple | dict | set | frozenset | str | bytes | bytearray)
        return Contents(type(value).__name__, f"of {len(value):,}" if sized else "", _short(value))
    array = _array(value)
    if array is not None:
        return Contents(f"ndarray {array[0]}", _times(array[1]))
    name = value.name.rpartition(".")[2]
    if name == "Parcel" and value.module.startswith("shoal") and value.args and isinstance(value.args[0], bytes):
        return contents(value.args[0])  # what a remote cell was sent: a pickled value within another
    if value.module.partition(".")[0] == "pandas" and name in ("DataFrame", "Series"):
        return Contents(name, _times(_labels(value)))
    if name in ("_reconstruct", "_rebuild", "__reduce_ex__", "_reconstructor") and value.args:
        made = value.args[0]
        name = made.name if isinstance(made, _Noted) else name
    if name == "_make_skeleton_class" and value.of is not None and len(value.of.args) > 1:
        name = str(value.of.args[1])  # cloudpickle's way with a class of the notebook
    name = {"_reconstruct_table": "pyarrow Table"}.get(name, name)
    state = value.state if isinstance(value.state, dict) else {}
    return Contents(name, "", ", ".join(map(str, state))[:MOST])


def _array(value: Any) -> tuple[str, tuple[int, ...]] | None:
    """Type and shape of a NumPy array."""
    if not isinstance(value, _Noted) or value.name not in ("_frombuffer", "_reconstruct"):
        return None
    if value.name == "_frombuffer" and len(value.args) >= 3:
        return _dtype(value.args[1]), tuple(value.args[2])
    state = value.state
    if isinstance(state, tuple) and len(state) == 5 and isinstance(state[1], tuple):
        return _dtype(state[2]), state[1]
    return None


def _dtype(noted: Any) -> str:
    code = str(noted.args[0]) if isinstance(noted, _Noted) and noted.args else ""
    words = {"f": "float", "i": "int", "u": "uint", "c": "complex"}
    if code[:1] in words and code[1:].isdigit():
        return f"{words[code[0]]}{8 * int(code[1:])}"
    return {"b1": "bool", "O8": "object"}.get(code, code)


def _labels(frame: _Noted) -> tuple[int, ...]:
    """Rows and columns of a DataFrame, rows of a Series: its manager has an index for each."""
    state = frame.state if isinstance(frame.state, dict) else {}
    manager = state.get("_mgr")
    if not isinstance(manager, _Noted):
        return ()
    told = manager.state if isinstance(manager.state, tuple) else manager.args
    axes = next((part for part in told if isinstance(part, list)), [])
    lengths = [_length(axis) for axis in axes]
    return tuple(n for n in reversed(lengths) if n is not None) if None not in lengths else ()


def _length(index: Any) -> int | None:
    told = index.args[1] if isinstance(index, _Noted) and len(index.args) > 1 else None
    if not isinstance(told, dict):
        return None
    if "stop" in told:
        return len(range(told["start"], told["stop"], told["step"]))
    data = told.get("data")
    state = data.state if isinstance(data, _Noted) else None
    if isinstance(state, dict) and isinstance(state.get("_pa_array"), _Noted):
        return int(state["_pa_array"].args[0][1])  # Arrow's: (type, length, …)
    array = _array(data)
    return array[1][0] if array is not None and array[1] else None


def _times(shape: Iterable[int]) -> str:
    return " × ".join(f"{n:,}" for n in shape)


def _short(value: Any) -> str:
    if isinstance(value, list | tuple | dict | set | frozenset):
        inside: list[Any] = [*value, *value.values()] if isinstance(value, dict) else list(value)
        if any(not isinstance(each, str | bytes | int | float | bool | type(None)) for each in inside):
            return ""
    text = repr(value[: 2 * MOST] if isinstance(value, str | bytes | list | tuple) else value)
    return text if len(text) <= MOST else f"{text[: MOST - 1]}…"
