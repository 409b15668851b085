"""cloudpickle where Ray keeps it, for scripts that import it from there."""

from __future__ import annotations

from typing import Any

from cloudpickle import CloudPickler as CloudPickler
from cloudpickle import Pickler as Pickler
from cloudpickle import dump as dump
from cloudpickle import dumps as dumps
from cloudpickle import load as load
from cloudpickle import loads as loads
from cloudpickle import register_pickle_by_value as register_pickle_by_value
from cloudpickle import unregister_pickle_by_value as unregister_pickle_by_value

from shoal.serial import pack


def dumps_debug(obj: Any, protocol: int | None = None) -> bytes:
    """As `dumps`; raises TypeError that names the part which cannot be pickled."""
    pack(obj, "the object", in_band=True)
    return bytes(dumps(obj, protocol=protocol))


def dump_debug(obj: Any, file: Any, protocol: int | None = None) -> None:
    """As `dump`; raises TypeError that names the part which cannot be pickled."""
    file.write(dumps_debug(obj, protocol))
