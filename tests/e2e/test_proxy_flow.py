"""`fairlead proxy`: flow control of requests and connections by Sentinel's rules, in the real binary."""
import collections
import concurrent.futures
import http.client
import http.server
import json
import os
import socket
import subprocess
import threading
import time
import urllib.parse
import urllib.request

import pytest

from files import whole_lines
from machine import eventually
from ports import free_port
from test_proxy import FAIRLEAD, get

FILTER = "fairlead.filters.http.flow"
TYPE = "type.googleapis.com/"
HCM = TYPE + "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
DAY = 86_400  # of an interval that no test lives to see the end of


class Origin(http.server.ThreadingHTTPServer):
    """/status/N answers N; x-sleep is how long it takes."""
    daemon_threads = True
    request_queue_size = 128

    def __init__(self):
        self.seen = collections.Counter()
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.seen[self.path] += 1
        time.sleep(float(self.headers.get("x-sleep", 0)))
        status = int(self.path.split("/")[2].split("?")[0]) if self.path.startswith("/status/") else 200
        self.send_response(status)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    do_POST = do_GET

    def log_message(self, *_):
        pass


class Proxy:
    def __init__(self, folder, origin):
        self.folder, self.port, self.admin = folder, free_port(), free_port()
        self.origin, self.log, self.process = origin, folder / "access.log", None

    def at(self, port):
        return {"socket_address": {"address": "127.0.0.1", "port_value": port}}

    def access_log(self):
        text = "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% %UPSTREAM_REQUEST_ATTEMPT_COUNT%\n"
        return [{"name": "file", "typed_config": {"@type": TYPE + "envoy.extensions.access_loggers.file.v3.FileAccessLog", "path": str(self.log),
                                                  "log_format": {"text_format_source": {"inline_string": text}}}}]

    def http(self, flow, routes=None):
        flow = {"name": FILTER, "typed_config": {"@type": TYPE + "fairlead.flow.v1.FlowControl", **flow}}
        router = {"name": "envoy.filters.http.router", "typed_config": {"@type": TYPE + "envoy.extensions.filters.http.router.v3.Router"}}
        routes = routes or [{"name": "orders", "match": {"prefix": "/"}, "route": {"cluster": "origin"}}]
        return {"name": "hcm", "typed_config": {"@type": HCM, "stat_prefix": "x", "http_filters": [flow, router], "access_log": self.access_log(),
                "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]}}}

    def tcp(self, flow):
        return [{"name": "fairlead.filters.network.flow", "typed_config": {"@type": TYPE + "fairlead.flow.v1.FlowControl", **flow}},
                {"name": "tcp", "typed_config": {"@type": TYPE + "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", "stat_prefix": "t",
                                                 "cluster": "origin", "access_log": self.access_log()}}]

    def set(self, *filters):
        """The listener; may be called again."""
        listener = {"@type": TYPE + "envoy.config.listener.v3.Listener", "name": "l", "address": self.at(self.port), "filter_chains": [{"filters": list(filters)}]}
        new = self.folder / "lds.new"
        new.write_text(json.dumps({"version_info": str(time.monotonic_ns()), "resources": [listener]}))
        new.rename(self.folder / "lds.json")

    def start(self, *filters):
        self.set(*filters)
        bootstrap = {"admin": {"address": self.at(self.admin)}, "node": {"id": "n", "cluster": "c"},
                     "dynamic_resources": {"lds_config": {"path_config_source": {"path": str(self.folder / "lds.json")}}},
                     "static_resources": {"clusters": [{"name": "origin", "type": "STATIC", "load_assignment": {
                         "cluster_name": "origin", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": self.at(self.origin.server_address[1])}}]}]}}]}}
        (self.folder / "bootstrap.json").write_text(json.dumps(bootstrap))
        self.process = subprocess.Popen([FAIRLEAD, "proxy", "-c", self.folder / "bootstrap.json", "--concurrency", "2"], stderr=open(self.folder / "stderr", "w"))
        eventually(lambda: get(self.admin, "/ready")[0] == 200)
        return self

    def ask(self, path="/", method="GET", **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
        answer = connection.getresponse()
        result = answer.status, answer.read().decode(), {k.lower(): v for k, v in answer.getheaders()}
        connection.close()
        return result

    def status(self, *args, **headers):
        return self.ask(*args, **headers)[0]

    def stats(self, prefix="shop"):
        body = get(self.admin, f"/stats?filter=^{prefix}[.]flow[.]")[1].decode()
        return {k.removeprefix(f"{prefix}.flow."): int(v) for k, v in (line.split(": ") for line in body.splitlines())}

    def lines(self, n):
        def read():
            found = whole_lines(self.log)
            return found if len(found) >= n else None
        return eventually(read)


@pytest.fixture
def proxy(tmp_path):
    origin = Origin()
    made = Proxy(tmp_path, origin)
    yield made
    if made.process:
        made.process.kill()
        made.process.wait()
    origin.shutdown()


def flow(resource="orders", count=0, **fields):
    return {"resource": resource, "count": count, **fields}


def test_requests_beyond_a_rule_are_refused_with_a_sentence(proxy):
    proxy.start(proxy.http({"app": "shop", "flow_rules": [flow(count=0)]}, [
        {"name": "orders", "match": {"prefix": "/orders"}, "route": {"cluster": "origin"}}, {"name": "rest", "match": {"prefix": "/"}, "route": {"cluster": "origin"}}]))
    status, body, headers = proxy.ask("/orders/1")
    assert (status, body) == (429, 'Blocked by flow control: resource "orders" (flow rule)')
    assert headers["content-type"] == "text/plain"
    assert proxy.ask("/other")[:2] == (200, "ok")
    assert proxy.origin.seen == {"/other": 1}
    assert proxy.lines(2) == ["429 RL flow_control_flow - 0", "200 - via_upstream - 1"]
    stats = proxy.stats()
    assert (stats["pass"], stats["block"], stats["block_flow"], stats["block_degrade"], stats["exception"]) == (1, 1, 1, 0, 0)


def test_a_grpc_client_is_told_resource_exhausted_in_trailers_alone(proxy):
    proxy.start(proxy.http({"app": "shop", "flow_rules": [flow("订单%")], "resources": [{"text": "订单%"}]}))
    status, body, headers = proxy.ask("/shop.Orders/Get", "POST", content_type="application/grpc")
    assert (status, body, headers["grpc-status"]) == (200, "", "8")
    assert headers["grpc-message"] == 'Blocked by flow control: resource "%E8%AE%A2%E5%8D%95%25" (flow rule)'


def test_threads_are_those_in_progress(proxy):
    proxy.start(proxy.http({"app": "shop", "flow_rules": [flow(count=1, grade=0)]}))
    with concurrent.futures.ThreadPoolExecutor() as pool:
        slow = pool.submit(proxy.status, "/slow", x_sleep="1.5")
        eventually(lambda: proxy.origin.seen["/slow"], every=0.01)
        assert proxy.status("/fast") == 429
        assert slow.result() == 200
    assert proxy.status("/fast") == 200, "the slow one has left"


def test_a_client_that_goes_away_leaves(proxy):
    proxy.start(proxy.http({"app": "shop", "flow_rules": [flow(count=1, grade=0)]}))
    with socket.create_connection(("127.0.0.1", proxy.port)) as client:
        client.sendall(b"GET /slow HTTP/1.1\r\nhost: x\r\nx-sleep: 30\r\n\r\n")
        eventually(lambda: proxy.origin.seen["/slow"], every=0.01)
        assert proxy.status() == 429
    eventually(lambda: proxy.status() == 200)
    assert proxy.stats()["exception"] == 0, "the upstream did nothing wrong"


def test_resources_are_path_templates_with_methods_and_other(proxy):
    proxy.start(proxy.http({"app": "shop", "resources": [{"by": "PATH", "path_templates": ["/items/{id}"]}],
                            "flow_rules": [flow("/orders/{id}"), flow("POST:/baskets"), flow("/items/{id}"), flow("other")]}))
    for path, method, name in (("/orders/17", "GET", "/orders/{id}"), ("/baskets?x=1", "POST", "POST:/baskets"), ("/items/3", "GET", "/items/{id}"), ("/x/y", "GET", "other")):
        assert proxy.ask(path, method)[1] == f'Blocked by flow control: resource "{name}" (flow rule)', path


def test_beginnings_of_paths_and_methods_name_what_no_template_does(proxy):
    proxy.start(proxy.http({"app": "shop", "resources": [{"by": "PATH", "path_segments": 1, "method_prefix": True}], "flow_rules": [flow("GET:/orders")]}))
    assert [proxy.status("/orders/1/items"), proxy.status("/orders", "POST"), proxy.status("/x")] == [429, 200, 200]


def test_origins_and_contexts_have_their_rules(proxy):
    proxy.start(proxy.http({"app": "shop", "origin": {"header": "S-user", "address": True}, "context": "web",
                            "authority_rules": [{"resource": "orders", "limitApp": "web,127.0.0.1", "strategy": 0}],
                            "flow_rules": [flow(limitApp="web")]}))
    status, body, _ = proxy.ask(s_user="thief")
    assert (status, body) == (429, 'Blocked by flow control: resource "orders" (authority rule)')
    assert proxy.ask(s_user="web")[1].endswith("(flow rule)")
    assert proxy.status() == 200, "its address may, and has no flow rule"
    assert proxy.stats()["block_authority"] == 1


@pytest.mark.parametrize("parameter, hot, cold", [
    ({"header": "X-Who"}, ("/", {"x_who": "a"}), ("/", {"x_who": "b"})),
    ({"query": "who"}, ("/?q=1&who=a%20b", {}), ("/?who=c", {})),
    ({"cookie": "who"}, ("/", {"cookie": "x=1; who=a"}), ("/", {"cookie": "who=b"})),
    ({"path_variable": "who"}, ("/users/a", {}), ("/users/b", {})),
], ids=lambda p: next(iter(p)) if isinstance(p, dict) else "")
def test_hot_values_are_counted_apart(proxy, parameter, hot, cold):
    proxy.start(proxy.http({"app": "shop", "resources": [{"text": "orders"}, {"by": "PATH", "path_templates": ["/users/{who}"]}], "parameters": [parameter],
                            "param_flow_rules": [{"resource": "orders", "paramIdx": 0, "count": 1, "durationInSec": DAY}]}))
    assert [proxy.status(hot[0], **hot[1]), proxy.status(hot[0], **hot[1]), proxy.status(cold[0], **cold[1]), proxy.status("/")] == [200, 429, 200, 200]
    assert proxy.stats()["block_param_flow"] == 1


def test_gateway_rules_and_apis(proxy):
    proxy.start(proxy.http({"app": "shop", "gateway_flow_rules": [
        {"resource": "orders", "count": 1, "intervalSec": DAY, "paramItem": {"parseStrategy": 2, "fieldName": "X-Who"}},
        {"resource": "static", "resourceMode": 1, "count": 0, "intervalSec": DAY}],
        "gateway_api_definitions": [{"apiName": "static", "predicateItems": [{"pattern": "/static/**", "matchStrategy": 1}]}]}))
    assert [proxy.status("/", x_who="a"), proxy.status("/", x_who="a"), proxy.status("/", x_who="b")] == [200, 429, 200]
    assert proxy.ask("/static/x")[1] == 'Blocked by flow control: resource "static" (gateway rule)'


def test_a_breaker_opens_on_failures_and_a_retry_is_one_call(proxy):
    retried = [{"name": "orders", "match": {"prefix": "/"}, "route": {"cluster": "origin", "retry_policy": {"retry_on": "5xx", "num_retries": 3}}}]
    proxy.start(proxy.http({"app": "shop", "degrade_rules": [{"resource": "orders", "grade": 2, "count": 1, "timeWindow": DAY, "minRequestAmount": 2,
                                                              "statIntervalMs": 120_000}]}, retried))
    assert proxy.status("/status/503") == 503
    assert proxy.origin.seen["/status/503"] == 4
    assert proxy.stats()["exception"] == 1, "four attempts are one call"
    assert proxy.status("/status/404") == 404
    assert proxy.status("/status/500") == 500
    assert proxy.ask("/")[1] == 'Blocked by flow control: resource "orders" (circuit breaker)'
    stats = proxy.stats()
    assert (stats["pass"], stats["exception"], stats["block_degrade"]) == (3, 2, 1)
    assert "flow.shop.breaker_open: 1" in get(proxy.admin, "/stats")[1].decode()


def test_calls_that_queue_wait_on_the_loop(proxy):
    proxy.start(proxy.http({"app": "shop", "flow_rules": [flow(count=5, controlBehavior=2, maxQueueingTimeMs=60_000)],
                            "resources": [{"by": "ROUTE"}]}, [
        {"name": "orders", "match": {"prefix": "/orders"}, "route": {"cluster": "origin"}}, {"name": "rest", "match": {"prefix": "/"}, "route": {"cluster": "origin"}}]))
    begun = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        queued = [pool.submit(proxy.status, "/orders") for _ in range(6)]
        assert proxy.status("/rest") == 200
        others = time.monotonic() - begun
        assert [q.result() for q in queued] == [200] * 6
    assert time.monotonic() - begun >= 0.95, "six calls, 200 ms apart"
    assert others < 0.9, "who has no rule does not wait for them"
    assert proxy.stats()["queued"] == 5


def test_who_goes_away_while_it_waits_leaves(proxy):
    proxy.start(proxy.http({"app": "shop", "flow_rules": [flow(count=0.1, controlBehavior=2, maxQueueingTimeMs=60_000), flow(count=2, grade=0)]}))
    assert proxy.status("/a") == 200
    with socket.create_connection(("127.0.0.1", proxy.port)) as client, socket.create_connection(("127.0.0.1", proxy.port)) as second:
        client.sendall(b"GET /b HTTP/1.1\r\nhost: x\r\n\r\n")
        eventually(lambda: proxy.stats()["queued"] == 1)
        second.sendall(b"GET /c HTTP/1.1\r\nhost: x\r\n\r\n")
        eventually(lambda: proxy.stats()["queued"] == 2)
        assert proxy.ask("/d")[0] == 429, "two threads wait"
    # Both have left, so that another may wait.
    def another():
        with socket.create_connection(("127.0.0.1", proxy.port)) as client:
            client.sendall(b"GET /e HTTP/1.1\r\nhost: x\r\n\r\n")
            client.settimeout(0.2)
            try:
                client.recv(1)
                return False  # refused: an answer at once
            except TimeoutError:
                return True
    eventually(another)
    assert proxy.origin.seen == {"/a": 1}


def test_a_route_may_say_otherwise(proxy):
    routes = [{"name": "off", "match": {"prefix": "/off"}, "route": {"cluster": "origin"}, "typed_per_filter_config": {
        FILTER: {"@type": TYPE + "envoy.config.route.v3.FilterConfig", "disabled": True}}},
        {"name": "named", "match": {"prefix": "/named"}, "route": {"cluster": "origin"}, "typed_per_filter_config": {
            FILTER: {"@type": TYPE + "fairlead.flow.v1.FlowControlPerRoute", "resource": "special", "parameters": [{"header": "x-who"}]}}},
        {"name": "orders", "match": {"prefix": "/"}, "route": {"cluster": "origin"}}]
    proxy.start(proxy.http({"app": "shop", "flow_rules": [flow("off"), flow()], "param_flow_rules": [
        {"resource": "special", "paramIdx": 0, "count": 1, "durationInSec": DAY}]}, routes))
    assert [proxy.status("/off"), proxy.status("/")] == [200, 429]
    assert [proxy.status("/named", x_who="a"), proxy.status("/named", x_who="a"), proxy.status("/named", x_who="b")] == [200, 429, 200]


def test_system_rules_count_what_is_inbound(proxy):
    proxy.start(proxy.http({"app": "shop", "system_rules": [{"maxThread": 0}]}))
    assert proxy.status() == 200
    with concurrent.futures.ThreadPoolExecutor() as pool:
        slow = pool.submit(proxy.status, "/slow", x_sleep="1")
        eventually(lambda: proxy.origin.seen["/slow"], every=0.01)
        assert proxy.ask("/x")[1] == 'Blocked by flow control: resource "orders" (system rule)'
        slow.result()


def test_rules_that_are_not_valid_are_refused_with_their_place(proxy):
    bad = [({"flow_rules": [flow(), {"resource": "x", "count": -1}]}, "flow_rules[1].count"), ({"flow_rules": "[{]"}, "flow_rules"),
           ({"resources": [{"by": "PATH", "path_templates": ["x"]}]}, "resources[0].path_templates[0]"),
           ({"parameters": [{}]}, "parameters[0]"), ({"app": ""}, "app"), ({"degrade_rules": [{"resource": "x", "grade": 9, "count": 1, "timeWindow": 1}]}, "degrade_rules[0].grade")]
    for fields, path in bad:
        proxy.set(proxy.http({"app": "shop", **fields}))
        listener = json.loads((proxy.folder / "lds.json").read_text())["resources"][0]
        del listener["@type"]
        (proxy.folder / "bad.json").write_text(json.dumps({"static_resources": {"listeners": [listener], "clusters": [{"name": "origin"}]}}))
        done = subprocess.run([FAIRLEAD, "proxy", "--mode", "validate", "-c", proxy.folder / "bad.json"], capture_output=True, text=True, timeout=30)
        assert done.returncode == 1 and path in done.stderr, (path, done.stderr)


def test_rules_change_under_load_and_no_request_fails(proxy):
    def config(count):
        return proxy.http({"app": "shop", "flow_rules": [flow(count=count)]})
    proxy.start(config(1_000_000))
    stop = threading.Event()

    def load():
        seen = collections.Counter()
        connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=20)
        while not stop.is_set():
            connection.request("GET", "/")
            answer = connection.getresponse()
            answer.read()
            seen[answer.status] += 1
        return seen
    with concurrent.futures.ThreadPoolExecutor() as pool:
        clients = [pool.submit(load) for _ in range(4)]
        for n in range(12):
            proxy.set(config(1_000_000 + n))
            time.sleep(0.1)
        stop.set()
        total = sum((c.result() for c in clients), collections.Counter())
    assert set(total) == {200} and total[200] > 100
    assert proxy.stats()["pass"] == total[200], "counters are those of before"
    proxy.set(config(0))
    eventually(lambda: proxy.status() == 429)
    proxy.set(proxy.http({"app": "shop"}))
    eventually(lambda: proxy.status() == 200)


def test_a_breaker_stays_open_when_its_listener_changes(proxy):
    rule = [{"resource": "orders", "grade": 2, "count": 0, "timeWindow": DAY, "minRequestAmount": 1, "statIntervalMs": 120_000}]
    proxy.start(proxy.http({"app": "shop", "degrade_rules": rule}))
    assert [proxy.status("/status/500"), proxy.status()] == [500, 429]
    proxy.set(proxy.http({"app": "shop", "stat_prefix": "other", "degrade_rules": rule, "flow_rules": [flow("x")]}))
    eventually(lambda: "other.flow.block" in get(proxy.admin, "/stats")[1].decode())
    eventually(lambda: proxy.status() == 429 and proxy.stats("other")["block_degrade"] > 0)


def connected(proxy):
    """What a connection got: the answer to a request, or nothing."""
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=20) as client:
        try:
            client.sendall(b"GET /tcp HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            return client.recv(100)
        except OSError:
            return b""


def test_connections_beyond_a_rule_are_closed(proxy):
    proxy.start(*proxy.tcp({"app": "shop", "flow_rules": [flow("origin", count=0)]}))
    assert connected(proxy) == b""
    assert proxy.lines(1) == ["0 RL - flow_control_flow 0"]
    assert proxy.stats()["block_flow"] == 1 and not proxy.origin.seen
    proxy.set(*proxy.tcp({"app": "shop", "flow_rules": [flow("origin", count=1, grade=0)]}))
    eventually(lambda: connected(proxy).startswith(b"HTTP/1.1 200"))
    def hold():
        client = socket.create_connection(("127.0.0.1", proxy.port), timeout=20)
        try:
            client.sendall(b"GET /held HTTP/1.1\r\nhost: x\r\n\r\n")
            if client.recv(100).startswith(b"HTTP/1.1 200"):
                return client
        except ConnectionError:
            pass
        client.close()  # the one before has not left yet
        return None
    with eventually(hold):
        assert connected(proxy) == b"", "one at a time"
    eventually(lambda: connected(proxy).startswith(b"HTTP/1.1 200"))


def test_connections_may_wait(proxy):
    proxy.start(*proxy.tcp({"app": "shop", "parameters": [{"address": True}], "flow_rules": [flow("origin", count=2, controlBehavior=2, maxQueueingTimeMs=60_000)]}))
    begun = time.monotonic()
    assert [connected(proxy)[:12] for _ in range(3)] == [b"HTTP/1.1 200"] * 3
    assert time.monotonic() - begun >= 0.95, "two a second"
    assert proxy.stats()["queued"] >= 1


def test_what_a_connection_has_not_is_refused(proxy):
    proxy.set(*proxy.tcp({"app": "shop", "origin": {"header": "S-user"}}))
    listener = json.loads((proxy.folder / "lds.json").read_text())["resources"][0]
    del listener["@type"]
    (proxy.folder / "bad.json").write_text(json.dumps({"static_resources": {"listeners": [listener], "clusters": [{"name": "origin"}]}}))
    done = subprocess.run([FAIRLEAD, "proxy", "--mode", "validate", "-c", proxy.folder / "bad.json"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1 and "origin.header" in done.stderr and "a connection has no header fields" in done.stderr


class Dashboard(http.server.BaseHTTPRequestHandler):
    """Takes heartbeats."""

    def do_POST(self):
        fields = urllib.parse.parse_qs(self.rfile.read(int(self.headers.get("content-length", 0))).decode() or urllib.parse.urlsplit(self.path).query)
        self.server.heartbeats.append({k: v[0] for k, v in fields.items()})
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def test_a_reverse_proxy_obeys_a_dashboard(tmp_path):
    origin, dashboard = Origin(), http.server.ThreadingHTTPServer(("127.0.0.1", 0), Dashboard)
    dashboard.heartbeats = []
    threading.Thread(target=dashboard.serve_forever, daemon=True).start()
    proxy = Proxy(tmp_path, origin)
    proxy.process = subprocess.Popen(
        [FAIRLEAD, "proxy", "--listen", f"127.0.0.1:{proxy.port}", "--to", f"127.0.0.1:{origin.server_address[1]}", "--admin", f"127.0.0.1:{proxy.admin}",
         "--flow-app", "shop", "--flow-path", "/items/{id}", "--flow-dashboard", f"127.0.0.1:{dashboard.server_address[1]}", "--flow-port", str(free_port())],
        stderr=open(tmp_path / "stderr", "w"), env={**os.environ, "HOME": str(tmp_path)})
    try:
        beat = eventually(lambda: dashboard.heartbeats and dashboard.heartbeats[-1])
        assert beat["app"] == "shop" and beat["ip"] == "127.0.0.1"

        def command(path, **fields):
            return urllib.request.urlopen(f"http://127.0.0.1:{beat['port']}/{path}", urllib.parse.urlencode(fields).encode() or None, timeout=20).read().decode()
        assert [proxy.status(p) for p in ("/items/1", "/orders/1", "/users/2")] == [200] * 3
        seen = {n["resource"] for n in json.loads(command("clusterNode"))}
        assert {"/items/{id}", "/orders", "/users"} <= seen
        assert command("setRules", type="flow", data=json.dumps([flow("/items/{id}"), flow("/users/{id}"), flow("/orders", limitApp="thief")])).startswith("success")
        assert proxy.status("/items/1") == 429
        eventually(lambda: proxy.status("/users/2") == 429)  # a rule's own template
        assert [proxy.status("/orders/1"), proxy.status("/orders/1", s_user="thief")] == [200, 429]
        command("setRules", type="flow", data="[]")
        command("gateway/updateApiDefinitions", data=json.dumps([{"apiName": "all", "predicateItems": [{"pattern": "/**", "matchStrategy": 1}]}]))
        command("gateway/updateRules", data=json.dumps([{"resource": "all", "resourceMode": 1, "count": 0, "intervalSec": DAY}]))
        eventually(lambda: proxy.ask("/items/1")[1] == 'Blocked by flow control: resource "all" (gateway rule)')
    finally:
        proxy.process.terminate()
        assert proxy.process.wait(20) == 0
        origin.shutdown()
        dashboard.shutdown()


def test_a_dashboard_without_an_app_is_refused():
    done = subprocess.run([FAIRLEAD, "proxy", "--listen", ":0", "--to", "127.0.0.1:1", "--flow-dashboard", "127.0.0.1:1"], capture_output=True, text=True, timeout=20)
    assert done.returncode == 1 and "add --flow-app NAME" in done.stderr
