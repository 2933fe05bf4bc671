"""Redirects that the proxy follows itself: the same requests through Envoy and through us."""
import http.client
import json

import pytest

from envoy_program import envoy_program
from parity_pair import HCM, ROUTER, Origin, address, both, cluster, read_request

PREDICATE = "type.googleapis.com/envoy.extensions.internal_redirect."
VOLATILE = {"date", "x-request-id", "x-envoy-upstream-service-time", "x-envoy-expected-rq-timeout-ms"}


class Redirecting(Origin):
    """Answers ?s=STATUS with x-location as its Location, all else with what it was asked."""

    def _serve(self, peer):
        try:
            file = peer.makefile("rb")
            while request := read_request(file):
                method, path, fields, body = request
                known = dict(fields)
                status = path.partition("?s=")[2][:3] or "200"
                more = f"location: {known['x-location']}\r\nx-copied: yes\r\n" if status != "200" and "x-location" in known else ""
                seen = json.dumps({"line": f"{method} {path}", "fields": sorted(f for f in fields if f[0] not in VOLATILE), "body": body.decode()}).encode()
                chunked = "/chunked" in path
                peer.sendall(f"HTTP/1.1 {status} X\r\n{more}{'transfer-encoding: chunked' if chunked else f'content-length: {len(seen)}'}\r\n\r\n".encode())
                if method != "HEAD":
                    peer.sendall(b"%x\r\n%s\r\n0\r\n\r\n" % (len(seen), seen) if chunked else seen)
        except OSError:
            pass
        finally:
            peer.close()


def follows(prefix, name=None, **policy):
    return {"name": name or prefix.strip("/"), "match": {"prefix": prefix}, "route": {"cluster": "origin", "prefix_rewrite": prefix + "ed", "internal_redirect_policy": policy}}


def predicate(kind, **config):
    return {"name": kind, "typed_config": {"@type": f"{PREDICATE}{kind}", **config}}


ROUTES = [
    follows("/follow"),
    follows("/codes", redirect_response_codes=[301, 303, 307, 308], max_internal_redirects=3),
    follows("/none", max_internal_redirects=0),
    follows("/copy", response_headers_to_copy=["x-copied", "x-missing"]),
    follows("/cross", allow_cross_scheme_redirect=True),
    follows("/safe", allow_cross_scheme_redirect=True, predicates=[predicate("safe_cross_scheme.v3.SafeCrossSchemeConfig")]),
    follows("/listed", predicates=[predicate("allow_listed_routes.v3.AllowListedRoutesConfig", allowed_route_names=["good"])]),
    follows("/once", max_internal_redirects=9, predicates=[predicate("previous_routes.v3.PreviousRoutesConfig")]),
    {"name": "good", "match": {"prefix": "/good"}, "route": {"cluster": "origin"}, "request_headers_to_add": [{"header": {"key": "x-good", "value": "1"}}]},
    {"name": "direct", "match": {"prefix": "/direct"}, "direct_response": {"status": 418, "body": {"inline_string": "teapot"}}},
    {"name": "plain", "match": {"prefix": "/plain"}, "route": {"cluster": "origin"}},
]
GOOD = {"x-location": "http://a.example/good?q=1"}
REQUESTS = (
    [("GET", f"/follow?s={code}", GOOD, b"") for code in (200, 301, 302, 303, 307, 500)]
    + [(method, f"/codes?s={code}", GOOD, body) for code in (301, 302, 303, 307, 308) for method, body in (("POST", b"some body"), ("HEAD", b""), ("PUT", b""))]
    + [("GET", "/follow?s=302", {"x-location": to}, b"") for to in (
        "/good", "good", "", "//a.example/good", "ftp://a.example/good", "https://a.example/good", "http://", "http://b.example", "http://b.example:81/here?x#frag",
        "http://a.example/none/such", "http://only.example/here", "http://only.example/good", "HTTP://a.example/good", "http://a.example/direct", "http://a.example/../good", "http://a.example?x=1",
        "http://a.example/follow?s=302", "http://user@a.example/good", "http://a.example/plain?s=302")]
    + [("GET", "/follow?s=302", {}, b""), ("GET", "/follow/chunked?s=302", GOOD, b""), ("GET", "/none?s=302", GOOD, b""), ("GET", "/plain?s=302", GOOD, b"")]
    + [("GET", "/codes?s=301", {"x-location": "http://a.example/codes?s=301"}, b"")]
    + [("GET", "/copy?s=302", {**GOOD, **more}, b"") for more in ({}, {"x-copied": "no", "x-missing": "1"})]
    + [("GET", f"{path}?s=302", {"x-location": to}, b"") for path in ("/cross", "/safe") for to in ("https://a.example/good", "http://a.example/good")]
    + [("GET", "/listed?s=302", {"x-location": f"http://a.example{to}"}, b"") for to in ("/good", "/plain")]
    + [("GET", "/once?s=302", {"x-location": "http://a.example/once?s=302"}, b""), ("GET", "/once?s=302", GOOD, b""), ("GET", "/plain", {}, b"")])
# Not the route's name, which is the next one's in Envoy even when that one is refused, and not the bytes received, which Envoy counts once more with each redirect.
LOG = {"code": "%RESPONSE_CODE%", "flags": "%RESPONSE_FLAGS%", "details": "%RESPONSE_CODE_DETAILS%", "path": "%REQ(:PATH)%", "location": "%RESP(LOCATION)%",
       "original": "%REQ(X-ENVOY-ORIGINAL-URL)%", "of": "%REQ(X-NUMBER)%"}


def bootstrap(origin):
    def make(running):
        config = {"@type": HCM, "stat_prefix": "in", "http_filters": [ROUTER], "normalize_path": True, "use_remote_address": True, "access_log": [{"name": "f", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog", "path": str(running.lines), "log_format": {"json_format": LOG}}}],
            "route_config": {"virtual_hosts": [{"name": "only", "domains": ["only.example"], "routes": [{"match": {"prefix": "/here"}, "route": {"cluster": "origin"}}]},
                                               {"name": "all", "domains": ["*"], "routes": ROUTES}]}}
        return {"static_resources": {"listeners": [{"name": "l", "address": address(running.port("in")), "filter_chains": [{"filters": [{"name": "h", "typed_config": config}]}]}],
                                     "clusters": [cluster("origin", origin.port)]}}
    return make


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    origin = Redirecting()
    running = both(envoy_program(), tmp_path_factory.mktemp("redirects"), bootstrap(origin))
    yield running
    for r in running:
        r.stop()


def ask(proxy, number, method, path, fields, body):
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port("in"), timeout=10)
    connection.request(method, path, body=body or None, headers={"host": "a.example", "x-number": str(number), **fields})
    answer = connection.getresponse()
    text = answer.read().decode(errors="replace")
    connection.close()
    try:
        text = json.loads(text)
    except ValueError:
        pass
    return {"status": answer.status, "fields": sorted((k.lower(), v) for k, v in answer.getheaders() if k.lower() not in VOLATILE | {"content-length"}), "body": text}


def figures(proxy):
    wanted = ("redirect", "upstream_rq_", "downstream_rq_")
    lines = proxy.admin("/stats?usedonly&filter=^(http.in|cluster.origin)\\.")[2].splitlines()
    return {k: v for k, _, v in (line.partition(": ") for line in lines) if any(w in k for w in wanted) and not k.endswith("_time") and not any(w in k for w in ("reset", "pending", "retry", "_per_cx", "_active"))}


def test_the_same_redirects_are_followed(pair):
    results, counted = [], []
    for proxy in pair:
        results.append([ask(proxy, n, *request) for n, request in enumerate(REQUESTS)])
        logged = proxy.wait(lambda: (lines := proxy.logged(0)) and lines[-1]["of"] == str(len(REQUESTS) - 1) and lines)
        for n, result in enumerate(results[-1]):
            result["log"] = [line for line in logged if line["of"] == str(n)]
        counted.append(figures(proxy))
    theirs, ours = results
    problems = [f"{request}\n    Envoy: {a}\n    ours:  {b}" for request, a, b in zip(REQUESTS, theirs, ours) if a != b]
    assert not problems, "\n".join(problems)
    assert sum(len(r["log"]) > 1 for r in ours) > 15  # most cases are followed
    assert counted[0] == counted[1]
