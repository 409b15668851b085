"""`python -m shoal.hub.main < SETTINGS`: the hub's process.

The zygote is forked first, while this process has one thread, no socket and few imports.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import socket
import sys
from pathlib import Path

from shoal.config import Settings, clusters_dir, remove_folder


def main() -> int:
    fields = json.load(sys.stdin)
    nothing = os.open(os.devnull, os.O_RDONLY)  # what workers find when they read
    os.dup2(nothing, 0)
    os.close(nothing)
    fields["resources"] = tuple((n, v) for n, v in fields["resources"])
    settings = Settings(**fields)
    folder = clusters_dir() / settings.name
    folder.mkdir(mode=0o700)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    ours, zygotes = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        ours.close()
        _become_zygote(zygotes, folder)
    zygotes.close()
    from shoal.hub.loop import Hub
    from shoal.zygote import set_name

    set_name("shoal-hub")
    # Records live as long as their tasks and make no cycles: looking through 100,000 of them for some is waste.
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
    hub = Hub(settings, folder, ours)
    signal.signal(signal.SIGTERM, lambda *_: hub.stop())
    try:
        hub.run()
    finally:
        # The zygote ends the workers, removes the folder and ends when its socket closes.
        ours.close()
        os.waitpid(pid, 0)
        remove_folder(folder)  # should the zygote have been killed
    return 0


def _become_zygote(zygotes: socket.socket, folder: Path) -> None:
    try:
        from shoal.zygote import Zygote

        Zygote(zygotes, folder).run()
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
