"""A notebook and a worker in one process: what a cell does by capture, run and delivery."""

from __future__ import annotations

import ast
import os
import pickle
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
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

    name = "inline"
    alive = True

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

    def __init__(self, run: Callable[[Request], Result] | None = None) -> None:
        self.ns: dict[str, Any] = {"__name__": "__main__", "__builtins__": __builtins__}
        self.run = run or run_here
        self.stock = Stock()
        self.count = 0

    def plain(self, code: str) -> None:
        self.count += 1
        exec(compile(textwrap.dedent(code), f"cell-{self.count}", "exec", dont_inherit=True), self.ns)

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
            tuple(sent.values), sent.absent, tuple(sent.unread), tuple(sorted(sent.modules)),
            frozenset(names(ast.parse(code)).binds),
        )  # fmt: skip
        result = self.result = self.run(request)
        self.unopened = deliver(result, sent, self.ns, self.stock)
        self.stock.sweep(self.ns.values())
        if result.failure is not None:
            raised = error_of(result.failure, sent, self.ns)
            raise raised if raised is not None else RuntimeError(result.failure.message)
        return result


def run_here(request: Request) -> Result:
    """Run a cell in this process, as the engine inline does."""
    try:
        result: Result = travelled(run_cell(travelled(request)))
        return result
    except CellFailed as error:
        failed: CellFailed = travelled(error)
        return failed.result


def travelled(value: Any) -> Any:
    """What arrives of a value at the other end of a pipe."""
    packed = pack(value)
    return unpack(packed.stream, [bytes(b) for b in packed.buffers])


class Worker:
    """A process that runs cells, one after the other, as a worker of a cluster does."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._pipes = (self._process.stdin, self._process.stdout)

    def __call__(self, request: Request) -> Result:
        stdin, stdout = self._pipes
        assert stdin is not None and stdout is not None
        pickle.dump(request, stdin, 5)
        stdin.flush()
        result: Result = pickle.load(stdout)
        return result

    def close(self) -> None:
        for pipe in self._pipes:
            if pipe is not None:
                pipe.close()
        self._process.wait()


def _serve() -> None:
    """What the process of a `Worker` does; cells print nowhere."""
    requests, results = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    sys.stdout = open(os.devnull, "w")
    while True:
        try:
            request = pickle.load(requests)
        except EOFError:
            return
        pickle.dump(run_here(request), results, 5)
        results.flush()


if __name__ == "__main__":
    _serve()
