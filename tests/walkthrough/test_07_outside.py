"""Step 7: the world outside: allowed, refused, allowed by name."""
from walkthrough_mesh import eventually

STATUS = """kubectl exec "$SLEEP_POD" -c sleep -- curl -sS -o /dev/null -w '%{http_code}' http://httpbin.org/headers"""

SERVICE_ENTRY = """
apiVersion: networking.istio.io/v1alpha3
kind: ServiceEntry
metadata:
  name: httpbin-ext
spec:
  hosts:
  - httpbin.org
  ports:
  - number: 80
    name: http
    protocol: HTTP
  resolution: DNS
  location: MESH_EXTERNAL
"""


def test_a_pod_to_ask_from(mesh):
    mesh.sh("kubectl apply -f samples/sleep/sleep.yaml")
    mesh.pods_ready("app=sleep")
    mesh.let("SLEEP_POD", "kubectl get pod -l app=sleep -o jsonpath='{.items[0].metadata.name}'")


def test_by_default_everything_may_be_asked(mesh):
    out = mesh.sh("kubectl get configmap istio -n istio-system -o yaml | grep -o 'mode: ALLOW_ANY'")
    assert out.splitlines()[0] == "mode: ALLOW_ANY"
    assert mesh.sh(STATUS) == "200"
    assert '"Host": "httpbin.org"' in mesh.sh("""kubectl exec "$SLEEP_POD" -c sleep -- curl -sS http://httpbin.org/headers""")


def test_registry_only_refuses_it(mesh):
    out = mesh.sh("kubectl get configmap istio -n istio-system -o yaml | sed 's/mode: ALLOW_ANY/mode: REGISTRY_ONLY/g' "
                  "| kubectl replace -n istio-system -f -")
    assert "configmap/istio replaced" in out
    eventually(lambda: mesh.sh(STATUS) == "502", timeout=30)


def test_a_service_entry_allows_it(mesh):
    assert "serviceentry.networking.istio.io/httpbin-ext created" in mesh.apply(SERVICE_ENTRY)
    eventually(lambda: mesh.sh(STATUS) == "200", timeout=30)
    for command in ("kubectl get serviceentry", "kubectl get se"):
        lines = mesh.sh(command).splitlines()
        assert lines[0].split() == ["NAME", "HOSTS", "LOCATION", "RESOLUTION", "AGE"]
        assert lines[1].split()[:4] == ["httpbin-ext", '["httpbin.org"]', "MESH_EXTERNAL", "DNS"]


def test_without_it_refused_again(mesh):
    mesh.sh("kubectl delete serviceentry httpbin-ext")
    eventually(lambda: mesh.sh(STATUS) == "502", timeout=30)
    mesh.sh("kubectl get configmap istio -n istio-system -o yaml | sed 's/mode: REGISTRY_ONLY/mode: ALLOW_ANY/g' "
            "| kubectl replace -n istio-system -f -")
    eventually(lambda: mesh.sh(STATUS) == "200", timeout=30)
