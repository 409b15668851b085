"""``%%remote``: a cell on the cluster as if it ran here."""

from __future__ import annotations

import keyword
import re
import time
from typing import Any, NamedTuple

from IPython.core.error import UsageError
from IPython.core.magic import no_var_expand

from shoal import cluster
from shoal_kernelext import memo
from shoal_kernelext.background import Background
from shoal_kernelext.cell_source import CellSource
from shoal_kernelext.demands import Demand, demand, seconds
from shoal_kernelext.launcher import Launcher
from shoal_kernelext.loop import Clause, Loop, clause
from shoal_kernelext.magics.arguments import argument, arguments, parsed, unquoted
from shoal_kernelext.namespaces import Namespaces
from shoal_kernelext.session import Session

_USAGE = "%%remote [--cpus N] [OPTIONS] above a cell, or %remote [--cpus N] [OPTIONS] EXPRESSION (%%remote? lists them)"
_VALUED = ("cpus", "gpus", "memory", "retries", "timeout", "name", "into", "for", "on")
_FLAGS = ("keep", "bg", "memo")
_OPTIONS = re.compile(
    rf"""\s*(?:--(?:{"|".join(_VALUED)})(?:=|\s+)(?:"[^"]*"|'[^']*'|\S+)(?:\s+|$)|--(?:{"|".join(_FLAGS)})(?:\s+|$))*"""
)

_VALUE = "value"
"""What the value of an expression in the background is called."""


class _Given(NamedTuple):
    """The options of a remote cell, checked."""

    demand: Demand
    timeout: float | None
    name: str | None
    into: str
    keep: bool
    bg: bool
    memo: bool
    clause: Clause | None
    on: str
    asked: bool
    """Whether the demand was given, and is not the usual one."""


def _clause(given: Any) -> Clause | None:
    """The head of the loop that is asked for; UsageError where it is none."""
    if given.head is None:
        return None
    found = clause(unquoted(given.head))
    if found is None:
        raise UsageError(f"--for {given.head} is no loop: give one in quotes, like --for \"row in rows\"")
    if given.bg:
        raise UsageError("--bg and --for do not go together: leave one of them out")
    return found


class RemoteMagic:
    """Runs cells and expressions on a worker."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._launcher = Launcher(session)
        self._background = Background(session)
        self._namespaces = Namespaces(session, self._launcher)

    @no_var_expand
    @arguments(
        argument("--cpus", type=float, help="CPUs that the cell needs, by default 1"),
        argument("--gpus", type=float, help="GPUs that it needs"),
        argument("--memory", help="memory that it needs, in bytes or like 500MB or 2GiB"),
        argument("--retries", type=int, default=0, help="how often it is run again when it raises or its worker dies"),
        argument("--timeout", type=float, help="seconds after which its work is stopped, the wait for a CPU included"),
        argument("--name", help="what the views call it"),
        argument("--for", dest="head", metavar='"X in XS"', help="run the cell once for each item, in parallel"),
        argument("--on", metavar="ACTOR", help="run it in the remote namespace of that name, which lasts"),
        argument("--into", metavar="NAME", help="a name for the value of the last expression, which is not shown then"),
        argument("--bg", action="store_true", help="go on at once: what the cell assigns are refs from the start"),
        argument("--memo", action="store_true", help="show what it did before, if code and inputs are the same"),
        argument("--keep", action="store_true", help="leave what it assigns on the cluster: the names become refs"),
    )
    def remote(self, line: str, cell: str | None = None) -> Any:
        """Run a cell, or an expression, on a worker of the cluster.

        What it reads is taken from the notebook; what it assigns or changes in place comes back, and its last
        expression is shown.

        With --keep the values stay where they are and their names become refs, which tell type, shape and size;
        shoal.get(NAME) fetches one. Modules, functions and classes come back all the same. In remote cells such a
        name means the value itself, and no copy of it is made; elsewhere it is a ref, as a task's argument too.

        With --on NAME the cell runs in a namespace that lasts, a kernel of its own on the cluster: an actor, made
        at first use with the --cpus, --gpus and --memory that are given then (by default it holds none). What the
        cell assigns or changes in place stays there, for later cells --on NAME, and %remote --on NAME EXPRESSION
        brings a value back, as --into does. A name that the namespace has hides the notebook's; every other is read
        from the notebook as it is at that moment, functions too. An interrupt leaves it as it is. It lives as long
        as the cluster, over a restart of the kernel too; shoal.kill(shoal.get_actor(NAME, namespace="cells")) ends
        it.

        With --bg the cell ends at once and its work goes on: its output, and its error, appear in it as they come.
        All names that it assigns are refs from the start, but not those that it imports. In a later plain cell such
        a name is the ref, and shoal.get(NAME) waits for the value; a remote cell that reads it waits for it in the
        queue and gets the value. Where the cell fails the refs of all its names raise its error, and where it ends
        without assigning one, that one raises a NameError. What it changes in place stays as it was here.

        With --for "x in xs" the cell is the body of a loop, whose items run in parallel: xs is anything that can be
        iterated (it is read a little ahead of the work), x any target, like i, row in enumerate(rows). An item's
        value is the cell's last expression; the list of them, in order, gets the name that --into gives, else it is
        shown and is _. What the body assigns stays in the item, and what it changes in place is not brought back.
        An item that fails leaves its exception in the list and the others go on; the cell ends with one error that
        lists them, and LIST.retry() or %retry runs them again and fills the same list. What an interrupt cancels is
        a hole of that kind, too. --cpus and the like are what each item needs, --timeout is for the whole loop.
        When a worker dies, the items that it had are done again one by one.

        With --memo what the cell prints, shows and assigns is remembered on the cluster, by its code and by the values
        that it reads (not by files, the time or chance): the next time all that is there at once, and the cell says
        so. The cluster keeps it over a restart of the kernel, as named results; %cluster drop forgets one.
        """
        match = _OPTIONS.match(line)
        assert match is not None, "it may match nothing"
        options, code = (line, cell) if cell is not None else (match[0], line[match.end() :])
        if cell is None and (code.startswith("--") or not code.strip()):
            options = line  # an option that there is not: the parser says so
        given = self._given(options)
        if not code.strip():
            raise UsageError(f"there is nothing to run. Use it so: {_USAGE}")
        value, error = self._remote(code, given, fetch=cell is None)
        if error is not None:
            raise error  # from here: IPython keeps the frames of the last error, and they what they hold
        return value

    def check(self, options: str) -> None:
        """Raise UsageError where that is no line of options."""
        self._given(options)

    def _given(self, line: str) -> _Given:
        found = parsed(self.remote, line, _USAGE)
        into, on = unquoted(found.into), unquoted(found.on)
        usual = 0.0 if on else 1.0
        cpus = usual if found.cpus is None else found.cpus
        others = [name for name in ("bg", "keep", "retries", "memo", "head") if getattr(found, name)]
        if on and others:
            other = others[0].replace("head", "for")
            raise UsageError(f"--on and --{other} do not go together: what runs in a namespace stays there")
        if found.memo and (found.bg or found.head is not None):
            other = "bg" if found.bg else "for"
            raise UsageError(f"--memo and --{other} do not go together: leave one of them out")
        if into and (not into.isidentifier() or keyword.iskeyword(into)):
            raise UsageError(f"--into {into} is no name that a value can have: give one like --into result")
        return _Given(
            demand(cpus, found.gpus or 0.0, unquoted(found.memory) or None, found.retries),
            seconds(found.timeout),
            unquoted(found.name) or None,
            into,
            found.keep,
            found.bg,
            found.memo,
            _clause(found),
            on,
            any(given is not None for given in (found.cpus, found.gpus, found.memory)),
        )

    def _loop(self, source: CellSource, clause: Clause, given: _Given) -> tuple[Any, BaseException | None]:
        """Run a loop; its list where it is to be shown, and what it raised."""
        shell = self._session.shell
        name = given.into or "_"
        loop = Loop(
            self._session, self._launcher, source, clause, given.demand, given.name, given.keep, given.timeout, name
        )
        found = loop.begin()
        if given.into:
            shell.user_ns[name] = found  # it is there whatever becomes of the rest
        try:
            loop.run(found)
        except BaseException as error:
            if not given.into:
                shell.displayhook.update_user_ns(found)
            return None, error
        return (None if given.into or source.quiet else found), None

    def _remote(self, code: str, given: _Given, *, fetch: bool) -> tuple[Any, BaseException | None]:
        """Run it; returns its value where that is wanted, and what it raised."""
        session, launcher = self._session, self._launcher
        source = launcher.source(code)
        if given.clause is not None:
            if fetch:
                raise UsageError("--for needs a cell, which is the body of the loop: put it in a cell under %%remote")
            given.demand.check(cluster.ensure().engine)
            return self._loop(source, given.clause, given)
        given.demand.check(cluster.ensure().engine)
        if given.on:
            if not fetch and session.cell is not None:
                session.views.open(session.cell)
            wish = given.demand if given.asked else None
            spaces = self._namespaces
            return spaces.run(source, given.on, wish, given.name, given.timeout, given.into, fetch=fetch)
        wanted = fetch and not given.into
        into = given.into or (_VALUE if wanted and given.bg else "")
        launch = launcher.prepare(source, given.name, fetch=wanted and not given.bg, into=into, keep=given.keep)
        assert session.cell is not None, "a magic runs in a cell"
        key = memo.key(launch, session.shell.user_ns) if given.memo and memo.available() else None
        if key is not None and (found := memo.find(key)) is not None:
            memo.replay(found, session.cell, session.output.take)
            session.output.flush()
            came = launcher.finish(found.result, launch.sent)
            print(f"shoal: {found}")
            return came
        if given.bg or not fetch:
            session.views.open(session.cell)
        if given.bg:
            refs = self._background.start(launch, given.demand, given.timeout)
            if wanted:
                return refs[_VALUE], None
            session.shell.user_ns.update(refs)
            return None, None
        began = time.monotonic()
        with session.recording() as outputs:
            ref = launcher.submit(launch, given.demand)
            outcome = launcher.outcome(ref, launch, given.timeout)
            session.output.flush()
        if outcome.result is None:
            return None, outcome.error
        if key is not None and outcome.result.failure is None:
            memo.keep(key, outcome.result, outputs, time.monotonic() - began)
        return launcher.finish(outcome.result, launch.sent)
