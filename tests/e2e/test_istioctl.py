"""istioctl against the API server alone: what it prints and how it exits, as scripts and tutorials read it."""
import os
import pathlib
import subprocess
import threading

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FAIRLEAD = pathlib.Path(os.environ.get("FAIRLEAD", ROOT / "build" / "fairlead"))

PLAIN_POD = """
apiVersion: v1
kind: Pod
metadata: {name: plain, namespace: default}
spec: {containers: [{name: app, image: curlimages/curl}]}
"""

BROKEN = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: lost}
spec:
  hosts: [lost]
  http:
  - route: [{destination: {host: nowhere}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: typo}
spec: {host: nowhere, trafficPolice: {}}
"""


class Cluster:
    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.kubeconfig = self.directory / "kubeconfig"
        self.kubectl_path = subprocess.run([ROOT / "tools/ensure-kubectl"], capture_output=True, text=True, check=True).stdout.strip()
        self.process = subprocess.Popen(
            [FAIRLEAD, "api-server", "--data-dir", self.directory / "data", "--listen", "127.0.0.1:0", "--kubeconfig", self.kubeconfig],
            stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline().startswith("serving ")

    def stop(self):
        self.process.kill()
        self.process.wait()

    def environment(self):
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig), "HOME": str(self.directory)}

    def istioctl(self, *arguments, stdin=None):
        return subprocess.run([FAIRLEAD, "istioctl", *arguments], input=stdin, capture_output=True, text=True, timeout=60, env=self.environment())

    def kubectl(self, *arguments, stdin=None):
        return subprocess.run([self.kubectl_path, *arguments], input=stdin, capture_output=True, text=True, timeout=60, env=self.environment())

    def becomes_ready(self, stop):
        """Stands in for the node: every Deployment is ready as soon as it is seen."""
        while not stop.is_set():
            names = self.kubectl("get", "deployments", "-n", "istio-system", "-o", "name").stdout.split()
            for name in names:
                status = '{"status":{"observedGeneration":99,"replicas":1,"updatedReplicas":1,"readyReplicas":1,"availableReplicas":1}}'
                self.kubectl("patch", "-n", "istio-system", name, "--subresource=status", "--type=merge", "-p", status)
            stop.wait(0.1)


@pytest.fixture
def cluster(tmp_path):
    cluster = Cluster(tmp_path)
    yield cluster
    cluster.stop()


def test_files_are_analyzed_without_a_cluster(tmp_path):
    file = tmp_path / "broken.yaml"
    file.write_text(BROKEN)
    done = subprocess.run([FAIRLEAD, "istioctl", "analyze", "--use-kube=false", file], capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        f'Error [IST0101] (VirtualService default/lost {file}:8) Referenced host not found: "nowhere"',
        f'Error [IST0106] (DestinationRule default/typo {file}:13) Schema validation error: unknown field "spec.trafficPolice" (did you mean "trafficPolicy"?)',
        f"Warning [IST0174] (DestinationRule default/typo {file}:13) The host nowhere defined in the DestinationRule does not match any services in the mesh.",
    ]
    assert done.returncode == 79
    assert done.stderr.startswith("Error: Analyzers found issues when analyzing namespace: default.\n")


def test_samples_are_found_in_order():
    bookinfo = ROOT / "samples/bookinfo"
    files = [bookinfo / "platform/kube/bookinfo.yaml", bookinfo / "networking/bookinfo-gateway.yaml"]
    done = subprocess.run([FAIRLEAD, "istioctl", "analyze", "--use-kube=false", *files], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stdout
    assert "✔ No validation issues found when analyzing" in done.stderr


def test_install_waits_and_says_what_it_did(cluster):
    before = cluster.istioctl("version")
    assert before.stdout == "client version: 1.28.0\n"
    assert 'no running Istio pods in namespace "istio-system"' in before.stderr

    stop = threading.Event()
    node = threading.Thread(target=cluster.becomes_ready, args=(stop,))
    node.start()
    try:
        done = cluster.istioctl("install", "--set", "profile=demo", "-y")
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines() == ["✔ Istio core installed ⛵️", "✔ Istiod installed 🧠", "✔ Egress gateways installed 🛫",
                                            "✔ Ingress gateways installed 🛬", "✔ Installation complete"]
        ports = cluster.kubectl("get", "svc", "istio-ingressgateway", "-n", "istio-system", "-o", "jsonpath={.spec.ports[*].port}").stdout
        assert ports == "15021 80 443 31400 15443"
        node_port = "jsonpath={.spec.ports[?(@.name=='http2')].nodePort}"
        http2 = cluster.kubectl("get", "svc", "istio-ingressgateway", "-n", "istio-system", "-o", node_port).stdout

        again = cluster.istioctl("install", "--set", "profile=demo", "-y")
        assert again.returncode == 0, again.stderr
        assert cluster.kubectl("get", "svc", "istio-ingressgateway", "-n", "istio-system", "-o", node_port).stdout == http2

        smaller = cluster.istioctl("install", "--set", "profile=minimal", "-y")
        assert "Removed apps/v1, Kind=Deployment/istio-egressgateway.istio-system." in smaller.stdout, smaller.stdout + smaller.stderr
    finally:
        stop.set()
        node.join()
    gone = cluster.istioctl("uninstall", "--purge", "-y")
    assert gone.returncode == 0, gone.stderr
    assert gone.stdout.startswith("All Istio resources will be pruned from the cluster\n")
    assert gone.stdout.endswith("✔ Uninstall complete\n")
    assert "istio-system" in cluster.kubectl("get", "namespace").stdout


def test_install_that_does_not_get_ready_names_the_deployment(cluster):
    done = cluster.istioctl("install", "-y", "--readiness-timeout", "1s")
    assert done.returncode == 1
    assert "Deployment/istio-system/istiod (no pod was created)" in done.stderr


def test_analyze_warns_of_pods_without_proxy(cluster):
    cluster.kubectl("label", "namespace", "default", "istio-injection=enabled")
    clean = cluster.istioctl("analyze")
    assert (clean.returncode, clean.stderr) == (0, "✔ No validation issues found when analyzing namespace: default.\n")
    made = cluster.kubectl("apply", "-f", "-", stdin=PLAIN_POD)
    assert made.returncode == 0, made.stderr
    done = cluster.istioctl("analyze")
    assert done.returncode == 0
    assert done.stdout == ("Warning [IST0103] (Pod default/plain) The pod default/plain is missing the Istio proxy. This can often be resolved by "
                           "restarting or redeploying the workload.\n")
    assert cluster.istioctl("analyze", "--failure-threshold", "Warning").returncode == 79
    assert cluster.istioctl("analyze", "-S", "IST0103=Pod *.default").stdout.strip() == ""


def test_a_route_to_nowhere_is_accepted_with_a_warning(cluster):
    done = cluster.kubectl("apply", "-f", "-", stdin=BROKEN.split("---")[0])
    assert done.returncode == 0
    assert 'Warning: [IST0101] Referenced host not found: "nowhere"' in done.stderr


def test_called_by_its_own_name(tmp_path):
    link = tmp_path / "istioctl"
    link.symlink_to(FAIRLEAD)
    done = subprocess.run([link, "version", "--remote=false"], capture_output=True, text=True)
    assert done.stdout == "client version: 1.28.0\n"
    wrong = subprocess.run([link, "analyse"], capture_output=True, text=True)
    assert wrong.returncode == 64 and "analyze" in wrong.stderr
