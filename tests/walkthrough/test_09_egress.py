"""Step 9: out through the egress gateway, in two hops."""
import time

from walkthrough_mesh import eventually
from test_07_outside import SERVICE_ENTRY, STATUS

LOG = "kubectl logs -l istio=egressgateway -c istio-proxy -n istio-system --tail=-1"

TWO_HOPS = """
apiVersion: networking.istio.io/v1alpha3
kind: Gateway
metadata:
  name: my-egress
spec:
  selector:
    istio: egressgateway
  servers:
  - port:
      number: 80
      name: http
      protocol: HTTP
    hosts:
    - httpbin.org
---
apiVersion: networking.istio.io/v1alpha3
kind: DestinationRule
metadata:
  name: egressgateway-for-httpbin
spec:
  host: istio-egressgateway.istio-system.svc.cluster.local
  subsets:
  - name: httpbin
---
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata:
  name: httpbin-through-egress
spec:
  hosts:
  - httpbin.org
  gateways:
  - my-egress
  - mesh
  http:
  - match:
    - gateways:
      - mesh
      port: 80
    route:
    - destination:
        host: istio-egressgateway.istio-system.svc.cluster.local
        subset: httpbin
        port:
          number: 80
      weight: 100
  - match:
    - gateways:
      - my-egress
      port: 80
    route:
    - destination:
        host: httpbin.org
        port:
          number: 80
      weight: 100
"""


def asked(mesh, mark):
    return mesh.sh(f"""kubectl exec "$SLEEP_POD" -c sleep -- curl -sS -o /dev/null -w '%{{http_code}}' http://httpbin.org/anything/{mark}""")


def test_before_the_gateway_sees_nothing(mesh):
    mesh.apply(SERVICE_ENTRY)
    eventually(lambda: mesh.sh(STATUS) == "200", timeout=30)
    assert asked(mesh, "direct") == "200"
    assert "/anything/direct" not in mesh.sh(LOG)


def test_after_the_log_shows_the_request(mesh):
    following = mesh.start("kubectl logs -f -l istio=egressgateway -c istio-proxy -n istio-system")
    try:
        mesh.apply(TWO_HOPS)
        marks = (f"hop-{i}" for i in range(1000))

        def through():
            mark = next(marks)
            assert asked(mesh, mark) == "200"
            time.sleep(0.2)
            line = [line for line in mesh.sh(LOG).splitlines() if f"/anything/{mark} " in line]
            assert line, "the egress gateway did not see it"
            return line[0]
        line = eventually(through, timeout=30)
        # Second hop: Istio's format, sent on to the outside host's cluster.
        assert '"GET /anything/' in line and " 200 " in line, line
        assert "outbound|80||httpbin.org" in line, line
    finally:
        following.terminate()
        out, _ = following.communicate(timeout=20)
    assert '"GET /anything/hop-' in out, out[-2000:]


def test_clean_up(mesh):
    mesh.sh("kubectl delete gateway my-egress && kubectl delete vs httpbin-through-egress && "
            "kubectl delete dr egressgateway-for-httpbin && kubectl delete se httpbin-ext")
    eventually(lambda: mesh.sh(STATUS) == "200", timeout=30)
