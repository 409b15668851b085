"""A notebook and a worker in one process: what a cell does by capture, run and delivery."""

from __future__ import annotations

import ast
import pickle
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from shoal import current
from shoal.ids import IdMaker
from shoal.refs import ObjectRef
from shoal.serial import pack, unpack
from shoal_kernelext.capture import names
from shoal_kernelext.delivery import deliver, error_of
from shoal_kernelext.exchange import CellFailed, Request, Result
from shoal_kernelext.remote_cell import run_cell
from shoal_kernelext.report import Source
from shoal_kernelext.shipment import Shipment, shipment
from shoal_kernelext.stock import Stock


class StoreOnly:
    """The part of an engine that remote cells use: a store, here a dict of pickles."""

    def __init__(self) -> None:
        self.values: dict[bytes, Any] = {}
        self.puts = 0
        self.counts = self
        self._ids = IdMaker()

    def add(self, object_id: bytes) -> None:
        pass

    def drop(self, object_id: bytes) -> None:
        pass

    def put(self, value: Any) -> ObjectRef[Any]:
        self.puts += 1
        packed = pack(value)
        key = self._ids.next()
        self.values[key] = (packed.stream, [bytes(b) for b in packed.buffers])
        return ObjectRef._made(key, self)  # type: ignore[arg-type]

    def get(self, ids: Sequence[bytes], timeout: float | None, writable: bool = False) -> list[Any]:
        kind = bytearray if writable else bytes
        return [unpack(s, [kind(b) for b in bs]) for s, bs in (self.values[i] for i in ids)]


@contextmanager
def store() -> Iterator[StoreOnly]:
    """This process has a store."""
    engine = StoreOnly()
    current.set_engine(engine)  # type: ignore[arg-type]
    try:
        yield engine
    finally:
        current.set_engine(None)


class Notebook:
    """A namespace in which cells can be run remotely."""

    def __init__(self, **values: Any) -> None:
        self.ns: dict[str, Any] = {"__name__": "__main__", "__builtins__": __builtins__, **values}
        self.stock = Stock()
        self.count = 0

    def plain(self, code: str) -> None:
        self.count += 1
        exec(compile(textwrap.dedent(code), f"cell-{self.count}", "exec"), self.ns)

    def ship(self, code: str) -> tuple[Shipment, Source]:
        source = Source(f"Cell In[{self.count}]", code)
        found = names(ast.parse(code))
        sent = shipment(
            found, self.ns, self.stock, source, hidden={}, label=lambda f: f if "cell-" in f else None
        )
        return sent, source

    def remote(self, code: str, *, show: bool = False, fetch: bool = False) -> Result:
        """Run a cell; raises what it raised, after what it changed has come back."""
        code = textwrap.dedent(code)
        self.count += 1
        sent, source = self.ship(code)
        filename = f"cell-{self.count}"
        request = Request(
            code, filename, 0, show, fetch, False, {**sent.sources, filename: source},
            tuple(sent.values), sent.absent, tuple(sorted(sent.modules)),
            frozenset(names(ast.parse(code)).binds),
        )  # fmt: skip
        try:
            result: Result = travelled(run_cell(travelled(request)))
        except CellFailed as error:
            result = travelled(error).result
        self.result = result
        self.unopened = deliver(result, sent.objects, self.ns, self.stock)
        self.stock.sweep(self.ns.values())
        if result.failure is not None:
            raised = error_of(result.failure, sent.objects, self.ns)
            raise raised if raised is not None else RuntimeError(result.failure.message)
        return result


def travelled(value: Any) -> Any:
    packed = pack(value)
    return unpack(packed.stream, [bytes(b) for b in packed.buffers])


def bytes_of(value: Any) -> bytes:
    return pickle.dumps(value)
