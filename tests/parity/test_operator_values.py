"""What happens is counted alike: the same events at Envoy and at us, and the figures that both have to show for them."""
import json
import re
import socket
import ssl
import time

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import pytest

from parity_pair import HCM, ROUTER, Origin, address, both, cluster, h2_cluster
from test_operator import KNOWN, names

INSPECTORS = [{"name": f"envoy.filters.listener.{name}_inspector", "typed_config": {
    "@type": f"type.googleapis.com/envoy.extensions.filters.listener.{name}_inspector.v3.{name.title()}Inspector"}} for name in ("tls", "http")]
LARGE = 32 << 20


class Odd(Origin):
    """By path: /close says so, /ws changes to another protocol, /large sends much, /deaf reads no body for a while."""

    def _serve(self, peer):
        try:
            file = peer.makefile("rb")
            while line := file.readline():
                path = line.decode().split(" ")[1]
                fields = {}
                while (line := file.readline().rstrip(b"\r\n")):
                    name, _, value = line.decode().partition(":")
                    fields[name.lower()] = value.strip()
                if path.startswith("/deaf"):
                    time.sleep(1)
                file.read(int(fields.get("content-length", 0)))
                if path.startswith("/ws"):
                    peer.sendall(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: echo\r\nconnection: upgrade\r\n\r\n")
                    while data := peer.recv(100):
                        peer.sendall(data)
                    return
                status = "503 X" if path.startswith("/503") else "200 OK"
                more = "connection: close\r\n" if path.startswith("/close") else ""
                size = LARGE if path.startswith("/large") else 2
                peer.sendall(f"HTTP/1.1 {status}\r\nx-envoy-upstream-healthchecked-cluster: right-one\r\n{more}content-length: {size}\r\n\r\n".encode() + b"o" * size)
                if path.startswith("/close"):
                    return
        except (OSError, ValueError):  # what is no HTTP
            pass
        finally:
            peer.close()


class OddH2(Origin):
    """HTTP/2, by path: /reset, /goaway, /trailers; else 200."""

    def _serve(self, peer):
        session = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        session.initiate_connection()
        try:
            peer.sendall(session.data_to_send())
            while data := peer.recv(65536):
                for event in session.receive_data(data):
                    if not isinstance(event, h2.events.RequestReceived):
                        continue
                    path, stream = dict(event.headers)[":path"], event.stream_id
                    if path.startswith("/h2/reset"):
                        session.reset_stream(stream, h2.errors.ErrorCodes.INTERNAL_ERROR)
                        continue
                    session.send_headers(stream, [(":status", "200")])
                    session.send_data(stream, b"ok", end_stream="trailers" not in path)
                    if "trailers" in path:
                        session.send_headers(stream, [("x-last", "1")], end_stream=True)
                    if path.startswith("/h2/goaway"):
                        session.close_connection(last_stream_id=stream)
                        peer.sendall(session.data_to_send())
                        return
                peer.sendall(session.data_to_send())
        except (OSError, h2.exceptions.ProtocolError):
            pass
        finally:
            peer.close()


def endpoints(*ports, version="1"):
    return json.dumps({"version_info": version, "resources": [{
        "@type": "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment", "cluster_name": "eds",
        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(p)}} for p in ports]}]}]})


def put(path, text):
    """As who rolls out configuration does, and as Envoy wants it: another file in its place."""
    new = path.with_name("new")
    new.write_text(text)
    new.rename(path)


@pytest.fixture(scope="module")
def pair(envoy, tmp_path_factory):
    odd, odd_h2 = Odd(), OddH2()

    def listener(r, name, filters, **more):
        return {"name": name, "address": address(r.port(name)), "filter_chains": [{"filters": filters}], "per_connection_buffer_limit_bytes": 32768, **more}

    def manager(name, **more):
        routes = [{"match": {"prefix": f"/{c}"}, "route": {"cluster": c}} for c in ("h2", "eds", "unbound")]
        routes += [{"match": {"prefix": "/503"}, "route": {"cluster": "tripped"}}, {"match": {"prefix": "/direct"}, "direct_response": {"status": 200}},
                   {"match": {"prefix": "/ws"}, "route": {"cluster": "odd", "upgrade_configs": [{"upgrade_type": "echo"}]}},
                   {"match": {"prefix": "/"}, "route": {"cluster": "odd", "timeout": "30s"}}]
        return {"name": name, "typed_config": {"@type": HCM, "stat_prefix": name, "http_filters": [ROUTER], "normalize_path": True, "delayed_close_timeout": "0.3s",
                                               "route_config": {"name": "rc", "virtual_hosts": [{"name": "vh", "domains": ["*"], "routes": routes}]}, **more}}

    def dynamic(r, status):
        routes = [{"match": {"prefix": "/"}, "direct_response": {"status": status}}]
        hcm = {"@type": HCM, "stat_prefix": "dynamic", "http_filters": [ROUTER], "route_config": {"virtual_hosts": [{"name": "vh", "domains": ["*"], "routes": routes}]}}
        return json.dumps({"version_info": str(status), "resources": [{"@type": "type.googleapis.com/envoy.config.listener.v3.Listener",
                                                                       **listener(r, "dynamic", [{"name": "hcm", "typed_config": hcm}])}]})

    def bootstrap(r):
        r.eds, r.lds = r.folder / "eds.json", r.folder / "lds.json"
        r.dynamic = lambda status: put(r.lds, dynamic(r, status))
        r.eds.write_text(endpoints(odd.port))
        r.lds.write_text(dynamic(r, 200))
        eds = {"name": "eds", "type": "EDS", "connect_timeout": "1s", "eds_cluster_config": {"eds_config": {"path_config_source": {"path": str(r.eds)}}}}
        tripped = {"consecutive_5xx": 3, "enforcing_consecutive_5xx": 100, "max_ejection_percent": 100, "interval": "3600s", "base_ejection_time": "3600s", "consecutive_gateway_failure": 100}
        check = {"timeout": "1s", "interval": "0.1s", "no_traffic_interval": "0.1s", "unhealthy_threshold": 1, "healthy_threshold": 1,
                 "http_health_check": {"path": "/h", "service_name_matcher": {"prefix": "right"}}}
        tcp = {"name": "tcp", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", "stat_prefix": "tcp", "cluster": "odd"}}
        by_name = cluster("by-name", odd.port) | {"type": "STRICT_DNS", "dns_refresh_rate": "0.1s", "dns_lookup_family": "V4_ONLY"}
        by_name["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]["socket_address"]["address"] = "localhost"
        return {"node": {"id": "n", "cluster": "c"}, "dynamic_resources": {"lds_config": {"path_config_source": {"path": str(r.lds)}}}, "static_resources": {
            "listeners": [listener(r, "in", [manager("in")]),
                          *(listener(r, name, [manager(name, common_http_protocol_options={"headers_with_underscores_action": action})])
                            for name, action in (("reject", "REJECT_REQUEST"), ("drop", "DROP_HEADER"))),
                          listener(r, "inspected", [tcp], listener_filters=INSPECTORS), listener(r, "tcp", [tcp])],
            "clusters": [cluster("odd", odd.port, per_connection_buffer_limit_bytes=32768), h2_cluster("h2", odd_h2.port), eds, by_name,
                         cluster("tripped", odd.port, outlier_detection=tripped), cluster("named", odd.port, health_checks=[check]),
                         cluster("unbound", odd.port, upstream_bind_config={"source_address": {"address": "192.0.2.1", "port_value": 0}})]}}
    running = both(envoy, tmp_path_factory.mktemp("pair"), bootstrap)
    for r in running:
        r.odd = odd.port
    yield running
    for r in running:
        r.stop()


def figures(r):
    lines = r.admin("/stats")[2].splitlines()
    return dict(line.split(": ", 1) for line in lines if ": " in line)


def number(r, name):
    """Ports in names of listeners are written as {name of the listener}."""
    return int(figures(r).get(name.format(**r.ports), 0))


def connect(r, name):
    s = socket.create_connection(("127.0.0.1", r.port(name)))
    s.settimeout(10)
    return s


def answer(s, until=b"\r\n\r\n"):
    data = b""
    while until not in data and (more := s.recv(65536)):
        data += more
    return data


def http1(r, text, name="in"):
    with connect(r, name) as s:
        s.sendall(text.replace("\n", "\r\n").encode())
        return answer(s)


def get(r, path, *more, name="in"):
    return http1(r, f"GET {path} HTTP/1.1\nhost: a\n" + "".join(f"{m}\n" for m in more) + "\n", name)


class H2Client:
    """One connection that may send what it should not."""

    def __init__(self, r, name="in"):
        self.socket = connect(r, name)
        self.session = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8", validate_outbound_headers=False, normalize_outbound_headers=False))
        self.session.initiate_connection()
        self.flush()

    def flush(self):
        self.socket.sendall(self.session.data_to_send())

    def ask(self, path="/direct", *more, method="GET", end=True):
        stream = self.session.get_next_available_stream_id()
        self.session.send_headers(stream, [(":method", method), (":scheme", "http"), (":path", path), (":authority", "a"), *more], end_stream=end)
        self.flush()
        return stream

    def until(self, *kinds):
        while data := self.socket.recv(65536):
            events = self.session.receive_data(data)
            self.flush()
            if any(isinstance(e, kinds) for e in events):
                return
        raise EOFError


def h2_end(r, path="/direct", *more, name="in"):
    client = H2Client(r, name)
    client.ask(path, *more)
    try:
        client.until(h2.events.StreamEnded, h2.events.StreamReset)
    except (EOFError, ConnectionResetError):
        pass  # Envoy ends the connection where a stream would do
    client.socket.close()


def h2_trailers(r):
    client = H2Client(r)
    stream = client.ask("/x", ("content-length", "2"), method="POST", end=False)
    client.session.send_data(stream, b"ok")
    client.session.send_headers(stream, [("x-last", "1")], end_stream=True)
    client.flush()
    client.until(h2.events.StreamEnded)
    client.socket.close()


def h2_reset(r):
    client = H2Client(r)
    stream = client.ask("/deaf", method="POST", end=False)
    client.session.reset_stream(stream, h2.errors.ErrorCodes.CANCEL)
    client.flush()
    client.session.ping(b"12345678")
    client.flush()
    client.until(h2.events.PingAckReceived)
    client.socket.close()


def unfinished(r):
    """An answer before the request's end; then the client stays until it is cut off."""
    cut_off = number(r, "http.in.downstream_cx_delayed_close_timeout")
    with connect(r, "in") as s:
        s.sendall(b"POST /direct HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nab")
        answer(s)
        r.wait(lambda: number(r, "http.in.downstream_cx_delayed_close_timeout") > cut_off)


def refused_upgrade(r):
    assert b" 403 " in get(r, "/x", "connection: upgrade", "upgrade: echo")


def outliers(r):
    for _ in range(3):
        get(r, "/503")
    r.wait(lambda: number(r, "cluster.tripped.outlier_detection.ejections_active") == 1)
    assert b" 503 " in get(r, "/503")


def hello(r, *alpn, name=None):
    """What a TLS client says first."""
    context = ssl.create_default_context()
    if alpn:
        context.set_alpn_protocols(list(alpn))
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    out = ssl.MemoryBIO()
    try:
        context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name).do_handshake()
    except ssl.SSLWantReadError:
        pass
    with connect(r, "inspected") as s:
        s.sendall(out.read())
        time.sleep(0.1)


def no_more_endpoints(r):
    put(r.eds, json.dumps({"version_info": "9", "resources": [{"@type": "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment", "cluster_name": "eds",
                                                               "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"socket_address": {"address": "nobody", "port_value": 1}}}}]}]}]}))


EVENTS = {
    "an encoded zero in the path": (lambda r: get(r, "/a%00b"), {"http.in.downstream_rq_failed_path_normalization": 1, "http.in.downstream_rq_4xx": 1}),
    "a path without a slash": (lambda r: http1(r, "OPTIONS * HTTP/1.1\nhost: a\n\n"), {"http.in.downstream_rq_non_relative_path": 1}),
    "an upgrade that no route allows": (refused_upgrade, {"http.in.downstream_rq_ws_on_non_ws_route": 1, "http.in.downstream_rq_response_before_rq_complete": 1,
                                                          "http.in.downstream_cx_upgrades_total": 0}),
    "an answer before the request's end": (unfinished, {"http.in.downstream_rq_response_before_rq_complete": 1, "http.in.downstream_cx_delayed_close_timeout": 1}),
    "an endpoint that closes": (lambda r: get(r, "/close"), {"cluster.odd.upstream_cx_close_notify": 1}),
    "an endpoint that goes away": (lambda r: get(r, "/h2/goaway"), {"cluster.h2.upstream_cx_close_notify": 1}),
    "an endpoint that resets": (lambda r: get(r, "/h2/reset"), {"cluster.h2.http2.rx_reset": 1, "cluster.h2.http2.trailers": 0}),
    "an endpoint's trailers": (lambda r: get(r, "/h2/trailers"), {"cluster.h2.http2.trailers": 0, "cluster.h2.http2.rx_reset": 0}),
    "a client's trailers": (h2_trailers, {"http2.trailers": 1}),
    "a client that resets": (h2_reset, {"http2.rx_reset": 1, "http2.tx_reset": 0}),
    "a malformed head": (lambda r: h2_end(r, "/direct", ("bad\0name", "1")), {"http2.rx_messaging_error": 1}),
    "a refused underscore, HTTP/1.1": (lambda r: get(r, "/direct", "a_b: 1", name="reject"), {"http1.requests_rejected_with_underscores_in_headers": 1}),
    "a refused underscore, HTTP/2": (lambda r: h2_end(r, "/direct", ("a_b", "1"), name="reject"), {"http2.requests_rejected_with_underscores_in_headers": 1}),
    "a dropped underscore, HTTP/1.1": (lambda r: get(r, "/direct", "a_b: 1", name="drop"), {"http1.dropped_headers_with_underscores": 1}),
    "a dropped underscore, HTTP/2": (lambda r: h2_end(r, "/direct", ("a_b", "1"), name="drop"), {"http2.dropped_headers_with_underscores": 1}),
    "an address of one's own that is not there": (lambda r: get(r, "/unbound"), {"cluster.unbound.bind_errors": 1, "cluster.unbound.upstream_cx_connect_fail": 1}),
    "answers of one listener": (lambda r: [get(r, p, name="drop") for p in ("/direct", "/x", "/a%00b")],
                                {"listener.127.0.0.1_{drop}.http.drop.downstream_rq_2xx": 2, "listener.127.0.0.1_{drop}.http.drop.downstream_rq_4xx": 1,
                                 "listener.127.0.0.1_{drop}.http.drop.downstream_rq_completed": 3, "listener.127.0.0.1_{in}.http.in.downstream_rq_completed": 0}),
    "a client that says nothing": (lambda r: connect(r, "inspected").close(), {"listener.127.0.0.1_{inspected}.downstream_listener_filter_remote_close": 1}),
    "a hello": (lambda r: hello(r, "h2", name="a.example"), {"tls_inspector.tls_found": 1, "tls_inspector.sni_found": 1, "tls_inspector.alpn_found": 1, "tls_inspector.tls_not_found": 0}),
    "a hello that says little": (hello, {"tls_inspector.tls_found": 1, "tls_inspector.sni_not_found": 1, "tls_inspector.alpn_not_found": 1, "http_inspector.http_not_found": 0}),
    "a request at inspectors": (lambda r: get(r, "/x", name="inspected"), {"tls_inspector.tls_not_found": 1, "tls_inspector.tls_found": 0, "http_inspector.http11_found": 1}),
    "an outlier": (outliers, {"cluster.tripped.outlier_detection.ejections_consecutive_5xx": 1, "cluster.tripped.outlier_detection.ejections_total": 1,
                              "cluster.tripped.outlier_detection.ejections_success_rate": 0}),
    "the same endpoints again": (lambda r: put(r.eds, endpoints(r.odd)), {"cluster.eds.update_attempt": 1, "cluster.eds.update_success": 1, "cluster.eds.update_no_rebuild": 1}),
    "other endpoints": (lambda r: put(r.eds, endpoints(r.odd, 1, version="2")), {"cluster.eds.update_attempt": 1, "cluster.eds.update_success": 1, "cluster.eds.update_no_rebuild": 0,
                                                                                 "cluster_manager.cluster_updated": 1}),
    "endpoints that are none": (no_more_endpoints, {"cluster.eds.update_attempt": 1, "cluster.eds.update_rejected": 1, "cluster.eds.update_success": 0}),
    "a file that is none": (lambda r: put(r.eds, "{"), {"cluster.eds.update_attempt": 1, "cluster.eds.update_failure": 1, "cluster.eds.update_success": 0}),
    "other filter chains": (lambda r: r.dynamic(201), {"listener_manager.listener_in_place_updated": 1, "listener_manager.lds.update_success": 1}),
}


@pytest.mark.parametrize("event", EVENTS)
def test_event(pair, event):
    happens, wanted = EVENTS[event]
    for r in pair:
        before = {name: number(r, name) for name in wanted}
        happens(r)
        deadline = time.monotonic() + 5
        while (found := {name: number(r, name) - n for name, n in before.items()}) != wanted and time.monotonic() < deadline:
            time.sleep(0.05)
        assert found == wanted, r.name


def test_names_of_more(pair):
    """Of what was used: figures of a connection manager begin with its first connection."""
    for r in pair:
        get(r, "/x", name="dynamic")
        get(r, "/x", name="tcp")
    theirs, ours = map(names, pair)
    missing = [n for n in sorted(theirs - ours) if not any(re.fullmatch(k["name"], n) for k in KNOWN["statistics"])]
    assert not missing, "\n".join(missing)


def test_changes_of_members(pair):
    for r in pair:
        put(r.eds, endpoints(r.odd))
        r.wait(lambda: number(r, "cluster.eds.membership_total") == 1)
        before = number(r, "cluster.eds.membership_change")
        put(r.eds, endpoints(r.odd, 1))
        r.wait(lambda: number(r, "cluster.eds.membership_change") == before + 1)
        put(r.eds, endpoints(1, r.odd, version="turned"))
        r.wait(lambda: figures(r)["cluster.eds.version_text"] == '"turned"')
        put(r.eds, endpoints(1, version="one"))
        r.wait(lambda: figures(r)["cluster.eds.version_text"] == '"one"')
        assert number(r, "cluster.eds.membership_change") == before + 2, r.name
        assert number(r, "cluster.odd.membership_change") == 1, r.name


def test_names_that_are_resolved_again(pair):
    for r in pair:
        r.wait(lambda: number(r, "cluster.by-name.update_no_rebuild") > 1)
        all_of_it = figures(r)
        attempt, success, same, failure, empty = (int(all_of_it[f"cluster.by-name.update_{w}"]) for w in ("attempt", "success", "no_rebuild", "failure", "empty"))
        assert attempt >= success == same + 1 and failure == empty == 0, (r.name, attempt, success, same)
        assert all_of_it["cluster.by-name.membership_change"] == "1"


def test_versions_of_endpoints(pair):
    for r in pair:
        put(r.eds, endpoints(r.odd, version="seven"))
        r.wait(lambda: figures(r)["cluster.eds.version_text"] == '"seven"')
        assert abs(number(r, "cluster.eds.update_time") / 1000 - time.time()) < 60
    assert number(pair[0], "cluster.eds.version") == number(pair[1], "cluster.eds.version") != 0


def test_tunnels_are_gauged(pair):
    for r in pair:
        with connect(r, "in") as s:
            s.sendall(b"GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n")
            assert b" 101 " in answer(s)
            assert number(r, "http.in.downstream_cx_upgrades_active") == 1
        r.wait(lambda: number(r, "http.in.downstream_cx_upgrades_active") == 0)


def test_sockets_before_a_filter_chain_are_gauged(pair):
    for r in pair:
        name = "listener.127.0.0.1_{inspected}.downstream_pre_cx_active"
        with connect(r, "inspected"):
            r.wait(lambda: number(r, name) == 1)
        r.wait(lambda: number(r, name) == 0)


def test_streams_are_gauged(pair):
    for r in pair:
        client = H2Client(r)
        client.ask("/deaf")
        r.wait(lambda: number(r, "http2.streams_active") == 1)
        client.until(h2.events.StreamEnded)
        r.wait(lambda: number(r, "http2.streams_active") == 0)
        client.socket.close()


def test_checks_that_look_at_the_name(pair):
    for r in pair:
        r.wait(lambda: number(r, "cluster.named.health_check.verify_cluster") > 1)
        assert number(r, "cluster.named.health_check.healthy") == 1


@pytest.mark.parametrize("port, prefix", [("in", "http.in"), ("tcp", "tcp.tcp")])
def test_a_client_that_does_not_read(pair, port, prefix):
    for r in pair:
        with connect(r, port) as s:
            s.sendall(b"GET /large HTTP/1.1\r\nhost: a\r\n\r\n")
            name = "cluster.odd.upstream_flow_control_{}_reading_total"
            before = {w: number(r, name.format(w)) for w in ("paused", "resumed")}
            r.wait(lambda: number(r, name.format("paused")) >= before["paused"] and number(r, f"{prefix}.downstream_cx_tx_bytes_buffered") > 0)
            left = LARGE
            while left > 0:
                assert (more := s.recv(1 << 20)), (r.name, left)
                left -= len(more)
            r.wait(lambda: number(r, name.format("resumed")) > before["resumed"])
        r.wait(lambda: number(r, f"{prefix}.downstream_cx_tx_bytes_buffered") == 0)


def test_an_endpoint_that_does_not_read(pair):
    for r in pair:
        names = ("cluster.odd.upstream_flow_control_{}_total", "http.in.downstream_flow_control_{}_reading_total")
        before = [number(r, n.format(w)) for n, ws in zip(names, (("backed_up", "drained"), ("paused", "resumed"))) for w in ws]
        with connect(r, "in") as s:
            s.sendall(b"POST /deaf HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % LARGE + b"x" * LARGE)
            assert b" 200 " in answer(s)
        after = [number(r, n.format(w)) for n, ws in zip(names, (("backed_up", "drained"), ("paused", "resumed"))) for w in ws]
        assert all(a > b for a, b in zip(after, before)), (r.name, before, after)
        assert after[0] - before[0] == after[1] - before[1] and after[2] - before[2] == after[3] - before[3]
