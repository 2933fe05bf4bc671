"""Istio's own server drives `fairlead proxy`: everything that it sends is taken, and requests obey."""
import collections
import pathlib
import re

import pytest
import yaml

from parity_pod import Driven, eventually
from parity_world import World, load_case

HERE = pathlib.Path(__file__).resolve().parent
CASES = [p for p in sorted((HERE / "cases").glob("*.yaml")) if next(yaml.safe_load_all(p.read_text())).get("driven", True)]
BASE = [d for d in yaml.safe_load_all((HERE / "cases/base/apps.yaml").read_text()) if d]
# As `istioctl install` has it.
METRICS = {"defaultProviders": {"metrics": ["prometheus"]}}


@pytest.mark.parametrize("path", CASES, ids=lambda p: p.stem)
def test_nothing_is_refused(path):
    case = load_case(path)
    case.world.mesh |= METRICS
    # One sidecar (or gateway) of each kind of case; they differ in their inbound side only.
    for delta, proxy in zip((True, False), case.proxies[:2]):
        pod = Driven(case.world, proxy, delta)
        try:
            assert not pod.refusals(), [line for line in pod.log().splitlines() if "refused" in line]
        finally:
            pod.close()


def start(name, proxy, origins, more=(), mesh=METRICS):
    """A driven pod for a case, with HTTP origins at the endpoints of `origins` ({app: ports})."""
    case = load_case(HERE / "cases" / f"{name}.yaml")
    world = World([*case.world.documents, *more], case.world.mesh | mesh)
    pod = Driven(world, world.proxy_of(**proxy))
    endpoints = {}
    for app, ports in origins.items():
        for p in world.of("Pod"):
            if p["metadata"]["labels"].get("app") == app:
                endpoints.update({f"{p['status']['podIP']}:{port}": p for port in ports})
    pod.origins(http=[(e.rsplit(":", 1)[0], int(e.rsplit(":", 1)[1])) for e in endpoints])
    pod.endpoints = endpoints

    def version(answer):
        return endpoints[answer.origin()["endpoint"]]["metadata"]["labels"].get("version")
    pod.version = version
    pod.service = {s["metadata"]["name"]: s["spec"].get("clusterIP") for s in world.of("Service")}
    return pod


@pytest.fixture(scope="module")
def actions():
    pod = start("virtual_service_actions", {"app": "client"}, {"reviews": [9080], "ratings": [9080, 19081], "shop": [9080]})
    yield pod
    pod.close()


@pytest.fixture(scope="module")
def reviews(actions):
    return [actions.service["reviews"], 9080]


def get(pod, to, path, headers=(), **more):
    return pod.get(to, path, host="reviews:9080", headers=headers, **more)


def test_weights(actions, reviews):
    answers = actions.get_many(400, reviews, "/weights", host="reviews:9080")
    assert {a.status for a in answers} == {200}
    counts = collections.Counter(actions.version(a) for a in answers)
    assert set(counts) == {"v1", "v2"} and 250 < counts["v1"] < 350, counts
    large = [a for a in answers if actions.version(a) == "v1"]
    assert all(a.origin()["headers"]["x-share"] == "large" for a in large)
    others = [a.origin()["headers"] for a in answers if actions.version(a) == "v2"]
    assert all(h["host"] == "two.example.com" and "x-share" not in h for h in others)


def test_what_the_origin_and_the_client_see(actions, reviews):
    answer = get(actions, reviews, "/", {"x-mine": "1"})
    headers = answer.origin()["headers"]
    assert answer.status == 200 and actions.version(answer) == "v3"
    assert headers["x-mine"] == "1" and headers["x-request-id"] and headers["x-envoy-attempt-count"] == "1"
    assert headers["x-forwarded-proto"] == "http"
    # Peers tell each other who they are; applications' answers do not say it.
    assert headers["x-envoy-peer-metadata-id"] == actions.proxy.node_id() and headers["x-envoy-peer-metadata"]
    assert "x-envoy-peer-metadata" not in answer.headers and answer.headers["server"] == "envoy"


@pytest.mark.parametrize("path, wanted", {
    "/rewrite/x": ("/new/x", "new.example.com"),
    "/exact-rewrite": ("/exactly", "reviews:9080"),
    "/re/abc/def": ("/abc", "reviews:9080"),
    "/slash/a?b=c": ("/a?b=c", "reviews:9080"),
    "/authority": ("/authority", "by.header"),
}.items())
def test_rewrites(actions, reviews, path, wanted):
    origin = get(actions, reviews, path).origin()
    assert (origin["path"], origin["headers"]["host"]) == wanted


@pytest.mark.parametrize("path, status, location", [
    ("/redirect?a=b", 302, "http://elsewhere.example.com/to?a=b"),
    ("/to-https", 308, "https://reviews:8443/to-https"),
    ("/to-port", 301, "http://reviews:9080/to-port"),
    ("/to-default", 301, "https://reviews:9080/to-default"),
    ("/to-303", 303, "http://reviews:9080/see-other"),
])
def test_redirects(actions, reviews, path, status, location):
    answer = get(actions, reviews, path)
    assert (answer.status, answer.headers["location"]) == (status, location)


def test_direct_responses(actions, reviews):
    answer = get(actions, reviews, "/direct")
    assert (answer.status, answer.body, answer.headers["content-type"]) == (418, "I'm a teapot", "text/plain")
    assert get(actions, reviews, "/bytes").body == "unknown error"
    assert get(actions, reviews, "/empty").status == 204


def test_timeouts_and_retries(actions, reviews):
    slow = get(actions, reviews, "/timeout", {"x-origin-delay": "3"})
    # Each of the first tries ends after 0.5 s; 1.5 s are for all of them together.
    assert slow.status == 504 and 1.3 < slow.seconds < 2.5, slow
    again = get(actions, reviews, "/timeout", {"x-origin-fail": "2", "x-origin-key": "timeout"})
    assert again.status == 200 and again.origin()["headers"]["x-envoy-attempt-count"] == "3"
    never = get(actions, reviews, "/no-retries", {"x-origin-fail": "1", "x-origin-key": "none"})
    assert never.status == 503 and "x-envoy-overloaded" not in never.headers
    codes = get(actions, reviews, "/codes", {"x-origin-status": "429"})
    assert codes.status == 429 and codes.origin()["headers"]["x-envoy-attempt-count"] == "3"


def test_faults(actions, reviews):
    assert get(actions, reviews, "/never-abort").status == 200  # no percentage: none of them, as Istio has it
    statuses = collections.Counter(a.status for a in actions.get_many(200, reviews, "/abort", host="reviews:9080"))
    assert set(statuses) == {200, 418} and 60 < statuses[418] < 140, statuses
    grpc = get(actions, reviews, "/grpc-abort", {"content-type": "application/grpc"}, method="POST")
    assert (grpc.status, grpc.headers["grpc-status"]) == (200, "14")
    assert get(actions, reviews, "/old-delay", timeout=9).seconds > 6.5


def test_headers(actions, reviews):
    answer = get(actions, reviews, "/headers", {"x-set": "old", "x-add": "first", "x-remove": "gone", "x-origin-header": "x-remove=gone"})
    pairs = [tuple(h) for h in yaml.safe_load(answer.body)["headers"]]
    assert ("x-set", "a") in pairs and ("x-set", "old") not in pairs
    assert [v for k, v in pairs if k == "x-add"] in (["first", "b"], ["first,b"])
    assert not any(k == "x-remove" for k, _ in pairs) and ("x-own", "e") in pairs
    assert answer.headers["x-set"] == "c" and answer.headers["x-add"] == "d" and "x-remove" not in answer.headers


def test_cors(actions, reviews):
    preflight = {"origin": "https://example.com", "access-control-request-method": "GET"}
    answer = get(actions, reviews, "/cors", preflight, method="OPTIONS")
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == "https://example.com"
    assert answer.headers["access-control-allow-methods"] == "GET,POST"
    assert answer.headers["access-control-max-age"] == "86400"
    plain = get(actions, reviews, "/cors", {"origin": "https://abc.org"})
    assert plain.headers["access-control-allow-origin"] == "https://abc.org"
    assert plain.headers["access-control-expose-headers"] == "x-three"
    assert "access-control-allow-origin" not in get(actions, reviews, "/cors", {"origin": "https://evil.net"}).headers


def test_mirrors(actions, reviews):
    actions.ask("seen")
    assert actions.version(get(actions, reviews, "/two-mirrors")) == "v1"
    for _ in range(50):
        seen = [s["endpoint"] for s in actions.ask("seen")["seen"]]
        if any(e.endswith(":19081") for e in seen):
            break
        get(actions, reviews, "/two-mirrors")
    else:
        pytest.fail("the second mirror got nothing")


def test_a_mistake_breaks_its_own_route_alone(actions, reviews):
    missing = get(actions, reviews, "/missing-subset")
    assert missing.status == 503
    assert get(actions, reviews, "/missing-host").status == 503
    assert get(actions, reviews, "/").status == 200
    line = eventually(lambda: [line for line in actions.log().splitlines() if '"GET /missing-subset' in line])
    assert " 503 NC cluster_not_found " in line[0], line


def test_other_destinations(actions, reviews):
    shop = get(actions, reviews, "/other-namespace")
    assert shop.status == 200 and actions.endpoints[shop.origin()["endpoint"]]["metadata"]["namespace"] == "prod"
    assert get(actions, reviews, "/other-port").origin()["endpoint"].endswith(":19081")


def test_istios_metrics(actions, reviews):
    get(actions, reviews, "/direct")
    text = actions.admin("/stats/prometheus")
    series = [line for line in text.splitlines() if line.startswith("istio_requests_total{")]
    assert series, text[:1000]
    labels = [dict(re.findall(r'(\w+)="([^"]*)"', line)) for line in series]
    ok = [one for one in labels if one["destination_service"] == "reviews.default.svc.cluster.local" and one["response_code"] == "200"]
    assert ok
    wanted = {"reporter": "source", "source_workload_namespace": "default", "source_app": "client", "destination_service_name": "reviews",
              "destination_service_namespace": "default", "destination_workload_namespace": "default", "request_protocol": "http",
              "response_flags": "-", "connection_security_policy": "unknown", "destination_cluster": "Kubernetes"}
    assert {k: ok[0][k] for k in wanted} == wanted
    assert ok[0]["destination_workload"].startswith("reviews-v")
    assert "istio_request_duration_milliseconds_bucket{" in text and "istio_response_bytes_sum{" in text
