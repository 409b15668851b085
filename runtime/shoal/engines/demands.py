"""What a kind of work asks for that no cluster of this size has."""

from __future__ import annotations

import warnings

from shoal.engines.base import Work


def warn_if_too_large(work: Work, lacking: str | None) -> None:
    """Called where the kind is defined, as deep below the line that calls `.remote()` as `stacklevel` says."""
    if lacking is not None:
        warnings.warn(f"{work.name} stays pending: {lacking}; ask for less, or start a larger cluster", stacklevel=6)
