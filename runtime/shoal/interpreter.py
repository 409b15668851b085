"""A worker in another interpreter: the zygote's fork becomes it, with the same descriptors."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import sys
from pathlib import Path
from typing import NoReturn

_START = "import sys; sys.path.insert(0, {root!r}); import shoal.interpreter as i; i.main({path!r})"
_ROOT = str(Path(__file__).parent.parent)


def become(python: str, worker: int, fds: list[int], folder: Path) -> NoReturn:
    """Be `python` (a path, or a command line that ends in one) from here on. What goes wrong is said on fd 2."""
    out, err = fds[4], fds[5]
    for fd in fds:
        os.set_inheritable(fd, True)
    os.dup2(out, 1)
    os.dup2(err, 2)
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    words = [*shlex.split(python), "-u", "-c", _START.format(root=_ROOT, path=[p for p in sys.path if p])]
    try:
        os.execvpe(words[0], [*words, str(worker), ",".join(map(str, fds)), str(folder)], environ)
    except OSError as error:
        os.write(2, f"py_executable {words[0]!r} cannot be run: {error.strerror}\n".encode())
        os._exit(127)


def main(path: list[str]) -> NoReturn:
    """The other interpreter's side: what the zygote does for a fork of its own.

    What the cluster's interpreter imports by `path` is found here as well, behind what this one has of its own.
    """
    sys.path.remove(_ROOT)
    sys.path += [p for p in path if p not in sys.path]
    from shoal import worker

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    number, fds, folder = sys.argv[1:]
    descriptors = [int(fd) for fd in fds.split(",")]
    for fd in descriptors:
        os.set_inheritable(fd, False)
    task, control = (socket.socket(fileno=fd) for fd in descriptors[:2])
    own_path = [p for p in sys.path if p]
    status = worker.main(int(number), task, control, descriptors[2:], Path(folder), True, own_path)
    os._exit(status)
