"""The mesh of the walkthrough: started once as root and once as an ordinary user, and taken down whatever happens."""
import os
import subprocess

import pytest

from walkthrough_mesh import FAIRLEAD, Mesh


def _ways():
    if os.geteuid() == 0:
        return ["root", "rootless"]
    return ["rootless"]


@pytest.fixture(scope="session", params=_ways())
def mesh(request):
    if not FAIRLEAD.exists():
        pytest.fail(f"{FAIRLEAD} is missing: make build")
    user = None
    if request.param == "rootless" and os.geteuid() == 0:
        user = "nobody"
        # The checkout may lie where an ordinary user cannot look.
        probe = subprocess.run(["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "test", "-x", FAIRLEAD])
        if probe.returncode != 0:
            pytest.fail(f"user nobody may not read {FAIRLEAD}")
    mesh = Mesh(user)
    mesh.rootless = request.param == "rootless"
    try:
        mesh.up()
        yield mesh
    finally:
        mesh.down()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    way = item.callspec.params.get("mesh") if hasattr(item, "callspec") else None
    if way and report.failed and "mesh" in item.fixturenames:
        mesh = item.funcargs.get("mesh")
        if mesh and call.when == "call":
            seen = mesh.run("kubectl get pods -A -o wide; kubectl get events -A | tail -n 20; fairlead status "
                            f"--name {mesh.name} --data-dir {mesh.home}/data")
            report.sections.append(("state of the mesh", seen.stdout + seen.stderr))
