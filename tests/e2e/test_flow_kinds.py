"""Kinds of group flow.fairlead.dev: `kubectl apply`, and the workload's next requests obey."""
import json
import pathlib
import re

import pytest

from machine import eventually

ROOT = pathlib.Path(__file__).resolve().parents[2]
RULE = """
apiVersion: flow.fairlead.dev/v1
kind: FlowRule
metadata: {name: httpbin}
spec:
  app: httpbin
  rules:
  - {resource: "/anything/{id}", count: 0}
"""


@pytest.fixture
def mesh(plain):
    plain.start()
    eventually(lambda: plain.kubectl("get", "--raw", "/readyz").stdout == "ok")
    plain.kubectl("wait", "-n", "istio-system", "--for=condition=Available", "deployment/istiod", "--timeout=60s", timeout=70)
    plain.kubectl("label", "namespace", "default", "istio-injection=enabled")
    plain.kubectl("apply", "-f", str(ROOT / "samples/httpbin/httpbin.yaml"))
    plain.kubectl("wait", "--for=condition=Available", "deployment/httpbin", "--timeout=60s", timeout=70)
    plain.run_pod("shell", labels='{sidecar.istio.io/inject: "false"}')
    eventually(lambda: ask(plain, "/status/200")[0] == "200", timeout=60)
    return plain


def ask(mesh, path):
    done = mesh.sh(f"wget -S -O - 'http://httpbin:8000{path}' 2>&1", check=False)
    status = re.findall(r"HTTP/1\.1 (\d+)", done.stdout)
    return (status[-1] if status else ""), done.stdout


def apply(mesh, text, check=True):
    return mesh.kubectl("apply", "-f", "-", input=text, check=check)


def test_what_kubectl_applies_is_obeyed(mesh):
    assert ask(mesh, "/anything/1")[0] == "200"
    apply(mesh, RULE)
    eventually(lambda: ask(mesh, "/anything/1")[0] == "429")
    assert ask(mesh, "/status/200")[0] == "200", "only the template is ruled"
    seen = eventually(lambda: (lambda o: o if o.get("status", {}).get("acceptedRules") == 1 else None)(json.loads(mesh.kubectl("get", "flowrule", "httpbin", "-o", "json").stdout)))
    assert seen["status"]["observedGeneration"] == seen["metadata"]["generation"]
    table = mesh.kubectl("get", "flowrules").stdout.splitlines()
    assert table[0].split() == ["NAME", "WORKLOADS", "RESOURCES", "ACCEPTED", "AGE"] and table[1].split()[:4] == ["httpbin", "httpbin", "/anything/{id}", "1"]

    # The service as a whole, by labels; the first rule is not in force meanwhile.
    apply(mesh, RULE.replace("app: httpbin", "selector: {matchLabels: {app: httpbin}}").replace('"/anything/{id}"', "httpbin"))
    eventually(lambda: ask(mesh, "/status/200")[0] == "429")
    assert json.loads(mesh.kubectl("get", "flowrule", "httpbin", "-o", "json").stdout)["spec"].get("app") is None
    # Another workload's rule is not this one's.
    apply(mesh, RULE.replace("app: httpbin", "app: other").replace('"/anything/{id}"', "httpbin"))
    eventually(lambda: ask(mesh, "/status/200")[0] == "200")

    # A breaker, and hot values by path variable.
    mesh.kubectl("delete", "flowrule", "httpbin")
    apply(mesh, """
apiVersion: flow.fairlead.dev/v1
kind: ParamFlowRule
metadata: {name: hot}
spec:
  app: httpbin
  parameters: [{pathVariable: id}]
  rules: [{resource: "/anything/{id}", paramIdx: 0, count: 2, durationInSec: 3600}]
---
apiVersion: flow.fairlead.dev/v1
kind: DegradeRule
metadata: {name: breaker}
spec:
  app: httpbin
  rules: [{resource: "/status/{code}", grade: 2, count: 0, minRequestAmount: 1, timeWindow: 3600, statIntervalMs: 60000}]
""")
    eventually(lambda: ask(mesh, "/anything/hot")[0] == "429")
    assert ask(mesh, "/anything/cold")[0] == "200"
    eventually(lambda: [ask(mesh, "/status/500")[0], ask(mesh, "/status/200")[0]][1] == "429")
    mesh.kubectl("delete", "paramflowrule,degraderule", "--all")
    eventually(lambda: ask(mesh, "/anything/hot")[0] == "200" and ask(mesh, "/status/200")[0] == "200")


@pytest.fixture
def server(tmp_path):
    from test_istioctl import Cluster
    cluster = Cluster(tmp_path)
    yield cluster
    cluster.stop()


@pytest.mark.parametrize("kind, rule, said", [
    ("FlowRule", "{resource: x, count: -1}", r"spec\.rules\[0\]\.count: Invalid value: -1: "),
    ("FlowRule", "{resource: x, count: 1, grade: 7}", r"spec\.rules\[0\]\.grade: Invalid value: 7: "),
    ("FlowRule", "{count: 1}", r"spec\.rules\[0\]\.resource: Required value"),
    ("FlowRule", "{resource: x, cuont: 1}", r'unknown field "spec\.rules\[0\]\.cuont"'),
    ("DegradeRule", "{resource: x, count: 2, grade: 1, timeWindow: 5}", r"spec\.rules\[0\]\.count: Invalid value: 2: "),
    ("ParamFlowRule", "{resource: x, count: 2}", r"spec\.rules\[0\]\.paramIdx: Required value"),
    ("SystemRule", "{highestCpuUsage: 70}", r"spec\.rules\[0\]\.highestCpuUsage: Invalid value: 70: "),
    ("AuthorityRule", "{resource: x, limitApp: a, strategy: 9}", r"spec\.rules\[0\]\.strategy: Invalid value: 9: "),
    ("GatewayFlowRule", "{resource: x, count: 1, intervalSec: 0}", r"spec\.rules\[0\]\.intervalSec: Invalid value: 0: "),
    ("ApiDefinition", '{apiName: "", predicateItems: []}', r"spec\.rules\[0\]\.apiName: "),
])
def test_rules_that_are_not_valid_are_refused_by_field_and_range(server, kind, rule, said):
    text = f"apiVersion: flow.fairlead.dev/v1\nkind: {kind}\nmetadata: {{name: bad}}\nspec: {{rules: [{rule}]}}\n"
    done = server.kubectl("apply", "-f", "-", stdin=text)
    assert done.returncode != 0 and re.search(said, done.stderr), done.stderr


def test_the_kinds_are_explained(server):
    listed = server.kubectl("api-resources", "--api-group=flow.fairlead.dev", "-o", "name").stdout.split()
    assert sorted(n.split(".")[0] for n in listed) == ["apidefinitions", "authorityrules", "degraderules", "flowrules", "gatewayflowrules", "paramflowrules", "systemrules"]
    assert "Seconds of warming up" in server.kubectl("explain", "flowrule.spec.rules.warmUpPeriodSec").stdout
    text = "apiVersion: flow.fairlead.dev/v1\nkind: FlowRule\nmetadata: {name: x}\nspec: {app: a, selector: {matchLabels: {a: b}}, rules: [{resource: x, count: 1}]}\n"
    assert "spec.app: Forbidden: may not be given together with selector" in server.kubectl("apply", "-f", "-", stdin=text).stderr
