"""What a live view is: from the feed's state to what a page draws, and to the record that stays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from shoal.feed_rows import FeedState


class Feed(Protocol):
    """What a view needs of `shoal.feed.Feed`."""

    @property
    def state(self) -> FeedState | None: ...

    def listen(self, callback: Callable[[FeedState], None], /) -> Callable[[], None]: ...


class Picture(NamedTuple):
    """All that a page draws from, never a difference: a page that is loaded later shows the same."""

    state: dict[str, Any]
    """JSON. It holds no clock: the frame sends it with ``now``, the feed's time, when it has changed."""
    buffer: bytes = b""
    """What is too much for JSON, such as the float32 of a canvas."""


class Record(NamedTuple):
    """What stays in the notebook's file: HTML as `record` describes it, and the same in words."""

    html: str
    text: str


class Hands(Protocol):
    """What a view can ask of the cluster and do to it; ids are in hexadecimal."""

    def ask(self, what: str, *args: Any) -> Any:
        """A question to the hub. Raises ShoalError."""

    def why(self, task: str) -> str:
        """Why a task has not begun, in words; empty where nobody knows."""

    def cancel(self, task: str) -> None: ...

    def kill(self, actor: str) -> None: ...


class View(Protocol):
    """One live view. It may keep books of its own: one thread calls `picture` and `record`.

    `want` is what a page has asked for: a selection, a filter, a width.
    """

    name: str
    """That of its ``.js`` file, and of its magic."""
    title: str

    def picture(self, state: FeedState, want: Mapping[str, Any]) -> Picture: ...

    def record(self, state: FeedState, want: Mapping[str, Any]) -> Record: ...

    def act(self, content: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """A button was pressed; called in a thread of its own. The answer goes back to the page."""
