"""The Objects view: shared memory, who holds it, and the largest objects with what they are."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic
from typing import Any

from shoal.feed_rows import FeedState, StoreRow

from . import palette
from .contents import Contents, contents
from .kinds import cell_label
from .record import table
from .view import Hands, Picture, Record
from .words import escape, size

AGAIN = 1.0
"""Seconds until the hub is asked again, at least."""
SHARE = 0.02
"""Part of the time that the hub may spend on it."""
RECORDED = 15
HELD = {"notebook": "notebook", "actors": "actors", "tasks": "tasks", "other": "nobody any more"}


class Objects:
    name = "objects"
    title = "Objects"

    def __init__(self, hands: Hands) -> None:
        self._hands = hands
        self._due = 0.0
        self._known: dict[str, Any] = {"held": {}, "count": 0, "stored": 0, "largest": []}
        self._contents: dict[str, Contents] = {}

    def picture(self, state: FeedState, want: Mapping[str, Any]) -> Picture:
        known = self._ask()
        return Picture(
            {
                "words": _words(state.store),
                "store": state.store._asdict(),
                "held": [[HELD[name], count] for name, count in known["held"].items() if count],
                "objects": [self._line(each) for each in known["largest"]],
                "more": max(0, known["stored"] - len(known["largest"])),
            }
        )

    def record(self, state: FeedState, want: Mapping[str, Any]) -> Record:
        known = self._ask()
        lines = [self._line(each) for each in known["largest"][:RECORDED]]
        html = f"<div>{_words(state.store)}</div>{_gauge(state.store)}"
        held = [f"{HELD[name]} {size(count)}" for name, count in known["held"].items() if count]
        if held:
            html += f"<div>held by {', '.join(held)}</div>"
        if lines:
            html += table(
                ("largest objects", "size", "made by", "held by"),
                [
                    (escape(_title(line)), size(line["size"]), escape(line["maker"]), escape(line["holders"]))
                    for line in lines
                ],
            )
        words = [_words(state.store)]
        words += [f"  {_title(line)}: {size(line['size'])}, held by {line['holders']}" for line in lines]
        return Record(html, "\n".join(words))

    def act(self, content: Mapping[str, Any]) -> Mapping[str, Any] | None:
        return None

    def _ask(self) -> dict[str, Any]:
        """What the hub knows, as of a second ago at most; longer where it is long at it."""
        began = monotonic()
        if began >= self._due:
            self._known = self._hands.ask("largest_objects")
            self._due = monotonic() + max(AGAIN, (monotonic() - began) / SHARE)
            ids = {each["id"] for each in self._known["largest"]}
            self._contents = {name: told for name, told in self._contents.items() if name in ids}
        return self._known

    def _line(self, each: Mapping[str, Any]) -> dict[str, Any]:
        told = self._contents.get(each["id"])
        if told is None:
            told = self._contents[each["id"]] = contents(each["stream"])
        holders = [_process(holder) for holder in each["holders"]]
        if each["more"]:
            holders.append(f"{each['more']:,} more")
        if each["pins"]:
            holders.append(f"{each['pins']:,} task{'s' * (each['pins'] != 1)} or container{'s' * (each['pins'] != 1)}")
        return {
            "id": each["id"],
            "kind": told.kind,
            "shape": told.shape,
            "preview": told.preview,
            "size": each["size"],
            "where": each["where"],
            "maker": each["maker"] or ("put" if not each["task"] else ""),
            "cell": cell_label(each["cell"]),
            "holders": ", ".join(holders) or "nobody",
        }


def _process(holder: Mapping[str, Any]) -> str:
    if holder["kind"] == "driver":
        return f"notebook (pid {holder['pid']})"
    return f"{holder['what'] or 'worker'} (pid {holder['pid']})"


def _title(line: Mapping[str, Any]) -> str:
    return " ".join(filter(None, (line["kind"] or "object", line["shape"])))


def _words(store: StoreRow) -> str:
    parts = [
        f"{size(store.used)} of {size(store.capacity)} in use",
        f"{store.objects:,} object{'s' * (store.objects != 1)}",
        f"{size(store.committed)} committed",
    ]
    return " · ".join([*parts, f"{size(store.spilled)} on disk"] if store.spilled else parts)


def _gauge(store: StoreRow) -> str:
    """What is used, and what is committed beyond that, of the whole."""
    whole = max(1, store.capacity)
    parts = ((store.used, palette.ACTIVE), (max(0, store.committed - store.used), palette.UNDER_WAY))
    bars = "".join(
        f'<span style="display:inline-block;vertical-align:top;height:8px;'
        f'width:{100 * count / whole:.3f}%;background:{colour}"></span>'
        for count, colour in parts
    )
    return (
        f'<div style="width:320px;max-width:100%;height:8px;line-height:8px;white-space:nowrap;overflow:hidden;'
        f'border-radius:4px;margin:4px 0;background:{palette.FRAME}">{bars}</div>'
    )
