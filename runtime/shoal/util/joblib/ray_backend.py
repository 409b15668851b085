"""The backend under Ray's name and path."""

from shoal.util.joblib.backend import ShoalBackend as RayBackend

__all__ = ["RayBackend"]
