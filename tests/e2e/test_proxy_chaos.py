"""Upstreams and configuration that misbehave under load: nothing fails that could have been served or safely retried."""
import http.client
import json
import os
import socket
import socketserver
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ports import free_port

SECONDS = float(os.environ.get("SOAK_SECONDS", 5))  # how long the longer tests keep up their load: `make soak` takes its time
FAIRLEAD = Path(os.environ.get("FAIRLEAD", Path(__file__).resolve().parents[2] / "build" / "fairlead"))


def get(port, path, headers={}, timeout=20):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    result = answer.status, answer.read().decode(), {k.lower(): v for k, v in answer.getheaders()}
    connection.close()
    return result


class Origin:
    """An HTTP/1.1 server whose manners change while it runs."""

    def __init__(self, name, port=0, ip="127.0.0.1"):
        self.name = name
        self.served = 0
        # good, hang, close_after (each answer, without saying so), half_close (the same, and goes on reading), cut (mid-body),
        # slow (a byte at a time), refuse (a reset before anything is read), short (says that it keeps connections for 2 s), 503
        self.manner = "good"
        self.open = set()
        self.idle = set()            # of those, the ones that wait for a request
        self.changes = 0
        self.lock = threading.Lock()
        origin = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                origin.open.add(self.request)
                try:
                    self.talk()
                except OSError:
                    pass
                finally:
                    origin.open.discard(self.request)
                    with origin.lock:
                        origin.idle.discard(self.request)

            def talk(self):
                pending = b""
                if origin.manner == "refuse":
                    self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return self.request.close()
                while True:
                    with origin.lock:
                        origin.idle.add(self.request)
                    while b"\r\n\r\n" not in pending:
                        data = self.request.recv(65536)
                        if not data:
                            return
                        pending += data
                    head, pending = pending.split(b"\r\n\r\n", 1)
                    with origin.lock:
                        origin.idle.discard(self.request)
                        manner, changes = origin.manner, origin.changes
                    if manner == "hang":
                        time.sleep(5)
                        return
                    status = b"503 Service Unavailable" if manner == "503" else b"200 OK"
                    body = origin.name.encode()
                    length = len(body) + (10 if manner == "cut" else 0)
                    origin.served += 1
                    extra = b"keep-alive: timeout=2\r\n" if manner == "short" else b""
                    answer = b"HTTP/1.1 " + status + b"\r\n" + extra + b"content-length: %d\r\n\r\n" % length + body
                    if manner == "slow":
                        for i in range(len(answer)):
                            self.request.sendall(answer[i:i + 1])
                            time.sleep(0.002)
                    else:
                        self.request.sendall(answer)
                    if manner == "half_close":
                        self.request.shutdown(socket.SHUT_WR)
                    if manner in ("close_after", "cut") or changes != origin.changes:
                        return

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True
            request_queue_size = 256

        self.server = Server((ip, port), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def change(self, manner):
        """Another manner, on new connections: those that wait are closed, those that answer go behind their answer."""
        with self.lock:
            self.manner = manner
            self.changes += 1
            for s in self.idle:
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def kill(self):
        self.server.shutdown()
        self.server.server_close()
        for s in list(self.open):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Load:
    """Clients with connections of their own, until stopped. Counts every answer that is not 200."""

    def __init__(self, port, clients=4, path="/"):
        self.port, self.path = port, path
        self.good, self.bad = 0, []
        self.stopping = False
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(clients)]
        for t in self.threads:
            t.start()

    def run(self):
        connection = None
        while not self.stopping:
            try:
                fresh = connection is None
                if fresh:
                    connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
                connection.request("GET", self.path)
                answer = connection.getresponse()
                text = answer.read().decode()
                if answer.status == 200:
                    self.good += 1
                else:
                    self.bad.append((answer.status, text))
                if answer.will_close:
                    connection.close()
                    connection = None
            except (OSError, http.client.HTTPException) as problem:
                # A connection that was kept and is closed between two requests is the client's to replace.
                if fresh or not isinstance(problem, (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)):
                    self.bad.append(repr(problem))
                connection.close()
                connection = None

    def stop(self):
        self.stopping = True
        for t in self.threads:
            t.join(timeout=25)
        return self


def endpoint(port, address="127.0.0.1"):
    return {"endpoint": {"address": {"socket_address": {"address": address, "port_value": port}}}}


def assignment(name, *ports):
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint(p) for p in ports]}]}


def listener(port, route, extra={}):
    return {"name": "l", "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}, "filter_chains": [{"filters": [{
        "name": "envoy.filters.network.http_connection_manager", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "in", **route, **extra,
            "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}]}}]}]}


def routes(name, cluster="c", action={}, headers=()):
    return {"name": name, "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
        {"match": {"prefix": "/"}, "route": {"cluster": cluster, **action},
         "response_headers_to_add": [{"header": {"key": k, "value": v}} for k, v in headers]}]}]}


class Proxy:
    def __init__(self, folder, bootstrap, workers=2):
        self.admin = free_port()
        bootstrap["admin"] = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": self.admin}}}
        path = folder / "bootstrap.json"
        path.write_text(json.dumps(bootstrap))
        self.log = open(folder / "proxy.log", "w")
        self.process = subprocess.Popen([FAIRLEAD, "proxy", "-c", path, "--concurrency", str(workers)], stderr=self.log)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            assert self.process.poll() is None, (folder / "proxy.log").read_text()
            try:
                if get(self.admin, "/ready")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.02)
        raise AssertionError((folder / "proxy.log").read_text())

    def stat(self, name):
        text = get(self.admin, f"/stats?filter={name.replace('.', '[.]')}$")[1]
        return int(text.strip().split(": ")[1]) if text.strip() else 0

    def wait(self, what, seconds=10):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if what():
                return
            time.sleep(0.02)
        raise AssertionError("it did not happen")

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.log.close()


@pytest.fixture
def run(tmp_path):
    started = []

    def start(cluster, action={}, route=None, extra={}):
        # The default of three retries at a time is for quieter days.
        cluster = {"circuit_breakers": {"thresholds": [{"max_retries": 1000}]}, **cluster}
        port = free_port()
        proxy = Proxy(tmp_path, {"static_resources": {
            "clusters": [cluster], "listeners": [listener(port, route or {"route_config": routes("r", action=action)}, extra)]}})
        started.append(proxy)
        proxy.port = port
        return proxy

    yield start
    for proxy in started:
        proxy.stop()


def move(path, resources, version="1"):
    new = path.with_suffix(".new")
    new.write_text(json.dumps({"version_info": version, "resources": resources}))
    os.rename(new, path)


RETRIES = {"retry_policy": {"retry_on": "connect-failure,reset,refused-stream", "num_retries": 3,
                            "retry_host_predicate": [{"name": "envoy.retry_host_predicates.previous_hosts"}], "host_selection_retry_max_attempts": 5}}


def test_an_upstream_that_dies_and_comes_back_costs_no_request(run):
    a, b = Origin("a"), Origin("b")
    proxy = run({"name": "c", "type": "STATIC", "load_assignment": assignment("c", a.port, b.port)}, RETRIES)
    load = Load(proxy.port)
    time.sleep(0.5)
    b.kill()
    time.sleep(1)
    again = Origin("b", b.port)
    proxy.wait(lambda: again.served > 0)
    time.sleep(0.3)
    load.stop()
    assert load.bad == [] and load.good > 100
    again.kill()
    a.kill()


def test_connections_that_the_upstream_closes_unannounced_are_replaced(run):
    a = Origin("a")
    proxy = run({"name": "c", "type": "STATIC", "load_assignment": assignment("c", a.port)})
    load = Load(proxy.port)
    for manner in ("close_after", "good", "half_close", "good", "close_after"):
        a.manner = manner
        time.sleep(SECONDS / 10)
    load.stop()
    assert load.bad == [] and load.good > 50
    a.kill()


def test_an_upstream_that_is_slow_or_resets_each_connection_costs_no_request(run):
    a, b = Origin("a"), Origin("b")
    proxy = run({"name": "c", "type": "STATIC", "load_assignment": assignment("c", a.port, b.port)}, RETRIES)
    load = Load(proxy.port)
    for manner in ("slow", "refuse", "good", "refuse", "slow"):
        b.change(manner)
        time.sleep(SECONDS / 10)
    load.stop()
    assert load.bad == [] and load.good > 50
    assert proxy.stat("cluster.c.upstream_rq_retry_success") > 0
    a.kill()
    b.kill()


def test_an_idle_connection_goes_before_its_server_would_close_it(run):
    a = Origin("a")
    a.manner = "short"  # timeout=2: half of it, being so short
    proxy = run({"name": "c", "type": "STATIC", "load_assignment": assignment("c", a.port)})
    assert get(proxy.port, "/")[0] == 200
    proxy.wait(lambda: proxy.stat("cluster.c.upstream_cx_idle_timeout") == 1, 4)
    a.kill()


def test_an_upstream_that_hangs_is_tried_elsewhere(run):
    a, b = Origin("a"), Origin("b")
    b.manner = "hang"
    action = {"retry_policy": {**RETRIES["retry_policy"], "per_try_timeout": "0.2s"}}
    proxy = run({"name": "c", "type": "STATIC", "load_assignment": assignment("c", a.port, b.port)}, action)
    for _ in range(6):
        status, body, _ = get(proxy.port, "/")
        assert (status, body) == (200, "a")
    assert proxy.stat("cluster.c.upstream_rq_per_try_timeout") > 0
    a.kill()
    b.kill()


def test_an_answer_that_is_cut_is_never_taken_for_whole(run):
    a = Origin("a")
    a.manner = "cut"
    proxy = run({"name": "c", "type": "STATIC", "load_assignment": assignment("c", a.port)}, RETRIES)
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        get(proxy.port, "/")
    assert a.served == 1  # what was begun is not repeated
    a.kill()


def test_active_health_checks_take_a_sick_endpoint_out_and_back(run, tmp_path):
    a, b = Origin("a"), Origin("b")
    events = tmp_path / "events"
    proxy = run({"name": "c", "type": "STATIC", "load_assignment": assignment("c", a.port, b.port), "health_checks": [{
        "timeout": "0.5s", "interval": "0.05s", "no_traffic_interval": "0.05s", "unhealthy_threshold": 2, "healthy_threshold": 2,
        "event_log_path": str(events), "http_health_check": {"path": "/health"}}]})
    proxy.wait(lambda: proxy.stat("cluster.c.membership_healthy") == 2)
    b.manner = "503"
    proxy.wait(lambda: proxy.stat("cluster.c.membership_healthy") == 1)
    assert {get(proxy.port, "/")[1] for _ in range(10)} == {"a"}
    assert f"127.0.0.1:{b.port}::health_flags::/failed_active_hc" in get(proxy.admin, "/clusters")[1]
    b.manner = "good"
    proxy.wait(lambda: proxy.stat("cluster.c.membership_healthy") == 2)
    assert {get(proxy.port, "/")[1] for _ in range(10)} == {"a", "b"}
    proxy.wait(lambda: "eject_unhealthy_event" in events.read_text() and "add_healthy_event" in events.read_text())
    a.kill()
    b.kill()


def test_tcp_health_checks_find_a_closed_port(run):
    a, b = Origin("a"), Origin("b")
    proxy = run({"name": "c", "type": "STATIC", "load_assignment": assignment("c", a.port, b.port), "health_checks": [{
        "timeout": "0.5s", "interval": "0.05s", "no_traffic_interval": "0.05s", "unhealthy_threshold": 1, "healthy_threshold": 1, "tcp_health_check": {}}]})
    proxy.wait(lambda: proxy.stat("cluster.c.membership_healthy") == 2)
    b.kill()
    proxy.wait(lambda: proxy.stat("cluster.c.membership_healthy") == 1)
    assert {get(proxy.port, "/")[1] for _ in range(10)} == {"a"}
    a.kill()


def test_outlier_detection_ejects_who_fails(run):
    a, b = Origin("a"), Origin("b")
    b.manner = "503"
    proxy = run({"name": "c", "type": "STATIC", "load_assignment": assignment("c", a.port, b.port),
                 "outlier_detection": {"consecutive_5xx": 3, "max_ejection_percent": 50, "base_ejection_time": "0.5s", "interval": "0.1s"}})
    proxy.wait(lambda: get(proxy.port, "/") and proxy.stat("cluster.c.outlier_detection.ejections_active") == 1)
    assert {get(proxy.port, "/")[0] for _ in range(5)} == {200}
    b.manner = "good"
    proxy.wait(lambda: proxy.stat("cluster.c.outlier_detection.ejections_active") == 0)
    assert proxy.stat("cluster.c.outlier_detection.ejections_enforced_consecutive_5xx") >= 1
    a.kill()
    b.kill()


def test_hashing_keeps_a_client_with_its_endpoint(run):
    origins = [Origin(n) for n in "abcd"]
    proxy = run({"name": "c", "type": "STATIC", "lb_policy": "RING_HASH", "load_assignment": assignment("c", *[o.port for o in origins])},
                {"hash_policy": [{"header": {"header_name": "x-user"}, "terminal": True}, {"cookie": {"name": "s", "ttl": "60s", "path": "/"}}]})
    for user in range(8):
        assert len({get(proxy.port, "/", {"x-user": str(user)})[1] for _ in range(5)}) == 1
    assert len({get(proxy.port, "/", {"x-user": str(user)})[1] for user in range(40)}) == 4
    _, first, headers = get(proxy.port, "/")
    cookie = headers["set-cookie"].split(";")[0]
    assert "Max-Age=60" in headers["set-cookie"]
    assert {get(proxy.port, "/", {"cookie": cookie})[1] for _ in range(5)} == {first}
    for o in origins:
        o.kill()


def test_the_next_priority_serves_when_the_first_is_gone(run):
    a, b = Origin("a"), Origin("b")
    load = {"cluster_name": "c", "endpoints": [{"priority": 0, "lb_endpoints": [endpoint(a.port)]}, {"priority": 1, "lb_endpoints": [endpoint(b.port)]}]}
    proxy = run({"name": "c", "type": "STATIC", "load_assignment": load, "health_checks": [{
        "timeout": "0.5s", "interval": "0.05s", "no_traffic_interval": "0.05s", "unhealthy_threshold": 1, "healthy_threshold": 1, "tcp_health_check": {}}]})
    proxy.wait(lambda: proxy.stat("cluster.c.membership_healthy") == 2)
    assert {get(proxy.port, "/")[1] for _ in range(5)} == {"a"}
    a.kill()
    proxy.wait(lambda: proxy.stat("cluster.c.membership_healthy") == 1)
    assert {get(proxy.port, "/")[1] for _ in range(5)} == {"b"}
    b.kill()


def test_a_hundred_changes_a_second_by_file_cost_no_request(tmp_path):
    origins = [Origin(n) for n in "abc"]
    port = free_port()
    files = {kind: tmp_path / f"{kind}.json" for kind in ("cds", "lds", "rds", "eds")}
    prefix = "type.googleapis.com/envoy.config."

    def source(kind):
        return {"path_config_source": {"path": str(files[kind])}, "resource_api_version": "V3"}

    def cluster(n):
        return {"@type": prefix + "cluster.v3.Cluster", "name": "c", "type": "EDS", "circuit_breakers": {"thresholds": [{"max_retries": 1000}]}, "connect_timeout": f"{1 + n % 5}s",
                "eds_cluster_config": {"eds_config": source("eds")}}

    def route_table(n):
        return {"@type": prefix + "route.v3.RouteConfiguration", **routes("r", action=RETRIES, headers=[("x-version", str(n))])}

    def endpoints(n):
        ports = [o.port for i, o in enumerate(origins) if i != n % 3]
        return {"@type": prefix + "endpoint.v3.ClusterLoadAssignment", **assignment("c", *ports)}

    def whole_listener(n):
        return {"@type": prefix + "listener.v3.Listener", "stat_prefix": f"p{n % 2}",
                **listener(port, {"rds": {"route_config_name": "r", "config_source": source("rds")}})}

    make = {"cds": cluster, "rds": route_table, "eds": endpoints, "lds": whole_listener}
    for kind, path in files.items():
        move(path, [make[kind](0)])
    proxy = Proxy(tmp_path, {"dynamic_resources": {"cds_config": source("cds"), "lds_config": source("lds")}})
    try:
        proxy.wait(lambda: get(port, "/")[0] == 200)
        load = Load(port)
        started = time.monotonic()
        changes = 0
        while time.monotonic() < started + SECONDS:
            kind = ("rds", "eds", "cds", "rds", "eds", "lds")[changes % 6]
            changes += 1
            move(files[kind], [make[kind](changes)], str(changes))
            time.sleep(max(0, started + changes / 100 - time.monotonic()))
        load.stop()
        assert load.bad == [] and load.good > 100
        assert changes > 20 * SECONDS
        assert proxy.stat("http.rds.update_success") > 20
        # A file that is no configuration changes nothing.
        files["rds"].with_suffix(".bad").write_text("{resources: [{x: 1}]}")
        os.rename(files["rds"].with_suffix(".bad"), files["rds"])
        time.sleep(0.2)
        assert get(port, "/")[0] == 200
    finally:
        proxy.stop()
        for o in origins:
            o.kill()


def test_a_change_of_one_filter_chain_leaves_connections_on_others_alone(tmp_path):
    a = Origin("a")
    ports = free_port()
    lds = tmp_path / "lds.json"

    def resource(version):
        base = listener(ports, {"route_config": routes("r", headers=[("x-version", version)])})
        other = listener(ports, {"route_config": routes("other")})["filter_chains"][0]
        base["filter_chains"] = [{"name": "changed", "filter_chain_match": {"source_prefix_ranges": [{"address_prefix": "127.0.0.1", "prefix_len": 32}]},
                                  **base["filter_chains"][0]},
                                 {"name": "same", "filter_chain_match": {"source_prefix_ranges": [{"address_prefix": "127.0.0.2", "prefix_len": 32}]}, **other}]
        return {"@type": "type.googleapis.com/envoy.config.listener.v3.Listener", **base}

    move(lds, [resource("1")])
    proxy = Proxy(tmp_path, {"static_resources": {"clusters": [{"name": "c", "type": "STATIC", "load_assignment": assignment("c", a.port)}]},
                             "dynamic_resources": {"lds_config": {"path_config_source": {"path": str(lds)}}}})
    try:
        def connect(source):
            c = http.client.HTTPConnection("127.0.0.1", ports, timeout=10, source_address=(source, 0))
            c.connect()
            return c

        def ask(c):
            c.request("GET", "/")
            answer = c.getresponse()
            answer.read()
            return answer

        changed, same = connect("127.0.0.1"), connect("127.0.0.2")
        assert ask(changed).getheader("x-version") == "1" and ask(same).status == 200
        kept = same.sock
        move(lds, [resource("2")])
        proxy.wait(lambda: get(ports, "/")[2].get("x-version") == "2")
        assert ask(same).status == 200 and same.sock is kept and not ask(same).will_close
        try:
            assert ask(changed).will_close  # it may finish, and is told to go
        except http.client.RemoteDisconnected:
            pass
    finally:
        proxy.stop()
        a.kill()


def xds_cluster(port):
    return {"name": "xds", "type": "STATIC", "load_assignment": assignment("xds", port),
            "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}}}}}


GRPC = {"api_type": "GRPC", "transport_api_version": "V3", "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}]}
SOURCES = {"ads": {"ads": {}}, "streams": {"api_config_source": GRPC}}


class Driven:
    """The proxy, told everything by a server of ours that can go away: by one stream for all, or by one for each type."""

    def __init__(self, folder, by):
        from xds_server import XdsServer
        self.server = XdsServer()
        self.port = free_port()
        self.origins = [Origin(n) for n in "abc"]
        self.connected = {"ads": "control_plane.connected_state", "streams": "cluster_manager.cds.control_plane.connected_state"}[by]
        ads = {**SOURCES[by], "resource_api_version": "V3"}
        self.ads = ads
        self.content(self.server, 0, self.origins[:2])
        self.proxy = Proxy(folder, {
            "node": {"id": "driven", "cluster": "test"},
            "dynamic_resources": {**({"ads_config": GRPC} if by == "ads" else {}), "cds_config": ads, "lds_config": ads},
            "static_resources": {"clusters": [xds_cluster(self.server.port)]}})

    def content(self, server, version, origins):
        server.set("cds", {"name": "c", "type": "EDS", "eds_cluster_config": {"eds_config": self.ads}, "circuit_breakers": {"thresholds": [{"max_retries": 1000}]}})
        server.set("eds", assignment("c", *[o.port for o in origins]))
        server.set("rds", routes("r", action=RETRIES, headers=[("x-version", str(version))]))
        server.set("lds", listener(self.port, {"rds": {"route_config_name": "r", "config_source": self.ads}}))

    def version(self):
        try:
            return get(self.port, "/")[2].get("x-version")
        except OSError:
            return None

    def stop(self):
        self.proxy.stop()
        self.server.stop()
        for o in self.origins:
            o.kill()


@pytest.fixture(params=list(SOURCES))
def driven(request, tmp_path):
    d = Driven(tmp_path, request.param)
    yield d
    d.stop()


def test_an_xds_server_that_goes_and_comes_back_with_other_content_costs_no_request(driven):
    from xds_server import XdsServer
    a, b, c = driven.origins
    driven.proxy.wait(lambda: driven.version() == "0")
    load = Load(driven.port)
    for version in range(1, 4):
        port = driven.server.port
        driven.server.stop()
        driven.proxy.wait(lambda: driven.proxy.stat(driven.connected) == 0)
        assert driven.version() == str(version - 1)  # what was known last goes on
        driven.server = XdsServer(port)
        driven.content(driven.server, version, [(b, c), (c, a), (a, b)][version - 1])
        driven.proxy.wait(lambda: driven.version() == str(version), 40)
        # Streams of their own come back each in its time.
        driven.proxy.wait(lambda: any(kind.endswith("ClusterLoadAssignment") for kind, _, _ in driven.server.acks), 40)
    for _ in range(2):  # the first time what was sent before the last word is answered
        served = [o.served for o in driven.origins]
        driven.proxy.wait(lambda: a.served > served[0] + 5 and b.served > served[1] + 5)
    load.stop()
    assert load.bad == [] and load.good > 50
    assert c.served == served[2]  # the last word counts
    assert driven.server.nacks == []


def test_a_hundred_changes_a_second_from_a_server_cost_no_request(driven):
    driven.proxy.wait(lambda: driven.version() == "0")
    load = Load(driven.port)
    started, changes = time.monotonic(), 0
    while time.monotonic() < started + SECONDS:
        changes += 1
        kind = ("rds", "eds", "cds", "rds", "lds")[changes % 5]
        ports = [o.port for i, o in enumerate(driven.origins) if i != changes % 3]
        driven.server.set(kind, {
            "rds": routes("r", action=RETRIES, headers=[("x-version", str(changes))]),
            "eds": assignment("c", *ports),
            "cds": {"name": "c", "type": "EDS", "connect_timeout": f"{1 + changes % 5}s", "eds_cluster_config": {"eds_config": driven.ads},
                    "circuit_breakers": {"thresholds": [{"max_retries": 1000}]}},
            "lds": {**listener(driven.port, {"rds": {"route_config_name": "r", "config_source": driven.ads}}), "stat_prefix": f"p{changes % 2}"}}[kind])
        time.sleep(max(0, started + changes / 100 - time.monotonic()))
    last = str(changes + 1)
    driven.server.set("rds", routes("r", action=RETRIES, headers=[("x-version", last)]))
    driven.proxy.wait(lambda: driven.version() == last)
    load.stop()
    assert load.bad == [] and load.good > 100 and changes > 20 * SECONDS
    assert driven.server.nacks == []


def test_what_a_server_sends_in_error_is_refused_by_name_and_changes_nothing(driven):
    driven.proxy.wait(lambda: driven.version() == "0")
    driven.server.set("rds", {"name": "r", "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
        {"match": {"safe_regex": {"regex": "("}}, "route": {"cluster": "c"}}]}]})
    driven.proxy.wait(lambda: driven.server.nacks)
    kind, version, why = driven.server.nacks[0]
    assert (kind, version) == ("envoy.config.route.v3.RouteConfiguration", "1") and "safe_regex" in why
    assert driven.version() == "0"
    driven.content(driven.server, 5, driven.origins)
    driven.proxy.wait(lambda: driven.version() == "5")


@pytest.mark.parametrize("kind", ["STRICT_DNS", "LOGICAL_DNS"])
def test_names_that_change_their_addresses_cost_no_request(kind, tmp_path):
    """In a network and a mount namespace of its own, with a name server that answers what the test wants."""
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    inside = f'ip link set lo up && mount --bind "{tmp_path}/resolv.conf" /etc/resolv.conf && exec "$0" "$@"'
    ran = subprocess.run(["unshare", "-Urnm", "sh", "-c", inside, sys.executable, __file__, kind, str(tmp_path)], capture_output=True, text=True,
                         timeout=60 + 2 * SECONDS, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert ran.returncode == 0, ran.stdout + ran.stderr


class NameServer:
    """Answers every question for an A record with the addresses of the hour; None: not at all; []: that it has failed."""

    def __init__(self):
        self.addresses = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 53))
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            question, peer = self.socket.recvfrom(512)
            addresses = self.addresses
            if addresses is None:
                continue
            end = question.index(b"\0", 12) + 5
            wanted = struct.unpack(">H", question[end - 4:end - 2])[0]
            found = addresses if wanted == 1 else []
            flags = 0x8180 if addresses else 0x8182
            answer = question[:2] + struct.pack(">HHHHH", flags, 1, len(found), 0, 0) + question[12:end]
            for a in found:
                answer += b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 1, 4) + socket.inet_aton(a)
            self.socket.sendto(answer, peer)


def change_names(kind, folder):
    names = NameServer()
    a = Origin("a", ip="127.0.0.2")
    b = Origin("b", a.port, ip="127.0.0.3")
    names.addresses = ["127.0.0.2"]
    port = free_port()
    proxy = Proxy(folder, {"static_resources": {
        "clusters": [{"name": "c", "type": kind, "dns_lookup_family": "V4_ONLY", "dns_refresh_rate": "0.1s", "circuit_breakers": {"thresholds": [{"max_retries": 1000}]},
                      "load_assignment": {"cluster_name": "c", "endpoints": [{"lb_endpoints": [endpoint(a.port, "origin.test")]}]}}],
        "listeners": [listener(port, {"route_config": routes("r", action=RETRIES)})]}})
    try:
        proxy.wait(lambda: get(port, "/")[:2] == (200, "a"))
        load = Load(port)
        for name, addresses in (("b", ["127.0.0.3"]), ("a", ["127.0.0.2"]), ("b", ["127.0.0.3"])):
            names.addresses = addresses
            proxy.wait(lambda: {get(port, "/")[1] for _ in range(5)} == {name})
            for broken in (None, []):
                names.addresses = broken
                time.sleep(SECONDS / 10)
                assert {get(port, "/")[1] for _ in range(5)} == {name}
                names.addresses = addresses
        if kind == "STRICT_DNS":
            names.addresses = ["127.0.0.2", "127.0.0.3"]
            proxy.wait(lambda: {get(port, "/")[1] for _ in range(10)} == {"a", "b"})
        load.stop()
        assert load.bad == [] and load.good > 50, (load.good, load.bad[:5])
    finally:
        proxy.stop()


if __name__ == "__main__":
    change_names(sys.argv[1], Path(sys.argv[2]))
