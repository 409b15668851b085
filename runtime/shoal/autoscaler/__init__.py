"""Where Ray's autoscaler is asked: https://docs.ray.io/en/latest/cluster/running-applications/autoscaler/reference.html"""

from __future__ import annotations

from shoal.autoscaler import sdk as sdk
