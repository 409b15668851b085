"""Any cell, run remotely, leaves the same names, values and error as plain `exec` does.

Cells are made of statements over a few names, which are bound, rebound, changed, deleted and read in every order.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from shoal_kernelext.errors import CellError
from shoal_kernelext.exchange import Request, Result

from .workbench import Notebook, Worker, store

NAMES = st.sampled_from("abcd")
FUNCTIONS = st.sampled_from("fg")

PRELUDE = """
a = 1
b = [1, 2]
def f(x=0):
    global a
    a += 1
    return [x, d]
class K:
    made = []
    def __init__(self, v):
        self.v = v
        K.made.append(v)
    def get(self): return (self.v, c)
k = K(3)
"""


def indented(lines: list[str]) -> str:
    return "".join(f"    {line}\n" for text in lines for line in text.splitlines()) or "    pass\n"


@st.composite
def expressions(draw: st.DrawFn, depth: int = 2) -> str:
    if depth == 0 or draw(st.integers(0, 2)) == 0:
        return draw(st.one_of(NAMES, st.sampled_from(["0", "1", "[3]", "'s'", "{'q': 2}", "k.v", "len(b)"])))
    inner = expressions(depth - 1)
    form = draw(
        st.sampled_from(
            [
                "[{0}, {1}]", "({0}, {1})", "{0} + {1}", "{0} if {1} else {0}", "{0} and {1}", "({n} := {0})",
                "[{n} for {n} in [{0}] if {1} != {n}]", "(lambda {n}: [{n}, {1}])({0})", "f'{{{0}}}'",
                "{g}({0})", "K({0}).get()", "list(map({g}, [{0}]))", "{{'x': {0}, 'y': {1}}}", "str({0})",
            ]
        )
    )  # fmt: skip
    return form.format(draw(inner), draw(inner), n=draw(NAMES), g=draw(FUNCTIONS))


@st.composite
def statements(draw: st.DrawFn, depth: int = 2) -> str:
    expression = draw(expressions())
    name, other, function = draw(NAMES), draw(NAMES), draw(FUNCTIONS)
    simple = [
        f"{name} = {expression}", f"{name} += {expression}", f"del {name}", f"{name}.append({expression})",
        f"{name}.append(0); {other} = {name}; {name} = {expression}", f"{name} = [{other}, {expression}]",
        f"{name}, *{other} = {expression}, 1", f"{name}[0] = {expression}", f"{name}: int = {expression}",
        f"k.v = {expression}", f"K.made.append({expression})", f"import json as {name}", expression,
        f"assert {expression}", f"{name} = {other} = {expression}", f"from math import floor as {name}",
        "from string import *", f"{name} = digits", f"del {name}, {other}", f"{name} @= {expression}",
    ]  # fmt: skip
    if depth == 0 or draw(st.booleans()):
        return draw(st.sampled_from(simple))
    body = indented(draw(st.lists(statements(depth - 1), min_size=1, max_size=3)))
    rest = indented(draw(st.lists(statements(depth - 1), max_size=2)))
    compound = [
        f"if {expression}:\n{body}else:\n{rest}",
        f"for {name} in [{expression}]:\n{body}",
        f"for {name}, *{other} in [{expression}, (1, 2)]:\n{body}else:\n    {other} = {name}\n",
        f"for k.v in [{expression}]:\n{body}",
        f"while {name} != 9:\n{body}    {name} = 9\n",  # the last word, so that it ends whatever the body assigns
        f"def {function}(x=0):\n    {name} = [x]\n    def inner(n):\n        nonlocal {name}\n"
        f"        {name} = [*{name}, n]\n        return {name}\n    inner({expression})\n    return inner(2)\n",
        f"try:\n{body}except Exception as {name}:\n{rest}",
        f"try:\n{body}except TypeError:\n{rest}finally:\n    {other} = 7\n",
        f"def {function}({name}=0):\n    global {other}\n    {other} = {name}\n    return {name}\n"
        if name != other
        else f"def {function}(x=0):\n    return [x, {other}]\n",
        f"class {name.upper()}:\n{body}",
        f"match {expression}:\n    case [{name}, *_]:\n    {body.replace(chr(10), chr(10) + '    ').rstrip()}\n"
        f"    case {other}:\n        pass\n",
        f"with __import__('contextlib').nullcontext({expression}) as {name}:\n{body}",
    ]
    return draw(st.sampled_from(compound)).rstrip("\n")


def described(value: Any, depth: int = 8) -> Any:
    """A value as something that can be compared across two runs; it may hold itself."""

    def inner(part: Any) -> Any:
        return described(part, depth - 1)

    if depth == 0:
        return "…"
    if isinstance(value, types.FunctionType):
        code = value.__code__
        return ("function", value.__name__, code.co_code, code.co_names, inner(value.__defaults__))
    if isinstance(value, type):
        own = {n: v for n, v in vars(value).items() if n not in ("__dict__", "__weakref__", "__slotnames__")}
        return ("class", value.__name__, inner(own))
    if isinstance(value, (list, tuple)):
        return (type(value), [inner(v) for v in value])
    if isinstance(value, dict):
        return {key: inner(v) for key, v in value.items()}
    if type(value).__name__ == "K":
        return ("K", inner(vars(value)))
    if isinstance(value, types.ModuleType):
        return value.__name__
    if isinstance(value, BaseException):
        return (type(value), str(value))
    return value


def outcome(notebook: Notebook, run: Any) -> tuple[Any, dict[str, Any]]:
    error: Any = None
    try:
        run()
    except CellError as unbound:
        error = ("before", str(unbound).partition(" is not defined")[0])
    except Exception as raised:
        error = (type(raised), str(raised))
    hidden = ("__builtins__", "__name__", "__doc__")
    return error, {n: described(v) for n, v in notebook.ns.items() if n not in hidden}


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    made = Worker()
    yield made
    made.close()


def compare(code: str, run: Callable[[Request], Result] | None) -> None:
    with store():
        plain, remote = Notebook(), Notebook(run)
        for notebook in (plain, remote):
            notebook.plain(PRELUDE)
        here = outcome(plain, lambda: plain.plain(code))
        there = outcome(remote, lambda: remote.remote(code))
    if there[0] is not None and there[0][0] == "before":
        # told before anything ran: then a plain run fails for certain, by that or by what came before it
        assert here[0] is not None
    else:
        assert there == here
        for value in remote.ns.values():
            if isinstance(value, types.FunctionType):
                assert value.__globals__ is remote.ns or value.__module__ != "__main__"
        # and the notebook goes on as it would have
        after = "r = [f(), k.get(), K(9).get()]"
        assert outcome(remote, lambda: remote.plain(after)) == outcome(plain, lambda: plain.plain(after))


def valid(parts: list[str]) -> str:
    """The cell; assumes that it compiles (a name may be parameter and global at once)."""
    code = "\n".join(parts) + "\n"
    try:
        compile(code, "cell", "exec")
    except SyntaxError:
        reject()
    return code


@settings(max_examples=300, deadline=None)
@given(parts=st.lists(statements(), min_size=1, max_size=6))
def test_a_remote_cell_does_what_a_plain_one_does(parts: list[str], worker: Worker) -> None:
    compare(valid(parts), worker)


@settings(max_examples=100, deadline=None)
@given(parts=st.lists(statements(), min_size=1, max_size=6))
def test_a_cell_in_the_same_process_does_too(parts: list[str]) -> None:
    compare(valid(parts), None)
