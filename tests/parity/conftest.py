import pytest

import parity_istio
from envoy_program import envoy_program


@pytest.fixture(scope="session", autouse=True)
def _no_harness_left():
    yield
    parity_istio.end_all()


@pytest.fixture(scope="session")
def envoy():
    return envoy_program()
