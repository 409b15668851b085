"""The functions that tests of many subjects call."""

from __future__ import annotations

import time
from typing import Any

import shoal


@shoal.remote
def same(value: Any) -> Any:
    return value


@shoal.remote
def fail(message: str = "no") -> None:
    raise ValueError(message)


@shoal.remote
def sleep(seconds: float) -> str:
    time.sleep(seconds)
    return "slept"
