"""The public face: what `import shoal` offers, and what it does not load."""

from __future__ import annotations

import inspect
import json
import pkgutil
import subprocess
import sys

import pytest

# Each loads at first use. Importing shoal must stay a matter of milliseconds, in every worker too.
HEAVY = """IPython anywidget asyncio bokeh ipykernel ipywidgets numpy pandas psutil pyarrow ray
    shoal_kernelext shoal_widgets zmq""".split()

RAYS_NAMES = set(
    """ObjectRef available_resources cancel cluster_resources get get_actor init is_initialized
    kill nodes put remote shutdown timeline wait""".split()
)


def in_a_fresh_python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_all_is_sorted_and_whole() -> None:
    import shoal

    assert shoal.__all__ == sorted(shoal.__all__)
    assert RAYS_NAMES <= set(shoal.__all__)
    assert [name for name in shoal.__all__ if not hasattr(shoal, name)] == []


def test_no_public_name_is_a_modules_too() -> None:
    """Importing `shoal.x` sets the attribute `x` of `shoal`: it would hide the public name."""
    import shoal

    modules = {module.name for module in pkgutil.iter_modules(shoal.__path__)}
    assert modules.isdisjoint(shoal.__all__)


def test_public_classes_say_they_are_shoals() -> None:
    import shoal

    public = [getattr(shoal, name) for name in shoal.__all__]
    wrong = [thing for thing in public if inspect.isclass(thing) and thing.__module__ != "shoal"]
    assert wrong == []


def test_everything_public_says_what_it_does() -> None:
    import shoal

    public = [getattr(shoal, name) for name in shoal.__all__]
    assert [thing for thing in public if callable(thing) and not inspect.getdoc(thing)] == []


def test_importing_shoal_loads_nothing_heavy() -> None:
    code = f"import sys, json, shoal; print(json.dumps([m for m in {HEAVY} if m in sys.modules]))"
    assert json.loads(in_a_fresh_python(code)) == []


def test_importing_shoal_starts_nothing() -> None:
    code = """
import json, os, threading, shoal
children = open(f"/proc/self/task/{os.getpid()}/children").read().split()
sockets = [fd for fd in os.listdir("/proc/self/fd") if int(fd) > 3]
print(json.dumps([children, threading.active_count(), sockets, shoal.is_initialized()]))
"""
    assert json.loads(in_a_fresh_python(code)) == [[], 1, [], False]


@pytest.mark.parametrize("module", ["shoal.widgets", "shoal_widgets", "shoal_kernelext"])
def test_the_doors_open(module: str) -> None:
    in_a_fresh_python(f"import {module}")


def test_load_ext_registers_the_magics_and_starts_no_cluster() -> None:
    code = """
import json
from IPython.testing.globalipapp import start_ipython
shell = start_ipython()
shell.run_line_magic("load_ext", "shoal")
import shoal
magics = shell.magics_manager.magics
print(json.dumps([
    [n for n in ("cluster", "remote") if n not in magics["line"]],
    [n for n in ("remote",) if n not in magics["cell"]],
    shoal.is_initialized(),
]))
"""
    assert json.loads(in_a_fresh_python(code).splitlines()[-1]) == [[], [], False]
