"""The Actors view: what each is, does and takes, down to its last calls and its log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from time import monotonic
from typing import Any

from shoal.feed_rows import FINISHED, RUNNING, ActorRow, FeedState, TaskRow

from .kinds import cell_label, is_over, task_line, where
from .record import table
from .view import Hands, Picture, Record
from .words import escape, size

WINDOW = 5.0
"""Seconds over which calls are counted."""
MOST = 200
"""Actors that are listed: those that are busy first."""
LAST_CALLS = 50
RECORDED = 30
AGAIN = 1.0
"""Seconds until the hub is asked again about the actor that is looked at."""

WORDS = {"PENDING_CREATION": "being made", "ALIVE": "alive", "RESTARTING": "restarting", "DEAD": "dead"}
TONES = {"ALIVE": "", "DEAD": "error"}


@dataclass
class Calls:
    """What the feed's rows tell of one actor's calls."""

    ended: int = 0
    """Within the window."""
    failed: int = 0
    running: TaskRow | None = None


class Actors:
    name = "actors"
    title = "Actors"

    def __init__(self, hands: Hands) -> None:
        self._hands = hands
        self._asked: tuple[str, str, float, dict[str, Any]] | None = None

    def picture(self, state: FeedState, want: Mapping[str, Any]) -> Picture:
        """`want`: ``actor``, the one that is looked at closely."""
        calls, window = _calls(state)
        lines = [_line(actor, calls.get(actor.id, Calls()), window, state) for actor in _sorted(state)]
        looked_at = state.actors.get(str(want.get("actor")))
        return Picture(
            {
                "words": _words(state),
                "actors": lines[:MOST],
                "more": max(0, len(lines) - MOST),
                "detail": self._detail(looked_at, state) if looked_at is not None else None,
            }
        )

    def record(self, state: FeedState, want: Mapping[str, Any]) -> Record:
        calls, window = _calls(state)
        lines = [_line(actor, calls.get(actor.id, Calls()), window, state) for actor in _sorted(state)[:RECORDED]]
        html = f"<div>{escape(_words(state))}</div>"
        if lines:
            html += table(
                ("actor", "cell", "state", "mailbox", "calls/s", "memory", "restarts"),
                [
                    (
                        escape(line["label"]), line["cell"], escape(line["state"]), f"{line['mailbox']:,}",
                        f"{line['rate']:,.1f}", size(line["memory"]) if line["memory"] else "", str(line["restarts"]),
                    )
                    for line in lines
                ],
            )  # fmt: skip
        text = "\n".join(f"  {line['label']}: {line['state']}, {line['mailbox']:,} in its mailbox" for line in lines)
        return Record(html, f"{_words(state)}\n{text}".rstrip())

    def act(self, content: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """``{"do": "kill", "actor": id}``"""
        if content.get("do") == "kill":
            self._hands.kill(str(content["actor"]))
        return None

    def _detail(self, actor: ActorRow, state: FeedState) -> dict[str, Any]:
        asked = self._asked
        stale = asked is None or asked[:2] != (actor.id, actor.state) or monotonic() > asked[2] + AGAIN
        if asked is None or stale:
            self._asked = asked = (actor.id, actor.state, monotonic(), dict(self._hands.ask("actor_closely", actor.id)))
        rows = (row for row in reversed(state.tasks.values()) if row.actor == actor.id and row.started is not None)
        return {
            "id": actor.id,
            "label": _label(actor),
            "reason": actor.error or "",
            "calls": [task_line(row, state) for row in islice(rows, LAST_CALLS)],
            **asked[3],
        }


def _calls(state: FeedState) -> tuple[dict[str, Calls], float]:
    """By actor, what its calls did; and the seconds over which those that ended were counted."""
    found: dict[str, Calls] = {}
    oldest = state.time
    since = state.time - WINDOW
    for row in state.tasks.values():
        if row.ended is not None and row.ended < oldest:
            oldest = row.ended
        if row.actor is None:
            continue
        calls = found.setdefault(row.actor, Calls())
        if row.state == RUNNING:
            calls.running = row
        elif is_over(row):
            calls.failed += row.state != FINISHED
            calls.ended += row.ended is not None and row.ended > since
    # Where more calls end in the window than are remembered, it is as long as they reach back.
    return found, min(WINDOW, max(0.1, state.time - oldest)) if len(state.tasks) >= 5_000 else WINDOW


def _sorted(state: FeedState) -> list[ActorRow]:
    order = {"ALIVE": 0, "RESTARTING": 0, "PENDING_CREATION": 1}
    return sorted(state.actors.values(), key=lambda actor: (order.get(actor.state, 2), -actor.mailbox))


def _words(state: FeedState) -> str:
    if not state.actors:
        return "No actors"
    states: dict[str, int] = {}
    for actor in state.actors.values():
        word = WORDS.get(actor.state, actor.state.lower())
        states[word] = states.get(word, 0) + 1
    waiting = sum(actor.mailbox for actor in state.actors.values())
    many = f"{len(state.actors):,} actor{'s' * (len(state.actors) != 1)}"
    parts = [many, *(f"{count:,} {word}" for word, count in states.items())]
    return " · ".join([*parts, f"{waiting:,} calls in mailboxes"] if waiting else parts)


def _label(actor: ActorRow) -> str:
    return f"{actor.name} ({actor.cls})" if actor.name else f"{actor.cls} {actor.id[16:26].lstrip('0') or '0'}"


def _line(actor: ActorRow, calls: Calls, window: float, state: FeedState) -> dict[str, Any]:
    worker = state.workers.get(actor.worker or "")
    return {
        "id": actor.id,
        "label": _label(actor),
        "cell": cell_label(actor.cell),
        "state": WORDS.get(actor.state, actor.state.lower()),
        "tone": TONES.get(actor.state, "active"),
        "alive": actor.state != "DEAD",
        "where": where(actor.worker, state),
        "mailbox": actor.mailbox,
        "method": calls.running.name if calls.running is not None else "",
        "since": calls.running.started if calls.running is not None else None,
        "rate": round(calls.ended / window, 1),
        "failed": calls.failed,
        "memory": worker.memory if worker is not None else 0,
        "cpu": worker.cpu if worker is not None else 0.0,
        "restarts": actor.restarts,
    }
