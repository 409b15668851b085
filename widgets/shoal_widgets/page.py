"""A page of its own that shows live views as they stood: one file, no kernel, no network."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable
from typing import Any, NamedTuple

from . import charts
from .front import script, style
from .view import Picture
from .words import escape

_END = "export default live(render);"
_LOOK = """
:root { color-scheme: light dark; }
body { margin: 24px auto; padding: 0 16px; max-width: 1100px; font: 13px/20px system-ui, sans-serif; }
h1 { font-size: 20px; font-weight: 600; margin: 0 0 2px; }
h2 { font-size: 15px; font-weight: 600; margin: 24px 0 4px; }
"""
# What a view asks of its model, where there is no kernel.
_STILL = """
const still = (title, state, buffer) => {
  const values = { state, buffer, comm_live: true, frame: { title, still: true, ended: true } };
  return { get: (name) => values[name], on() {}, off() {}, send() {} };
};
const bytesOf = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
"""


class Section(NamedTuple):
    """A part of a page: HTML; a view's picture, which its own script draws; or a chart of Bokeh's, as an item."""

    title: str
    html: str = ""
    view: str = ""
    picture: Picture | None = None
    chart: dict[str, Any] | None = None


def page(title: str, sections: Iterable[Section]) -> str:
    """The page as one HTML document. Its sections' `html` goes in as it is."""
    body, scripts, views, library = [], [], [], ""
    for number, section in enumerate(sections):
        head = f"<h2>{escape(section.title)}</h2>" if section.title else ""
        body.append(f"<section>{head}{section.html}")
        if section.picture is not None:
            if section.view not in views:
                views.append(section.view)
            body.append(f'<div id="view-{number}"></div>')
            state, buffer = _json(section.picture.state), _json(b64encode(section.picture.buffer).decode())
            model = f"still({_json(section.title or title)}, {state}, bytesOf({buffer}))"
            place = f'document.getElementById("view-{number}")'
            scripts.append(f"views.{section.view}.render({{ model: {model}, el: {place} }});")
        if section.chart is not None:
            body.append(f'<div id="chart-{number}" style="max-width:900px"></div>')
            scripts.append(f'Bokeh.embed.embed_item({_json(section.chart)}, "chart-{number}");')
            library = f"<script>{charts.script()}</script>"
        body.append("</section>")
    drawn = "".join(f"views.{view} = (() => {{\n{_factory(view)}\n}})();\n" for view in views)
    code = f"const views = {{}};\n{_STILL}{drawn}{chr(10).join(scripts)}"
    sheets = style("view", *views)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{sheets}{_LOOK}</style></head>"
        f'<body><h1>{escape(title)}</h1>{"".join(body)}{library}'
        f'<script type="module">\n{code}\n</script></body></html>\n'
    )


def _factory(view: str) -> str:
    code = script("view", view).rstrip()
    assert code.endswith(_END), f"{view}.js ends with what makes it a widget"
    return code.removesuffix(_END) + "return live(render);"


def _json(value: object) -> str:
    """JSON that may stand in a script."""
    return json.dumps(value).replace("<", "\\u003c").replace("\u2028", "\\u2028")
