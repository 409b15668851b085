"""Charts that people explore, by Bokeh, which is imported only here; their colours suit light and dark ground."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .gantt import FunctionTimes
from .palette import DONE, FRAME, KINDS, MUTED, of_kind

SERIES = ("time", "busy", "cpus", "machine", "used", "workers", "store", "rate")
"""Columns of the history's source, whose name is ``history``: time in milliseconds, memory in gigabytes."""
TALL = 130


def script() -> str:
    """BokehJS, for a page that has none: a megabyte."""
    import bokeh

    return (Path(bokeh.__file__).parent / "server/static/js/bokeh.min.js").read_text(encoding="utf-8")


def history(columns: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """CPU, memory and throughput over time below each other, as an item for ``Bokeh.embed.embed_item``."""
    from bokeh.embed import json_item
    from bokeh.layouts import column
    from bokeh.models import ColumnDataSource, DataRange1d

    source = ColumnDataSource(dict(columns), name="history")
    time = DataRange1d(range_padding=0.0)
    blue, orange, grey = KINDS[0], KINDS[1], MUTED
    cpu = _plot("CPUs", time, "@busy{0.0} of @cpus{0} held · @machine{0.0} busy in all")
    cpu.step("time", "cpus", source=source, color=grey, line_dash="dotted", legend_label="all", mode="after")
    cpu.varea_step("time", 0, "busy", source=source, fill_color=blue, fill_alpha=0.25, step_mode="after")
    cpu.step("time", "busy", source=source, color=blue, width=1.5, legend_label="held", mode="after")
    cpu.line("time", "machine", source=source, color=orange, width=1.5, legend_label="machine")
    memory = _plot("Memory (GB)", time, "machine @used{0.00} GB · workers @workers{0.00} · objects @store{0.00}")
    memory.line("time", "used", source=source, color=orange, width=1.5, legend_label="machine")
    memory.line("time", "workers", source=source, color=blue, width=1.5, legend_label="workers")
    memory.line("time", "store", source=source, color=KINDS[3], width=1.5, legend_label="objects")
    ended = _plot("Tasks ended a second", time, "@rate{0,0.0} a second")
    ended.varea("time", 0, "rate", source=source, fill_color=DONE, fill_alpha=0.25)
    ended.line("time", "rate", source=source, color=DONE, width=1.5)
    # One line beyond the data of each plot would be drawn; what can be hovered is one of its lines.
    for plot in (cpu, memory, ended):
        plot.hover.renderers = plot.renderers[-1:]
        _calm_legends(plot)
    return dict(json_item(column(cpu, memory, ended, sizing_mode="stretch_width")))


def durations(lines: Sequence[FunctionTimes], spreads: Sequence[Sequence[float]]) -> dict[str, Any]:
    """How long functions take, as an item for ``Bokeh.embed.embed_item``.

    Args:
        lines: the functions, first those that are to be on top.
        spreads: of each, the 5th, 25th, 50th, 75th and 95th percentile in seconds.
    """
    from bokeh.embed import json_item
    from bokeh.models import ColumnDataSource, FactorRange, HoverTool
    from bokeh.plotting import figure

    names = [line.name for line in lines]
    low, quarter, middle, upper, high = ([max(1e-6, each[i]) for each in spreads] for i in range(5))
    source = ColumnDataSource(
        {
            "name": names, "low": low, "quarter": quarter, "middle": middle, "upper": upper, "high": high,
            "ended": [line.ended for line in lines], "colour": [of_kind(line.number) for line in lines],
        }
    )  # fmt: skip
    plot: Any = figure(
        y_range=FactorRange(factors=names[::-1]), x_axis_type="log", height=60 + 28 * len(names),
        sizing_mode="stretch_width", tools="xpan,xwheel_zoom,reset", x_axis_label="seconds",
    )  # fmt: skip
    plot.segment("low", "name", "high", "name", source=source, color="colour", width=2)
    box = plot.hbar("name", left="quarter", right="upper", height=0.5, source=source, color="colour", alpha=0.75)
    plot.scatter("middle", "name", source=source, marker="dash", angle=1.5708, size=16, color=MUTED, line_width=3)
    words = [("", "@name: @ended tasks"), ("half of them", "@quarter to @upper s"), ("median", "@middle s")]
    plot.add_tools(HoverTool(tooltips=words, renderers=[box], mode="hline"))
    _calm(plot)
    plot.grid.level = "underlay"
    return dict(json_item(plot))


def _plot(title: str, time: Any, told: str) -> Any:
    from bokeh.models import HoverTool
    from bokeh.plotting import figure

    plot: Any = figure(
        title=title, height=TALL, x_axis_type="datetime", x_range=time, tools="xpan,xwheel_zoom,reset",
        sizing_mode="stretch_width", min_border_left=46,
    )  # fmt: skip
    plot.add_tools(HoverTool(tooltips=f"{told}<br>@time{{%H:%M:%S}}", formatters={"@time": "datetime"}, mode="vline"))
    plot.y_range.start = 0
    plot.title.text_font_size = "12px"
    plot.title.text_color = MUTED
    _calm(plot)
    return plot


def _calm(plot: Any) -> None:
    plot.background_fill_alpha = plot.border_fill_alpha = 0
    plot.outline_line_color = None
    plot.toolbar.autohide = True
    plot.toolbar.logo = None
    plot.grid.grid_line_color = FRAME
    plot.axis.axis_line_color = plot.axis.major_tick_line_color = plot.axis.minor_tick_line_color = None
    plot.axis.major_label_text_color = plot.axis.axis_label_text_color = MUTED


def _calm_legends(plot: Any) -> None:
    """After all is drawn: a plot has no legend before."""
    for legend in plot.legend:
        legend.background_fill_alpha = 0
        legend.label_text_color = MUTED
        legend.label_text_font_size = "11px"
        legend.orientation = "horizontal"
        legend.location = "top_left"
        legend.border_line_color = None
        legend.click_policy = "hide"
        legend.padding = legend.margin = 0
        legend.spacing = 12
