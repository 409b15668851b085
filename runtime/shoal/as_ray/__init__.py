"""Scripts written for Ray, unchanged: `python -m shoal.as_ray script.py`, or `shoal.as_ray.install()` in a notebook.

`ray` and all below it become other names of shoal's modules: the same module objects, so that classes and errors are
the same whichever way they were imported. Workers and child processes follow: the environment variable SHOAL_AS_RAY
travels with every task, and a folder on PYTHONPATH holds a `ray` that does the same.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import os
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType

VARIABLE = "SHOAL_AS_RAY"
PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "path")

ELSEWHERE = {
    "air": "train and evaluate in tasks and actors",
    "dag": "call .remote() with the refs of other calls",
    "data": "map over blocks with tasks, shoal.util.map_unordered or shoal.util.dask",
    "job_submission": "run the script itself",
    "llm": "host the model in actors",
    "rllib": "run the rollouts in actors",
    "serve": "host the model in actors",
    "train": "train in tasks and actors",
    "tune": "run the trials as tasks, or scikit-learn's searches with shoal.util.joblib",
    "workflow": "call .remote() with the refs of other calls",
}
"""Ray's libraries, which are no part of shoal, each with what to do instead."""


class _Finder:
    """Finds `ray` and `ray.x.y`, for sys.meta_path."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        head, _, rest = fullname.partition(".")
        if head == "ray":
            # No package in the import system's eyes, which would give shoal's module another __path__.
            return importlib.machinery.ModuleSpec(fullname, _Loader("shoal" + fullname[3:]))  # type: ignore[arg-type]
        if head == "shoal" and rest in ELSEWHERE:  # `from ray import data` looks here
            raise _missing(f"ray.{rest}")
        return None


class _Loader:
    """Gives shoal's module of that name, loaded as ever."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._spec: object = None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        try:
            module = importlib.import_module(self._name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{self._name}.".startswith(f"{error.name}."):
                raise
            raise _missing(spec.name) from None
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec  # type: ignore[assignment]  # the import system has put the alias' there
        # Where a name means something else than the submodule (`placement_group`: the function), the import system is
        # not to set it anew: what it finds loaded it leaves alone.
        for name, part in list(sys.modules.items()):
            parent, _, last = name.rpartition(".")
            if parent == self._name and getattr(module, last, part) is not part:
                sys.modules.setdefault("ray" + name[5:], part)


def _missing(name: str) -> ModuleNotFoundError:
    library = name.split(".")[1]
    instead = ELSEWHERE.get(library)
    if instead is not None:
        return ModuleNotFoundError(f"{name} is no part of shoal, which offers Ray's core: {instead}", name=name)
    shoal = importlib.import_module("shoal.util" if name.startswith("ray.util.") else "shoal")
    there = ", ".join(shoal.__all__)
    return ModuleNotFoundError(f"shoal has no {name}; {shoal.__name__} has: {there}", name=name)


_finder = _Finder()


def install() -> None:
    """Make `import ray` mean shoal in this process, in its tasks and actors and in its child processes.

    Call it before anything imports ray. Raises RuntimeError when the real one is loaded already.
    """
    here = sys.modules.get("ray")
    if here is not None and here.__name__ == "ray" and not _is_stub(here):
        raise RuntimeError("ray itself is imported already: call shoal.as_ray.install() before anything imports it")
    _install()
    os.environ[VARIABLE] = "1"
    folders = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p and p != PATH]
    os.environ["PYTHONPATH"] = os.pathsep.join([PATH, *folders])


def uninstall() -> None:
    """Undo `install`."""
    _uninstall()
    os.environ.pop(VARIABLE, None)
    folders = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p and p != PATH]
    if folders:
        os.environ["PYTHONPATH"] = os.pathsep.join(folders)
    else:
        os.environ.pop("PYTHONPATH", None)


def installed() -> bool:
    """Whether `import ray` means shoal here."""
    return _finder in sys.meta_path


def follow(environ: Mapping[str, str]) -> None:
    """In a worker: be as the program is whose environment this is."""
    if VARIABLE in environ:
        if not installed():
            _install()
    elif installed():
        _uninstall()


def _install() -> None:
    if not installed():
        sys.meta_path.insert(0, _finder)
    for name in [n for n in sys.modules if n == "ray" or n.startswith("ray.")]:
        if sys.modules[name].__name__ == name:  # the real one's, or our stub
            del sys.modules[name]
    if PATH not in sys.path:  # processes that multiprocessing spawns have this list, and PYTHONPATH no more
        sys.path.append(PATH)
    sys.modules["ray"] = importlib.import_module("shoal")


def _uninstall() -> None:
    if installed():
        sys.meta_path.remove(_finder)
    if PATH in sys.path:
        sys.path.remove(PATH)
    for name in [n for n in sys.modules if n == "ray" or n.startswith("ray.")]:
        if sys.modules[name].__name__ != name:
            del sys.modules[name]


def _is_stub(module: ModuleType) -> bool:
    return (getattr(module, "__file__", None) or "").startswith(PATH + os.sep)
