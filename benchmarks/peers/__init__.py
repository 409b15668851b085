"""One module a peer, each with ``connect(workers) -> Operations``."""
