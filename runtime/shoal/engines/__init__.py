"""The register of engines, by name; see base.py for what an engine is."""

from __future__ import annotations

ENGINES = {
    "local": "a hub and worker processes on this machine",
    "inline": "in the caller's thread, one thing at a time: for debugging, docs and tests",
}
