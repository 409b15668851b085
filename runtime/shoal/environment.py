"""A worker's surroundings: those of the process that submitted what it runs."""

from __future__ import annotations

import contextlib
import os
import sys

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


class Environments:
    """The folders, import paths and environment variables that the hub told of, by number."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], tuple[str, list[str], dict[str, str]]] = {}
        self._entered: tuple[tuple[int, int], int] | None = None

    def define(self, number: tuple[int, int], cwd: str, path: list[str], environ: dict[str, str]) -> None:
        self._known[number] = (cwd, path, environ)

    def enter(self, number: tuple[int, int], threads: int) -> None:
        """Be as the submitter was: its folder, import path and environment variables; BLAS as the task's CPUs say."""
        if self._entered == (number, threads):
            return
        cwd, path, environ = self._known[number]
        environ = {**dict.fromkeys(THREADS, str(threads)), **environ}
        if dict(os.environ) != environ:
            os.environ.clear()
            os.environ.update(environ)
        sys.path[:] = path
        if cwd:
            with contextlib.suppress(OSError):
                os.chdir(cwd)
        if self._entered is not None and self._entered[1] != threads and "threadpoolctl" in sys.modules:
            sys.modules["threadpoolctl"].threadpool_limits(threads)
        self._entered = (number, threads)
