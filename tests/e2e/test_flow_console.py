"""`fairlead up --with console`: sidecars and gateways are clients of the console, and obey the rules that people set there."""
import http.client
import os
import pathlib
import re
import signal

import pytest

from machine import below, eventually
from person import Person
from ports import free_port

ROOT = pathlib.Path(__file__).resolve().parents[2]


class MeshConsole:
    def __init__(self, port):
        self.port = port

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)


class Mesh:
    """httpbin with a sidecar, a shell without one, and somebody who is logged in to the console."""

    def __init__(self, machine):
        self.machine, self.port = machine, free_port()
        up = machine.start("--with", "console", "--console-port", str(self.port))
        eventually(lambda: machine.kubectl("get", "--raw", "/readyz").stdout == "ok")
        machine.kubectl("wait", "-n", "istio-system", "--for=condition=Available", "deployment/istiod", "--timeout=60s", timeout=70)
        machine.kubectl("label", "namespace", "default", "istio-injection=enabled")
        machine.kubectl("apply", "-f", str(ROOT / "samples/httpbin/httpbin.yaml"))
        machine.kubectl("wait", "--for=condition=Available", "deployment/httpbin", "--timeout=60s", timeout=70)
        machine.run_pod("shell", labels='{sidecar.istio.io/inject: "false"}')
        eventually(lambda: self.ask("/status/200") == "200", timeout=60)
        assert up.wait(60) == 0
        self.said = up.stdout.read()
        self.person = Person(MeshConsole(self.port), "admin", re.search(r"user admin, password (\S+)", self.said)[1])

    def ask(self, path):
        done = self.machine.sh(f"wget -S -O - 'http://httpbin:8000{path}' 2>&1", check=False)
        status = re.findall(r"HTTP/1\.1 (\d+)", done.stdout)
        return status[-1] if status else ""

    def clients(self, app="httpbin"):
        return [m for m in self.person.machines(app) if m["healthy"]]

    def told(self, kind, count):
        """Every client of the app says that it has loaded what is stored."""
        machines = self.clients()
        return machines and all(m["state"][kind] == "same" and m["loaded"][kind] == count for m in machines)


@pytest.fixture
def mesh(plain):
    return Mesh(plain)


def test_rules_of_the_console_are_obeyed_by_sidecars(mesh):
    # The sidecar has said that it is there, by the pod's address.
    pod = mesh.machine.kubectl("get", "pod", "-l", "app=httpbin", "-o", "jsonpath={.items[0].status.podIP}").stdout
    client, = eventually(lambda: mesh.clients(), timeout=60)
    assert client["id"] == f"{pod}:15019"
    # What it counts is seen there.
    def resources():
        return {r["resource"] for r in mesh.person.get("/api/apps/httpbin/resources")["list"]}
    eventually(lambda: mesh.ask("/status/200") == "200" and {"httpbin", "/status"} <= resources(), timeout=60)

    mesh.person.add("httpbin", "flow", {"resource": "/anything/{id}", "count": 0})
    eventually(lambda: mesh.ask("/anything/1") == "429")
    assert mesh.ask("/status/200") == "200", "only the template is ruled"
    eventually(lambda: mesh.told("flow", 1))

    # Each kind, from the page of its own; nothing of it touches the flow rules.
    mesh.person.add("httpbin", "degrade", {"resource": "/status/{code}", "grade": 2, "count": 0, "minRequestAmount": 1, "timeWindow": 3600, "statIntervalMs": 60000})
    eventually(lambda: [mesh.ask("/status/500"), mesh.ask("/status/200")][1] == "429")
    mesh.person.add("httpbin", "param-flow", {"resource": "/bytes/{n}", "paramIdx": 0, "count": 1, "durationInSec": 3600})
    eventually(lambda: mesh.ask("/bytes/3") == "429")  # the caller's address is the value
    assert mesh.ask("/anything/1") == "429"
    mesh.person.add("httpbin", "system", {"qps": 0})
    eventually(lambda: mesh.ask("/get") == "429")
    mesh.person.write("httpbin", "system", [])
    eventually(lambda: mesh.ask("/get") == "200")

    # Another pod in its place, at another address.
    mesh.machine.kubectl("delete", "pod", "-l", "app=httpbin", "--now")
    eventually(lambda: (lambda found: found and found[0]["id"] != client["id"])(mesh.clients()), timeout=60)
    eventually(lambda: mesh.ask("/anything/1") == "429" and mesh.told("flow", 1) and mesh.told("degrade", 1) and mesh.told("param-flow", 1), timeout=60)

    # Without the console what was set last holds; it comes back with everything.
    console, = (pid for pid, name in below(mesh.machine.status()["nodePid"]).items() if name.startswith("fairlead") and
                b"--listen-fd" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes())
    os.kill(console, signal.SIGKILL)
    assert mesh.ask("/anything/1") == "429" and mesh.ask("/get") == "200"
    eventually(lambda: mesh.person.raw("GET", "/api/apps").status == 200)
    mesh.person.write("httpbin", "flow", [{"enabled": True, "resource": "/get", "count": 0}])
    eventually(lambda: mesh.ask("/get") == "429" and mesh.ask("/anything/1") == "200")


def test_what_kubectl_sets_the_console_may_not(mesh):
    eventually(lambda: mesh.clients(), timeout=60)
    mesh.machine.kubectl("apply", "-f", "-", input="""
apiVersion: flow.fairlead.dev/v1
kind: FlowRule
metadata: {name: httpbin}
spec:
  app: httpbin
  rules: [{resource: /anything, count: 0}]
""")
    eventually(lambda: mesh.ask("/anything") == "429")
    mesh.person.add("httpbin", "flow", {"resource": "/get", "count": 0})
    mesh.person.add("httpbin", "degrade", {"resource": "/status/{code}", "grade": 2, "count": 0, "minRequestAmount": 1, "timeWindow": 3600, "statIntervalMs": 60000})
    # It says so, and with what to do; kinds that nobody set by kubectl are the console's.
    client = eventually(lambda: next((m for m in mesh.clients() if m["problem"]), None))
    assert "remove them there" in client["problem"] and client["state"]["flow"] == "differs", client
    eventually(lambda: [mesh.ask("/status/500"), mesh.ask("/status/200")][1] == "429")
    assert mesh.ask("/get") == "200" and mesh.ask("/anything") == "429"
    mesh.machine.kubectl("delete", "flowrule", "httpbin")
    eventually(lambda: mesh.ask("/get") == "429" and mesh.ask("/anything") == "200", timeout=60)
