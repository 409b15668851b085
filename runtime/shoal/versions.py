"""Which versions of packages a process would import, without importing them."""

from __future__ import annotations

from collections.abc import Iterable


def versions(packages: Iterable[str]) -> dict[str, str]:
    """By name; a package that is not installed is not there."""
    from importlib.metadata import PackageNotFoundError, version  # of use to few, and not quickly imported

    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            pass
    return found
