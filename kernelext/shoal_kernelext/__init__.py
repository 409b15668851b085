"""The notebook's hands: magics, the routing of output, the session. Loaded by ``%load_ext shoal``.

    magics                      %cluster, %%remote
    session, restart            this notebook: its cells, its end, its return
    views, output, transcript, aside, archive, limits
                                what people see of a cell's work
    presses, interrupt          how they stop it
    launcher, demands, background
                                a cell made ready, sent and brought back, or left to go on
    loop, loop_list             a cell as the body of a parallel loop, and what it fills
    namespaces                  a cell in a namespace that lasts on the cluster
    memo, fingerprint           what a cell did, remembered by its code and inputs
    panel, panel_hands          the kernel's end of JupyterLab's side panel
    cell_source, capture, shipment, delivery, stock, cell_ref
                                its way to a worker and back, in the notebook
    remote_cell, background_cell, loop_items, namespace_actor,
    rich, worker_shell, worker_display, figures
                                the same cell on the worker: nothing of the kernel is imported there
    exchange, parcel, report, facts, last
                                what both sides use

Only `load_ipython_extension` registers anything.
"""

from __future__ import annotations

from typing import Any


def load_ipython_extension(shell: Any) -> None:
    """Register the magics and hooks in an IPython shell; starts nothing. Harmless when run again."""
    if getattr(shell, "shoal_session", None) is not None:
        return
    from shoal_kernelext.magics import register
    from shoal_kernelext.session import Session

    session = Session(shell)
    session.open()
    register(shell, session)
    shell.shoal_session = session


def unload_ipython_extension(shell: Any) -> None:
    """Take back what `load_ipython_extension` did; the cluster stays."""
    session = getattr(shell, "shoal_session", None)
    if session is not None:
        from shoal_kernelext.magics import unregister

        unregister(shell)
        session.close()
        shell.shoal_session = None
