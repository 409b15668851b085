"""A cell run by capture, a worker and delivery leaves the notebook as if it had run there."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any

import pytest

from shoal.exceptions import SerializationError
from shoal_kernelext.errors import CellError
from shoal_kernelext.remote_cell import run_cell

from .workbench import Notebook, StoreOnly, Worker, store


@pytest.fixture
def kept() -> Iterator[StoreOnly]:
    with store() as made:
        yield made


@pytest.fixture
def notebook(kept: StoreOnly) -> Notebook:
    return Notebook()


def test_what_is_assigned_comes_back(notebook: Notebook) -> None:
    notebook.ns["x"] = 3
    notebook.remote("y = x * 2\nimport math as m\nfor i in range(3): pass\n(w := 9)")
    assert {n: notebook.ns[n] for n in "ywi"} == {"y": 6, "w": 9, "i": 2}
    assert notebook.ns["m"].sqrt(4) == 2


def test_what_is_changed_in_place_comes_back_under_all_its_names(notebook: Notebook) -> None:
    notebook.plain("rows = [1]; other = rows; d = {'a': [1]}; untouched = [1]")
    before = notebook.ns["untouched"]
    result = notebook.remote("rows.append(2); d['a'].append(2); len(untouched)")
    assert notebook.ns["rows"] == [1, 2] and notebook.ns["other"] is notebook.ns["rows"]
    assert notebook.ns["d"] == {"a": [1, 2]}
    assert notebook.ns["untouched"] is before
    assert {n for c in result.values for n in c.names} == {"rows", "other", "d"}


def test_what_is_changed_and_then_known_by_another_name_only_comes_back(notebook: Notebook) -> None:
    notebook.plain("rows = [1]; box = [0]")
    notebook.remote("rows.append(2); other = rows; rows = 0; held = (box, 1); box.append(3); box = 1")
    assert notebook.ns["other"] == [1, 2] and notebook.ns["held"] == ([0, 3], 1)


def test_two_names_of_one_object_stay_two_names_of_one(notebook: Notebook) -> None:
    notebook.plain("a = [1]")
    notebook.remote("b = a; c = [2]; d = c")
    assert notebook.ns["b"] is notebook.ns["a"] and notebook.ns["c"] is notebook.ns["d"]


def test_what_is_deleted_is_deleted(notebook: Notebook) -> None:
    notebook.plain("a = 1; e = 2")
    notebook.remote("del a\ntry:\n    1/0\nexcept ZeroDivisionError as e:\n    pass")
    assert "a" not in notebook.ns and "e" not in notebook.ns


def test_functions_see_the_names_of_the_cell_and_change_them(notebook: Notebook) -> None:
    notebook.plain("""
        total = 0
        step = 1
        def helper(): return step
        def add():
            global total
            total += helper()
    """)
    notebook.remote("step = 10\nadd(); add()")
    assert notebook.ns["total"] == 20


def test_functions_that_come_back_are_at_home_in_the_notebook(notebook: Notebook) -> None:
    notebook.remote("""
        base = 1
        def outer(n):
            def inner(): return base + n
            return inner
        f = outer(5)
        g = lambda: later
    """)
    assert notebook.ns["f"].__globals__ is notebook.ns
    notebook.plain("base = 100; later = 'now'")
    assert notebook.ns["f"]() == 105 and notebook.ns["g"]() == "now"


def test_closures_share_their_variables_still(notebook: Notebook) -> None:
    notebook.remote("""
        def counter():
            n = 0
            def up():
                nonlocal n
                n += 1
                return up if False else n
            def get(): return n
            return {"up": up, "get": get}
        c = counter()
    """)
    c = notebook.ns["c"]
    c["up"]()
    assert c["get"]() == 1


def test_classes_keep_their_identity(notebook: Notebook) -> None:
    notebook.plain("""
        class Point:
            made = 0
            def __init__(self, x):
                self.x = x
                Point.made += 1
            def scaled(self): return Point(self.x * factor)
        factor = 2
        p = Point(1)
    """)
    cls = notebook.ns["Point"]
    notebook.remote("q = p.scaled(); p.x = 5; many = [Point(7)]")
    assert notebook.ns["Point"] is cls
    assert type(notebook.ns["q"]) is cls and isinstance(notebook.ns["many"][0], cls)
    assert (notebook.ns["q"].x, notebook.ns["p"].x, cls.made) == (2, 5, 3)
    notebook.plain("factor = 10; r = q.scaled()")
    assert notebook.ns["r"].x == 20


def test_classes_made_on_a_worker_come_back(notebook: Notebook) -> None:
    notebook.remote("""
        import dataclasses, enum
        @dataclasses.dataclass
        class Row:
            a: int
            def double(self): return super().__eq__(self) or self.a * 2
        class Color(enum.Enum):
            RED = 1
        row, red = Row(4), Color.RED
    """)
    assert isinstance(notebook.ns["row"], notebook.ns["Row"]) and notebook.ns["row"].a == 4
    assert notebook.ns["red"] is notebook.ns["Color"].RED
    notebook.remote("other = Row(5); same = row == Row(4); is_red = red is Color.RED")
    assert notebook.ns["same"] and notebook.ns["is_red"]
    assert isinstance(notebook.ns["other"], notebook.ns["Row"])


def test_classes_with_slots_and_metaclasses_keep_them(notebook: Notebook) -> None:
    with_worker = Notebook(worker := Worker())
    try:
        for place in (notebook, with_worker):
            place.plain("""
                import abc, dataclasses
                class Meta(type): pass
                class Slotted(metaclass=Meta):
                    __slots__ = ("a",)
                    def __init__(self): self.a = 1
                @dataclasses.dataclass(slots=True)
                class Row: x: int
                class Shape(abc.ABC):
                    @abc.abstractmethod
                    def area(self): ...
                class Square(Shape):
                    def area(self): return 4
            """)
            place.remote("s, r, q = Slotted(), Row(3), Square()\nno_dict = not hasattr(s, '__dict__')")
            ns = place.ns
            assert place.unopened == {} and ns["no_dict"] and ns["s"].a == 1 and ns["r"] == ns["Row"](3)
            assert type(ns["s"]) is ns["Slotted"] and isinstance(ns["q"], ns["Shape"]) and ns["q"].area() == 4
    finally:
        worker.close()


def test_a_recursion_is_folded(notebook: Notebook) -> None:
    with pytest.raises(RecursionError):
        notebook.remote("def again(n): return again(n + 1)\nagain(0)")
    failure = notebook.result.failure
    assert failure is not None and len(failure.traceback) < 60
    assert any("more frames]" in line for line in failure.traceback)


def test_what_cannot_be_pickled_holds_back_nothing_else(notebook: Notebook) -> None:
    result = notebook.remote("gen = (i for i in 'ab'); x = 1; lock = __import__('threading').Lock()")
    assert notebook.ns["x"] == 1 and "gen" not in notebook.ns
    assert set(result.held_back) == {"gen", "lock"}
    assert "generator" in result.held_back["gen"]


def test_a_closed_file_is_no_news(notebook: Notebook, tmp_path: Any) -> None:
    (tmp_path / "f").write_text("hello")
    notebook.ns["path"] = str(tmp_path / "f")
    result = notebook.remote("with open(path) as f:\n    text = f.read()")
    assert notebook.ns["text"] == "hello" and result.held_back == {}


def test_after_an_error_what_changed_before_comes_back(notebook: Notebook) -> None:
    notebook.plain("rows = [1]")
    with pytest.raises(ZeroDivisionError):
        notebook.remote("rows.append(2)\nx = 1\n1/0\nx = 2")
    assert notebook.ns["rows"] == [1, 2] and notebook.ns["x"] == 1
    failure = notebook.result.failure
    assert failure is not None and failure.name == "ZeroDivisionError"
    assert "----> 3 1/0" in failure.traceback and "Cell In[2], line 3" in failure.traceback


def test_a_traceback_shows_the_cells_the_frames_come_from_and_none_of_ours(notebook: Notebook) -> None:
    notebook.plain("def f(x):\n    return 1 / x\n")
    with pytest.raises(ZeroDivisionError):
        notebook.remote("import json\njson.dumps({1: 2}, default=f)\nf(0)")
    failure = notebook.result.failure
    assert failure is not None
    text = "\n".join(failure.traceback)
    assert "----> 3 f(0)" in text and "line 2, in f" in text
    assert "remote_cell" not in text and "shoal" not in text


def test_an_error_of_a_class_of_the_notebook_is_one_there(notebook: Notebook) -> None:
    notebook.plain("class Oops(Exception):\n    def __init__(self, a, b): self.b = b")
    with pytest.raises(notebook.ns["Oops"]) as caught:
        notebook.remote("raise Oops(1, 2)")
    assert caught.value.b == 2


def test_an_error_that_cannot_travel_is_still_told(notebook: Notebook) -> None:
    with pytest.raises(RuntimeError, match="generator"):
        notebook.remote("e = ValueError('bad generator'); e.g = (i for i in ''); raise e")
    assert notebook.result.failure is not None and notebook.result.failure.name == "ValueError"


def test_system_exit_does_not_end_the_worker(notebook: Notebook) -> None:
    with pytest.raises(SystemExit):
        notebook.remote("x = 1\nraise SystemExit(3)")
    assert notebook.ns["x"] == 1


def test_an_unbound_name_is_told_before_anything_is_sent(notebook: Notebook) -> None:
    notebook.plain("value = 1")
    with pytest.raises(CellError, match="valu.*did you mean 'value'") as caught:
        notebook.remote("x = 1\nprint(valu + x)")
    lines = caught.value._render_traceback_()  # type: ignore[attr-defined]
    assert any("---->" in line and "print(valu + x)" in line for line in lines)
    assert any(line.strip() == "^^^^" for line in lines)


@pytest.mark.parametrize(
    "code",
    [
        "try:\n    nowhere\nexcept NameError:\n    x = 1",
        "x = 1\nif x > 1:\n    nowhere",
        "def f(): return nowhere\nx = 1",
        "x = 1 or nowhere",
        "exec('nowhere = 1')\nx = nowhere",
        "from math import *\nx = 1 if pi else 0",
        "for x in [1]: y = x\nprint(end='')\ny",
    ],
)
def test_a_name_that_may_be_bound_is_left_to_the_worker(notebook: Notebook, code: str) -> None:
    notebook.remote(code)
    assert notebook.ns["x"] == 1


def test_a_function_may_bind_the_name(notebook: Notebook) -> None:
    notebook.plain("def make():\n    global fresh\n    fresh = 5")
    notebook.remote("make()\nx = fresh")
    assert notebook.ns["x"] == 5


def test_a_needed_value_that_cannot_be_sent_is_named_with_its_line(notebook: Notebook) -> None:
    notebook.plain("gen = (i for i in 'ab')")
    with pytest.raises(SerializationError, match="'gen' cannot be sent.*generator"):
        notebook.remote("x = 1\nnext(gen)")
    assert "x" not in notebook.ns


def test_a_value_that_may_not_be_needed_holds_nothing_up(notebook: Notebook) -> None:
    notebook.plain("gen = (i for i in 'ab')\ndef f(): return next(gen)\ndef g(): return 1")
    notebook.remote("x = g() or f()")
    assert notebook.ns["x"] == 1
    with pytest.raises(NameError, match="gen"):
        notebook.remote("f()")
    failure = notebook.result.failure
    assert failure is not None and "was not sent: cannot pickle 'generator'" in "\n".join(failure.traceback)


def test_large_values_are_stored_once(notebook: Notebook, kept: StoreOnly) -> None:
    notebook.plain("import numpy as np; big = np.arange(100_000)")
    notebook.remote("a = big[1]")
    notebook.remote("b = big[2]")
    assert kept.puts == 1
    notebook.plain("big[2] = -1")
    notebook.remote("c = big[2]")
    assert kept.puts == 2 and notebook.ns["c"] == -1


def test_large_values_that_come_back_are_stored_already(notebook: Notebook, kept: StoreOnly) -> None:
    notebook.remote("import numpy as np; made = np.ones(100_000)")
    notebook.remote("s = made.sum()")
    assert kept.puts == 1 and notebook.ns["s"] == 100_000
    notebook.ns["made"][0] = 5  # it can be written to


def test_what_was_stored_is_forgotten_with_its_name(notebook: Notebook) -> None:
    notebook.plain("import numpy as np; big = np.arange(100_000)")
    notebook.remote("a = big[1]")
    assert len(notebook.stock) == 1
    notebook.plain("del big")
    notebook.remote("b = 1")
    assert len(notebook.stock) == 0


def test_a_large_array_is_changed_in_place_but_not_in_the_store(notebook: Notebook) -> None:
    notebook.plain("import numpy as np; big = np.zeros(100_000); small = np.zeros(3)")
    notebook.remote("big[5] = 1; small += 2")
    assert notebook.ns["big"][5] == 1 and list(notebook.ns["small"]) == [2, 2, 2]
    notebook.ns["small"][0] = 7
    result = notebook.remote("x = big.sum() + small.sum()")
    assert notebook.ns["x"] == 12 and {n for c in result.values for n in c.names} == {"x"}


def test_a_dataframe_gets_a_column(notebook: Notebook) -> None:
    notebook.plain("import pandas as pd; df = pd.DataFrame({'a': [1, 2]})")
    result = notebook.remote("df['b'] = df.a * 2\ndf", show=True)
    assert list(notebook.ns["df"].b) == [2, 4]
    assert result.shown is not None and "<table" in result.shown["data"]["text/html"]


def test_names_in_a_query_are_found(notebook: Notebook) -> None:
    notebook.plain("import pandas as pd; df = pd.DataFrame({'a': [1, 2, 3]}); limit = 1")
    notebook.remote("n = len(df.query('a > @limit'))")
    assert notebook.ns["n"] == 2


def test_what_is_too_large_to_compare_is_said_by_name(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shoal_kernelext.remote_cell.COMPARED", 100)
    notebook.plain("long = list(range(1000))")
    result = notebook.remote("long.append(1)")
    assert set(result.uncompared) == {"long"} and len(notebook.ns["long"]) == 1000
    result = notebook.remote("long.append(1); long = long")
    assert result.uncompared == {} and len(notebook.ns["long"]) == 1001


def test_submodules_travel_with_their_package(notebook: Notebook) -> None:
    notebook.plain("import xml.dom.minidom")
    notebook.remote("doc = xml.dom.minidom.parseString('<a/>').documentElement.tagName")
    assert notebook.ns["doc"] == "a"


def test_the_cell_is_the_main_module(notebook: Notebook) -> None:
    notebook.remote("""
        import pickle, sys
        class A: pass
        name = type(pickle.loads(pickle.dumps(A()))).__module__
        main = sys.modules['__main__'].A is A
        if __name__ == '__main__': ran = True
    """)
    assert (notebook.ns["name"], notebook.ns["main"], notebook.ns["ran"]) == ("__main__", True, True)


def test_top_level_await(notebook: Notebook) -> None:
    result = notebook.remote(
        """
        import asyncio
        async def double(x):
            await asyncio.sleep(0)
            return x * 2
        y = await double(4)
        rows = [i async for i in _gen()] if False else [await double(1)]
        await double(21)
        """,
        show=True,
    )
    assert (notebook.ns["y"], notebook.ns["rows"]) == (8, [2])
    assert result.shown == {"data": {"text/plain": "42"}, "metadata": {}}


def test_shell_commands(notebook: Notebook, capfd: pytest.CaptureFixture[str]) -> None:
    notebook.ns["word"] = "shoal"
    notebook.remote("get_ipython().system('echo {word.upper()} $word')\nx = get_ipython().getoutput('echo a; echo b')")
    assert capfd.readouterr().out == "SHOAL shoal\n"
    assert list(notebook.ns["x"]) == ["a", "b"] and notebook.ns["_exit_code"] == 0
    with pytest.raises(AttributeError, match="works in the notebook only"):
        notebook.remote("get_ipython().run_line_magic('time', '1')")


def test_annotations_are_added_to(notebook: Notebook) -> None:
    notebook.plain("a: int = 1")
    notebook.remote("b: str = 'x'")
    assert notebook.ns["__annotations__"] == {"a": int, "b": str}


def test_a_worker_imports_nothing_of_the_kernel() -> None:
    import subprocess
    import sys

    code = (
        "import shoal_kernelext.remote_cell, sys;"
        "print([m for m in sys.modules if m.partition('.')[0] in ('IPython', 'ipykernel', 'numpy', 'zmq')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert isinstance(run_cell, types.FunctionType)
