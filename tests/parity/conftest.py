import pytest

import parity_istio


@pytest.fixture(scope="session", autouse=True)
def _no_harness_left():
    yield
    parity_istio.end_all()
