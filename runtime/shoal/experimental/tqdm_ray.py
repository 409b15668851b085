"""`tqdm`: a progress bar for tasks and actors, shown where they were launched."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

INTERVAL = 1.0
"""Seconds between two pictures of a bar that runs on a worker; in a driver it is a tenth of that."""
WIDTH = 10


class tqdm:
    """tqdm's bar with fewer options. On a worker it is printed to stderr, and so shown by the launching cell or driver.

    Args: `iterable` to go through; `desc` in front; `total` (default: its length); `unit` (default "it");
    `flush_interval_s` seconds between two pictures; `position` is taken and not needed.

    Follows https://docs.ray.io/en/latest/ray-core/examples/progress_bar.html and https://tqdm.github.io
    """

    def __init__(
        self,
        iterable: Iterable[Any] | None = None,
        desc: str | None = None,
        total: int | None = None,
        unit: str | None = None,
        position: int | None = None,
        flush_interval_s: float | None = None,
    ) -> None:
        if total is None and hasattr(iterable, "__len__"):
            total = len(iterable)  # type: ignore[arg-type]
        self.iterable = iterable
        self.desc = desc or ""
        self.total = total
        self.unit = unit or "it"
        self.n = 0
        self._interval = (INTERVAL if _on_worker() else INTERVAL / 10) if flush_interval_s is None else flush_interval_s
        self._lock = threading.Lock()
        self._start = time.monotonic()
        self._drawn = 0.0
        self._width = 0
        self._closed = False

    def __iter__(self) -> Iterator[Any]:
        if self.iterable is None:
            raise TypeError("this tqdm was made without an iterable")
        with self:
            for item in self.iterable:
                yield item
                self.update(1)

    def update(self, n: int = 1) -> None:
        """So many more are done."""
        with self._lock:
            self.n += n
            if time.monotonic() - self._drawn >= self._interval:
                self._draw()

    def set_description(self, desc: str) -> None:
        """Change what stands in front."""
        with self._lock:
            self.desc = desc
            if time.monotonic() - self._drawn >= self._interval:
                self._draw()

    def refresh(self) -> None:
        """Show how it stands, now."""
        with self._lock:
            self._draw()

    def close(self) -> None:
        """Show how it ended; harmless a second time."""
        with self._lock:
            if not self._closed:
                self._draw("\n")
                self._closed = True

    def _draw(self, end: str = "") -> None:
        if self._closed:
            return
        self._drawn = time.monotonic()
        text = self._text(self._drawn - self._start)
        padding = " " * max(0, self._width - len(text))
        self._width = len(text)
        # One write: pictures of several workers do not tear each other.
        sys.stderr.write(f"\r{text}{padding}{end}")
        sys.stderr.flush()

    def _text(self, elapsed: float) -> str:
        rate = self.n / elapsed if elapsed > 0 else 0.0
        speed = f"{rate:.2f}{self.unit}/s" if rate >= 1 or not rate else f"{1 / rate:.2f}s/{self.unit}"
        front = f"{self.desc}: " if self.desc else ""
        if not self.total:
            return f"{front}{self.n}{self.unit} [{_clock(elapsed)}, {speed}]"
        part = min(1.0, self.n / self.total)
        left = _clock((self.total - self.n) / rate) if rate else "?"
        bar = ("█" * round(part * WIDTH)).ljust(WIDTH)
        return f"{front}{part:4.0%}|{bar}| {self.n}/{self.total} [{_clock(elapsed)}<{left}, {speed}]"

    def __enter__(self) -> tqdm:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def safe_print(*values: Any, **options: Any) -> None:
    """`print`, under Ray's name for one that spares the bars: here every picture is a line of its own writer."""
    print(*values, **options)


def _on_worker() -> bool:
    from shoal import context

    return context.get_task() is not None


def _clock(seconds: float) -> str:
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"
