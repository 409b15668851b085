"""The cluster: its nodes, how busy they and the machine were of late, and its size."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shoal.feed_rows import FeedState

from . import charts, history, palette
from .gantt_image import address
from .history import History, Machine
from .record import table
from .view import Hands, Picture, Record
from .words import escape, size

GB = 1e9


class ClusterView:
    """Args: `hands`, and for tests what says how the machine is, and how many cores it has."""

    name = "cluster"
    title = "Cluster"

    def __init__(
        self, hands: Hands, look: Callable[[], Machine] | None = None, cores: Callable[[], int] = history.cores
    ) -> None:
        self._hands = hands
        self._history = History(look or history.watch(), cores())

    def picture(self, state: FeedState, want: Mapping[str, Any]) -> Picture:
        self._history.take(state)
        return Picture(
            {
                "words": words(state, self._history.machine),
                "cpus": state.cpus[1],
                "nodes": [line._asdict() | {"workers": len(mine), "memory": memory, "percent": percent}
                          for line, mine, memory, percent in _nodes(state)],
                "columns": columns(self._history),
            }
        )  # fmt: skip

    def record(self, state: FeedState, want: Mapping[str, Any]) -> Record:
        self._history.take(state)
        told = words(state, self._history.machine)
        rows = [
            (escape(line.name), f"{line.used:g} of {line.cpus:g}", f"{len(mine)}", size(memory), f"{percent:.0f} %")
            for line, mine, memory, percent in _nodes(state)
        ]
        titles = ("node", "CPUs held", "workers", "their memory", "their CPU")
        html = f"<div>{escape(told, 200)}</div>{_image(self._history)}{table(titles, rows)}"
        return Record(html, told)

    def act(self, content: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """``chart`` asks for the chart, with BokehJS where it is 'whole'; ``cpus`` is how many there are to be."""
        if "cpus" in content:
            self._hands.ask("resize", int(content["cpus"]))
            return None
        found: dict[str, Any] = {"item": charts.history(columns(self._history))}
        return found | ({"script": charts.script()} if content.get("chart") == "whole" else {})


def columns(book: History) -> dict[str, list[float]]:
    """The history as the chart's source has it: see `charts.SERIES`."""
    samples = list(book.samples)
    values: list[Sequence[float]] = [
        [round(s.time * 1000) for s in samples],
        [s.busy for s in samples],
        [s.cpus for s in samples],
        [round(s.machine, 2) for s in samples],
        *([round(getattr(s, name) / GB, 3) for s in samples] for name in ("used", "workers", "store")),
        [round(rate, 1) for rate in book.rates()],
    ]
    return {name: list(column) for name, column in zip(charts.SERIES, values, strict=True)}


def words(state: FeedState, machine: Machine) -> str:
    """The cluster in a sentence."""
    held, cpus = state.cpus
    nodes, workers = len(state.nodes), len(state.workers)
    parts = [
        f"{held:g} of {cpus:g} CPUs held",
        f"{nodes} node{'s' * (nodes != 1)}",
        f"{workers} worker{'s' * (workers != 1)}",
        f"objects {size(state.store.used)} of {size(state.store.capacity)}",
        f"machine: CPU {machine.cpu:.0f} %, memory {size(machine.used)} of {size(machine.memory)}",
    ]
    return " · ".join(parts)


def _nodes(state: FeedState) -> list[tuple[Any, list[Any], int, float]]:
    found = []
    for node in state.nodes.values():
        mine = [worker for worker in state.workers.values() if worker.node == node.id]
        found.append((node, mine, sum(w.memory for w in mine), sum(w.cpu for w in mine)))
    return found


def _image(book: History) -> str:
    """CPUs held and the machine's, and tasks ended a second, as an image."""
    samples, rates = list(book.samples), book.rates()
    if len(samples) < 2:
        return ""
    width, height, left = 720, 64, 4
    begin, end = samples[0].time, max(samples[-1].time, samples[0].time + 1)

    def path(values: Sequence[float], most: float, base: int) -> str:
        points = (
            f"{left + (s.time - begin) / (end - begin) * (width - 8):.1f},{base - value / max(most, 1e-9) * height:.1f}"
            for s, value in zip(samples, values, strict=True)
        )
        return "M" + "L".join(points)

    most = max(max(s.cpus, s.machine) for s in samples)
    fastest = max(rates)
    parts = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} 166" width="{width}" height="166" fill="none" '
        f'font-family="sans-serif" font-size="10" stroke-width="1.5">'
        f'<g fill="{palette.MUTED}" stroke="none"><text x="4" y="10">CPUs held (blue), busy in all (orange)</text>'
        f'<text x="{width - 4}" y="10" text-anchor="end">{most:g}</text><text x="4" y="94">tasks ended a second</text>'
        f'<text x="{width - 4}" y="94" text-anchor="end">{fastest:,.1f}</text></g>'
        f'<path d="M4 80.5h{width - 8}M4 162.5h{width - 8}" stroke="{palette.FRAME}" stroke-width="1"/>'
        f'<path stroke="{palette.KINDS[1]}" d="{path([s.machine for s in samples], most, 80)}"/>'
        f'<path stroke="{palette.KINDS[0]}" d="{path([s.busy for s in samples], most, 80)}"/>'
        f'<path stroke="{palette.DONE}" d="{path(rates, fastest, 162)}"/></svg>'
    )
    busiest = max(s.busy for s in samples)
    alt = f"History of {end - begin:.0f} s: up to {busiest:g} CPUs held, {fastest:,.1f} tasks a second"
    return f'<div><img alt="{alt}" src="{address(parts)}" style="max-width:100%;margin:4px 0"></div>'
