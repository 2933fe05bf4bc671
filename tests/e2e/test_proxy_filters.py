"""`fairlead proxy`: HTTP filters of the real binary, configured as for Envoy."""
import gzip
import http.client
import http.server
import json
import subprocess
import threading

import pytest

from machine import eventually
from ports import free_port
from test_proxy import FAIRLEAD, get

TYPE = "type.googleapis.com/envoy.extensions.filters.http."


class Origin(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = ("word " * 2000).encode() if self.path.startswith("/long") else json.dumps({k.lower(): v for k, v in self.headers.items()}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.send_header("content-type", "image/png" if "png" in self.path else "text/plain; charset=utf-8")
        self.send_header("etag", '"strong"')
        self.send_header("x-secret", "of the origin")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def start(tmp_path):
    origin = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
    threading.Thread(target=origin.serve_forever, daemon=True).start()
    processes = []

    def make(filters, per_route=None):
        port, admin = free_port(), free_port()
        router = {"name": "envoy.filters.http.router", "typed_config": {"@type": TYPE + "router.v3.Router"}}
        plain = {"match": {"prefix": "/"}, "route": {"cluster": "origin"}}
        special = {"match": {"prefix": "/special"}, "route": {"cluster": "origin"}, "typed_per_filter_config": per_route or {}}
        manager = {"@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                   "stat_prefix": "x", "http_filters": [*filters, router],
                   "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [special, plain]}]}}
        at = lambda p: {"socket_address": {"address": "127.0.0.1", "port_value": p}}  # noqa: E731
        bootstrap = {"admin": {"address": at(admin)}, "static_resources": {
            "listeners": [{"name": "l", "address": at(port), "filter_chains": [{"filters": [{"name": "hcm", "typed_config": manager}]}]}],
            "clusters": [{"name": "origin", "type": "STATIC", "load_assignment": {
                "cluster_name": "origin", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": at(origin.server_address[1])}}]}]}}]}}
        (tmp_path / "bootstrap.json").write_text(json.dumps(bootstrap))
        processes.append(subprocess.Popen([FAIRLEAD, "proxy", "-c", tmp_path / "bootstrap.json", "--concurrency", "2"], stderr=subprocess.DEVNULL))
        eventually(lambda: get(admin, "/ready")[0] == 200)
        return port, admin
    yield make
    for p in processes:
        p.kill()
        p.wait()
    origin.shutdown()


def ask(port, path, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()})
    answer = connection.getresponse()
    result = answer.status, answer.read(), {k.lower(): v for k, v in answer.getheaders()}
    connection.close()
    return result


def compressor(library, **settings):
    kind = {"gzip": "gzip.compressor.v3.Gzip", "brotli": "brotli.compressor.v3.Brotli"}[library]
    return {"name": f"envoy.filters.http.compressor.{library}", "typed_config": {"@type": TYPE + "compressor.v3.Compressor", **settings, "compressor_library": {
        "name": library, "typed_config": {"@type": f"type.googleapis.com/envoy.extensions.compression.{kind}"}}}}


def test_answers_are_compressed_for_those_who_take_it(start):
    port, _ = start([compressor("gzip")])
    plain = ask(port, "/long")
    assert plain[1] == b"word " * 2000 and "content-encoding" not in plain[2]
    assert plain[2]["vary"] == "Accept-Encoding", "a cache has to keep both"
    status, body, headers = ask(port, "/long", accept_encoding="br, gzip;q=0.8")
    assert status == 200 and headers["content-encoding"] == "gzip" and "content-length" not in headers
    assert headers["etag"] == 'W/"strong"'
    assert gzip.decompress(body) == b"word " * 2000 and len(body) < 500
    assert "content-encoding" not in ask(port, "/long", accept_encoding="gzip;q=0")[2]
    assert "content-encoding" not in ask(port, "/long.png", accept_encoding="gzip")[2], "pictures are compressed already"
    assert "content-encoding" not in ask(port, "/special", accept_encoding="identity")[2]


def test_brotli_and_gzip_stand_beside_each_other(start, tmp_path):
    port, _ = start([compressor("gzip"), compressor("brotli", response_direction_config={"remove_accept_encoding_header": False})])
    assert ask(port, "/long", accept_encoding="gzip, br")[2]["content-encoding"] == "br"
    assert ask(port, "/long", accept_encoding="gzip")[2]["content-encoding"] == "gzip"
    done = subprocess.run(["curl", "-s", "--compressed", f"http://127.0.0.1:{port}/long"], capture_output=True, timeout=20)
    assert done.stdout == b"word " * 2000


def test_header_fields_are_mutated_in_order(start):
    def mutations(**m):
        return {"mutations": {k: [{"remove": x} if isinstance(x, str) else {"append": {"header": {"key": x[0], "value": x[1]}, "append_action": x[2]}} for x in v]
                              for k, v in m.items()}}
    chain = {"name": "envoy.filters.http.header_mutation", "typed_config": {"@type": TYPE + "header_mutation.v3.HeaderMutation", **mutations(
        request_mutations=["x-drop", ("x-method", "%REQ(:METHOD)%", "APPEND_IF_EXISTS_OR_ADD")],
        response_mutations=["x-secret", ("x-code", "%RESPONSE_CODE%", "OVERWRITE_IF_EXISTS_OR_ADD")])}}
    route = {chain["name"]: {"@type": TYPE + "header_mutation.v3.HeaderMutationPerRoute", **mutations(request_mutations=[("x-where", "special", "ADD_IF_ABSENT")])}}
    port, _ = start([chain], route)
    _, body, headers = ask(port, "/", x_drop="1", x_keep="2")
    seen = json.loads(body)
    assert "x-drop" not in seen and seen["x-keep"] == "2" and seen["x-method"] == "GET" and "x-where" not in seen
    assert "x-secret" not in headers and headers["x-code"] == "200"
    assert json.loads(ask(port, "/special")[1])["x-where"] == "special"


def test_requests_beyond_the_bucket_are_refused_and_counted(start):
    limit = {"@type": TYPE + "local_ratelimit.v3.LocalRateLimit", "stat_prefix": "small", "token_bucket": {"max_tokens": 3, "tokens_per_fill": 3, "fill_interval": "3600s"},
             "filter_enabled": {"default_value": {"numerator": 100}}, "filter_enforced": {"default_value": {"numerator": 100}}, "enable_x_ratelimit_headers": "DRAFT_VERSION_03",
             "response_headers_to_add": [{"header": {"key": "x-local-rate-limit", "value": "true"}}]}
    route = {"envoy.filters.http.local_ratelimit": {**limit, "stat_prefix": "none", "token_bucket": {"max_tokens": 1, "fill_interval": "3600s"}, "status": {"code": 503}}}
    port, admin = start([{"name": "envoy.filters.http.local_ratelimit", "typed_config": limit}], route)
    codes = [ask(port, "/") for _ in range(5)]
    assert [c[0] for c in codes] == [200, 200, 200, 429, 429]
    assert codes[0][2]["x-ratelimit-limit"] == "3" and codes[0][2]["x-ratelimit-remaining"] == "2"
    assert codes[4][1] == b"local_rate_limited" and codes[4][2]["x-local-rate-limit"] == "true"
    assert [ask(port, "/special")[0] for _ in range(2)] == [200, 503], "the route has a bucket of its own"
    assert get(admin, "/stats?filter=^small.http_local_rate_limit.(ok|rate_limited|enforced)$")[1].decode().split("\n")[:3] == [
        "small.http_local_rate_limit.enforced: 2", "small.http_local_rate_limit.ok: 3", "small.http_local_rate_limit.rate_limited: 2"]


def test_health_checks_are_answered_here(start):
    check = {"name": "envoy.filters.http.health_check", "typed_config": {"@type": TYPE + "health_check.v3.HealthCheck", "pass_through_mode": False,
                                                                        "headers": [{"name": ":path", "string_match": {"exact": "/healthz"}}]}}
    port, admin = start([check])
    assert ask(port, "/healthz")[:2] == (200, b"")
    assert ask(port, "/other")[1] != b""
    get(admin, "/healthcheck/fail", "POST")
    assert ask(port, "/healthz")[0] == 503
    get(admin, "/healthcheck/ok", "POST")
    assert ask(port, "/healthz")[0] == 200
