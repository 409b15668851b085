"""What travels, how it arrives, and what is said of what cannot: on every engine."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import importlib
import io
import math
import pickle
import re
import socket
import sys
import threading
import types
import uuid
import warnings
import weakref
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import pytest
from simple import same

import shoal
from shoal.exceptions import SerializationError

pytestmark = pytest.mark.usefixtures("engine")


def trips(value: Any) -> list[Any]:
    """The value after a put, and after a trip through a task."""
    return [shoal.get(shoal.put(value)), shoal.get(same.remote(value))]


class Color(enum.Enum):
    RED = 1
    GREEN = 2


class Point(NamedTuple):
    x: int
    y: int = 0


@dataclasses.dataclass
class Item:
    name: str
    tags: list[str] = dataclasses.field(default_factory=list)


class Bag(dict[str, Any]):
    """A container of its own kind, with an attribute beside its items."""

    note = ""


class Row(list[Any]):
    pass


class Slotted:
    __slots__ = ("a", "b")

    def __init__(self, a: Any, b: Any) -> None:
        self.a, self.b = a, b

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Slotted) and (other.a, other.b) == (self.a, self.b)

    __hash__ = None  # type: ignore[assignment]


VALUES: list[Any] = [
    None, True, 0, -1, 1 << 62, 1 << 999, -(1 << 4000), 0.0, -0.0, 1e308, math.inf, 1 + 2j,
    "", "a", "☯", "\0\x01", "x" * 200_000, b"", b"\0\xff", bytearray(b"ab"),
    [], (), {}, set(), frozenset({1}), [[[[[]]]]], ((((),),),), {(): {(): {}}}, {1: {2: {3: {}}}},
    range(10), slice(1, 2, 3), Ellipsis, NotImplemented, type, int, len, math.sin,
    collections.Counter("abca"), collections.OrderedDict(b=1, a=2), collections.deque([1, 2], maxlen=3),
    collections.defaultdict(list, {"a": [1]}), types.MappingProxyType,
    decimal.Decimal("1.10"), fractions.Fraction(1, 3), uuid.UUID(int=5), PurePosixPath("/a/b"),
    datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC), datetime.timedelta(days=1), datetime.date(2026, 1, 2),
    Color.GREEN, Point(1, 2), Item("a", ["b"]), Slotted(1, [2]), re.compile("a+"),
    np.int8(3), np.float32(1.5), np.array("hi"), np.datetime64("2026-01-01"),
]  # fmt: skip


@pytest.mark.parametrize("values", [VALUES])
def test_values_arrive_equal_and_of_their_type(values: list[Any]) -> None:
    for value in [*values, *([v] for v in values), *((v,) for v in values), *({0: v} for v in values)]:
        for back in trips(value):
            assert back == value
            assert type(back) is type(value)


def test_nan_arrives_as_nan() -> None:
    assert all(math.isnan(v) for v in trips(math.nan))
    assert all(np.isnan(v).all() for v in trips(np.full(3, np.nan)))


def test_containers_of_their_own_class_keep_it_and_their_attributes() -> None:
    bag = Bag(a=1)
    bag.note = "mine"
    for back in trips(bag):
        assert (type(back), back, back.note) == (Bag, {"a": 1}, "mine")
    for row in trips(Row([1, 2])):
        assert (type(row), row) == (Row, [1, 2])


def test_cycles_and_shared_parts_stay_so() -> None:
    loop: list[Any] = [1]
    loop.append(loop)
    shared = [0]
    for back in trips(loop):
        assert back[1] is back
    for first, second in trips([shared, shared]):
        assert first is second


def test_an_object_that_knows_itself() -> None:
    class Node:
        def __init__(self) -> None:
            self.me = self
            self.children = {"me": self}

    for back in trips(Node()):
        assert back.me is back is back.children["me"]


def test_nesting_as_deep_as_pickle_bears() -> None:
    value: Any = []
    for _ in range(100):
        value = [value]
    assert trips(value) == [value, value]


def test_nesting_too_deep_says_so() -> None:
    value: Any = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(SerializationError, match="nested too deeply"):
        shoal.put(value)
    while value:  # taken apart by hand: its own end would recurse as deeply
        value = value[0]


def test_functions_classes_and_partials_by_value() -> None:
    base = 10

    def add(x: int) -> int:
        return x + base

    class Local:
        def __init__(self, x: int) -> None:
            self.x = x

        def plus(self, y: int) -> int:
            return self.x + y + base

        @classmethod
        def make(cls) -> Local:
            return cls(1)

    for back in trips(add):
        assert back(1) == 11
    for back in trips(functools.partial(add, 5)):
        assert back() == 15
    for back in trips(Local(2)):
        assert back.plus(3) == 15
    for back in trips(Local(2).plus):
        assert back(3) == 15
    for back in trips(Local):
        assert back.make().x == 1


def test_a_recursive_closure() -> None:
    def factorial(n: int) -> int:
        return 1 if n < 2 else n * factorial(n - 1)

    for back in trips(factorial):
        assert back(5) == 120


def test_classes_of_one_name_are_not_mixed_up() -> None:
    def make(number: int) -> Any:
        class Same:
            value = number

        return Same()

    made = [make(i) for i in range(3)]
    assert [shoal.get(same.remote(m)).value for m in made] == [0, 1, 2]


def test_modules_travel_by_name() -> None:
    for back in trips(math):
        assert back is math


def test_a_text_stream_keeps_its_text_and_place() -> None:
    stream = io.StringIO("one\ntwo\n")
    stream.readline()
    for back in trips(stream):
        assert back.readline() == "two\n"


def test_exceptions_travel_as_values() -> None:
    for back in trips(ValueError("a", 1)):
        assert isinstance(back, ValueError)
        assert back.args == ("a", 1)


# arrays and tables: without a copy


@pytest.mark.parametrize("count", [1, 1000, 1_000_000])
@pytest.mark.parametrize("dtype", ["u1", "f8", "c16"])
def test_arrays_are_read_only_and_aligned(count: int, dtype: str) -> None:
    value = np.arange(count).astype(dtype)
    for back in trips(value):
        np.testing.assert_array_equal(back, value)
        assert back.dtype == value.dtype
        assert back.ctypes.data % 8 == 0
        if back.nbytes >= 100_000:
            assert not back.flags.writeable
            with pytest.raises(ValueError, match="read-only"):
                back[0] = back[0]


@pytest.mark.parametrize(
    "value",
    [
        np.arange(1_000_000)[::2], np.arange(1_000_000).reshape(1000, 1000).T, np.zeros((0, 5)),
        np.array(5.0), np.array(["a", None, 3], dtype=object),
        np.arange(100_000).astype("M8[s]"), np.zeros(3, [("a", "i4"), ("b", "f8")]),
        np.asfortranarray(np.arange(90_000.0).reshape(300, 300)), np.broadcast_to(np.arange(3), (5, 3)),
        np.ma.masked_array(np.arange(3), [False, True, False]),
    ],
    ids=["strided", "transposed", "empty", "scalar", "objects", "dates", "records", "fortran", "broadcast", "masked"],
)  # fmt: skip
def test_arrays_of_every_make(value: Any) -> None:
    for back in trips(value):
        np.testing.assert_array_equal(back, value)
        assert back.dtype == value.dtype
        assert back.shape == value.shape


def test_an_array_of_its_own_class() -> None:
    class Marked(np.ndarray):
        pass

    value = np.arange(5).view(Marked)
    for back in trips(value):
        assert type(back).__name__ == "Marked"
        assert back.tolist() == [0, 1, 2, 3, 4]


def test_many_arrays_in_one_value() -> None:
    value = {f"a{i}": np.full(i * 1000, i) for i in range(60)}
    for back in trips(value):
        for name, array in value.items():
            np.testing.assert_array_equal(back[name], array)
            assert back[name].ctypes.data % 8 == 0


def test_one_array_twice_is_one_memory() -> None:
    array = np.arange(200_000)
    for first, second in trips([array, array]):
        assert np.shares_memory(first, second)


def test_a_data_frame_and_an_arrow_table() -> None:
    import pandas as pd
    import pyarrow as pa

    frame = pd.DataFrame({"a": np.arange(50_000), "b": np.arange(50_000) * 0.5, "c": ["x"] * 50_000})
    table = pa.table({"a": np.arange(50_000), "s": ["y"] * 50_000})
    for back in trips(frame):
        pd.testing.assert_frame_equal(back, frame)
    for back in trips(table):
        assert back == table


@pytest.mark.needs_processes
def test_arrays_and_tables_share_memory() -> None:
    import pyarrow as pa

    array = shoal.put(np.arange(1_000_000))
    assert np.shares_memory(shoal.get(array), shoal.get(array))
    table = shoal.put(pa.table({"a": np.arange(1_000_000)}))
    one, two = (shoal.get(table).column("a").chunk(0).to_numpy() for _ in range(2))
    assert np.shares_memory(one, two)


def test_a_class_with_buffers_of_its_own() -> None:
    class Picture:
        def __init__(self, pixels: Any) -> None:
            self.pixels = pixels

        def __reduce_ex__(self, protocol: Any) -> Any:
            if int(protocol) >= 5:
                return Picture, (pickle.PickleBuffer(self.pixels),)
            return Picture, (bytes(self.pixels),)

    for size in (10, 1_000_000):
        for back in trips(Picture(bytearray(b"x" * size))):
            assert bytes(back.pixels) == b"x" * size
            if size >= 100_000:
                assert memoryview(back.pixels).readonly


# what was put is a copy


@pytest.mark.parametrize("size", [10, 1_000_000])
def test_later_changes_do_not_reach_the_object(size: int) -> None:
    value = np.zeros(size)
    ref = shoal.put(value)
    value += 1
    assert (shoal.get(ref) == 0).all()


def test_arguments_are_copies_too() -> None:
    given = [1]

    @shoal.remote
    def change(items: list[int]) -> list[int]:
        items.append(2)
        return items

    assert shoal.get(change.remote(given)) == [1, 2]
    assert given == [1]


# what cannot travel


def cause(value: Any) -> str:
    with pytest.raises(SerializationError) as raised:
        shoal.put(value)
    assert isinstance(raised.value, TypeError)
    return str(raised.value)


def test_what_cannot_travel_names_the_cure() -> None:
    with socket.socket() as sock, open(__file__, "ab") as file:
        assert "connect in the task" in cause(sock)
        assert "open it in the task" in cause(file)
    assert "make a list of it" in cause(i for i in range(3))
    assert "make the lock where it is used" in cause(threading.Lock())
    assert "by its name" in cause(sys._getframe())
    assert "pass the object itself" in cause(weakref.ref(Item("a")))


def test_the_part_that_cannot_travel_is_named_by_its_path() -> None:
    class Model:
        def __init__(self) -> None:
            self.layers = {"first": [1, threading.Lock()]}

    assert ".layers['first'][1] (lock)" in cause(Model())
    assert "[0]['a'] (generator)" in cause([{"a": (i for i in range(3))}])
    assert ".b (lock)" in cause(Slotted(1, threading.Lock()))


def test_the_captured_variable_that_cannot_travel_is_named() -> None:
    guard = threading.Lock()

    @shoal.remote
    def guarded() -> bool:
        return guard.locked()

    with pytest.raises(SerializationError, match="→ guard"):
        guarded.remote()


def test_a_bad_argument_and_a_bad_result_are_named() -> None:
    with pytest.raises(SerializationError, match="make the lock where it is used"):
        same.remote([threading.Lock()])

    @shoal.remote
    def result() -> Any:
        return threading.Lock()

    with pytest.raises(TypeError, match=r"what result\(\) returned.*make the lock"):
        shoal.get(result.remote())


def test_an_error_while_pickling_or_unpickling_is_told() -> None:
    class Refuses:
        def __reduce__(self) -> Any:
            raise RuntimeError("I stay here")

    class Breaks:
        def __reduce__(self) -> Any:
            return divmod, (1, 0)

    assert "I stay here" in cause(Refuses())
    ref = shoal.put(Breaks())
    with pytest.raises(ZeroDivisionError):
        shoal.get(ref)
    with pytest.raises(ZeroDivisionError):
        shoal.get(same.remote(Breaks()))
    assert shoal.get(same.remote(1)) == 1


# functions too large to send


def test_a_function_that_captures_much_is_warned_about() -> None:
    ballast = np.zeros(11_000_000, np.uint8)

    @shoal.remote
    def heavy() -> int:
        return len(ballast)

    with pytest.warns(UserWarning, match=r"heavy is very large.*ballast \(11.0 MB\)"):
        ref = heavy.remote()
    assert shoal.get(ref) == 11_000_000
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shoal.get(heavy.remote())  # said once


def test_a_function_that_captures_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUNCTION_SIZE_ERROR_THRESHOLD", str(12_000_000))
    ballast = np.zeros(13_000_000, np.uint8)

    @shoal.remote
    def heavy() -> int:
        return len(ballast)

    @shoal.remote
    class Heavy:
        weight = ballast

    with pytest.raises(ValueError, match=r"The remote function heavy is too large.*ballast.*shoal\.put"):
        heavy.remote()
    with pytest.raises(ValueError, match=r"The actor Heavy is too large.*weight"):
        Heavy.remote()  # type: ignore[attr-defined]


# serialisers of one's own


class Guarded:
    def __init__(self, x: int) -> None:
        self.x = x
        self.lock = threading.Lock()


def test_a_registered_serializer_is_used_until_it_is_taken_back() -> None:
    from shoal.util.serialization import deregister_serializer, register_serializer

    register_serializer(Guarded, serializer=lambda guarded: guarded.x, deserializer=lambda x: Guarded(x))
    try:
        for back in trips(Guarded(3)):
            assert (type(back), back.x) == (Guarded, 3)
        assert shoal.get(same.remote([Guarded(4)]))[0].x == 4
    finally:
        deregister_serializer(Guarded)
    with pytest.raises(SerializationError, match=r"\.lock"):
        shoal.put(Guarded(1))
    deregister_serializer(Guarded)


def test_what_is_no_serializer_is_refused() -> None:
    from shoal.util.serialization import register_serializer

    with pytest.raises(TypeError, match="class"):
        register_serializer(Guarded(1), serializer=str, deserializer=str)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="functions"):
        register_serializer(Guarded, serializer=1, deserializer=str)  # type: ignore[arg-type]


# refs pickled by hand


def test_a_ref_pickled_by_hand_keeps_its_object_and_is_warned_about(monkeypatch: pytest.MonkeyPatch) -> None:
    from shoal import refs

    monkeypatch.setattr(refs._said, "pinned", False)
    ref = shoal.put("kept")
    with pytest.warns(ResourceWarning, match="pickled by hand"):
        data = pickle.dumps(ref)
    del ref
    assert shoal.get(pickle.loads(data)) == "kept"


@pytest.mark.parametrize("variable", ["SHOAL_PICKLE_REFS", "RAY_allow_out_of_band_object_ref_serialization"])
def test_pickling_refs_by_hand_can_be_forbidden(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "0")
    with pytest.raises(SerializationError, match="keep its object alive"):
        pickle.dumps(shoal.put(1))
    assert shoal.get(shoal.get(shoal.put([shoal.put(1)]))) == [1]


def test_a_value_that_gets_a_ref_as_it_is_unpickled() -> None:
    class Resolves:
        def __init__(self, ref: Any) -> None:
            self.ref = ref

        def __reduce__(self) -> Any:
            return shoal.get, (self.ref,)

    ref: Any = shoal.put(42)
    for _ in range(10):
        ref = shoal.put(Resolves(ref))
    assert shoal.get(ref) == 42


STARLETTE = """
class State:
    def __init__(self, state=None):
        super().__setattr__("_state", {} if state is None else state)

    def __setattr__(self, key, value):
        self._state[key] = value

    def __getattr__(self, key):
        return self._state[key]
"""


def test_an_application_with_starlettes_state_travels(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "starlette").mkdir()
    (tmp_path / "starlette" / "__init__.py").touch()
    (tmp_path / "starlette" / "datastructures.py").write_text(STARLETTE)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("starlette", "starlette.datastructures"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    datastructures = importlib.import_module("starlette.datastructures")
    try:
        state = datastructures.State()
        state.users = 3
        for arrived in trips([state]):
            assert type(arrived[0]) is datastructures.State and arrived[0].users == 3
    finally:
        shoal.util.deregister_serializer(datastructures.State)
