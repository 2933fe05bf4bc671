"""Step 12: restarts, deletions, new routes, more and fewer pods: nobody outside notices."""
import collections
import contextlib
import http.client
import threading
import time

from walkthrough_mesh import eventually


@contextlib.contextmanager
def steady_load(mesh, path="/productpage", clients=4, pause=0.02):
    """Requests through the gateway for as long as the block lasts; yields the answers' counts."""
    host, port = mesh.variables["INGRESS_HOST"], int(mesh.variables["INGRESS_PORT"])
    counts, problems, stop = collections.Counter(), [], threading.Event()

    def client():
        connection = http.client.HTTPConnection(host, port, timeout=30)
        while not stop.is_set():
            try:
                connection.request("GET", path)
                response = connection.getresponse()
                body = response.read().decode()
                good = response.status == 200 and "Error fetching" not in body
                counts["good" if good else "bad"] += 1
                if not good:
                    problems.append((time.strftime("%H:%M:%S"), response.status, dict(response.getheaders()), body[-600:]))
            except (OSError, http.client.HTTPException) as error:
                counts["bad"] += 1
                problems.append((time.strftime("%H:%M:%S"), repr(error)))
                connection.close()
            time.sleep(pause)
        connection.close()

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield counts
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert counts["good"] > 0
    assert counts["bad"] == 0, (counts, problems[:5])


def test_restart_of_every_deployment(mesh):
    names = [row[0] for row in mesh.rows("kubectl get deployments")]
    with steady_load(mesh):
        mesh.sh("kubectl rollout restart deployment " + " ".join(names))
        for name in names:
            mesh.sh(f"kubectl rollout status deployment {name} --timeout=120s")
        time.sleep(1)


def test_istiod_goes_and_comes_back(mesh):
    with steady_load(mesh):
        mesh.sh("kubectl delete pod -n istio-system -l app=istiod")
        mesh.pods_ready("app=istiod", namespace="istio-system", each="1/1")
        mesh.sh("kubectl apply -f samples/bookinfo/networking/virtual-service-reviews-v3.yaml")
        time.sleep(1)
    # The proxies have come back to the new one: what was applied since reaches them.
    from bookinfo import page, stars
    eventually(lambda: stars(page(mesh)) == "red", timeout=60)


def test_routes_and_subsets_change(mesh):
    with steady_load(mesh):
        for _ in range(3):
            for name in ("virtual-service-all-v1", "virtual-service-reviews-50-v3", "virtual-service-reviews-v2-v3",
                         "destination-rule-reviews", "virtual-service-reviews-jason-v2-v3", "destination-rule-all"):
                mesh.sh(f"kubectl apply -f samples/bookinfo/networking/{name}.yaml")
        time.sleep(1)


def test_scale_up_and_down(mesh):
    with steady_load(mesh):
        for replicas in (3, 1):
            for name in ("productpage-v1", "reviews-v1", "ratings-v1", "details-v1"):
                mesh.sh(f"kubectl scale deployment {name} --replicas={replicas}")
            for name in ("productpage-v1", "reviews-v1", "ratings-v1", "details-v1"):
                mesh.sh(f"kubectl rollout status deployment {name} --timeout=120s")
        eventually(lambda: len(mesh.rows("kubectl get pods -l app=details")) == 1, timeout=90)
        time.sleep(1)


def test_the_gateway_itself_restarts(mesh):
    with steady_load(mesh):
        mesh.sh("kubectl rollout restart deployment istio-ingressgateway -n istio-system")
        mesh.sh("kubectl rollout status deployment istio-ingressgateway -n istio-system --timeout=120s")
        time.sleep(1)
