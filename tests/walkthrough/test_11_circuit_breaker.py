"""Step 11: more at once than the destination is to take."""
import re

from walkthrough_mesh import eventually

RULE = """
apiVersion: networking.istio.io/v1alpha3
kind: DestinationRule
metadata:
  name: httpbin
spec:
  host: httpbin
  trafficPolicy:
    connectionPool:
      tcp:
        maxConnections: 1
      http:
        http1MaxPendingRequests: 1
        maxRequestsPerConnection: 1
    outlierDetection:
      {errors}: 1
      interval: 1s
      baseEjectionTime: 3m
      maxEjectionPercent: 100
"""


def test_deploy_fortio(mesh):
    mesh.sh("kubectl apply -f samples/httpbin/sample-client/fortio-deploy.yaml")
    mesh.pods_ready("app=fortio")
    mesh.let("FORTIO_POD", "kubectl get pods -l app=fortio -o jsonpath='{.items[0].metadata.name}'")
    done = mesh.run('kubectl exec "$FORTIO_POD" -c fortio -- /usr/bin/fortio curl -quiet http://httpbin:8000/get')
    assert "HTTP/1.1 200 OK" in done.stdout + done.stderr


def test_one_at_a_time_is_fine(mesh):
    mesh.apply(RULE.format(errors="consecutive5xxErrors"))
    mesh.apply(RULE.format(errors="consecutiveErrors"))  # the old name
    code, out = mesh.tty('kubectl exec -it "$FORTIO_POD" -c fortio -- '
                         "/usr/bin/fortio load -c 1 -qps 0 -n 10 -loglevel Warning http://httpbin:8000/get")
    assert code == 0 and "Code 200 : 10 (100.0 %)" in out, out


def test_three_at_once_trip_the_breaker(mesh):
    def tripped():
        code, out = mesh.tty('kubectl exec -it "$FORTIO_POD" -c fortio -- '
                             "/usr/bin/fortio load -c 3 -qps 0 -n 30 -loglevel Warning http://httpbin:8000/get")
        assert code == 0, out
        counts = {code: int(n) for code, n in re.findall(r"Code (\d{3}) : (\d+) \(\d+\.\d %\)", out)}
        assert set(counts) == {"200", "503"} and sum(counts.values()) == 30, out
        assert counts["503"] >= 3, out
    eventually(tripped, timeout=30)


def test_the_statistics_show_the_overflow(mesh):
    out = mesh.sh('kubectl exec "$FORTIO_POD" -c istio-proxy -- pilot-agent request GET stats | grep httpbin | grep pending')
    stats = dict(re.findall(r"cluster\.outbound\|8000\|\|httpbin\.default\.svc\.cluster\.local;?\.?([\w.]+): (\d+)", out))
    assert int(stats["upstream_rq_pending_overflow"]) > 0, out


def test_clean_up(mesh):
    mesh.sh("kubectl delete destinationrule httpbin")
