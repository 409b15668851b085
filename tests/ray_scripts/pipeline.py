"""Refs as arguments: a tree of sums, taken as its parts get ready."""

import ray


@ray.remote
def load(number):
    return list(range(number))


@ray.remote(num_returns=2)
def split(numbers):
    return [n for n in numbers if n % 2], [n for n in numbers if n % 2 == 0]


@ray.remote
def add(*parts):
    return sum(sum(part) if isinstance(part, list) else part for part in parts)


ray.init(num_cpus=2)
odd, even = split.remote(load.remote(10))
left, right = add.remote(odd), add.remote(even)
total = add.remote(left, right)
ready, rest = ray.wait([left, right, total], num_returns=3, timeout=60)
assert not rest and len(ready) == 3
assert ray.get([left, right, total]) == [25, 20, 45]
print("ok")
