"""Imports, which are not to be interrupted: an extension module that is half loaded cannot be loaded again."""

from __future__ import annotations

import sys

PATIENCE = 10.0
"""Seconds after which an import is interrupted all the same: it may never end."""


def is_importing() -> bool:
    """Whether this thread is inside an import."""
    frame = sys._getframe()
    while (caller := frame.f_back) is not None:
        frame = caller
        if frame.f_code.co_filename.startswith("<frozen importlib."):
            return True
    return False
