"""Kernels: of both ipykernels that people have, and one that many tests share."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .kernels import Kernel


@pytest.fixture(scope="session")
def ipykernel_6(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the last ipykernel 6, from the package index: without one these tests are left out."""
    folder = tmp_path_factory.mktemp("ipykernel-6")
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder), "ipykernel==6.31.0"]
    done = subprocess.run(install, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"ipykernel 6.31.0 cannot be had here: {(done.stderr.strip().splitlines() or ['pip failed'])[-1]}")
    return folder


@pytest.fixture(scope="package")
def at_work() -> Iterator[Kernel]:
    """A kernel whose cluster runs, for tests that leave it as it was, but for names that they assign."""
    made = Kernel()
    made.run("%cluster start -n 2 --oversubscribe\nimport shoal, time, os, numpy as np")
    yield made
    made.run("%cluster stop")
    made.close()
