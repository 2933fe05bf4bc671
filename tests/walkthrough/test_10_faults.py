"""Step 10: delays, time-outs, retries: what the application makes of them, and what the sidecar's log says."""
import time

import pytest

from bookinfo import page, stars
from walkthrough_mesh import eventually

REVIEWS = """
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata:
  name: reviews
spec:
  hosts:
  - reviews
  http:
  - route:
    - destination:
        host: reviews
        subset: v2
"""

RATINGS = """
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata:
  name: ratings
spec:
  hosts:
  - ratings
  http:
  - fault:
      delay:
        {percent}
        fixedDelay: {delay}
    route:
    - destination:
        host: ratings
        subset: v1
"""

RETRIES = """    retries:
      attempts: 2
      perTryTimeout: 1s
"""


def took(mesh):
    start = time.monotonic()
    text = page(mesh)
    return time.monotonic() - start, text


@pytest.mark.parametrize("percent", ["percentage: {value: 100}", "percent: 100"], ids=["percentage", "percent"])
def test_a_delay_makes_the_page_slow(mesh, percent):
    mesh.apply(REVIEWS)
    mesh.apply(RATINGS.format(percent="percentage: {value: 0}", delay="2s"))
    eventually(lambda: stars(page(mesh)) == "black", timeout=30)
    mesh.apply(RATINGS.format(percent=percent, delay="2s"))
    eventually(lambda: took(mesh)[0] >= 2, timeout=30)
    seconds, text = took(mesh)
    assert stars(text) == "black" and 2 <= seconds < 5


def test_a_timeout_cuts_it_short(mesh):
    mesh.apply(REVIEWS + "    timeout: 1s\n")

    def cut():
        seconds, text = took(mesh)
        assert "Error fetching product reviews!" in text
        assert "Sorry, product reviews are currently unavailable for this book." in text
        # One second each for the two attempts that the product page makes.
        assert 1 <= seconds < 4, seconds
    eventually(cut, timeout=30)


def test_retries_do_not_cut_an_injected_delay(mesh):
    """The delay is injected by the caller's sidecar before its router, and the router is what counts tries: no try is
    made while the delay lasts, so there is nothing to time out and nothing to repeat. docs/faults.md tells more."""
    mesh.apply(REVIEWS)
    mesh.apply(RATINGS.format(percent="percent: 100", delay="5s") + RETRIES)
    ask = ("""kubectl exec "$SLEEP_POD" -c sleep -- """
           """curl -sS -o /dev/null -w '%{http_code} %{time_total}' -H "x-request-id: MARK" http://ratings:9080/ratings/0""")

    def delayed():
        mark = f"retry-{time.monotonic_ns()}"
        status, seconds = mesh.sh(ask.replace("MARK", mark)).split()
        assert status == "200" and 5 <= float(seconds) < 8, (status, seconds)
        return mark
    mark = eventually(delayed, timeout=60)

    def logged():
        log = mesh.sh("""kubectl logs "$SLEEP_POD" -c istio-proxy""")
        lines = [line for line in log.splitlines() if mark in line]
        assert len(lines) == 1, lines
        return lines[0]
    line = eventually(logged, timeout=20)
    # One line, one try, response flag DI (delay injected).
    assert '"GET /ratings/0 HTTP/1.1" 200 DI ' in line, line
    assert "outbound|9080|v1|ratings.default.svc.cluster.local" in line, line


def test_the_page_gives_up_before(mesh):
    seconds, text = took(mesh)
    assert "Error fetching product reviews!" in text
    assert 6 <= seconds < 9, seconds  # two attempts of three seconds


def test_the_sidecar_of_reviews_says_why(mesh):
    pod = mesh.sh("kubectl get pod -l app=reviews,version=v2 -o jsonpath='{.items[0].metadata.name}'").strip()

    def told():
        log = mesh.sh(f"kubectl logs {pod} -c istio-proxy")
        assert any('"GET /ratings/0 HTTP/1.1"' in line and " DI" in line for line in log.splitlines()), log[-2000:]
    eventually(told, timeout=30)


def test_abort(mesh):
    mesh.sh("kubectl apply -f samples/bookinfo/networking/virtual-service-ratings-test-abort.yaml")
    mesh.sh("kubectl apply -f samples/bookinfo/networking/virtual-service-reviews-test-v2.yaml")
    from bookinfo import login
    jason = login(mesh, "jason")
    eventually(lambda: "Ratings service is currently unavailable" in page(mesh, jason), timeout=30)
    assert stars(page(mesh)) == "none"


def test_clean_up(mesh):
    mesh.sh("kubectl apply -f samples/bookinfo/networking/virtual-service-all-v1.yaml")
    eventually(lambda: stars(page(mesh)) == "none", timeout=30)
