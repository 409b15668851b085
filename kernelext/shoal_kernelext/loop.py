"""``%%remote --for``: the cell's body as a parallel loop over anything that can be iterated.

The notebook reads the items, a few ahead of those that run; they go to workers in chunks that take about as long as
is worth a task. What a chunk brings is put into the list at its items' places.
"""

from __future__ import annotations

import ast
import itertools
import operator
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from shoal import api, cluster
from shoal.exceptions import GetTimeoutError, SerializationError, ShoalError, TaskCancelledError, TaskError
from shoal.functions import RemoteFunction
from shoal.refs import ObjectRef
from shoal_kernelext.cell_ref import CellRef, Told
from shoal_kernelext.cell_source import CellSource
from shoal_kernelext.delivery import error_of
from shoal_kernelext.demands import Demand
from shoal_kernelext.errors import rendered
from shoal_kernelext.launcher import Launch, Launcher, end, too_long
from shoal_kernelext.loop_items import Body, Done, Kept, run_items
from shoal_kernelext.loop_list import Holes, LoopList, Progress, failed_items, lines_of
from shoal_kernelext.parcel import Parcel, Site
from shoal_kernelext.session import Session

CHUNK = 0.2
"""Seconds that a chunk of items is to take: many times what a task costs, and little is lost with one."""
GROWTH = 4
"""How much larger than the one before a chunk may be: the first items may be unlike the others."""
PULL = 0.05
"""Seconds of reading items after which those at hand go."""
LARGEST = 8_000_000
"""Bytes of a chunk."""

_Item = tuple[int, Any]


class Clause(NamedTuple):
    """``x in xs``, taken apart."""

    target: ast.expr
    iterable: ast.expr


def clause(text: str) -> Clause | None:
    """Read the part of a loop between ``for`` and the colon; None where it is no such thing.

    >>> ast.unparse(clause("i, row in enumerate(rows)").iterable)
    'enumerate(rows)'
    """
    try:
        match ast.parse(f"for {text}: pass").body:
            case [ast.For(target, iterable, [ast.Pass()], [])]:
                return Clause(target, iterable)
    except (SyntaxError, ValueError):
        pass
    return None


def counted_items(node: ast.expr, evaluated: Callable[[ast.expr], Any]) -> tuple[Any, int | None]:
    """What is iterated over, and how many items it has; None where it does not say.

    ``enumerate(rows)`` and its like have no length, but what they are called with may.
    """
    match node:
        case ast.Call(ast.Name("enumerate" | "zip" | "map" | "reversed"), args, keywords) if not any(
            isinstance(arg, ast.Starred) for arg in args
        ) and all(keyword.arg for keyword in keywords):
            function = evaluated(node.func)
            if function in (enumerate, zip, map, reversed):
                values = [evaluated(arg) for arg in args]
                named = {str(keyword.arg): evaluated(keyword.value) for keyword in keywords}
                longest = {enumerate: values[:1], reversed: values[:1], map: values[1:]}.get(function, values)
                lengths = [_length(value) for value in longest]
                known = [length for length in lengths if length is not None]
                return function(*values, **named), min(known) if known and len(known) == len(lengths) else None
    iterable = evaluated(node)
    return iterable, _length(iterable)


def _length(iterable: Any) -> int | None:
    length = operator.length_hint(iterable, -1)
    return length if length >= 0 else None


class Loop:
    """One cell as the body of a loop; run anew for the holes of its list.

    Args:
        session: the notebook's.
        launcher: makes the body ready.
        source: the cell.
        clause: the head of the loop.
        demand: what a chunk needs.
        title: what the views call it.
        keep: whether the values stay on the cluster.
        timeout: seconds that a run may take.
        name: what the list is called.
    """

    def __init__(
        self, session: Session, launcher: Launcher, source: CellSource, clause: Clause, demand: Demand,
        title: str | None, keep: bool, timeout: float | None, name: str,
    ) -> None:  # fmt: skip
        self._session = session
        self._launcher = launcher
        self._source = source
        self._clause = clause
        self._demand = demand
        self._title = title or f"In[{session.number}]"
        self._keep = keep
        self._timeout = timeout
        self._name = name
        self._rest: Iterator[Any] = iter(())
        self._total: int | None = None
        self._function: RemoteFunction[..., Any] = RemoteFunction(run_items, {})

    def begin(self) -> LoopList:
        """Look at the iterable; the empty list that `LoopList.retry` fills."""
        try:
            iterable, self._total = counted_items(self._clause.iterable, self._evaluated)
            self._rest = iter(iterable)
        except Exception as error:
            raise self.of_the_head(error)  # noqa: B904  # it is that very error
        return LoopList(self.run)

    def _evaluated(self, node: ast.expr) -> Any:
        return eval(compile(ast.Expression(node), self._source.filename, "eval"), self._session.shell.user_ns)

    def of_the_head(self, error: BaseException) -> BaseException:
        """An error of the iterable, to be shown without our frames."""
        return rendered(error, self._session.render(error))

    def run(self, into: LoopList) -> None:
        """Do what the list has no value for yet; raises what stopped it, or ItemsFailedError."""
        session = self._session
        body = [ast.Assign([self._clause.target], ast.Constant(None)), *self._source.tree.body]
        tree = ast.fix_missing_locations(ast.Module(body, []))
        launch = self._launcher.prepare(self._source._replace(tree=tree), self._title, keep=self._keep)
        again = sorted(into.holes.items.items())
        into.holes = Holes()
        done = len(into) - len(again)
        progress = Progress(self._total, read=len(into), done=done, before=done)
        if session.cell is not None:
            session.views.open(session.cell, progress.items)
        run = _Run(self, launch, into, progress, deque(again))
        error = run.to_the_end()
        session.output.flush()
        if error is not None:
            raise error
        if into.holes.errors:
            failed = failed_items(into.failed, len(into), self._name)
            raise rendered(failed, lines_of(failed))

    def send(self, body: ObjectRef[Body], chunk: Parcel) -> ObjectRef[Any]:
        task = self._function.options(name=self._title, **self._demand.options())
        ref: ObjectRef[Any] = task.remote(body.binary(), body, chunk)
        return ref

    def body(self, launch: Launch) -> ObjectRef[Body]:
        return api.put(Body(launch.request, ast.unparse(self._clause.target)))

    def read(self, count: int) -> list[Any]:
        """The next items, fewer where the iterable is slow; empty at its end."""
        until = time.monotonic() + PULL
        found: list[Any] = []
        for item in itertools.islice(self._rest, count):
            found.append(item)
            if time.monotonic() > until:
                break
        return found

    @property
    def retries(self) -> int:
        """How often an item that raises is done again."""
        return self._demand.retries

    @property
    def window(self) -> int:
        """Chunks that are sent ahead: for each place one that runs and one that waits, and one to spare."""
        cpus = sum(node["Resources"].get("CPU", 0) for node in cluster.ensure().engine.query("nodes") if node["Alive"])
        return 2 * max(1, int(cpus // max(self._demand.cpus, 1))) + 1

    def stopped(self, error: BaseException) -> BaseException:
        return self._launcher.at_start(error, self._source)

    @property
    def deadline(self) -> float | None:
        return None if self._timeout is None else time.monotonic() + self._timeout

    def too_long(self) -> BaseException:
        assert self._timeout is not None, "asked when it is over"
        return too_long(self._timeout)

    def value(self, place: int, value: Any) -> Any:
        if isinstance(value, Kept):
            return CellRef(value.ref, Told(f"{self._name}[{place}]", facts=value.facts))
        return value

    def site(self, launch: Launch) -> Site:
        return Site(self._session.shell.user_ns, launch.sent.objects)


class _Run:
    """One run of a loop, from the first chunk to the last."""

    def __init__(
        self, loop: Loop, launch: Launch, into: LoopList, progress: Progress, again: deque[_Item]
    ) -> None:
        self._loop = loop
        self._launch = launch
        self._body = loop.body(launch)
        self._site = loop.site(launch)
        self._into = into
        self._progress = progress
        self._again = again
        """Items of an earlier run."""
        self._alone: deque[_Item] = deque()
        """Items to be done one by one: some may bring down their worker."""
        self._tries: dict[int, int] = {}
        """How often an item has raised, by place."""
        self._flying: dict[ObjectRef[Any], list[_Item]] = {}
        self._window = loop.window
        self._deadline = loop.deadline
        self._size, self._seconds, self._bytes = 1, 0.0, 0.0
        self._exhausted = False
        self._error: BaseException | None = None

    def to_the_end(self) -> BaseException | None:
        """Run; returns what stopped it, if anything did."""
        try:
            while True:
                while len(self._flying) < self._window and self._error is None and self._send_next():
                    pass
                if not self._flying:
                    break
                self._take_some()
        except KeyboardInterrupt as interrupt:
            self._error = self._loop.stopped(interrupt)
        self._give_up()
        return self._error

    # out

    def _send_next(self) -> bool:
        """Send a chunk; False when there is none."""
        chunk = self._next()
        if not chunk:
            return False
        try:
            parcel = Parcel.packed([item for _, item in chunk], "the items", self._site)
        except SerializationError as error:
            if len(chunk) > 1:
                self._alone.extend(chunk)
            else:
                self._hole(chunk[0], error)
            return True
        self._bytes = max(self._bytes, parcel.size / len(chunk))
        self._flying[self._loop.send(self._body, parcel)] = chunk
        self._progress.running += len(chunk)
        return True

    def _next(self) -> list[_Item]:
        if self._alone:
            return [self._alone.popleft()]
        if self._again:
            return [self._again.popleft() for _ in range(min(self._best_size(), len(self._again)))]
        return self._read()

    def _read(self) -> list[_Item]:
        if self._exhausted:
            return []
        try:
            items = self._loop.read(self._best_size())
        except KeyboardInterrupt:
            raise
        except Exception as error:  # the iterable's own; what it gave is done
            self._exhausted, self._error = True, self._loop.of_the_head(error)
            return []
        self._exhausted = not items
        first = len(self._into)
        chunk = list(enumerate(items, first))
        for item in chunk:
            self._into.append(None)
            self._into.holes.items[item[0]] = item[1]
        self._progress.read += len(chunk)
        return chunk

    def _best_size(self) -> int:
        if self._seconds:
            self._size = max(1, min(int(CHUNK / self._seconds), self._size * GROWTH, int(LARGEST / (self._bytes or 1))))
        if self._progress.total is None:
            return self._size
        left = len(self._again) or self._progress.total - self._progress.read
        return max(1, min(self._size, -(-left // self._window)))  # the last ones shared out evenly

    # back

    def _take_some(self) -> None:
        timeout = None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
        refs = list(self._flying)
        if not api.wait(refs, num_returns=1, timeout=timeout)[0]:
            self._error = self._loop.stopped(self._loop.too_long())
            self._give_up()
            return
        for ref in api.wait(refs, num_returns=len(refs), timeout=0)[0]:
            self._take(ref)

    def _take(self, ref: ObjectRef[Any]) -> None:
        chunk = self._flying[ref]
        try:
            done: Done = ref._engine.get([ref.binary()], 0.0, writable=True)[0]
            self._fill(chunk, done)
        except TaskCancelledError as error:
            for item in chunk:
                self._hole(item, error)
            if self._error is None:
                self._error = self._loop.stopped(TaskCancelledError("the loop was cancelled"))
        except GetTimeoutError:
            return  # it came, and went to disk meanwhile: next time
        except (ShoalError, TaskError) as error:
            if len(chunk) > 1 and self._error is None:  # one of them brought its worker down
                self._alone.extend(chunk)
            else:
                for item in chunk:
                    self._hole(item, error)
        del self._flying[ref]
        self._progress.running -= len(chunk)

    def _fill(self, chunk: list[_Item], done: Done) -> None:
        values = done.values.opened(self._site)
        for number, (item, value) in enumerate(zip(chunk, values, strict=True)):
            failure = done.failures.get(number)
            if failure is None:
                self._into[item[0]] = self._loop.value(item[0], value)
                self._into.holes.items.pop(item[0], None)
                self._progress.done += 1
                continue
            tries = self._tries[item[0]] = self._tries.get(item[0], 0) + 1
            if tries <= self._loop.retries and self._error is None:
                self._alone.append(item)
                continue
            error = error_of(failure, self._launch.sent, self._site.namespace)
            if error is None:
                error = type(failure.name, (TaskError,), {})(failure.message)
            self._hole(item, rendered(error, failure.traceback))
        seconds = done.seconds / len(chunk)
        self._seconds = seconds if not self._seconds else 0.5 * self._seconds + 0.5 * seconds

    def _hole(self, item: _Item, error: BaseException) -> None:
        place = item[0]
        self._into[place] = self._into.holes.errors[place] = error
        self._into.holes.items[place] = item[1]
        if isinstance(error, TaskCancelledError):
            self._progress.cancelled += 1
        else:
            self._progress.failed += 1

    def _give_up(self) -> None:
        """Keep what is done; what is not is cancelled, and a hole."""
        refs = list(self._flying)
        for ref in api.wait(refs, num_returns=len(refs), timeout=0)[0] if refs else []:
            self._take(ref)
        left = list(self._flying)
        undone = [*itertools.chain(*self._flying.values()), *self._alone, *self._again]
        self._flying.clear()
        self._alone.clear()
        self._again.clear()
        for item in undone:
            self._hole(item, TaskCancelledError(f"item {item[0]} was cancelled"))
        self._progress.running = 0
        end(*left)
