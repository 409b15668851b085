"""The live strip: the widget that stands in for the record while a page is looking."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anywidget
import traitlets

from .front import reachable, script, style
from .ledger import CellSummary
from .record import MOST_LINES
from .timeline import pack
from .words import gap, headline, pace, tone


class Strip(anywidget.AnyWidget):
    """The model the page draws from; it always holds all that is shown, so that a page loaded
    later shows the same."""

    _esm = script("strip")
    _css = style("strip")

    state = traitlets.Dict().tag(sync=True)
    bars = traitlets.Bytes().tag(sync=True)
    last = traitlets.Dict().tag(sync=True)
    """The record as it is to stay if nothing more is heard. A page puts it in its place when the
    view has ended without its knowing: it was loaded too late, or the kernel has gone."""


def open_strip(cancel: Callable[[], object], unfold: Callable[[bool], object] = lambda is_open: None) -> Strip:
    """A strip, not yet on any page; `cancel` and `unfold` are called when a page asks for it by its comm."""
    strip = Strip()

    def heard(_: Strip, content: dict[str, Any], __: object) -> None:
        if content.get("type") == "cancel":
            cancel()
        elif content.get("type") == "unfold":
            unfold(bool(content.get("open")))
        elif content.get("type") == "settled" and strip.state.get("ended"):
            strip.layout.close()
            strip.close()

    strip.on_msg(heard)
    reachable(strip)
    return strip


def update(
    strip: Strip,
    summary: CellSummary,
    mark: str,
    last: dict[str, str] | None = None,
    ended: bool = False,
    closer: dict[str, Any] | None = None,
) -> None:
    """Show `summary`.

    Args:
        strip: the widget.
        summary: what to show.
        mark: that of the record the strip stands in for.
        last: the record as it is to stay if nothing more is heard; None leaves it as it was.
        ended: the view has ended. The page gives the strip up.
        closer: what it shows besides while it is folded out.
    """
    with strip.hold_sync():
        strip.state = _state(summary, mark, ended) | {"id": strip.model_id, "closer": closer}
        strip.bars = b"" if ended else pack(summary.bars)
        if last is not None:
            strip.last = last


def _state(summary: CellSummary, mark: str, ended: bool) -> dict[str, Any]:
    return {
        "cell": summary.cell,
        "mark": mark,
        "active": summary.active,
        "ended": ended,
        "words": headline(summary.standing, ended, summary.noun),
        "tone": tone(summary, ended),
        "pace": pace(summary),
        "gap": gap(summary),
        "elapsed": summary.elapsed,
        "counts": summary.counts._asdict(),
        "standing": summary.standing._asdict(),
        "functions": [line._asdict() | {"counts": line.counts._asdict()} for line in summary.functions],
        "workers": [
            {
                "label": line.lane.label,
                "ended": line.ended,
                "busy": line.busy,
                "task": line.task,
                "since": line.since,
            }
            for line in summary.workers
        ],
        "errors": [line._asdict() for line in summary.errors],
        "printed": [one._asdict() for one in summary.printed[:MOST_LINES]],
        "lanes": [lane.label for lane in summary.lanes],
    }
