"""Errors of the state API."""

from __future__ import annotations

from shoal.exceptions import ShoalError


class DataSourceUnavailable(ShoalError):
    """Nobody can be asked."""


class RayStateApiException(ShoalError):
    """The question cannot be answered: a wrong filter, or a missing part of the answer."""


class ServerUnavailable(RayStateApiException):
    """There is no cluster to ask."""
