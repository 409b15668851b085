"""The scheduler: pure. `Scheduler.handle(*events)` returns commands; no sockets, clock, threads or randomness.

    events.py     what happened, told to the scheduler
    commands.py   what is to be done, told to the hub
    tables.py     the records: tasks, objects, workers, actors
    resources.py  who holds how much of what, in ten-thousandths
    objects.py    who holds which object; when one is ready, failed, freed
    actors.py     the table of actors and the order of their calls
    lives.py      what becomes of actors: made, restarted, ended
    orphans.py    what becomes of work whose maker died
    cancels.py    cancel of a task, of its children, of a cell
    placement.py  who runs where: queues, leases, workers
    state.py      the tasks, from submit to their end; retries
"""
