"""The API server alone, driven by the real kubectl: what its commands send and what people see."""
import json
import os
import pathlib
import re
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FAIRLEAD = pathlib.Path(os.environ.get("FAIRLEAD", ROOT / "build" / "fairlead"))

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: curlimages/curl, ports: [{containerPort: 8080}]}
"""

VIRTUAL_SERVICE = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
  - route: [{destination: {host: reviews, subset: v1}}]
"""


class Server:
    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.kubeconfig = self.directory / "kubeconfig"
        self.process = None
        self.kubectl_path = subprocess.run([ROOT / "tools/ensure-kubectl"], capture_output=True, text=True, check=True).stdout.strip()
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [FAIRLEAD, "api-server", "--data-dir", self.directory / "data", "--listen", "127.0.0.1:0", "--kubeconfig", self.kubeconfig],
            stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line.startswith("serving "), line
        self.url = line.split()[1]

    def kill(self, number=signal.SIGKILL):
        self.process.send_signal(number)
        self.process.wait()

    def environment(self, **more):
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig), "HOME": str(self.directory), **more}

    def run(self, *arguments, stdin=None, **environment):
        return subprocess.run([self.kubectl_path, *arguments], input=stdin, capture_output=True, text=True, timeout=60,
                              env=self.environment(**environment))

    def kubectl(self, *arguments, stdin=None, **environment):
        done = self.run(*arguments, stdin=stdin, **environment)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout

    def refused(self, *arguments, stdin=None):
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode != 0, done.stdout
        return done.stderr

    def background(self, *arguments):
        return subprocess.Popen([self.kubectl_path, *arguments], stdout=subprocess.PIPE, text=True, env=self.environment())

    def request(self, method, path, body=None, content_type="application/json", token=None, certificate=True):
        context = ssl.create_default_context(cafile=str(self.directory / "data/pki/ca.crt"))
        if certificate:
            context.load_cert_chain(self.directory / "data/pki/admin.crt", self.directory / "data/pki/admin.key")
        headers = {"Content-Type": content_type}
        if token:
            headers["Authorization"] = "Bearer " + token
        request = urllib.request.Request(self.url + path, data=body.encode() if isinstance(body, str) else body, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, context=context, timeout=30) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


@pytest.fixture(scope="module")
def server():
    with tempfile.TemporaryDirectory(prefix="fairlead-api-") as directory:
        server = Server(directory)
        yield server
        server.kill(signal.SIGTERM)


@pytest.fixture
def ns(server):
    name = "t-" + os.urandom(4).hex()
    server.kubectl("create", "namespace", name)
    yield name
    server.kubectl("delete", "namespace", name)


def lines(text):
    return [re.split(r"\s{2,}", line.strip()) for line in text.strip().splitlines()]


# --- the commands of tutorials

def test_apply_create_get_in_every_format(server, ns):
    assert server.kubectl("apply", "-n", ns, "-f", "-", stdin=DEPLOYMENT) == "deployment.apps/web created\n"
    assert server.kubectl("apply", "-n", ns, "-f", "-", stdin=DEPLOYMENT) == "deployment.apps/web unchanged\n"
    assert server.kubectl("apply", "-n", ns, "-f", "-", stdin=DEPLOYMENT.replace("replicas: 2", "replicas: 3")) == "deployment.apps/web configured\n"
    assert lines(server.kubectl("get", "deploy", "-n", ns))[0] == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]
    assert lines(server.kubectl("get", "deploy", "-n", ns, "-o", "wide"))[0][5:] == ["CONTAINERS", "IMAGES", "SELECTOR"]
    assert server.kubectl("get", "deploy", "-n", ns, "-o", "name") == "deployment.apps/web\n"
    assert server.kubectl("get", "deploy", "web", "-n", ns, "-o", "jsonpath={.spec.replicas}") == "3"
    assert "replicas: 3" in server.kubectl("get", "deploy", "web", "-n", ns, "-o", "yaml")
    assert json.loads(server.kubectl("get", "deploy", "-n", ns, "-o", "json"))["items"][0]["spec"]["strategy"]["type"] == "RollingUpdate"
    columns = server.kubectl("get", "deploy", "-n", ns, "-o", "custom-columns=N:.metadata.name,R:.spec.replicas")
    assert lines(columns) == [["N", "R"], ["web", "3"]]
    assert "web" in server.kubectl("get", "deploy", "-A", "-l", "app=web")
    assert server.run("get", "deploy", "-n", ns, "-l", "app=other").stderr == f"No resources found in {ns} namespace.\n"
    assert "Replicas:               3 desired" in server.kubectl("describe", "deploy", "web", "-n", ns)


def test_istio_kinds_with_short_names_and_columns(server, ns):
    server.kubectl("apply", "-n", ns, "-f", "-", stdin=VIRTUAL_SERVICE)
    assert lines(server.kubectl("get", "vs", "-n", ns))[0] == ["NAME", "GATEWAYS", "HOSTS", "AGE"]
    assert '["reviews"]' in server.kubectl("get", "virtualservices.networking.istio.io", "-n", ns)
    assert "apiVersion: networking.istio.io/v1beta1" in server.kubectl("get", "virtualservices.v1beta1.networking.istio.io", "-n", ns, "-o", "yaml")
    for short in ("dr", "gw", "se", "we", "wg", "pa", "ra", "ap"):
        server.kubectl("get", short, "-n", ns)


def test_typed_create_commands(server, ns):
    server.kubectl("create", "configmap", "c", "-n", ns, "--from-literal=key=value")
    assert server.kubectl("get", "cm", "c", "-n", ns, "-o", "jsonpath={.data.key}") == "value"
    server.kubectl("create", "secret", "generic", "s", "-n", ns, "--from-literal=key=value")
    assert server.kubectl("get", "secret", "s", "-n", ns, "-o", "jsonpath={.data.key}") == "dmFsdWU="
    server.kubectl("create", "deployment", "d", "-n", ns, "--image=curlimages/curl", "--replicas=0", "--port=80")
    assert server.kubectl("get", "deploy", "d", "-n", ns, "-o", "jsonpath={.spec.replicas}") == "0"
    server.kubectl("expose", "deployment", "d", "-n", ns, "--type=NodePort")
    assert 30000 <= int(server.kubectl("get", "svc", "d", "-n", ns, "-o", "jsonpath={.spec.ports[0].nodePort}")) <= 32767
    server.kubectl("create", "serviceaccount", "a", "-n", ns)
    assert server.kubectl("create", "token", "a", "-n", ns).count(".") == 2


def test_scale_label_annotate_patch_delete(server, ns):
    server.kubectl("apply", "-n", ns, "-f", "-", stdin=DEPLOYMENT)
    get = lambda path: server.kubectl("get", "deploy", "web", "-n", ns, "-o", f"jsonpath={{{path}}}")
    assert server.kubectl("scale", "deploy/web", "-n", ns, "--replicas=5") == "deployment.apps/web scaled\n"
    assert get(".spec.replicas") == "5"
    server.kubectl("label", "deploy", "web", "-n", ns, "tier=front")
    assert "already has a value" in server.refused("label", "deploy", "web", "-n", ns, "tier=back")
    server.kubectl("annotate", "deploy", "web", "-n", ns, "note=x")
    assert (get(".metadata.labels.tier"), get(".metadata.annotations.note")) == ("front", "x")
    server.kubectl("patch", "deploy", "web", "-n", ns, "-p", '{"spec":{"template":{"spec":{"containers":[{"name":"web","env":[{"name":"A","value":"1"}]}]}}}}')
    assert (get(".spec.template.spec.containers[0].env[0].value"), get(".spec.template.spec.containers[0].image")) == ("1", "curlimages/curl")
    server.kubectl("patch", "deploy", "web", "-n", ns, "--type=merge", "-p", '{"spec":{"replicas":4}}')
    server.kubectl("patch", "deploy", "web", "-n", ns, "--type=json", "-p", '[{"op":"test","path":"/spec/replicas","value":4},{"op":"replace","path":"/spec/replicas","value":1}]')
    assert get(".spec.replicas") == "1"
    assert "doc is missing path: /spec/no" in server.refused("patch", "deploy", "web", "-n", ns, "--type=json", "-p", '[{"op":"remove","path":"/spec/no"}]')
    server.kubectl("set", "image", "deploy/web", "-n", ns, "web=other")
    assert get(".spec.template.spec.containers[0].image") == "other"
    assert int(get(".metadata.generation")) >= 5
    assert server.kubectl("delete", "deploy", "web", "-n", ns) == 'deployment.apps "web" deleted\n'
    assert server.refused("get", "deploy", "web", "-n", ns) == 'Error from server (NotFound): deployments.apps "web" not found\n'


def test_edit_and_replace_with_conflict(server, ns):
    server.kubectl("apply", "-n", ns, "-f", "-", stdin=VIRTUAL_SERVICE)
    editor = server.directory / "editor"
    editor.write_text("#!/bin/sh\nexec sed -i 's/subset: v1/subset: v2/' \"$1\"\n")
    editor.chmod(0o755)
    server.kubectl("edit", "vs", "reviews", "-n", ns, EDITOR=str(editor))
    assert "v2" in server.kubectl("get", "vs", "reviews", "-n", ns, "-o", "jsonpath={.spec.http[0].route[0].destination.subset}")
    stale = server.kubectl("get", "vs", "reviews", "-n", ns, "-o", "yaml")
    server.kubectl("replace", "-f", "-", stdin=stale.replace("subset: v2", "subset: v3"))
    assert "the object has been modified; please apply your changes to the latest version and try again" in server.refused("replace", "-f", "-", stdin=stale)


def test_server_side_apply(server, ns):
    server.kubectl("apply", "--server-side", "-n", ns, "-f", "-", stdin=DEPLOYMENT)
    server.kubectl("apply", "--server-side", "-n", ns, "-f", "-", stdin=DEPLOYMENT.replace("replicas: 2", "replicas: 6"))
    assert server.kubectl("get", "deploy", "web", "-n", ns, "-o", "jsonpath={.spec.replicas}") == "6"
    fewer = DEPLOYMENT.replace(", labels: {app: web}}\nspec", "}\nspec")
    server.kubectl("apply", "--server-side", "-n", ns, "-f", "-", stdin=fewer)
    assert server.kubectl("get", "deploy", "web", "-n", ns, "-o", "jsonpath={.metadata.labels}") == ""
    other = server.run("apply", "--server-side", "--field-manager=other", "-n", ns, "-f", "-", stdin=DEPLOYMENT.replace("replicas: 2", "replicas: 9"))
    assert 'conflict with "kubectl": .spec.replicas' in other.stderr
    server.kubectl("apply", "--server-side", "--force-conflicts", "--field-manager=other", "-n", ns, "-f", "-",
                   stdin=DEPLOYMENT.replace("replicas: 2", "replicas: 9"))


def test_watch_shows_each_change_as_a_row(server, ns):
    server.kubectl("create", "configmap", "first", "-n", ns)
    watch = server.background("get", "cm", "-n", ns, "-w", "--field-selector=metadata.name!=kube-root-ca.crt")
    assert watch.stdout.readline().startswith("NAME")
    assert watch.stdout.readline().startswith("first")
    server.kubectl("create", "configmap", "second", "-n", ns)
    assert watch.stdout.readline().startswith("second")
    server.kubectl("patch", "cm", "first", "-n", ns, "-p", '{"data":{"a":"b"}}')
    assert watch.stdout.readline().split()[:2] == ["first", "1"]
    watch.kill()
    watch.wait()


def test_wait_for_condition_and_deletion(server, ns):
    server.kubectl("run", "p", "-n", ns, "--image=curlimages/curl")
    waiting = server.background("wait", "pod/p", "-n", ns, "--for=condition=Ready", "--timeout=30s")
    status = {"status": {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}
    server.kubectl("patch", "pod", "p", "-n", ns, "--subresource=status", "--type=merge", "-p", json.dumps(status))
    assert waiting.stdout.readline() == "pod/p condition met\n"
    waiting.wait()
    server.kubectl("delete", "pod", "p", "-n", ns, "--wait=false")
    server.kubectl("wait", "pod/p", "-n", ns, "--for=delete", "--timeout=30s")


def test_explain_and_api_resources(server):
    assert "FIELD: host <string>" in server.kubectl("explain", "vs.spec.http.route.destination.host")
    assert "FIELD: containers <[]Container>" in server.kubectl("explain", "pod.spec.containers")
    resources = server.kubectl("api-resources")
    assert re.search(r"^virtualservices +vs +networking.istio.io/v1 +true +VirtualService$", resources, re.M)
    assert re.search(r"^pods +po +v1 +true +Pod$", resources, re.M)
    assert "networking.istio.io/v1alpha3" in server.kubectl("api-versions")
    assert "doesn't have a resource type" in server.refused("get", "unicorns")


def test_events(server, ns):
    event = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e.1", "namespace": ns}, "type": "Warning", "reason": "BackOff",
             "message": "back-off restarting", "count": 3, "involvedObject": {"apiVersion": "v1", "kind": "Pod", "name": "p", "namespace": ns},
             "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:00:00Z", "source": {"component": "kubelet"}}
    server.kubectl("create", "-f", "-", stdin=json.dumps(event))
    assert lines(server.kubectl("get", "events", "-n", ns))[1][1:] == ["Warning", "BackOff", "pod/p", "back-off restarting"]
    assert "BackOff" in server.kubectl("events", "-n", ns, "--for", "pod/p")
    assert "back-off" in server.kubectl("get", "events", "-n", ns, "--field-selector", "involvedObject.name=p")


def test_namespace_deletion_empties_it(server):
    server.kubectl("create", "namespace", "gone")
    server.kubectl("apply", "-n", "gone", "-f", "-", stdin=DEPLOYMENT + "---" + VIRTUAL_SERVICE)
    server.kubectl("delete", "namespace", "gone")
    assert "NotFound" in server.refused("get", "namespace", "gone")
    server.kubectl("create", "namespace", "gone")
    assert server.kubectl("get", "deploy,vs", "-n", "gone") == ""
    server.kubectl("delete", "namespace", "gone")


def test_diff_and_dry_run_change_nothing(server, ns):
    server.kubectl("apply", "-n", ns, "-f", "-", stdin=DEPLOYMENT)
    diff = server.run("diff", "-n", ns, "-f", "-", stdin=DEPLOYMENT.replace("replicas: 2", "replicas: 7"))
    assert diff.returncode == 1 and "+  replicas: 7" in diff.stdout
    server.kubectl("scale", "deploy/web", "-n", ns, "--replicas=9", "--dry-run=server")
    server.kubectl("delete", "deploy/web", "-n", ns, "--dry-run=server")
    assert server.kubectl("get", "deploy", "web", "-n", ns, "-o", "jsonpath={.spec.replicas}") == "2"


# --- refusals

def test_unknown_and_duplicate_fields_are_refused_together(server, ns):
    bad = VIRTUAL_SERVICE.replace("hosts: [reviews]", "host: [reviews]").replace("http:", "htp:")
    message = server.refused("apply", "-n", ns, "-f", "-", stdin=bad)
    assert 'unknown field "spec.host"' in message and 'unknown field "spec.htp"' in message
    message = server.refused("create", "-n", ns, "-f", "-", stdin=DEPLOYMENT.replace("replicas: 2", "replica: 2"))
    assert 'strict decoding error: unknown field "spec.replica"' in message
    assert server.run("apply", "-n", ns, "--validate=ignore", "-f", "-", stdin=DEPLOYMENT.replace("replicas: 2", "replica: 2")).returncode == 0
    warned = server.run("apply", "-n", ns, "--validate=warn", "-f", "-", stdin=DEPLOYMENT.replace("replicas: 2", "replica: 2").replace("web,", "web2,"))
    assert 'Warning: unknown field "spec.replica"' in warned.stderr


def test_invalid_content_names_every_field(server, ns):
    bad = DEPLOYMENT.replace("name: web, image", "name: Web_, image").replace("containerPort: 8080", "containerPort: 80800")
    message = server.refused("apply", "-n", ns, "-f", "-", stdin=bad)
    assert 'The Deployment "web" is invalid' in message
    assert "spec.template.spec.containers[0].name: Invalid value" in message and "spec.template.spec.containers[0].ports[0].containerPort: Invalid value: 80800" in message
    code, text = server.request("POST", f"/api/v1/namespaces/{ns}/pods", json.dumps({"metadata": {"name": "p"}, "spec": {"containers": []}}))
    status = json.loads(text)
    assert (code, status["reason"], status["details"]["causes"][0]["field"]) == (422, "Invalid", "spec.containers")


def test_wrong_things_get_the_answers_of_kubernetes(server, ns):
    assert server.refused("create", "namespace", ns) == f'Error from server (AlreadyExists): namespaces "{ns}" already exists\n'
    assert 'namespaces "nowhere" not found' in server.refused("create", "configmap", "c", "-n", "nowhere")
    assert 'serviceaccount "ghost" not found' in server.refused(
        "create", "-n", ns, "-f", "-", stdin="---\n{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {serviceAccountName: ghost, containers: [{name: c, image: i}]}}")
    assert server.request("GET", "/api/v1/unicorns") == (404, "404 page not found\n")
    assert json.loads(server.request("DELETE", "/api/v1/namespaces/default")[1])["reason"] == "Forbidden"
    assert json.loads(server.request("GET", f"/api/v1/namespaces/{ns}/pods?fieldSelector=spec.foo%3D1")[1])["message"] == "field label not supported: spec.foo"
    assert json.loads(server.request("POST", f"/api/v1/namespaces/{ns}/pods", "<xml/>", "text/xml")[1])["code"] == 415
    assert json.loads(server.request("PUT", f"/api/v1/namespaces/{ns}/pods", "{}")[1])["code"] == 405


def test_bodies_over_three_mebibytes_are_refused(server, ns):
    big = json.dumps({"metadata": {"name": "big"}, "data": {"a": "x" * (3 << 20)}})
    try:
        code, _ = server.request("POST", f"/api/v1/namespaces/{ns}/configmaps", big)
        assert code == 413
    except (urllib.error.URLError, ConnectionError, ssl.SSLError):
        pass  # the answer came before all was sent, and the connection was closed
    assert "NotFound" in server.refused("get", "cm", "big", "-n", ns)


def test_only_known_callers_get_in(server, ns):
    assert server.request("GET", "/healthz", certificate=False) == (200, "ok")
    code, text = server.request("GET", "/api/v1/namespaces", certificate=False)
    assert (code, json.loads(text)["reason"]) == (401, "Unauthorized")
    assert server.request("GET", "/api/v1/namespaces", certificate=False, token="a.b.c")[0] == 401
    token = server.kubectl("create", "token", "default", "-n", ns).strip()
    code, text = server.request("GET", f"/api/v1/namespaces/{ns}/pods", certificate=False, token=token)
    assert code == 403
    assert json.loads(text)["message"] == (
        f'pods is forbidden: User "system:serviceaccount:{ns}:default" cannot list resource "pods" in API group "" in the namespace "{ns}"')
    assert server.kubectl("auth", "can-i", "delete", "pods") == "yes\n"
    assert "system:masters" in server.kubectl("auth", "whoami")
    other = server.request("GET", f"/api/v1/namespaces/{ns}/pods", certificate=False, token=token[:-4] + "AAAA")
    assert other[0] == 401


# --- what clients rely on

def test_limit_and_continue_give_every_object_once(server, ns):
    for i in range(7):
        server.request("POST", f"/api/v1/namespaces/{ns}/configmaps", json.dumps({"metadata": {"name": f"c{i}"}}))
    seen, token = [], ""
    while True:
        page = json.loads(server.request("GET", f"/api/v1/namespaces/{ns}/configmaps?limit=3&continue={token}")[1])
        seen += [item["metadata"]["name"] for item in page["items"]]
        token = page["metadata"].get("continue", "")
        if not token:
            break
        assert len(page["items"]) == 3 and page["metadata"]["remainingItemCount"] > 0
    assert seen == [f"c{i}" for i in range(7)] + ["kube-root-ca.crt"]


def test_watch_from_a_forgotten_revision_is_gone(server):
    code, text = server.request("GET", "/api/v1/namespaces?watch=true&resourceVersion=999999999&timeoutSeconds=1")
    event = json.loads(text.splitlines()[0])
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")


def test_a_watcher_that_does_not_read_costs_bounded_memory(server, ns):
    def memory():
        return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{server.process.pid}/status").read_text())[1])

    context = ssl.create_default_context(cafile=str(server.directory / "data/pki/ca.crt"))
    context.load_cert_chain(server.directory / "data/pki/admin.crt", server.directory / "data/pki/admin.key")
    host, port = server.url.removeprefix("https://").rsplit(":", 1)
    idle = []
    for _ in range(20):
        connection = context.wrap_socket(socket.create_connection((host, int(port))), server_hostname=host)
        connection.sendall(f"GET /api/v1/namespaces/{ns}/configmaps?watch=true HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        idle.append(connection)
    server.request("POST", f"/api/v1/namespaces/{ns}/configmaps", json.dumps({"metadata": {"name": "big"}}))
    before = memory()
    for i in range(60):
        body = json.dumps({"data": {"a": str(i) + "x" * 250_000}})
        assert server.request("PATCH", f"/api/v1/namespaces/{ns}/configmaps/big", body, "application/merge-patch+json")[0] == 200
    # 20 watchers times 15 MB would be 300 MB; what counts is 5 MB for each, and the history (15 MB).
    assert memory() - before < 180_000
    for connection in idle:
        connection.close()


def test_watch_list_ends_the_initial_events_with_a_bookmark(server, ns):
    path = f"/api/v1/namespaces/{ns}/configmaps?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=1"
    events = [json.loads(line) for line in server.request("GET", path)[1].splitlines()]
    assert [e["type"] for e in events] == ["ADDED", "BOOKMARK"]
    assert events[1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


def test_a_user_defined_kind_is_served_and_goes_with_its_definition(server):
    definition = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget, shortNames: [wd]}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {size: {type: integer, description: How big.}}}}}}
    additionalPrinterColumns: [{name: Size, type: integer, jsonPath: .spec.size}]
"""
    server.kubectl("apply", "-f", "-", stdin=definition)
    server.kubectl("wait", "crd/widgets.example.com", "--for=condition=Established", "--timeout=10s")
    widget = "---\n{apiVersion: example.com/v1, kind: Widget, metadata: {name: w}, spec: {size: 3}}"
    server.kubectl("apply", "-f", "-", stdin=widget)
    assert lines(server.kubectl("get", "wd"))[1] == ["w", "3"]
    assert 'unknown field "spec.colour"' in server.refused("apply", "-f", "-", stdin=widget.replace("size: 3", "size: 3, colour: red"))
    assert "How big." in server.kubectl("explain", "widget.spec.size")
    server.kubectl("delete", "crd", "widgets.example.com")
    assert "could not find the requested resource" in server.refused("get", "widgets")  # kubectl still remembers the kind


def test_what_kubectl_was_told_is_stored_survives_kill_9():
    with tempfile.TemporaryDirectory(prefix="fairlead-api-") as directory:
        server = Server(directory)
        try:
            server.kubectl("create", "configmap", "kept", "--from-literal=a=b")
            server.kubectl("create", "configmap", "dropped")
            server.kubectl("delete", "configmap", "dropped")
            server.kill()
            server.start()
            assert server.kubectl("get", "cm", "kept", "-o", "jsonpath={.data.a}") == "b"
            assert "NotFound" in server.refused("get", "cm", "dropped")
        finally:
            server.kill(signal.SIGTERM)


def test_a_second_server_on_the_same_folder_says_why_not(server):
    second = subprocess.run([FAIRLEAD, "api-server", "--data-dir", server.directory / "data", "--listen", "127.0.0.1:0"],
                            capture_output=True, text=True, timeout=30)
    assert second.returncode == 1 and "in use by another process" in second.stderr
