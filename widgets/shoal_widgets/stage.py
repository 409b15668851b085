"""The widget that a live view is drawn in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import anywidget
import traitlets
from ipywidgets import Tab

from .front import reachable, script, style
from .view import Picture, View

Hear = Callable[[str, Mapping[str, Any]], None]


class Stage(anywidget.AnyWidget):
    """The model the page draws from; it always holds all that is shown, so that a page loaded
    later shows the same."""

    _esm = traitlets.Unicode().tag(sync=True)
    _css = traitlets.Unicode().tag(sync=True)
    frame = traitlets.Dict().tag(sync=True)
    """Which output it is (``id``, that of the widget that is shown, and ``mark``), and whether it has ``ended``."""
    state = traitlets.Dict().tag(sync=True)
    buffer = traitlets.Bytes().tag(sync=True)
    last = traitlets.Dict().tag(sync=True)
    """The record as it is to stay if nothing more is heard; the first of a dashboard's stages has it."""

    def show(self, picture: Picture, now: float, want: Mapping[str, Any]) -> None:
        with self.hold_sync():
            self.state = picture.state | {"now": now, "want": dict(want)}
            self.buffer = picture.buffer


class Set:
    """The stages of some views: one alone, or in tabs where there are more.

    Args:
        views: what is shown.
        mark: that of the record they stand in for.
        first: the name of the view that is shown at first.
        hear: ``hear(name, content)`` is called, in some thread, with what a page says to a view.
    """

    def __init__(self, views: list[View], mark: str, first: str, hear: Hear) -> None:
        self.stages = {
            view.name: Stage(
                _esm=script("view", view.name),
                _css=style("view", view.name),
                _anywidget_id=f"shoal.{view.name}",  # by which a page tells style sheets apart
            )
            for view in views
        }
        stages = list(self.stages.values())
        self._tabs = None
        if len(stages) > 1:
            shown = list(self.stages).index(first)
            self._tabs = Tab(stages, titles=[view.title for view in views], selected_index=shown)
            reachable(self._tabs)
        self._lead = stages[0]
        self.id: str = self._lead.model_id if self._tabs is None else self._tabs.model_id
        for view, stage in zip(views, stages, strict=True):
            stage.frame = {
                "me": stage.model_id, "id": self.id, "mark": mark, "title": view.title,
                "lead": stage is self._lead, "ended": False,
            }  # fmt: skip
            reachable(stage)
            stage.on_msg(self._hearing(view.name, hear))

    def _hearing(self, name: str, hear: Hear) -> Callable[[Any, Mapping[str, Any], Any], None]:
        return lambda widget, content, buffers: hear(name, content)

    def named(self, model_id: str) -> str | None:
        """The view that has this model."""
        return next((name for name, stage in self.stages.items() if stage.model_id == model_id), None)

    def keep(self, last: dict[str, str]) -> None:
        """What is to stay in the file."""
        self._lead.last = last

    def end(self) -> None:
        """Tell the pages that no more is to come; they give the stages up."""
        for stage in self.stages.values():
            stage.frame = stage.frame | {"ended": True}

    def close(self) -> None:
        for widget in (*self.stages.values(), *((self._tabs,) if self._tabs else ())):
            widget.layout.close()
            widget.close()
