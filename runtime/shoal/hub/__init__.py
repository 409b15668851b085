"""The hub: one process a cluster. It feeds the scheduler with what happens and carries out its commands.

    main.py        `python -m shoal.hub.main`: forks the zygote, then runs the loop
    loop.py        the only loop with sockets
    peer.py        one connection
    supervisor.py  the worker processes: forked, watched, killed
    memory.py      who wrote which segment; how much memory is granted
    losses.py      values that are lost, and tasks that run again for them
    recorder.py    what the feed tells: rows and counts
    publisher.py   the feed's sockets
"""
