"""The two outputs of a view in its cell: the record that stays, and what lives beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

Publish = Callable[[str, dict[str, Any]], None]
"""``publish(msg_type, content)``: sends ``display_data`` or ``update_display_data`` on IOPub with
the parent header of the view's cell; called from the view's own thread, never from user code's."""

WIDGET = "application/vnd.jupyter.widget-view+json"


class Outputs:
    """Where a view shows in its cell. The record comes first, so that it is there whatever happens."""

    def __init__(self, publish: Publish) -> None:
        self._publish = publish
        self.mark = uuid4().hex
        """By which a page finds the record."""
        self.shown = False

    def record(self, data: dict[str, str]) -> None:
        self._send("update_display_data" if self.shown else "display_data", data, "record")
        self.shown = True

    def open(self, model_id: str) -> None:
        """Show a widget."""
        view = {"version_major": 2, "version_minor": 0, "model_id": model_id}
        self._send("display_data", {WIDGET: view, "text/plain": ""}, "live")

    def blank(self) -> None:
        """Take the widget away: it would be the ruin of the file that it is saved in."""
        self._send("update_display_data", {"text/plain": ""}, "live")

    def _send(self, msg_type: str, data: dict[str, Any], output: str) -> None:
        transient = {"display_id": f"shoal-{output}-{self.mark}"}
        self._publish(msg_type, {"data": data, "metadata": {}, "transient": transient})
