"""Names for the option `accelerator_type`. https://docs.ray.io/en/latest/ray-core/accelerator-types.html"""

from shoal.util.accelerators.accelerators import *  # noqa: F403
