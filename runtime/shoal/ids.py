"""Ids: 16 bytes, made without asking anybody.

8 bytes  who made it (random, a process)
5 bytes  counter
3 bytes  which return value; 0 is the task itself and its first value, the items of a stream count from 1
"""

from __future__ import annotations

import hashlib
import itertools
import os
from typing import Self

from shoal.exceptions import ShoalValueError

MAKER = 8
TASK = 13
"""The first 13 bytes tell the task of an object."""
SIZE = 16
NIL = b"\xff" * SIZE


class IdMaker:
    """Makes ids that no other process makes."""

    def __init__(self) -> None:
        self._prefix = os.urandom(MAKER)
        self._count = itertools.count(1 << 24, 1 << 24)  # above the three bytes of the value's number

    def next(self) -> bytes:
        return self._prefix + next(self._count).to_bytes(8, "big")


def returns(task: bytes, count: int) -> tuple[bytes, ...]:
    """The ids of a task's return values, the first of which is the task's own."""
    if count == 1:
        return (task,)
    return tuple(value_of(task, i) for i in range(count))


def value_of(task: bytes, number: int) -> bytes:
    return task[:TASK] + number.to_bytes(3, "big")


def worker_id(cluster: str, number: int) -> str:
    """The id, in hexadecimal, of the worker or driver that the cluster knows by a number."""
    return hashlib.blake2b(f"{cluster}/{number}".encode(), digest_size=16).hexdigest()


def task_of(object_id: bytes) -> bytes:
    return object_id[:TASK] + b"\0\0\0"


def maker_of(object_id: bytes) -> bytes:
    return object_id[:MAKER]


class UniqueID(bytes):
    """An id as scripts hold it: its bytes, which also tell themselves in hexadecimal."""

    __module__ = "shoal"
    SIZE = 16

    def __new__(cls, data: bytes) -> Self:
        if not isinstance(data, bytes) or len(data) != cls.SIZE:
            raise ShoalValueError(f"{cls.__name__} takes {cls.SIZE} bytes, not {data!r}")
        return super().__new__(cls, data)

    @classmethod
    def from_random(cls) -> Self:
        return cls(os.urandom(cls.SIZE))

    @classmethod
    def from_hex(cls, text: str) -> Self:
        return cls(bytes.fromhex(text))

    @classmethod
    def from_binary(cls, data: bytes) -> Self:
        return cls(data)

    @classmethod
    def nil(cls) -> Self:
        return cls(b"\xff" * cls.SIZE)

    @classmethod
    def size(cls) -> int:
        """Bytes of such an id."""
        return cls.SIZE

    def is_nil(self) -> bool:
        return self == self.nil()

    def binary(self) -> bytes:
        return bytes(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.hex()})"

    __str__ = __repr__


class ActorClassID(UniqueID):
    """The id of an actor's class."""

    __module__ = "shoal"


class ActorID(UniqueID):
    """The id of an actor."""

    __module__ = "shoal"


class ClusterID(UniqueID):
    """The id of a cluster."""

    __module__ = "shoal"
    SIZE = 28


class FunctionID(UniqueID):
    """The id of a remote function."""

    __module__ = "shoal"


class JobID(UniqueID):
    """The id of a program that uses the cluster."""

    __module__ = "shoal"
    SIZE = 4

    @classmethod
    def from_int(cls, number: int) -> Self:
        return cls(number.to_bytes(cls.SIZE, "little"))

    def int(self) -> int:  # as Ray spells it
        return int.from_bytes(self, "little")


class NodeID(UniqueID):
    """The id of a node."""

    __module__ = "shoal"
    SIZE = 28


class PlacementGroupID(UniqueID):
    """The id of a placement group."""

    __module__ = "shoal"


class TaskID(UniqueID):
    """The id of a task."""

    __module__ = "shoal"


class WorkerID(UniqueID):
    """The id of a worker process."""

    __module__ = "shoal"
