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


PROBED = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: %(name)s}
spec:
  selector: {matchLabels: {app: %(name)s}}
  template:
    metadata: {labels: {app: %(name)s}}
    spec:
      containers:
      - name: web
        image: docker.io/mccutchen/go-httpbin:v2.15.0
        ports: [{name: http, containerPort: 8080}]
        readinessProbe: {httpGet: {path: /status/%(status)s, port: http}, periodSeconds: 1}
        livenessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
"""


def test_probes_of_a_strict_pod_go_by_its_agent(mesh):
    for name, status in (("probed", "200"), ("failing", "503")):
        mesh.apply(PROBED % {"name": name, "status": status})
    mesh.pods_ready("app=probed")
    assert mesh.sh("kubectl get pod -l app=probed -o jsonpath='{.items[0].spec.containers[0].readinessProbe.httpGet}'") == \
        '{"path":"/app-health/web/readyz","port":15020,"scheme":"HTTP"}'
    address = mesh.sh("kubectl get pod -l app=probed -o jsonpath='{.items[0].status.podIP}'")
    ask = "kubectl exec -n legacy deploy/sleep -- curl -sS -o /dev/null -w '%{http_code}' http://" + address
    assert mesh.sh(f"{ask}:15020/app-health/web/readyz") == "200", "a kubelet without a certificate gets its answer"
    assert mesh.sh(f"{ask}:15020/app-health/web/livez") == "200"
    assert mesh.sh(f"{ask}:15020/app-health/other/livez") == "400"
    refused = mesh.sh(f"kubectl exec -n legacy deploy/sleep -- curl -sS -o /dev/null http://{address}:8080/status/200 2>&1 || true")
    assert "reset by peer" in refused, "where the application itself does not answer it"
    eventually(lambda: "HTTP probe failed with statuscode: 503" in mesh.sh("kubectl describe pod -l app=failing"))


def test_clean_up(mesh):
    mesh.sh("kubectl delete peerauthentication default; kubectl delete namespace legacy; kubectl delete deployment probed failing")
    eventually(lambda: mesh.sh("kubectl get namespace legacy --ignore-not-found").strip() == "")


def test_the_root_comes_back_when_it_is_deleted(mesh):
    mesh.sh("kubectl delete configmap istio-ca-root-cert")
    eventually(lambda: "BEGIN CERTIFICATE" in mesh.sh("kubectl get configmap istio-ca-root-cert -o jsonpath='{.data}' --ignore-not-found"), timeout=20)
