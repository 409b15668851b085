"""Rich display on a worker: mime bundles are made where the object is."""

from __future__ import annotations

import base64
import sys
import uuid
from typing import Any

from shoal import context
from shoal_kernelext.exchange import Bundle

_PLAIN = (int, float, bool, str, complex, bytes)
"""Shown by their repr alone, which saves the import of IPython."""


def bundle(value: Any, include: Any = None, exclude: Any = None) -> Bundle | None:
    """How `value` is shown; None when it is not, or has shown itself."""
    if value is None:
        return None
    if type(value) in _PLAIN:
        return {"data": {"text/plain": repr(value)}, "metadata": {}}
    from IPython.core.formatters import DisplayFormatter

    formatter = DisplayFormatter()
    if "matplotlib" in sys.modules:
        formatter.formatters["image/png"].for_type_by_name("matplotlib.figure", "Figure", _figure)
    data, metadata = formatter.format(value, include, exclude)  # type: ignore[no-untyped-call]
    if not data:
        return None
    return {"data": {mime: _text(part) for mime, part in data.items()}, "metadata": metadata}


def display(
    *values: Any,
    include: Any = None,
    exclude: Any = None,
    metadata: dict[str, Any] | None = None,
    transient: dict[str, Any] | None = None,
    display_id: str | bool | None = None,
    raw: bool = False,
    clear: bool = False,
    update: bool = False,
    **_: Any,
) -> Any:
    """`IPython.display.display`, from a worker to the cell that launched its work."""
    transient = dict(transient or {})
    if display_id:
        transient["display_id"] = uuid.uuid4().hex if display_id is True else display_id
    if update and "display_id" not in transient:
        raise TypeError("display_id required for update_display")
    if not values and display_id:
        values, raw = ({},), True
    for value in values:
        made = {"data": value, "metadata": {}} if raw else bundle(value, include, exclude)
        if made is not None:
            publish(made["data"], {**made["metadata"], **(metadata or {})}, transient, update)
    if not display_id:
        return None
    from IPython.display import DisplayHandle

    return DisplayHandle(transient["display_id"])  # type: ignore[no-untyped-call]


def publish(
    data: dict[str, Any],
    metadata: dict[str, Any] | None = None,
    transient: dict[str, Any] | None = None,
    update: bool = False,
    **_: Any,
) -> None:
    """`IPython.display.publish_display_data`, likewise."""
    sys.stdout.flush()
    sys.stderr.flush()
    made: Bundle = {"data": {mime: _text(part) for mime, part in data.items()}}
    made["metadata"] = metadata or {}
    if transient:
        made["transient"] = transient
    if update:
        made["update"] = True
    if not context.display(made):
        print(data.get("text/plain", ""))


def take_over_ipython() -> None:
    """Let IPython's own display functions show in the cell, whoever imported them or will."""
    if "IPython.core.display_functions" in sys.modules:
        for name in ("IPython.core.display_functions", "IPython.display", "IPython.core.display"):
            _mend(sys.modules.get(name))
    elif not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder:
    """Mends IPython's display functions as they are imported, before others take them from there."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != "IPython.core.display_functions":
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
        module.display, module.publish_display_data = display, publish


def _figure(figure: Any) -> str | None:
    from shoal_kernelext import figures

    return figures.png(figure)


def _text(part: Any) -> Any:
    return base64.b64encode(part).decode("ascii") if isinstance(part, bytes) else part
