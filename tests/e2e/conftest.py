import os

import pytest

from machine import Machine


@pytest.fixture(params=["root", "rootless"] if os.geteuid() == 0 else ["rootless"])
def machine(request):
    """As root and as an ordinary user: the code is the same, the rights are not."""
    user = "nobody" if request.param == "rootless" and os.geteuid() == 0 else None
    machine = Machine(user)
    yield machine
    machine.clean()


@pytest.fixture
def plain():
    """As whoever runs the tests, for what does not depend on rights."""
    machine = Machine(None)
    yield machine
    machine.clean()
