"""Matplotlib's backend on a worker: figures become PNGs that are shown in the cell, as inline does in a notebook.

Only Matplotlib imports this module, by the name in MPLBACKEND, when user code has imported Matplotlib.
"""

from __future__ import annotations

import base64
import io
import sys
from typing import Any

from matplotlib._pylab_helpers import Gcf
from matplotlib.backends.backend_agg import FigureCanvasAgg as FigureCanvas

from shoal import context

__all__ = ["FigureCanvas", "open_bundles", "png", "show"]


def png(figure: Any) -> str | None:
    """The figure as base64, cropped to what is drawn; None when nothing is."""
    if not figure.axes and not figure.lines:
        return None
    file = io.BytesIO()
    figure.savefig(
        file,
        format="png",
        bbox_inches="tight",
        dpi=figure.dpi,
        facecolor=figure.get_facecolor(),
        edgecolor=figure.get_edgecolor(),
    )
    return base64.b64encode(file.getvalue()).decode("ascii")


def open_bundles() -> list[dict[str, Any]]:
    """The open figures, drawn and then closed."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is None:
        return []
    figures = [manager.canvas.figure for manager in Gcf.get_all_fig_managers()]
    try:
        images = [(png(figure), repr(figure)) for figure in figures]
    finally:
        pyplot.close("all")
    return [
        {"data": {"image/png": image, "text/plain": text}, "metadata": {}}
        for image, text in images
        if image is not None
    ]


def show(*args: Any, **kwargs: Any) -> None:
    """What ``plt.show()`` does: the figures appear here and now, in order with what is printed."""
    for bundle in open_bundles():
        context.display(bundle)
