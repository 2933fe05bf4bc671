"""Step 1: install."""
import re


def test_istioctl_knows_its_version(mesh):
    out = mesh.sh("istioctl version")
    assert re.search(r"client version: \S+", out), out
    assert re.search(r"control plane version: \S+", out), out


def test_install_the_demo_profile(mesh):
    out = mesh.sh("istioctl install --set profile=demo -y")
    for part in ("Istio core installed", "Istiod installed", "Egress gateways installed", "Ingress gateways installed",
                 "Installation complete"):
        assert part in out, out


def test_there_is_a_namespace_for_it(mesh):
    names = [row[0] for row in mesh.rows("kubectl get namespace")]
    assert "istio-system" in names and "default" in names and "kube-system" in names


def test_three_pods_run(mesh):
    rows = mesh.pods_ready(namespace="istio-system", each="1/1")
    assert sorted(re.sub(r"-[a-z0-9]+-[a-z0-9]{5}$", "", row[0]) for row in rows) == [
        "istio-egressgateway", "istio-ingressgateway", "istiod"]


def test_proxies_are_in_sync(mesh):
    out = mesh.sh("istioctl proxy-status")
    assert "istio-ingressgateway" in out and "istio-egressgateway" in out, out
