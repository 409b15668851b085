"""What an actor learns of its GPUs."""

# mypy: disable-error-code="attr-defined"
# To a type checker a decorated class stays the class.

from __future__ import annotations

import os
from typing import Any

import shoal


@shoal.remote
class Card:
    def __init__(self) -> None:
        self.at_birth = shoal.get_gpu_ids()

    def seen(self) -> tuple[Any, ...]:
        accelerators = shoal.get_runtime_context().get_accelerator_ids()["GPU"]
        return self.at_birth, shoal.get_gpu_ids(), accelerators, os.environ.get("CUDA_VISIBLE_DEVICES")


def test_each_actor_sees_the_gpus_that_are_its_own_by_every_door() -> None:
    with shoal.init(num_cpus=1, num_gpus=3):
        two, one = Card.options(num_gpus=2).remote(), Card.options(num_gpus=1).remote()
        found = []
        for at_birth, now, accelerators, variable in shoal.get([two.seen.remote(), one.seen.remote()]):
            assert at_birth == now == [int(name) for name in accelerators]
            assert variable == ",".join(accelerators)
            found.append(now)
        assert [len(ids) for ids in found] == [2, 1] and sorted(found[0] + found[1]) == [0, 1, 2]
        at_birth, now, accelerators, _ = shoal.get(Card.remote().seen.remote())
        assert (at_birth, now, accelerators) == ([], [], [])
