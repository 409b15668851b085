"""What a value is said to be, though nobody has unpickled it."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.serial import pack
from shoal_kernelext.parcel import Parcel, Site
from shoal_widgets.contents import Contents, contents


class Model:
    def __init__(self) -> None:
        self.weights = np.zeros(1000)


@pytest.mark.parametrize(
    ("value", "kind", "shape"),
    [
        (np.zeros((1000, 3)), "ndarray float64", "1,000 × 3"),
        (np.arange(40).reshape(5, 8)[:, ::2], "ndarray int64", "5 × 4"),
        (np.zeros(3, dtype=bool), "ndarray bool", "3"),
        (pd.DataFrame({"a": np.zeros(10), "b": ["x"] * 10}), "DataFrame", "10 × 2"),
        (pd.Series(np.zeros(7)), "Series", "7"),
        (pa.table({"a": [1, 2]}), "pyarrow Table", ""),
        ([np.zeros(3)] * 4, "list", "of 4"),
        (Model(), "Model", ""),
        ("text", "str", "of 4"),
    ],
)
def test_it_tells_type_and_shape(value: Any, kind: str, shape: str) -> None:
    assert contents(pack(value).stream)[:2] == (kind, shape)


def test_what_a_remote_cell_is_sent_is_told_as_what_it_is() -> None:
    sent = Parcel.packed(np.zeros((1000, 300)), "x", Site({}))
    assert contents(pack(sent).stream)[:2] == ("ndarray float64", "1,000 × 300")


def test_it_shows_how_a_value_begins() -> None:
    assert contents(pickle.dumps({"a": 1}, 5)).preview == "{'a': 1}"
    assert contents(pickle.dumps(Model(), 5)).preview == "weights"


class Trap:
    def __reduce__(self) -> Any:
        return (pytest.fail, ("code of the value ran",))


def test_no_code_of_the_value_runs() -> None:
    contents(pickle.dumps([Trap()], 5))


@given(st.binary(max_size=60))
def test_rubbish_is_nothing(stream: bytes) -> None:
    assert isinstance(contents(stream), Contents)
