"""What surrounds the work that a process submits: its folder, import path and variables, and the runtime environment.

Each combination has a number; the hub is told of it once, and every task names it.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shoal import folder
from shoal.runtime_env import RuntimeEnv, merged


class Surroundings:
    """`tell(message)` sends to the hub; `packages` is the folder for copies of what a runtime environment names.

    `base` is the runtime environment that this process and all that it submits is in, as JSON: a job's, or that of the
    worker. A task's own is laid over it.
    """

    def __init__(self, tell: Callable[[tuple[Any, ...]], None], packages: Path) -> None:
        self.base = ""
        self._changed: Callable[[], dict[str, tuple[str | None, str]]] = dict
        self._tell = tell
        self._packages = packages
        self._folder: Callable[[], bytes] | None = None
        self._seen: tuple[Any, ...] | None = None
        self._last = itertools.count(1)
        self._plain = 0
        self.plain: dict[int, tuple[str, list[str], dict[str, str]]] = {}
        """Those without a runtime environment, by number: calls by lanes name them."""
        self._numbers: dict[str, int] = {}

    def enclose(self, base: str, changed: Callable[[], dict[str, tuple[str | None, str]]]) -> None:
        """Say what this worker is in; `changed()` gives the variables that this sets: before, and now."""
        self.base, self._changed = base, changed

    def _variables(self) -> dict[str, str]:
        """This process's own: what its runtime environment sets is set again wherever that counts."""
        environ = dict(os.environ)
        for name, (before, now) in self._changed().items():
            if environ.get(name) == now:
                del environ[name]
                if before is not None:
                    environ[name] = before
        return environ

    def settle(self, env: RuntimeEnv) -> str:
        """The environment as it travels, laid over `base`; its folders are copied at first use."""
        key = self._packages, self.base
        known = env.settled  # kept with it: there may be a new one for each call
        if known is None or known[0] != key:
            from shoal.packages import settle  # of use to few

            known = env.settled = key, merged(self.base, settle(env, self._packages))
        return known[1]

    def number(self, env: RuntimeEnv | None) -> int:
        """The number of how things are now, for work with this runtime environment of its own; told when new."""
        if self._folder is None:
            self._folder = folder.reader()
        cwd = self._folder()
        environ = os.environ._data  # type: ignore[attr-defined]  # encoded: comparing costs no decoding
        seen = self._seen
        if seen is None or seen[0] != cwd or seen[1] != sys.path or seen[2] != environ or seen[3] is not self.base:
            number = next(self._last)
            # Said before it is noted: an interrupt in between has it said again, never left unsaid.
            around = (os.fsdecode(cwd), list(sys.path), self._variables())
            self._tell(("environment", number, *around, self.base))
            if not self.base:
                self.plain[number] = around
            self._numbers = {}
            self._plain = number
            self._seen = (cwd, list(sys.path), dict(environ), self.base)
        if env is None:
            return self._plain
        settled = self.settle(env)
        if settled == self.base:
            return self._plain
        found = self._numbers.get(settled)
        if found is None:
            found = next(self._last)
            self._tell(("environment", found, cwd, list(sys.path), self._variables(), settled))
            self._numbers[settled] = found
        return found
