"""The Tasks view: by function and cell, down to one task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from shoal.feed_rows import FAILED, FeedState, TaskRow

from .kinds import Kind, cell_label, group_of, is_over, kinds, task_line, total
from .ledger import CANCELLED_ERRORS
from .record import table
from .task_detail import TaskDetail
from .view import Hands, Picture, Record
from .words import duration, escape, headline

MOST_KINDS = 60
"""Lines of functions; those with work under way, then the latest."""
MOST_ROWS = 200
"""Single tasks that are listed, the newest."""
RECORDED = 20
LAST_FAILURES = 5


class Tasks:
    name = "tasks"
    title = "Tasks"

    def __init__(self, hands: Hands) -> None:
        self._hands = hands
        self._detail = TaskDetail(hands)
        self._kinds: tuple[object, object, list[Kind]] = (None, None, [])

    def _found(self, state: FeedState) -> list[Kind]:
        """The kinds; reckoned anew only if the feed has told of something, for then its dicts are others."""
        tasks, counts, found = self._kinds
        if tasks is not state.tasks or counts is not state.counts:
            found = kinds(state)
            self._kinds = (state.tasks, state.counts, found)
        return found

    def picture(self, state: FeedState, want: Mapping[str, Any]) -> Picture:
        """`want`: ``kind`` [cell, name] and ``state`` and ``text`` filter the list; ``task`` is looked at closely."""
        found = self._found(state)
        counts = total([kind.counts for kind in found])
        row = state.tasks.get(str(want.get("task")))
        rows = list(islice(_matching(state, want), MOST_ROWS)) if _listed(want) else []
        return Picture(
            {
                "words": headline(counts) if counts.total else "No tasks yet",
                "counts": counts._asdict(),
                "kinds": [_kind(kind) for kind in found[:MOST_KINDS]],
                "more": max(0, len(found) - MOST_KINDS),
                "rows": [task_line(one, state) for one in rows],
                "kept": len(state.tasks),
                "detail": self._detail.of(row, state) if row is not None else None,
            }
        )

    def record(self, state: FeedState, want: Mapping[str, Any]) -> Record:
        found = self._found(state)
        counts = total([kind.counts for kind in found])
        if not counts.total:
            return Record("<div>No tasks yet</div>", "No tasks yet")
        parts = ("finished", "running", "pending", "failed", "cancelled")
        titles = ("done", "running", "queued", "failed", "cancelled")
        shown = [(part, title) for part, title in zip(parts, titles, strict=True) if getattr(counts, part)]
        lines = [
            (
                escape(kind.name),
                cell_label(kind.cell),
                *(f"{getattr(kind.counts, part):,}" for part, _ in shown),
                duration(kind.spread.median) if kind.spread else "",
                f"{duration(kind.spread.q05)} – {duration(kind.spread.q95)}" if kind.spread else "",
            )
            for kind in found[:RECORDED]
        ]
        html = f"<div>{headline(counts)}</div>"
        html += table(("function", "cell", *(title for _, title in shown), "median", "5 – 95 %"), lines)
        if len(found) > RECORDED:
            html += f"<div>and {len(found) - RECORDED:,} more functions</div>"
        failures = list(islice(_failures(state), LAST_FAILURES))
        if failures:
            html += table(
                ("last failures", "cell", "error"),
                [(escape(row.name), cell_label(row.cell), escape(row.error or "")) for row in failures],
            )
        words = [headline(counts)]
        words += [f"  {kind.name} {cell_label(kind.cell)}: {headline(kind.counts)}" for kind in found[:RECORDED]]
        words += [f"  {row.name} failed: {row.error}" for row in failures]
        return Record(html, "\n".join(words))

    def act(self, content: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """``{"do": "cancel", "task": id}``"""
        if content.get("do") == "cancel":
            self._hands.cancel(str(content["task"]))
        return None


def _listed(want: Mapping[str, Any]) -> bool:
    """Whether single tasks are asked for at all."""
    return bool(want.get("list") or want.get("kind") or want.get("text") or want.get("state"))


def _matching(state: FeedState, want: Mapping[str, Any]) -> Iterator[TaskRow]:
    """The newest first."""
    kind, group, text = want.get("kind"), want.get("state"), str(want.get("text") or "").lower()
    for row in reversed(state.tasks.values()):
        if kind and [row.cell, row.name] != list(kind):
            continue
        if group and group_of(row) != group:
            continue
        if text and text not in f"{row.name} {row.id} {cell_label(row.cell)} {row.error or ''}".lower():
            continue
        yield row


def _failures(state: FeedState) -> Iterator[TaskRow]:
    return (
        row
        for row in reversed(state.tasks.values())
        if row.state == FAILED and is_over(row) and row.error not in CANCELLED_ERRORS
    )


def _kind(kind: Kind) -> dict[str, Any]:
    return {
        "key": [kind.cell, kind.name],
        "name": kind.name,
        "cell": cell_label(kind.cell),
        "counts": kind.counts._asdict(),
        "spread": list(kind.spread) if kind.spread else None,
    }
