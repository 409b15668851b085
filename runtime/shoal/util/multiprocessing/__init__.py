"""`from shoal.util.multiprocessing import Pool`: the standard library's pool, on the cluster.

Follows https://docs.ray.io/en/latest/ray-more-libs/multiprocessing.html
"""

from multiprocessing import JoinableQueue, TimeoutError

from shoal.util.multiprocessing.pool import Pool

__all__ = ["JoinableQueue", "Pool", "TimeoutError"]
