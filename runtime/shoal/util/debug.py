"""Saying something once. https://docs.ray.io/en/latest/ray-core/api/utility.html"""

from __future__ import annotations

import time

PERIOD = 60.0
"""Seconds after which everything may be said again, with periodic logging."""


class _Logged:
    keys: set[str] = set()
    disabled = False
    periodic = False
    last = 0.0


def log_once(key: str) -> bool:
    """Whether this is the first call with that key in this process: `if log_once("slow"): logger.warning(…)`."""
    if _Logged.disabled:
        return False
    now = time.monotonic()
    if _Logged.periodic and _Logged.keys and now - _Logged.last > PERIOD:
        _Logged.keys.clear()
    if key in _Logged.keys:
        return False
    _Logged.keys.add(key)
    _Logged.last = now
    return True


def disable_log_once_globally() -> None:
    """Have `log_once` return False in this process from now on."""
    _Logged.disabled = True


def enable_periodic_logging() -> None:
    """Have `log_once` return True again for each key after a minute of silence."""
    _Logged.periodic = True


def reset_log_once(key: str | None = None) -> None:
    """Forget one key, or all."""
    if key is None:
        _Logged.keys.clear()
    else:
        _Logged.keys.discard(key)
