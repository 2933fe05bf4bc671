"""The same configuration, made by Istio, and the same requests: through Envoy and through us.

Istio's own filters are taken out first, since only Istio's build of Envoy has them; names that come by discovery are put
in their place, since what is compared here is what a proxy does.
"""
import json
import pathlib
import re
import subprocess
import time

import pytest
import yaml

from files import whole_lines
from parity_istio import FAIRLEAD
from parity_pod import MARK, Answer, Pod, bootstrap, eventually
from parity_world import load_case

HERE = pathlib.Path(__file__).resolve().parent
# Istio's own filters, and those whose types a bootstrap file of ours may not name (they come by xDS alone).
LEFT_OUT = ("istio.", "envoy.filters.http.grpc_", "envoy.filters.network.mongo_proxy")
UNUSED = {"tracing", "transport_socket_matches", "request_id_extension", "retry_host_predicate", "retry_priority"}
LOG = "%REQ(X-CASE)% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %UPSTREAM_CLUSTER_RAW% %ROUTE_NAME% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%\n"
# What is different with each request, or names the proxy.
VOLATILE = {"date", "x-request-id", "x-envoy-upstream-service-time", "x-envoy-expected-rq-timeout-ms"}


def static(world, proxy):
    """A bootstrap with everything that Istio says to this proxy."""
    told = world.istio([proxy])[0]
    routes = {r["name"]: r for r in told["routes"]}
    endpoints = {e["cluster_name"]: e for e in told["endpoints"]}

    def clean(value):
        if isinstance(value, list):
            return [clean(v) for v in value if not (isinstance(v, dict) and str(v.get("name", "")).startswith(LEFT_OUT))]
        if not isinstance(value, dict):
            return value
        if value.get("name") == "envoy.access_loggers.file":
            value["typed_config"] |= {"path": "LOG", "log_format": {"text_format_source": {"inline_string": LOG}}}
            return value
        value = {k: clean(v) for k, v in value.items() if k not in UNUSED}
        if "rds" in value:
            value["route_config"] = clean(routes[value.pop("rds")["route_config_name"]])
        return value

    def plain(chain):
        return "transport_socket" not in chain

    listeners = []
    for listener in clean(told["listeners"]):
        # Without secrets there is no mutual TLS.
        listener["filter_chains"] = [c for c in listener.get("filter_chains", []) if plain(c)]
        listeners.append(listener)
    clusters = []
    for cluster in clean(told["clusters"]):
        cluster.pop("filters", None)
        if cluster.get("type") == "EDS":
            cluster.pop("eds_cluster_config")
            cluster["type"] = "STATIC"
            cluster["load_assignment"] = endpoints.get(cluster["name"], {"cluster_name": cluster["name"]})
        clusters.append(cluster)
    whole = bootstrap(proxy, "127.0.0.1:15998", True)
    whole.pop("dynamic_resources")
    whole["static_resources"] = {"listeners": listeners, "clusters": clusters}
    whole["cluster_manager"] = {"upstream_bind_config": {
        "source_address": {"address": "0.0.0.0", "port_value": 0},
        "socket_options": [{"level": 1, "name": 36, "int_value": MARK, "description": "SO_MARK"}]}}
    return whole


class Proxied(Pod):
    def __init__(self, world, proxy, config, argv):
        super().__init__(proxy.ip)
        path = pathlib.Path(self.folder.name, "bootstrap.json")
        self.lines = pathlib.Path(self.folder.name, "lines")
        path.write_text(json.dumps(config).replace('"LOG"', json.dumps(str(self.lines))))
        with open(pathlib.Path(self.folder.name, "log"), "w") as log:
            process = self.start([*argv, "-c", path, "--concurrency", "1"], stdout=log, stderr=subprocess.STDOUT)
        end = time.monotonic() + 20
        while True:
            try:
                if self.run(["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:15000/ready"]).stdout == "200":
                    break
            except subprocess.CalledProcessError:
                pass
            assert process.poll() is None and time.monotonic() < end, self.log()[-4000:]
            time.sleep(0.05)
        self.ask("start", http=[(p["status"]["podIP"], port) for p in world.of("Pod") for port in (8080, 9080, 19081)])

    def send(self, to, requests):
        asked = []
        for n, (path, more) in enumerate(requests):
            headers = [["host", more.get("host", "reviews:9080")], ["x-case", str(n)], *([k, v] for k, v in more.get("headers", {}).items())]
            asked.append({"to": to, "path": path, "method": more.get("method", "GET"), "headers": headers, "body": more.get("body", "")})
        answers = [Answer(a) for a in self.ask("many", requests=asked)["answers"]]

        def logged():
            found = dict(line.split(" ", 1) for line in whole_lines(self.lines) if re.match(r"\d+ ", line))
            return found if len(found) >= len(requests) else None
        log = eventually(logged, 15)
        return [self.summary(a, log[str(n)]) for n, a in enumerate(answers)]

    @staticmethod
    def summary(answer, line):
        out = {"status": answer.status, "log": line.strip(), "failed": answer.raw.get("failed"),
               "headers": {k: v for k, v in answer.headers.items() if k not in VOLATILE | {"content-length"}}}
        try:
            origin = answer.origin()
        except ValueError:
            return out | {"body": answer.body}
        fields = sorted((k, v) for k, v in map(tuple, origin["headers"].items()) if k not in VOLATILE | {"x-two"})  # a time
        return out | {"path": origin["path"], "method": origin["method"], "origin headers": fields, "body": origin["body"]}


ACTIONS = [(path, {}) for path in (
    "/", "/timeout/x", "/no-retries", "/retries", "/codes", "/never-abort", "/rewrite", "/rewrite/", "/rewrite/a?b=c", "/rewritten", "/exact-rewrite",
    "/exact-rewrite?q", "/exact-rewrite/x", "/re/abc/def", "/re/abc/def?x=/y", "/re/", "/slash/", "/slash/a", "/slash//a", "/slash", "/redirect", "/redirect?a=b",
    "/to-https", "/to-https?x", "/to-port", "/to-default", "/to-303", "/direct", "/bytes", "/empty", "/mirror", "/two-mirrors", "/headers", "/authority",
    "/cors", "/other-port", "/other-namespace", "/missing-subset", "/missing-host", "/a/../b", "/a/./b", "/a//b", "/%2e%2e/x", "/a%2Fb", "/%41", "/a;b", "/a?b#c",
    "/a/..", "/..", "/a%00b", "/x?" + "y" * 2000)]
ACTIONS += [(f"/retries/{status}", {"headers": {"x-origin-status": str(status)}}) for status in (200, 204, 301, 304, 400, 404, 429, 500, 502, 503, 504)]
ACTIONS += [(path, {"method": method, "body": body}) for path in ("/", "/headers", "/direct", "/to-https", "/missing-host")
            for method, body in (("HEAD", ""), ("POST", "hello"), ("PUT", "x" * 70000), ("DELETE", ""), ("OPTIONS", ""), ("PATCH", "p"))]
ACTIONS += [("/headers", {"headers": headers}) for headers in (
    {"x-set": "old"}, {"x-add": "first"}, {"x-remove": "gone"}, {"connection": "close, x-gone", "x-gone": "1"}, {"te": "trailers"}, {"te": "gzip"},
    {"x-forwarded-for": "1.2.3.4"}, {"x-forwarded-proto": "https"}, {"x-forwarded-host": "h"}, {"x-request-id": "mine"}, {"x-envoy-max-retries": "1"},
    {"x-envoy-upstream-rq-timeout-ms": "5000"}, {"x-envoy-retry-on": "5xx"}, {"x-envoy-internal": "true"}, {"x-envoy-decorator-operation": "x"},
    {"upgrade-insecure-requests": "1"}, {"x-envoy-force-trace": "1"}, {"x-b3-traceid": "1"}, {"expect": "something"}, {"user-agent": "me"}, {"via": "1.1 me"},
    {"keep-alive": "1"}, {"proxy-connection": "close"}, {"x-empty": ""})]
ACTIONS += [("/cors", {"method": method, "headers": {"origin": origin, **more}})
            for origin in ("https://example.com", "https://a.b", "https://abc.org", "https://evil.net")
            for method, more in (("GET", {}), ("OPTIONS", {}), ("OPTIONS", {"access-control-request-method": "PUT", "access-control-request-headers": "x-one"}))]
ACTIONS += [("/grpc-abort", {"method": "POST", "headers": {"content-type": "application/grpc"}}),
            ("/missing-host", {"method": "POST", "headers": {"content-type": "application/grpc"}}),
            ("/direct", {"method": "POST", "headers": {"content-type": "application/grpc+proto"}})]
ACTIONS += [("/", {"host": host}) for host in ("reviews", "reviews.default", "reviews.default.svc.cluster.local:9080", "REVIEWS:9080", "reviews:1", "ratings:9080",
                                              "nobody.example.com", "10.96.1.2:9080")]
MATCHES = [(path, {}) for path in ("/exact", "/exact/", "/exact?x", "/EXACT", "/prefix", "/prefix/a", "/prefixed", "/abcz", "/abc", "/abcz/x", "/CASE/x", "/case/x", "/port",
                                   "/never", "/client", "/prod", "/mesh", "/figures", "/late")]
MATCHES += [("/x", {"method": m}) for m in ("POST", "GET", "PUT")]
HEADERS = {"end-user": "jason", "x-prefix": "abc", "x-regex": "bcd", "x-present": "1"}
MATCHES += [("/y", {"method": "PUT", "headers": HEADERS | more}) for more in
            ({}, {"x-not": "c"}, {"x-not": "d"}, {"x-absent": "1"}, {"end-user": "Jason"}, {"x-prefix": "xabc"}, {"x-regex": "abc"})]
MATCHES += [(f"/z?{q}", {"method": "PUT"}) for q in ("exact=one&prefix=twox&regex=the&present=", "exact=one&prefix=tw&regex=the&present", "exact=one&prefix=two&regex=the&present",
                                                  "exact=one&exact=two&prefix=two&regex=the&present=1")]
# Where we differ, and why: a part of the request's path, or of the field's name.
KNOWN = yaml.safe_load((HERE / "known_envoy.yaml").read_text()) or []


@pytest.mark.parametrize("case, requests", [("virtual_service_actions", ACTIONS), ("virtual_service_matches", MATCHES)], ids=["actions", "matches"])
def test_same_answers(envoy, case, requests):
    world = load_case(HERE / "cases" / f"{case}.yaml").world
    proxy = world.proxy_of(app="client")
    to = [next(s["spec"]["clusterIP"] for s in world.of("Service") if s["metadata"]["name"] == "reviews"), 9080]
    config = static(world, proxy)
    results = []
    for argv in ([envoy, "--disable-hot-restart", "-l", "error"], [FAIRLEAD, "proxy", "--socket-mark", str(MARK)]):
        pod = Proxied(world, proxy, config, argv)
        try:
            results.append(pod.send(to, requests))
        finally:
            pod.close()
    problems = []
    for request, theirs, ours in zip(requests, *results):
        for field in sorted(theirs.keys() | ours.keys()):
            a, b = theirs.get(field), ours.get(field)
            if a == b or any(re.search(k["request"], f"{request[0]} {request[1]}") and re.fullmatch(k["field"], field) for k in KNOWN):
                continue
            if isinstance(a, dict) and isinstance(b, dict):
                a, b = ({k: v for k, v in side.items() if other.get(k) != v} for side, other in ((a, b), (b, a)))
            elif isinstance(a, list) and isinstance(b, list):
                a, b = [x for x in a if x not in b], [x for x in b if x not in a]
            problems.append(f"{request}: {field}\n    Envoy: {str(a)[:400]}\n    ours:  {str(b)[:400]}")
    assert not problems, f"{len(problems)} differences\n" + "\n".join(problems)
