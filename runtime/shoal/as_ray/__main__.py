"""`python -m shoal.as_ray [-c CODE | -m MODULE | SCRIPT] [ARGUMENTS]`: as `python …`, with shoal for ray."""

from __future__ import annotations

import builtins
import importlib.machinery
import importlib.util
import io
import os
import sys
from types import CodeType, ModuleType
from typing import Any

from shoal import as_ray

USAGE = "usage: python -m shoal.as_ray [-c CODE | -m MODULE | SCRIPT] [ARGUMENTS]"


def main(arguments: list[str]) -> None:
    """Run what the arguments say as `__main__`, in place of this program's own."""
    if not arguments or (arguments[0] in ("-c", "-m") and len(arguments) < 2):
        sys.exit(USAGE)
    as_ray.install()
    module = ModuleType("__main__")
    module.__builtins__ = builtins  # type: ignore[attr-defined]
    first = arguments[0]
    if first == "-c":
        path, code = "", compile(arguments[1], "<string>", "exec", dont_inherit=True)
        sys.argv = ["-c", *arguments[2:]]
    elif first == "-m":
        path = os.getcwd()
        _enter(path)
        code = _module(arguments[1], module)
        sys.argv = [module.__file__ or "", *arguments[2:]]
    elif first.startswith("-"):
        sys.exit(USAGE)
    else:
        path, code = os.path.dirname(os.path.realpath(first)), _script(first, module)
        sys.argv = list(arguments)
    _enter(path)
    sys.modules["__main__"] = module
    exec(code, module.__dict__)


def _enter(path: str) -> None:
    """What `python` puts first on sys.path; there stands what it put for this program."""
    if not sys.flags.safe_path:
        sys.path[0] = path


def _script(path: str, module: ModuleType) -> CodeType:
    try:
        with io.open_code(os.path.abspath(path)) as file:
            source = file.read()
    except OSError as error:
        sys.exit(f"can't open {path!r}: {error.strerror}")
    module.__file__ = path
    module.__loader__ = importlib.machinery.SourceFileLoader("__main__", path)
    return compile(source, path, "exec", dont_inherit=True)


def _module(name: str, module: ModuleType) -> CodeType:
    """The code of a module, or of a package's `__main__`."""
    spec = importlib.util.find_spec(name)
    if spec is not None and spec.submodule_search_locations is not None:
        spec = importlib.util.find_spec(f"{name}.__main__")
    loader: Any = None if spec is None else spec.loader
    code: CodeType | None = loader.get_code(spec.name) if spec is not None and hasattr(loader, "get_code") else None
    if spec is None or code is None:
        sys.exit(f"no module named {name!r} that can be run")
    module.__spec__ = spec
    module.__loader__ = loader
    module.__package__ = spec.parent
    module.__file__ = spec.origin
    return code


if __name__ == "__main__":
    main(sys.argv[1:])
