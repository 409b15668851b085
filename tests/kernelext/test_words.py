"""Magics that explain in words: what they print in a real kernel, one kernel for all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .kernels import Kernel


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    made = Kernel()
    made.run("import shoal, time, warnings; warnings.simplefilter('ignore'); shoal.init(num_cpus=1)")
    made.run("@shoal.remote\ndef f(x=1):\n    return x\n@shoal.remote(num_gpus=1)\ndef on_gpu(): pass")
    yield made
    made.close()


def test_why_explains_in_words_with_a_cure(kernel: Kernel) -> None:
    kernel.run("done = f.remote(); shoal.get(done); stuck = on_gpu.remote()")
    assert kernel.run("%why done").text("stdout").startswith("f() is not pending: it has finished")
    assert kernel.run("%why [done, stuck][1:]").text("stdout") == (
        "on_gpu() is pending, and will be: it needs 1 GPU, and this cluster has 0 GPUs.\n"
        "What helps: ask for less, or start a larger cluster: %cluster stop, then shoal.init(num_gpus=1)\n"
    )
    assert "No definition" not in kernel.run("%why?").streams
    wrong = kernel.run("%why 3").text("stderr")
    assert "why() takes an ObjectRef or an actor's handle, not int. Use it so: %why REF" in wrong
    assert "nothing to look at" in kernel.run("%why").text("stderr")
    assert "no_such cannot be looked up: NameError" in kernel.run("%why no_such").text("stderr")
    kernel.run("shoal.cancel(stuck)")
