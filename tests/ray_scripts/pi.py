"""Estimate π with tasks that report to an actor."""

import random

import ray

SAMPLES = 2_000


@ray.remote
class Tally:
    def __init__(self):
        self.done = 0

    def report(self, samples):
        self.done += samples

    def total(self):
        return self.done


@ray.remote
def hits(seed, tally):
    chance = random.Random(seed)
    inside = sum(chance.random() ** 2 + chance.random() ** 2 < 1 for _ in range(SAMPLES))
    ray.get(tally.report.remote(SAMPLES))
    return inside


if __name__ == "__main__":
    ray.init(num_cpus=2)
    tally = Tally.remote()
    inside = sum(ray.get([hits.remote(seed, tally) for seed in range(6)]))
    total = ray.get(tally.total.remote())
    assert total == 6 * SAMPLES
    assert 3.0 < 4 * inside / total < 3.3
    ray.shutdown()
    print("ok")
