"""One field after the other of routes, routers and filters: the same requests through Envoy and through us.

Each case is a listener of one bootstrap. Compared are what the client gets (status, fields, body, flags and details in the
log) and what the origin saw.
"""
import gzip
import http.client
import json
import re
import socket
import time

import pytest

from envoy_program import envoy_program
from parity_pair import HCM, Origin, address, both, cluster, read_request

TYPE = "type.googleapis.com/envoy.extensions.filters.http."
VOLATILE = {"date", "x-request-id", "x-envoy-upstream-service-time"}


class Reflector(Origin):
    """What it was asked is its answer; /status/N, /large and x-flip have their meaning."""

    def _serve(self, peer):
        try:
            file = peer.makefile("rb")
            while request := read_request(file):
                method, path, fields, body = request
                if dict(fields).get("content-encoding") == "gzip":
                    body = b"gzip of " + gzip.decompress(body)
                seen = json.dumps({"line": f"{method} {path}", "fields": sorted(f for f in fields if f[0] not in VOLATILE), "body": body.decode()}).encode()
                status = path.split("/")[2].split("?")[0] if path.startswith("/status/") else "200"
                if path.startswith("/large"):
                    seen = b"x" * 20480
                peer.sendall(f"HTTP/1.1 {status} X\r\nserver: origin\r\nx-origin: one\r\ncontent-type: text/plain\r\ncontent-length: {len(seen)}\r\n\r\n".encode()
                             + (b"" if method == "HEAD" else seen))
        except OSError:
            pass
        finally:
            peer.close()


def router(**config):
    return {"name": "envoy.filters.http.router", "typed_config": {"@type": TYPE + "router.v3.Router", **config}}


def fault(**config):
    return {"name": "envoy.filters.http.fault", "typed_config": {"@type": TYPE + "fault.v3.HTTPFault", **config}}


def limit(**config):
    always = {"default_value": {"numerator": 100}}
    return {"name": "envoy.filters.http.local_ratelimit", "typed_config": {"@type": TYPE + "local_ratelimit.v3.LocalRateLimit", "stat_prefix": "limit",
            "filter_enabled": always, "filter_enforced": always, **config}}


def health(**least):
    return {"name": "envoy.filters.http.health_check", "typed_config": {"@type": TYPE + "health_check.v3.HealthCheck", "pass_through_mode": False,
            "headers": [{"name": ":path", "string_match": {"exact": "/ready"}}], "cluster_min_healthy_percentages": {k: {"value": v} for k, v in least.items()}}}


def compressor(**config):
    return {"name": "envoy.filters.http.compressor", "typed_config": {"@type": TYPE + "compressor.v3.Compressor", "compressor_library": {
        "name": "gzip", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.compression.gzip.compressor.v3.Gzip"}}, **config}}


def to(name="origin", match=None, **action):
    return {"match": match or {"prefix": "/"}, "route": {"cluster": name, **action}}


def adds(value):
    option = {"header": {"key": "x-level", "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
    return {"request_headers_to_add": [option], "response_headers_to_add": [option]}


WEIGHTS = {"match": {"prefix": "/"}, "route": {"weighted_clusters": {"header_name": "x-draw", "clusters": [
    {"name": "origin", "weight": 30, **adds("first")}, {"cluster_header": "x-to", "weight": 70, **adds("second")}]}}}
PERCENT = {"numerator": 100}
WHO = {"request_headers": {"header_name": "x-who", "descriptor_key": "who"}}
# name -> (connection manager, route table with "HOST" for the virtual host, routes, requests); a request: (method, path, fields, body),
# None: on a new connection from here
CASES = {
    "suppressed": ({"http_filters": [router(suppress_envoy_headers=True)]}, {}, [
        to(match={"prefix": "/rewrite"}, prefix_rewrite="/other"), to(match={"prefix": "/host"}, host_rewrite_literal="elsewhere"), to("full", match={"prefix": "/full"}), to()],
        [("GET", p, {}, b"") for p in ("/", "/rewrite/a", "/host", "/full")]),
    "not suppressed": ({}, {}, [
        to(match={"prefix": "/rewrite"}, prefix_rewrite="/other"), to(match={"prefix": "/host"}, host_rewrite_literal="elsewhere"), to("full", match={"prefix": "/full"}), to()],
        [("GET", p, {}, b"") for p in ("/", "/rewrite/a", "/host", "/full")]),
    "strict": ({"http_filters": [router(strict_check_headers=["x-envoy-max-retries", "x-envoy-retry-on", "x-envoy-upstream-rq-timeout-ms"])]}, {}, [to()],
               [("GET", "/", f, b"") for f in ({}, {"x-envoy-max-retries": "3"}, {"x-envoy-max-retries": "three"}, {"x-envoy-retry-on": "5xx,reset"},
                                               {"x-envoy-retry-on": "5xx,what"}, {"x-envoy-upstream-rq-timeout-ms": "10s"}, {"x-envoy-retry-grpc-on": "what"})]),
    "expected time": ({"http_filters": [router(respect_expected_rq_timeout=True)]}, {}, [to(timeout="7s")],
                      [("GET", "/", f, b"") for f in ({}, {"x-envoy-expected-rq-timeout-ms": "2500"}, {"x-envoy-expected-rq-timeout-ms": "x"},
                                                      {"x-envoy-expected-rq-timeout-ms": "2500", "x-envoy-upstream-rq-timeout-ms": "1500"}, {"x-envoy-upstream-rq-timeout-ms": "1500"})]),
    "told time": ({}, {}, [to(match={"prefix": "/tries"}, timeout="7s", retry_policy={"retry_on": "5xx", "per_try_timeout": "2s"}),
                           to(match={"prefix": "/long"}, timeout="2s", retry_policy={"retry_on": "5xx", "per_try_timeout": "5s"}),
                           to(match={"prefix": "/none"}, timeout="0s"), to(match={"prefix": "/grpc"}, max_grpc_timeout="5s"), to()],
                  [("GET", p, {}, b"") for p in ("/tries", "/long", "/none", "/")]
                  + [("POST", "/grpc", {"content-type": "application/grpc", **f}, b"") for f in ({}, {"grpc-timeout": "2S"}, {"grpc-timeout": "100S"})]
                  + [("GET", "/tries", {"x-envoy-upstream-rq-per-try-timeout-ms": "300"}, b"")]),
    "inner fields": ({"use_remote_address": True, "internal_address_config": {}}, {"internal_only_headers": ["x-inner"]}, [to()], [("GET", "/", {"x-inner": "1", "x-outer": "2"}, b"")]),
    "inner fields from inside": ({"use_remote_address": True, "internal_address_config": {"cidr_ranges": [{"address_prefix": "127.0.0.0", "prefix_len": 8}]}},
                                 {"internal_only_headers": ["x-inner"]}, [to()], [("GET", "/", {"x-inner": "1", "x-outer": "2"}, b"")]),
    "levels": ({}, adds("table"), [{**to(), **adds("route")}], [("GET", "/", {}, b"")]),
    "levels the other way": ({}, {**adds("table"), "most_specific_header_mutations_wins": True}, [{**to(), **adds("route")}], [("GET", "/", {}, b"")]),
    "parameters": ({}, {"ignore_path_parameters_in_path_matching": True}, [to(match={"path": "/exact"}), to(match={"path_separated_prefix": "/part"}),
                                                                         to(match={"safe_regex": {"regex": "/re/[a-z]+"}})],
                   [("GET", p, {}, b"") for p in ("/exact", "/exact;v=1", "/exact;v=1?q", "/part;a/b", "/part/x;a", "/re/abc;1", "/re/abc1", "/other;x")]),
    "weights": ({}, {}, [WEIGHTS], [("GET", "/", {"x-draw": d, "x-to": t}, b"") for d, t in (("0", "second"), ("29", "second"), ("30", "second"), ("99", "second"), ("130", "second"),
                                                                                         ("99", "nobody"))]),
    "private network": ({"http_filters": [{"name": "envoy.filters.http.cors", "typed_config": {"@type": TYPE + "cors.v3.Cors"}}, router()]}, {},
                        [{**to(), "typed_per_filter_config": {"envoy.filters.http.cors": {"@type": TYPE + "cors.v3.CorsPolicy", "allow_origin_string_match": [{"exact": "https://a.b"}],
                                                              "allow_methods": "PUT", "allow_private_network_access": True}}}],
                        [("OPTIONS", "/", {"origin": o, "access-control-request-method": "PUT", **f}, b"")
                         for o in ("https://a.b", "https://c.d") for f in ({}, {"access-control-request-private-network": "true"}, {"access-control-request-private-network": "false"})]),
    "compressed requests": ({"http_filters": [compressor(request_direction_config={"common_config": {"min_content_length": 50}}), router()]}, {}, [to()],
                            [("POST", "/", {"content-type": t, **f}, b) for t in ("text/plain", "image/png") for b in (b"short", b"long " * 40)
                             for f in ({}, {"content-encoding": "br"})] + [("GET", "/", {}, b"")]),
    "nodes": ({"http_filters": [fault(abort={"http_status": 555, "percentage": PERCENT}, downstream_nodes=["one", "two"]), router()]}, {}, [to()],
              [("GET", "/", f, b"") for f in ({}, {"x-envoy-downstream-service-node": "one"}, {"x-envoy-downstream-service-node": "three"})]),
    "faults by field": ({"http_filters": [fault(abort={"header_abort": {}, "percentage": PERCENT}, delay={"header_delay": {}, "percentage": PERCENT}), router()]}, {}, [to()],
                        [("GET", "/", f, b"") for f in ({}, {"x-envoy-fault-abort-request": "418"}, {"x-envoy-fault-abort-request": "418", "x-envoy-fault-abort-request-percentage": "0"},
                                                        {"x-envoy-fault-abort-request": "99"}, {"x-envoy-fault-delay-request": "10"}, {"x-envoy-fault-abort-grpc-request": "7"},
                                                        {"x-envoy-fault-delay-request": "10", "x-envoy-fault-delay-request-percentage": "0"})]
                        + [("POST", "/", {"content-type": "application/grpc", "x-envoy-fault-abort-grpc-request": "7"}, b"")]),
    "bucket by connection": ({"http_filters": [limit(token_bucket={"max_tokens": 2, "fill_interval": "3600s"}, local_rate_limit_per_downstream_connection=True), router()]}, {}, [to()],
                             [("GET", "/", {}, b"")] * 3 + [None] + [("GET", "/", {}, b"")] * 3),
    "descriptors": ({"http_filters": [limit(token_bucket={"max_tokens": 6, "fill_interval": "3600s"}, enable_x_ratelimit_headers="DRAFT_VERSION_03", descriptors=[
        {"entries": [{"key": "who", "value": "one"}], "token_bucket": {"max_tokens": 2, "fill_interval": "3600s"}},
        {"entries": [{"key": "who", "value": "two"}, {"key": "path", "value": "x"}], "token_bucket": {"max_tokens": 1, "fill_interval": "3600s"}},
        {"entries": [{"key": "masked_remote_address", "value": "127.0.0.0/8"}], "token_bucket": {"max_tokens": 1, "fill_interval": "3600s"}},
        {"entries": [{"key": "query_match", "value": "q"}, {"key": "generic_key", "value": "g"}, {"key": "destination_cluster", "value": "origin"}, {"key": "source_cluster", "value": "own"}],
         "token_bucket": {"max_tokens": 1, "fill_interval": "3600s"}},
        {"entries": [{"key": "header_match", "value": "h"}], "token_bucket": {"max_tokens": 1, "fill_interval": "3600s"}}]), router()]}, {}, [
            to(match={"prefix": "/who"}, rate_limits=[{"actions": [WHO]}, {"actions": [WHO, {"request_headers": {"header_name": "x-path", "descriptor_key": "path", "skip_if_absent": True}}]}]),
            to(match={"prefix": "/address"}, rate_limits=[{"actions": [{"masked_remote_address": {"v4_prefix_mask_len": 8}}]}, {"stage": 1, "actions": [WHO]}]),
            to(match={"prefix": "/query"}, rate_limits=[{"actions": [{"query_parameter_value_match": {"descriptor_value": "q", "query_parameters": [{"name": "a", "string_match": {"exact": "1"}}]}},
                                                                 {"generic_key": {"descriptor_value": "g"}}, {"destination_cluster": {}}, {"source_cluster": {}}]}]),
            to(match={"prefix": "/not"}, rate_limits=[{"actions": [{"header_value_match": {"descriptor_value": "h", "expect_match": False, "headers": [{"name": "x-h", "present_match": True}]}}]}]),
            to()],
        [("GET", "/who", {"x-who": "one"}, b"")] * 3 + [("GET", "/who", {"x-who": "two"}, b""), ("GET", "/who", {"x-who": "two", "x-path": "x"}, b""), ("GET", "/who", {"x-who": "two", "x-path": "x"}, b"")]
        + [("GET", "/address", {"x-who": "one"}, b"")] * 2 + [("GET", "/query?a=1", {}, b""), ("GET", "/query?a=1", {}, b""), ("GET", "/query?a=2", {}, b"")]
        + [("GET", "/not", {}, b""), ("GET", "/not", {}, b""), ("GET", "/not", {"x-h": "1"}, b""), ("GET", "/", {}, b"")]),
    "descriptors of the host": ({"http_filters": [limit(always_consume_default_token_bucket=False, token_bucket={"max_tokens": 1, "fill_interval": "3600s"}, descriptors=[
        {"entries": [{"key": "generic_key", "value": v}], "token_bucket": {"max_tokens": n, "fill_interval": "3600s"}} for v, n in (("host", 3), ("route", 2))]), router()]},
        {"HOST": {"rate_limits": [{"actions": [{"generic_key": {"descriptor_value": "host"}}]}]}},
        [to(match={"prefix": "/route"}, rate_limits=[{"actions": [{"generic_key": {"descriptor_value": "route"}}]}]),
         to(match={"prefix": "/both"}, include_vh_rate_limits=True, rate_limits=[{"actions": [{"generic_key": {"descriptor_value": "route"}}]}]), to()],
        [("GET", "/route", {}, b""), ("GET", "/both", {}, b""), ("GET", "/both", {}, b""), ("GET", "/route", {}, b""), ("GET", "/", {}, b""), ("GET", "/", {}, b""), ("GET", "/", {}, b"")]),
    "health by clusters": ({"http_filters": [health(origin=50), router()]}, {}, [to()], [("GET", "/ready", {}, b""), ("GET", "/", {}, b"")]),
    "health by a cluster without hosts": ({"http_filters": [health(origin=50, empty=1), router()]}, {}, [to()], [("GET", "/ready", {}, b"")]),
    "health by a cluster that may be without hosts": ({"http_filters": [health(empty=0), router()]}, {}, [to()], [("GET", "/ready", {}, b"")]),
    "health by an unhealthy cluster": ({"http_filters": [health(half=51), router()]}, {}, [to()], [("GET", "/ready", {}, b"")]),
    "health by a half healthy cluster": ({"http_filters": [health(half=50), router()]}, {}, [to()], [("GET", "/ready", {}, b"")]),
    "health by no cluster": ({"http_filters": [health(nobody=0), router()]}, {}, [to()], [("GET", "/ready", {}, b"")]),
    "dropped": ({}, {}, [to("dropped")], [("GET", "/", {}, b""), ("POST", "/", {"content-type": "application/grpc"}, b"")]),
    "dropped, suppressed": ({"http_filters": [router(suppress_envoy_headers=True)]}, {}, [to("dropped")], [("GET", "/", {}, b"")]),
}
LOG = {"code": "%RESPONSE_CODE%", "flags": "%RESPONSE_FLAGS%", "details": "%RESPONSE_CODE_DETAILS%", "cluster": "%UPSTREAM_CLUSTER_RAW%", "case": "%DOWNSTREAM_LOCAL_PORT%"}


def bootstrap(origin):
    def make(running):
        listeners = []
        for name, (hcm, table, routes, _) in CASES.items():
            config = {"@type": HCM, "stat_prefix": re.sub(r"\W", "_", name), "http_filters": [router()], "access_log": [{"name": "f", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog", "path": str(running.lines), "log_format": {"json_format": LOG}}}],
                "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes, **table.get("HOST", {})}],
                                 **{k: v for k, v in table.items() if k != "HOST"}}, **hcm}
            listeners.append({"name": name, "address": address(running.port(name)), "filter_chains": [{"filters": [{"name": "h", "typed_config": config}]}]})
        full = {"thresholds": [{"max_pending_requests": 0, "max_connections": 0}]}
        half = cluster("half", origin.port, 1)
        half["load_assignment"]["endpoints"][0]["lb_endpoints"][1]["health_status"] = "UNHEALTHY"
        dropped = cluster("dropped", origin.port)
        dropped["load_assignment"]["policy"] = {"drop_overloads": [{"category": "c", "drop_percentage": PERCENT}]}
        clusters = [cluster("origin", origin.port), cluster("second", origin.port), cluster("full", origin.port, circuit_breakers=full), cluster("empty"), half, dropped]
        return {"node": {"id": "n", "cluster": "own"}, "static_resources": {"listeners": listeners, "clusters": clusters}}
    return make


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    origin = Reflector()
    running = both(envoy_program(), tmp_path_factory.mktemp("fields"), bootstrap(origin))
    yield running
    for r in running:
        r.stop()


def ask(connection, method, path, fields, body):
    connection.request(method, path, body=body or None, headers={"host": "a.example", **fields})
    answer = connection.getresponse()
    text = answer.read().decode(errors="replace")
    try:
        text = json.loads(text)
    except ValueError:
        pass
    return {"status": answer.status, "fields": sorted((k.lower(), v) for k, v in answer.getheaders() if k.lower() not in VOLATILE | {"content-length"}), "body": text}


@pytest.mark.parametrize("case", CASES)
def test_same_answers(pair, case):
    results = []
    for proxy in pair:
        before = len([line for line in proxy.logged(0) if line["case"] == proxy.port(case)])
        connection = http.client.HTTPConnection("127.0.0.1", proxy.port(case), timeout=10)
        answers = []
        for request in CASES[case][3]:
            if request is None:
                connection.close()
                continue
            answers.append(ask(connection, *request))
        connection.close()

        def lines():
            found = [line for line in proxy.logged(0) if line["case"] == proxy.port(case)][before:]
            return found if len(found) >= len(answers) else None
        logged = proxy.wait(lines)
        results.append([(a, {k: v for k, v in line.items() if k != "case"}) for a, line in zip(answers, logged)])
    theirs, ours = results
    requests = [r for r in CASES[case][3] if r]
    problems = [f"{request}\n    Envoy: {a}\n    ours:  {b}" for request, a, b in zip(requests, theirs, ours) if a != b]
    assert not problems, "\n".join(problems)


def test_a_slow_answer_takes_its_time(tmp_path):
    """response_rate_limit: fixed, and by a field of the request; trailers and the end come after it."""
    origin = Reflector()

    def make(running):
        hcm = {"@type": HCM, "stat_prefix": "in", "http_filters": [fault(response_rate_limit={"header_limit": {}, "percentage": PERCENT}), router()],
               "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [to()]}]}}
        return {"static_resources": {"listeners": [{"name": "l", "address": address(running.port("in")), "filter_chains": [{"filters": [{"name": "h", "typed_config": hcm}]}]}],
                                     "clusters": [cluster("origin", origin.port)]}}
    pair = both(envoy_program(), tmp_path, make)
    try:
        for proxy in pair:
            took = {}
            for kbps in (None, 20):
                connection = http.client.HTTPConnection("127.0.0.1", proxy.port("in"), timeout=20)
                begun = time.monotonic()
                connection.request("GET", "/large", headers={"x-envoy-fault-throughput-response": str(kbps)} if kbps else {})
                answer = connection.getresponse()
                assert len(answer.read()) == 20480
                took[kbps] = time.monotonic() - begun
                connection.close()
            # 20 KiB at 20 KiB/s: a second, less what the first slice brings.
            assert took[20] > 0.85 and took[20] > took[None] + 0.5, (proxy.name, took)
            assert "http.in.fault.response_rl_injected: 1" in proxy.admin("/stats")[2]
        # Gone in the middle: nothing is left behind.
        for proxy in pair:
            with socket.create_connection(("127.0.0.1", proxy.port("in"))) as s:
                s.sendall(b"GET /large HTTP/1.1\r\nhost: a\r\nx-envoy-fault-throughput-response: 1\r\n\r\n")
                s.recv(1000)
            proxy.wait(lambda: "http.in.downstream_rq_active: 0" in proxy.admin("/stats")[2])
    finally:
        for proxy in pair:
            proxy.stop()
