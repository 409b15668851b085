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


def _figure(figure: Any) -> str | None:
    from shoal_kernelext import figures

    return figures.png(figure)


def _text(part: Any) -> Any:
    return base64.b64encode(part).decode("ascii") if isinstance(part, bytes) else part
