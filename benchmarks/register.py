"""The register of peers: each one's name, the package it needs, and the module that drives it.

The module's ``connect(workers)`` imports the peer, starts it, gets a first result and returns its
operations. It imports nothing else at its top: that would be counted against the peer.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec


@dataclass(frozen=True)
class Peer:
    """One column of the table."""

    name: str
    package: str
    module: str

    @property
    def installed(self) -> bool:
        return find_spec(self.package) is not None


PEERS = [
    Peer("shoal", "shoal", "benchmarks.peers.shoal_local"),
    Peer("stdlib pool", "concurrent.futures", "benchmarks.peers.stdlib_pool"),
    Peer("loky", "loky", "benchmarks.peers.loky_pool"),
    Peer("Ray", "ray", "benchmarks.peers.ray_local"),
    Peer("Dask", "distributed", "benchmarks.peers.dask_local"),
    Peer("ipyparallel", "ipyparallel", "benchmarks.peers.ipyparallel_local"),
]
