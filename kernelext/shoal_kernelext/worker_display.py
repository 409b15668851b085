"""On a worker: `display()` and figures of plain tasks and actors show in the cell that launched them.

Nothing is loaded before somebody displays something or imports IPython.
"""

from __future__ import annotations

import builtins
import importlib
import sys
import traceback
from typing import Any

from shoal import context

SETUP = f"{__name__}:install"
_DISPLAY = "IPython.core.display_functions"


def install() -> None:
    """Let `display`, whether a builtin as in a notebook or IPython's own, show in the cell; figures left open, too."""
    if not hasattr(builtins, "display"):
        setattr(builtins, "display", _display)  # noqa: B010
    take_over_ipython()
    context.on_task_end(_show_figures)


def take_over_ipython() -> None:
    """Let IPython's own display functions show in the cell, whoever imported them or will."""
    if _DISPLAY in sys.modules:
        for name in (_DISPLAY, "IPython.display", "IPython.core.display"):
            _mend(sys.modules.get(name))
    elif not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def _display(*values: Any, **options: Any) -> Any:
    from shoal_kernelext import rich

    return rich.display(*values, **options)


def _publish(*values: Any, **options: Any) -> None:
    from shoal_kernelext import rich

    rich.publish(*values, **options)


def _show_figures() -> None:
    """What a task leaves open would be shown by the next one that runs here."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is None or not pyplot.get_fignums():
        return
    figures = importlib.import_module("shoal_kernelext.figures")
    try:
        figures.show()
    except Exception:  # what was plotted cannot be drawn
        traceback.print_exc()


class _Finder:
    """Mends IPython's display functions as they are imported, before others take them from there."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != _DISPLAY:
            return None
        sys.meta_path.remove(self)
        from importlib.util import find_spec

        spec = find_spec(name)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module: Any) -> None:
                execute(module)
                _mend(module)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _mend(module: Any) -> None:
    if hasattr(module, "display"):
        module.display, module.publish_display_data = _display, _publish
