"""Step 8: a second application behind the gateway, told apart by its host."""
from walkthrough_mesh import eventually

ROUTES = """
apiVersion: networking.istio.io/v1alpha3
kind: Gateway
metadata:
  name: httpbin-gateway
spec:
  selector:
    istio: ingressgateway
  servers:
  - port:
      number: 80
      name: http
      protocol: HTTP
    hosts:
    - "httpbin.example.com"
---
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata:
  name: httpbin
spec:
  hosts:
  - "httpbin.example.com"
  gateways:
  - httpbin-gateway
  http:
  - match:
    - uri:
        prefix: /status
    - uri:
        prefix: /delay
    route:
    - destination:
        port:
          number: 8000
        host: httpbin
"""


def first_line(mesh, path):
    return mesh.sh(f"curl -s -I -HHost:httpbin.example.com http://$INGRESS_HOST:$INGRESS_PORT{path}").splitlines()[0]


def test_deploy_httpbin(mesh):
    mesh.sh("kubectl apply -f samples/httpbin/httpbin.yaml")
    mesh.pods_ready("app=httpbin")
    mesh.apply(ROUTES)


def test_what_is_routed_answers(mesh):
    eventually(lambda: first_line(mesh, "/status/200") == "HTTP/1.1 200 OK", timeout=30)
    assert first_line(mesh, "/status/418").startswith("HTTP/1.1 418")
    assert first_line(mesh, "/delay/0") == "HTTP/1.1 200 OK"


def test_what_is_not_routed_is_not_found(mesh):
    assert first_line(mesh, "/headers") == "HTTP/1.1 404 Not Found"


def test_bookinfo_still_answers_to_other_hosts(mesh):
    assert mesh.sh("curl -sS -o /dev/null -w '%{http_code}' http://$INGRESS_HOST:$INGRESS_PORT/productpage") == "200"


def test_list_of_virtual_services(mesh):
    lines = mesh.sh("kubectl get vs").splitlines()
    assert lines[0].split() == ["NAME", "GATEWAYS", "HOSTS", "AGE"]
    row = [line.split() for line in lines if line.startswith("httpbin ")][0]
    assert row[1:3] == ['["httpbin-gateway"]', '["httpbin.example.com"]']
