"""What goes wrong arrives as Ray's errors, by whatever path they are imported."""

import ray
import ray.exceptions
from ray.exceptions import RayActorError, RayTaskError


@ray.remote(max_retries=0)
def divide(a, b):
    return a / b


@ray.remote
class Fragile:
    def ping(self):
        return "pong"


ray.init(num_cpus=2)
try:
    ray.get(divide.remote(1, 0))
except RayTaskError as error:
    assert isinstance(error, ZeroDivisionError)
else:
    raise AssertionError("it was to fail")

fragile = Fragile.remote()
assert ray.get(fragile.ping.remote()) == "pong"
ray.kill(fragile)
try:
    ray.get(fragile.ping.remote())
except RayActorError as error:
    assert isinstance(error, ray.exceptions.RayError)
else:
    raise AssertionError("it was to fail")
print("ok")
