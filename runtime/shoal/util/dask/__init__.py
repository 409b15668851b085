"""Dask's graphs on the cluster: `dask.compute(x, scheduler=dask_get)`, or `enable_dask_on_shoal()` once."""

from shoal.util.dask.scheduler import (
    dask_get,
    disable_dask_on_ray,
    disable_dask_on_shoal,
    enable_dask_on_ray,
    enable_dask_on_shoal,
    ray_dask_get,
    ray_dask_get_sync,
)

__all__ = [
    "dask_get",
    "disable_dask_on_ray",
    "disable_dask_on_shoal",
    "enable_dask_on_ray",
    "enable_dask_on_shoal",
    "ray_dask_get",
    "ray_dask_get_sync",
]
