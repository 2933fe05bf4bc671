"""Between sidecars everything is encrypted by itself; a policy makes it a must."""
from walkthrough_mesh import eventually

STRICT = """kubectl apply -f - <<EOF
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata:
  name: default
  namespace: default
spec:
  mtls:
    mode: STRICT
EOF
"""
PLAIN_POD = """kubectl create namespace legacy
kubectl apply -n legacy -f samples/sleep/sleep.yaml
kubectl rollout status -n legacy deployment/sleep --timeout=60s
"""
FROM_LEGACY = """kubectl exec -n legacy deploy/sleep -- curl -sS -o /dev/null -w '%{http_code}' http://productpage.default:9080/productpage"""
INSIDE = """kubectl exec "$(kubectl get pod -l app=ratings -o jsonpath='{.items[0].metadata.name}')" -c ratings -- """ \
         """curl -sS -o /dev/null -w '%{http_code}' productpage:9080/productpage"""
RECEIVED = """kubectl exec "$(kubectl get pod -l app=productpage -o jsonpath='{.items[0].metadata.name}')" -c istio-proxy -- """ \
           """pilot-agent request GET stats | grep -E 'listener.0.0.0.0_15006.ssl.handshake|listener.0.0.0.0_15006.ssl.no_certificate'"""


def test_sidecars_speak_mutual_tls_by_themselves(mesh):
    assert mesh.sh(INSIDE).strip() == "200"
    stats = dict(line.split(": ") for line in mesh.sh(RECEIVED).split("\n") if ": " in line)
    assert int(stats["listener.0.0.0.0_15006.ssl.handshake"]) > 0
    assert int(stats["listener.0.0.0.0_15006.ssl.no_certificate"]) == 0


def test_workloads_carry_their_service_accounts_name(mesh):
    out = mesh.sh("""kubectl exec "$(kubectl get pod -l app=productpage -o jsonpath='{.items[0].metadata.name}')" -c istio-proxy -- """
                  """pilot-agent request GET certs""")
    assert "spiffe://cluster.local/ns/default/sa/bookinfo-productpage" in out


def test_a_client_without_sidecar_may_come_in_plain_text(mesh):
    mesh.sh(PLAIN_POD)
    eventually(lambda: mesh.sh(FROM_LEGACY).strip() == "200")


def test_strict_keeps_it_out_and_lets_sidecars_in(mesh):
    mesh.sh(STRICT)
    eventually(lambda: "Connection reset by peer" in mesh.sh(FROM_LEGACY + " 2>&1 || true"))
    assert mesh.sh(INSIDE).strip() == "200"


def test_clean_up(mesh):
    mesh.sh("kubectl delete peerauthentication default; kubectl delete namespace legacy")
    eventually(lambda: mesh.sh("kubectl get namespace legacy --ignore-not-found").strip() == "")
