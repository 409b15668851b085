"""The task graph: which function's tasks need the values of which, and which start which; single tasks where few."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from shoal.context import Cell
from shoal.feed_rows import Counts, FeedState, TaskRow

from . import graph_image
from .gantt_image import address
from .graph_layout import Layout, arrange
from .kinds import cell_label, group_of, state_word, total
from .record import table
from .view import Hands, Picture, Record
from .words import escape, headline

SINGLE = 60
"""Up to so many tasks are drawn each as a node of its own."""
MOST_KINDS = 60
"""Nodes of functions; the latest to be met."""
MOST_EDGES = 100
"""Lines of the table."""
RECORDED = 20
MOST_CELLS = 100

Key = TypeVar("Key", bound=Hashable)
Name = tuple[Cell | None, str]


class Tie(NamedTuple):
    """How many values went from tasks of one node to those of another, and how many of these it started."""

    values: int = 0
    started: int = 0

    @property
    def words(self) -> str:
        """
        >>> Tie(1, 2).words
        '1 value, 2 tasks started'
        """
        values = f"{self.values:,} value{'s' * (self.values != 1)}" if self.values else ""
        started = f"{self.started:,} task{'s' * (self.started != 1)} started" if self.started else ""
        return ", ".join(part for part in (values, started) if part)


class _Node(NamedTuple):
    id: str
    name: str
    cell: Cell | None
    counts: Counts
    words: str


class _Look(NamedTuple):
    """How nodes are drawn: their size, how many in a row, and how much of a name fits."""

    size: tuple[int, int]
    row: int
    letters: int


_KINDS = _Look((176, 50), 5, 17)
_TASKS = _Look((126, 50), 7, 16)


class Graph:
    name = "graph"
    title = "Graph"

    def __init__(self, hands: Hands) -> None:
        self._found: tuple[object, object, Cell | None, dict[str, Any]] = (None, None, None, {})
        self._laid: tuple[Any, Layout] | None = None

    def picture(self, state: FeedState, want: Mapping[str, Any]) -> Picture:
        """`want`: a ``cell``, all of them where there is none."""
        return Picture(self._drawn(state, want))

    def record(self, state: FeedState, want: Mapping[str, Any]) -> Record:
        found = self._drawn(state, want)
        if not found["nodes"]:
            return Record(f"<div>{escape(found['words'])}</div>", found["words"])
        alt = "; ".join([f"Task graph: {found['words']}", *(_told(line) for line in found["table"][:RECORDED])])
        source = address(graph_image.document(found))
        rows = [
            tuple(escape(str(line[part])) for part in ("from", "to", "words")) for line in found["table"][:RECORDED]
        ]
        html = (
            f"<div>{escape(found['words'], 300)}</div>"
            f'<div><img alt="{escape(alt, 2000)}" src="{source}" style="max-width:100%;margin:4px 0"></div>'
        )
        html += table(("from", "to", ""), rows) if rows else ""
        functions = [f"  {line['name']}: {line['words']}" for line in found["functions"][:RECORDED]]
        told = [f"  {_told(line)}" for line in found["table"][:RECORDED]]
        return Record(html, "\n".join([found["words"], *functions, *told]))

    def act(self, content: Mapping[str, Any]) -> Mapping[str, Any] | None:
        return None

    def _drawn(self, state: FeedState, want: Mapping[str, Any]) -> dict[str, Any]:
        """What the page draws; reckoned anew only if the feed has told of something, for then its dicts are others."""
        cell = want.get("cell") or None
        tasks, counts, of, found = self._found
        if tasks is not state.tasks or counts is not state.counts or of != cell:
            found = self._reckon(state, cell)
            self._found = (state.tasks, state.counts, cell, found)
        return found

    def _reckon(self, state: FeedState, cell: Cell | None) -> dict[str, Any]:
        counts = {key: found for key, found in state.counts.items() if found.total and (cell is None or key[0] == cell)}
        tasks = state.tasks if cell is None else {row.id: row for row in state.tasks.values() if row.cell == cell}
        summed = total(list(counts.values()))
        single = summed.total <= SINGLE and len(tasks) == summed.total
        by_kind = ties(tasks, lambda row: (row.cell, row.name))
        if single:
            nodes = [
                _Node(row.id, row.name, row.cell, Counts(**{group_of(row): 1}), state_word(row))
                for row in tasks.values()
            ]
            edges = ties(tasks, lambda row: row.id)
        else:
            shown = list(counts)[-MOST_KINDS:]
            nodes = [_Node(_id(key), key[1], key[0], counts[key], _standing(counts[key])) for key in shown]
            known = set(shown)
            edges = {(_id(a), _id(b)): tie for (a, b), tie in by_kind.items() if a in known and b in known}
        several = len({key[0] for key in counts}) > 1
        words = [headline(summed) if summed.total else "No tasks yet"]
        if summed.total:
            words.append(f"{len(counts):,} function{'s' * (len(counts) != 1)}")
        if not single and len(counts) > MOST_KINDS:
            words.append(f"the latest {MOST_KINDS} are drawn")
        if len(tasks) < summed.total:
            words.append(f"edges of the latest {len(tasks):,} tasks")
        return {
            "words": " · ".join(words),
            **self._shapes(nodes, edges, _TASKS if single else _KINDS, single),
            "functions": [
                {"name": _named(key, several), "words": headline(found)} for key, found in counts.items()
            ][-MOST_KINDS:],
            "table": [
                {"from": _named(a, several), "to": _named(b, several), "words": tie.words, **tie._asdict()}
                for (a, b), tie in by_kind.items()
            ][:MOST_EDGES],
            "cells": [
                {"name": of, "label": cell_label(of) or of}
                for of in list(dict.fromkeys(of for of, _ in state.counts if of is not None))[-MOST_CELLS:]
            ],
        }  # fmt: skip

    def _shapes(
        self, nodes: Sequence[_Node], edges: Mapping[tuple[str, str], Tie], look: _Look, single: bool
    ) -> dict[str, Any]:
        asked = ([node.id for node in nodes], list(edges), look)
        if self._laid is None or self._laid[0] != asked:
            self._laid = asked, arrange(asked[0], edges, look.size, look.row)
        laid = self._laid[1]
        names = {node.id: node.name for node in nodes}
        return {
            "single": single,
            "width": laid.width,
            "height": laid.height,
            "size": list(look.size),
            "nodes": [
                {
                    "id": node.id,
                    "x": laid.places[node.id][0],
                    "y": laid.places[node.id][1],
                    "name": node.name,
                    "label": _short(node.name, look.letters),
                    "cell": "" if single else cell_label(node.cell),
                    "words": node.words,
                    "title": _title(node, single),
                    "counts": node.counts._asdict(),
                }
                for node in nodes
            ],
            "edges": [
                {
                    "from": line.source,
                    "to": line.target,
                    "path": graph_image.path(line),
                    "head": graph_image.head(line),
                    "at": list(graph_image.middle(line)),
                    "label": "" if single else f"{tie.values or tie.started:,}",
                    "values": tie.values,
                    "title": f"{names[line.source]} → {names[line.target]}: {tie.words}",
                }
                for line in laid.lines
                for tie in (edges[line.source, line.target],)
            ],
        }  # fmt: skip


def _title(node: _Node, single: bool) -> str:
    told = (node.name, cell_label(node.cell), node.words if single else headline(node.counts))
    return " · ".join(part for part in told if part)


def ties(tasks: Mapping[str, TaskRow], key: Callable[[TaskRow], Key]) -> dict[tuple[Key, Key], Tie]:
    """The edges between nodes, of which `key` says which one a task is of; from and to tasks that are known."""
    values: Counter[tuple[Key, Key]] = Counter()
    started: Counter[tuple[Key, Key]] = Counter()
    for row in tasks.values():
        if not row.needs and row.parent is None:
            continue
        own = key(row)
        values.update((key(tasks[need]), own) for need in row.needs if need in tasks)
        if (parent := tasks.get(row.parent or "")) is not None:
            started[key(parent), own] += 1
    return {pair: Tie(values[pair], started[pair]) for pair in _both(values, started)}


def _both(values: Iterable[tuple[Key, Key]], started: Iterable[tuple[Key, Key]]) -> dict[tuple[Key, Key], None]:
    return dict.fromkeys([*values, *started])


def _id(kind: Name) -> str:
    return f"{kind[0] or ''}\n{kind[1]}"


def _named(kind: Name, several: bool) -> str:
    """A function as people call it, with its cell where there are several."""
    return f"{kind[1]} {cell_label(kind[0])}".rstrip() if several else kind[1]


def _standing(counts: Counts) -> str:
    """How a node's tasks stand, in as few words as fit it."""
    parts = [f"{counts.finished:,} of {counts.total:,}" if counts.finished < counts.total else f"{counts.total:,} done"]
    parts += [f"{counts.running:,} running"] if counts.running else []
    parts += [f"{counts.failed:,} failed"] if counts.failed else []
    return " · ".join(parts[:3])


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _told(line: Mapping[str, Any]) -> str:
    return f"{line['from']} → {line['to']}: {line['words']}"
