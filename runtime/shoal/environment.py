"""A worker's surroundings: those of the process that submitted what it runs, and its runtime environment over them."""

from __future__ import annotations

import base64
import contextlib
import importlib
import json
import os
import re
import sys
import traceback
from typing import Any

from shoal import as_ray, log_config, worker_setup
from shoal.serial import unpack

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")

Surroundings = tuple[str, list[str], dict[str, str]]
"""Folder, import path and environment variables of a process."""


class Environments:
    """The surroundings that the hub told of, by number; this worker is in one runtime environment all its life.

    `own_path` is the import path of an interpreter that is not the cluster's: it comes before the submitter's.
    """

    def __init__(self, own_path: list[str]) -> None:
        self.text = ""
        """The runtime environment, as JSON; empty for none."""
        self.told = False
        self.changed: dict[str, tuple[str | None, str]] = {}
        """The variables that it sets: before, and now."""
        self._key = ""
        self._fields: dict[str, Any] = {}
        self._first: Surroundings = ("", [], {})
        self._by_hook: tuple[list[str], dict[str, str]] = ([], {})
        self._own_path = own_path
        self._known: dict[tuple[int, int], Surroundings] = {}
        self._entered: tuple[tuple[int, int], int] | None = None
        self._gpus: tuple[int | str, ...] = ()

    def define(self, number: tuple[int, int], cwd: str, path: list[str], environ: dict[str, str], key: str) -> None:
        # A call from another runtime environment must not bring it along: things stay as they are here.
        if key == self._key:
            self._known[number] = (cwd, path, environ)

    def tell(self, key: str, text: str, cwd: str, path: list[str], environ: dict[str, str]) -> None:
        """Said before anything else to a worker that is made for a runtime environment."""
        self._key, self.text, self._fields = key, text, json.loads(text)
        self._first = (cwd, path, environ)
        self.told = True

    def settle(self) -> str | None:
        """Enter the runtime environment and run its hook; what went wrong, or None."""
        self._enter(self._first, 1)
        hook = self._fields.get("worker_process_setup_hook")
        if hook is None:
            return None
        path, variables = list(sys.path), dict(os.environ)
        try:
            if "_hook" in self._fields:
                function = unpack(base64.b64decode(self._fields["_hook"]))
            else:
                module, _, name = hook.rpartition(".")
                function = getattr(importlib.import_module(module), name)
            function()
        except Exception:
            return f"Failed to execute the setup hook method, {hook}:\n{traceback.format_exc()}"
        added = {name: value for name, value in os.environ.items() if variables.get(name) != value}
        self._by_hook = ([p for p in sys.path if p not in path], added)
        return None

    def assign(self, gpus: tuple[int | str, ...]) -> None:
        """The GPUs that are to be seen from the next `enter` on; all, where none were asked for."""
        if gpus != self._gpus:
            self._gpus, self._entered = gpus, None

    def enter(self, number: tuple[int, int], threads: int) -> None:
        """Be as the submitter was: its folder, import path and environment variables; BLAS as the task's CPUs say."""
        if self._entered == (number, threads):
            return
        around = self._known.get(number)
        if around is None:
            return
        self._enter(around, threads)
        if self._entered is not None and self._entered[1] != threads and "threadpoolctl" in sys.modules:
            sys.modules["threadpoolctl"].threadpool_limits(threads)
        self._entered = (number, threads)

    def _enter(self, around: Surroundings, threads: int) -> None:
        cwd, path, variables = around
        environ = {**dict.fromkeys(THREADS, str(threads)), **variables}
        if self._gpus:
            environ["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, self._gpus))
        if self._fields:
            cwd, path, environ = self._over(cwd, path, environ)
        if dict(os.environ) != environ:
            os.environ.clear()
            os.environ.update(environ)
        as_ray.follow(environ)
        log_config.follow(environ)
        sys.path[:] = path
        if cwd:
            with contextlib.suppress(OSError):
                os.chdir(cwd)
        worker_setup.follow(environ)

    def _over(self, cwd: str, path: list[str], environ: dict[str, str]) -> Surroundings:
        """The runtime environment laid over what the submitter had."""
        working_dir = self._fields.get("working_dir")
        first = [*([working_dir] if working_dir else []), *self._fields.get("py_modules", ()), *self._own_path]
        changes: dict[str, str] = {}
        for name, value in self._fields.get("env_vars", {}).items():
            changes[name] = _expand(value, {**environ, **changes})
        if self._own_path and sys.prefix != sys.base_prefix:  # what it starts finds the same packages
            changes.setdefault("VIRTUAL_ENV", sys.prefix)
            changes.setdefault("PATH", os.pathsep.join((os.path.join(sys.prefix, "bin"), environ.get("PATH", ""))))
        changes.update(self._by_hook[1])
        first = [*self._by_hook[0], *first]
        self.changed = {name: (environ.get(name), value) for name, value in changes.items()}
        return working_dir or cwd, [*first, *(p for p in path if p not in first)], {**environ, **changes}


def _expand(value: str, environ: dict[str, str]) -> str:
    """`${NAME}` stands for a variable of the submitter's, and for nothing where there is none."""
    return re.sub(r"\$\{(\w+)\}", lambda found: environ.get(found[1], ""), value)
