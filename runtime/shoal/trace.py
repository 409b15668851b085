"""The timeline as a Chrome trace: open it in chrome://tracing or ui.perfetto.dev.

Format: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
"""

from __future__ import annotations

import json
from typing import Any

from shoal.feed_rows import TaskRow


def events(rows: list[list[Any]]) -> list[dict[str, Any]]:
    """One complete event a task that has started; times in microseconds, one lane a worker."""
    found: list[dict[str, Any]] = []
    for row in (TaskRow(*r) for r in rows):
        if row.started is None:
            continue
        ended = row.ended if row.ended is not None else row.started
        found.append(
            {
                "cat": "task",
                "name": row.name,
                "ph": "X",
                "ts": row.started * 1e6,
                "dur": max(0.0, ended - row.started) * 1e6,
                "pid": "shoal",
                "tid": f"worker {row.worker}",
                "args": {
                    "task_id": row.id, "state": row.state, "cell": row.cell, "parent": row.parent,
                    "waited_us": round((row.started - row.submitted) * 1e6), "error": row.error,
                },
            }
        )  # fmt: skip
    return found


def write(rows: list[list[Any]], filename: str) -> None:
    with open(filename, "w", encoding="utf-8") as file:
        json.dump(events(rows), file)
