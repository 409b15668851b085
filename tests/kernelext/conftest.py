"""Kernels of both ipykernels that people have."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def ipykernel_6(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the last ipykernel 6, from the package index: without one these tests are left out."""
    folder = tmp_path_factory.mktemp("ipykernel-6")
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder), "ipykernel==6.31.0"]
    done = subprocess.run(install, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"ipykernel 6.31.0 cannot be had here: {(done.stderr.strip().splitlines() or ['pip failed'])[-1]}")
    return folder
