"""A machine does not grow: what is asked of Ray's autoscaler is checked and goes nowhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shoal.exceptions import ShoalTypeError, ShoalValueError
from shoal.lifecycle import is_initialized


def request_resources(
    num_cpus: int | None = None,
    bundles: Sequence[Mapping[str, Any]] | None = None,
    bundle_label_selectors: Sequence[Mapping[str, str]] | None = None,
) -> None:
    """A hint that so much will be needed soon; without effect on one machine.

    Raises TypeError and ValueError for what Ray would refuse, RuntimeError where no cluster runs.
    """
    if not is_initialized():
        raise RuntimeError("no cluster runs here: call shoal.init() first")
    if num_cpus is not None and (not isinstance(num_cpus, int) or isinstance(num_cpus, bool)):
        raise ShoalTypeError(f"num_cpus is a whole number, not {num_cpus!r}")
    for name, dicts in (("bundles", bundles), ("bundle_label_selectors", bundle_label_selectors)):
        if dicts is not None and not (isinstance(dicts, list) and all(isinstance(d, Mapping) for d in dicts)):
            raise ShoalTypeError(f"{name} is a list of dicts, not {dicts!r}")
    if bundle_label_selectors is not None and len(bundle_label_selectors) != len(bundles or ()):
        raise ShoalValueError("bundle_label_selectors has one entry for each of bundles")
