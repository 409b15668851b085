"""Which names a cell takes from the notebook."""

from __future__ import annotations

import ast

import pytest

from shoal_kernelext.capture import assigned, names

BUILTINS = set(dir(__import__("builtins")))


def reads(code: str) -> set[str]:
    return names(ast.parse(code)).reads - BUILTINS


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("y = x", "x"),
        ("x = 1\ny = x", ""),
        ("x = x + 1", "x"),
        ("x += 1", "x"),
        ("x: int = 1\nx", "__annotations__"),
        ("del x", "x"),
        ("x = 1\ndel x\nx", "x"),
        ("a, *b = c\na, b", "c"),
        ("a[i].b = c", "a i c"),
        ("a.b += 1", "a"),
        ("print(f'{u!r:{width}}')", "u width"),
        ("import os.path, numpy as np\nos, np", ""),
        ("from m import a as b\nb, a", "a"),
        ("def f(p=d, *, k: ann = z) -> r:\n    return p + g", "d ann z r g"),
        ("def f():\n    return later\nlater = 1", "later"),
        ("def f():\n    inner = 1\n    def g():\n        nonlocal inner\n        inner = out\n    return inner", "out"),
        ("def f():\n    global total\n    total = total + 1", "total"),
        ("@wrap\ndef f(): pass", "wrap"),
        ("lambda q: q + s", "s"),
        ("[v for v in vs if v > low]", "vs low"),
        ("v = 1\n{k: v for k in ks}", "ks"),
        ("class A(Base, metaclass=M):\n    n = 1\n    m = n + o\n    def f(self): return n", "Base M o n"),
        ("class A:\n    x = 1\nx", "x"),
        ("for i in xs:\n    t = i\n    t\nelse:\n    t", "xs t"),
        ("for i in xs:\n    seen\n    seen = 1", "xs seen"),
        ("while c:\n    d = 1\nd", "c d"),
        ("if c:\n    x = 1\nx", "c x"),
        ("if c:\n    x = 1\nelse:\n    x = 2\nx", "c"),
        ("with cm as f, g() as h:\n    y = f\ny, f", "cm g y"),
        ("try:\n    import m\nexcept ImportError:\n    m = None\nm", ""),
        ("try:\n    a = 1\nexcept E:\n    pass\na", "E a"),
        ("try:\n    pass\nexcept E as e:\n    e", "E"),
        ("try:\n    pass\nfinally:\n    z = 1\nz", ""),
        ("match p:\n    case Point(x=0, y=yy) if yy > m: yy\n    case [a, *rest]: rest", "p Point m"),
        ("if (n := f()) > 2:\n    n", "f n"),
        ("async def f():\n    await g()\nawait f()", "g"),
        ("async with a as b:\n    b", "a"),
        ("[await x for x in xs]", "xs"),
        ("from m import *\nq", "q"),
    ],
)
def test_names_read_before_they_are_surely_bound_are_captured(code: str, expected: str) -> None:
    assert reads(code) == set(expected.split())


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("df.query('a > @limit and b < @other.x')", "limit other"),
        ("eval('p + q')", "p q"),
        ("get_ipython().system('ls {folder} $name')", "ls folder name"),
        ("print('just words')", ""),
    ],
)
def test_names_in_strings_are_hints(code: str, expected: str) -> None:
    assert names(ast.parse(code)).hints == set(expected.split())


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("f(x)", "f x"),
        ("x and y", "x"),
        ("a if b else c", "b"),
        ("a < b < c", "a b"),
        ("lambda: x", ""),
        ("[x for x in xs]", "xs"),
        ("if c:\n    x", "c"),
        ("try:\n    x\nexcept NameError:\n    pass", ""),
        ("for i in xs:\n    y", "xs"),
        ("def f(a=d):\n    return x", "d"),
        ("x = 1\nx", ""),
        ("x\nx = 1", "x"),
        ("assert x, y", ""),
    ],
)
def test_only_what_is_always_read_is_certain(code: str, expected: str) -> None:
    certain = set(names(ast.parse(code)).certain) - BUILTINS
    assert certain == set(expected.split())


def test_a_certain_name_is_placed_at_its_first_use() -> None:
    assert names(ast.parse("a = 1\n  \nf(a, ü + x)")).certain["x"] == (3, 10)  # columns count bytes


def test_binds_are_found_wherever_they_stand() -> None:
    code = """
if c:
    import a.b
for d in e: pass
def f():
    global g
    g = 1
    local = 1
with x as (h, [i]): pass
try: pass
except E as j: pass
del k
(l := 1)
class M: n = 1
"""
    bound = names(ast.parse(code)).binds
    assert bound >= set("a d f g h i j k l M".split())


def test_what_a_run_may_leave_behind_is_what_it_assigns() -> None:
    code = """
import os.path as p, json
from math import *
a, (b, *c) = 1, (2, 3)
d[0] = e.f = 4
g: int = 5
h: int
while (i := 0): j = [(l := k) for k in "m"]
with open(n) as o: pass
try: q = 1
except ValueError as r: s = 1
class T: u = 1
async def v(w):
    global x
    x = y = await w
match z:
    case [aa, *bb]: pass
del cc
await v(dd)
"""
    assert " ".join(assigned(ast.parse(code))) == "T a aa b bb c g i j l o q s v x"
