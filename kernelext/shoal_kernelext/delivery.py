"""What comes back from a remote cell, written into the notebook as if the cell had run there."""

from __future__ import annotations

import os
from typing import Any

from shoal.refs import ObjectRef
from shoal_kernelext.cell_ref import CellRef, Told
from shoal_kernelext.exchange import Captured, Failure, Result, received
from shoal_kernelext.parcel import Namespace, Site
from shoal_kernelext.shipment import Shipment
from shoal_kernelext.stock import Stock


def deliver(result: Result, sent: Shipment, namespace: Namespace, stock: Stock) -> dict[str, str]:
    """Rebind, add and delete the names that the cell did; returns those whose value cannot be opened, and why.

    Args:
        result: what the worker found.
        sent: what was captured, which the result may refer to.
        namespace: the notebook's.
        stock: told of the large values that came, which the store has.
    """
    site = Site(namespace, sent.objects)
    if result.process == os.getpid():
        # The classes that were sent are one and the same at both ends: their methods come home.
        for parcel in received(tuple(c for c in sent.values if c.facts is None), writable=False):
            parcel.opened(site)
    unopened: dict[str, str] = {}
    new: Namespace = {name: sent.objects[as_name] for name, as_name in result.kept.items()}
    for captured in result.values:
        if captured.facts is not None:
            new.update({name: kept(captured, name) for name in captured.names})
    came = tuple(captured for captured in result.values if captured.facts is None)
    parcels = received(came, writable=True)
    for captured, parcel in zip(came, parcels, strict=True):
        try:
            value = parcel.opened(site)
        except Exception as error:
            why = f"came back but cannot be opened here: {type(error).__name__}: {error}"
            unopened.update(dict.fromkeys(captured.names, why))
            continue
        new.update(dict.fromkeys(captured.names, value))
        if isinstance(captured.sent, ObjectRef):
            stock.add(value, captured.sent)
    namespace.update(new)
    for name in result.deleted:
        namespace.pop(name, None)
    return unopened


def kept(captured: Captured, name: str) -> CellRef:
    """The ref of a value that stays on the cluster."""
    assert isinstance(captured.sent, ObjectRef) and captured.facts is not None, "a value that lies there as it is"
    return CellRef(captured.sent, Told(name, facts=captured.facts))


def value_of(value: Captured, sent: Shipment, namespace: Namespace) -> Any:
    """The object of a parcel that came back, or the ref of a value that stays."""
    if value.facts is not None:
        return kept(value, value.names[0])
    (parcel,) = received((value,), writable=True)
    return parcel.opened(Site(namespace, sent.objects))


def notes(result: Result, unopened: dict[str, str]) -> list[str]:
    """Sentences about what did not come back."""
    told = [
        f"{name!r} stays on the worker: {why}" for name, why in {**result.held_back, **unopened}.items()
    ]
    for name, size in result.uncompared.items():
        told.append(
            f"{name!r} ({size / 1e6:,.0f} MB) is too large to be compared: if the cell changed it in place, "
            f"let it end with {name} = {name}"
        )
    return told


def error_of(failure: Failure, sent: Shipment, namespace: Namespace) -> BaseException | None:
    """The exception that ended the cell, as the class people know; None where it could not travel."""
    if failure.error is None:
        return None
    try:
        error = failure.error.opened(Site(namespace, sent.objects))
    except Exception:
        return None
    return error if isinstance(error, BaseException) else None
