"""Clusters beside Envoy: balancers by type choose the same endpoints, PING finds peers that are gone, routes ask for certificates."""
import contextlib
import http.client
import socket
import ssl
import struct
import subprocess
import threading

import pytest

from envoy_program import envoy_program
from parity_pair import HCM, ROUTER, Origin, address, both, cluster, h2_cluster

BALANCERS = "type.googleapis.com/envoy.extensions.load_balancing_policies."
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADERS, SETTINGS, PING, GOAWAY = 1, 4, 6, 7


class Named(Origin):
    """Says which of them it is."""

    def __init__(self, name):
        self.name = name
        super().__init__()

    def _serve(self, peer):
        try:
            file = peer.makefile("rb")
            while file.readline():
                while file.readline().strip():
                    pass
                peer.sendall(f"HTTP/1.1 200 OK\r\ncontent-length: {len(self.name)}\r\n\r\n{self.name}".encode())
        except OSError:
            pass
        finally:
            peer.close()


class Silent(Origin):
    """Speaks HTTP/2 as far as its settings; then it counts PINGs and answers nothing."""

    def __init__(self):
        self.pings = 0
        super().__init__()

    def _serve(self, peer):
        try:
            file = peer.makefile("rb")
            assert file.read(len(PREFACE)) == PREFACE
            peer.sendall(frame(SETTINGS))
            while head := file.read(9):
                file.read(int.from_bytes(head[:3], "big"))
                if head[3] == SETTINGS and not head[4]:
                    peer.sendall(frame(SETTINGS, 1))
                self.pings += head[3] == PING
        except OSError:
            pass
        finally:
            peer.close()


def frame(kind, flags=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, 0) + payload


def policy(kind, **config):
    return {"load_balancing_policy": {"policies": [{"typed_extension_config": {
        "name": kind, "typed_config": {"@type": BALANCERS + kind, **config}}}]}}


def inside(kind, **config):
    return {"policies": [{"typed_extension_config": {"name": kind, "typed_config": {"@type": BALANCERS + kind, **config}}}]}


# Each of these chooses the same endpoint for the same key in both. (A small table shows best who came first to a place.)
HASHED = {
    "ring": policy("ring_hash.v3.RingHash", minimum_ring_size=64, maximum_ring_size=256),
    "murmur": policy("ring_hash.v3.RingHash", hash_function="MURMUR_HASH_2"),
    "bounded": policy("ring_hash.v3.RingHash", consistent_hashing_lb_config={"hash_balance_factor": 150}),
    "maglev": policy("maglev.v3.Maglev", table_size=251),
    "hosts": policy("maglev.v3.Maglev", consistent_hashing_lb_config={"use_hostname_for_hashing": True}),
    "old": {"lb_policy": "RING_HASH", "common_lb_config": {"consistent_hashing_lb_config": {"hash_balance_factor": 200}}},
}
# These share, each endpoint gets some.
SHARED = {
    "round": policy("round_robin.v3.RoundRobin"),
    "random": policy("random.v3.Random"),
    "least": policy("least_request.v3.LeastRequest", choice_count=3),
    "all": policy("least_request.v3.LeastRequest", selection_method="FULL_SCAN"),
    "locality": policy("round_robin.v3.RoundRobin", locality_lb_config={"locality_weighted_lb_config": {}}),
}


def listener(running, name, routes, tls=None, **hcm):
    config = {"@type": HCM, "stat_prefix": name, "http_filters": [ROUTER], "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]}, **hcm}
    chain = {"filters": [{"name": "h", "typed_config": config}]}
    if tls:
        chain["transport_socket"] = {"name": "tls", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext", "common_tls_context": tls}}
    return {"name": name, "address": address(running.port(name)), "filter_chains": [chain]}


def run_both(folder, make):
    return both(envoy_program(), folder, make)


def get(port, path, **fields):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", path, headers=fields)
    answer = connection.getresponse()
    result = answer.status, answer.read().decode()
    connection.close()
    return result


def test_balancers_by_type(tmp_path):
    # The highest port first: the order in which endpoints are named decides nothing.
    origins = sorted((Named(n) for n in ("one", "two", "three", "four")), key=lambda o: -o.port)

    def make(running):
        clusters, routes = [], []
        for name, more in (HASHED | SHARED).items():
            c = cluster(name, *[o.port for o in origins], **more)
            for o, endpoint in zip(origins, c["load_assignment"]["endpoints"][0]["lb_endpoints"]):
                endpoint["endpoint"]["hostname"] = o.name
                if name == "maglev":
                    endpoint["load_balancing_weight"] = len(o.name)
            if name == "locality":
                first = c["load_assignment"]["endpoints"][0]
                c["load_assignment"]["endpoints"] = [{"locality": {"zone": str(i)}, "load_balancing_weight": 1, "lb_endpoints": first["lb_endpoints"][i::2]} for i in range(2)]
            clusters.append(c)
            routes.append({"match": {"prefix": "/" + name}, "route": {"cluster": name, "hash_policy": [{"header": {"header_name": "x-key"}}]}})
        return {"static_resources": {"listeners": [listener(running, "in", routes)], "clusters": clusters}}

    pair = run_both(tmp_path, make)
    try:
        chosen = [{name: [get(r.port("in"), "/" + name, **{"x-key": str(k)}) for k in range(600 if name == "maglev" else 60)] for name in HASHED | SHARED} for r in pair]
        for name in HASHED:
            assert chosen[0][name] == chosen[1][name], name
            assert len(set(chosen[1][name])) == 4, name
        for name in SHARED:
            for r, by in zip(pair, chosen):
                assert len(set(by[name])) == 4, (r.name, name, by[name])
    finally:
        for r in pair:
            r.stop()


def test_ping_finds_peers_that_are_gone(tmp_path):
    origins = []

    def make(running):
        origins.append(Silent())
        ask = {"connection_keepalive": {"interval": "0.2s", "timeout": "0.3s", "interval_jitter": {"value": 0}}}
        c = h2_cluster("silent", origins[-1].port)
        next(iter(c["typed_extension_protocol_options"].values()))["explicit_http_config"]["http2_protocol_options"] = ask
        routes = [{"match": {"prefix": "/"}, "route": {"cluster": "silent", "timeout": "30s"}}]
        return {"static_resources": {"listeners": [listener(running, "in", routes, http2_protocol_options=ask)], "clusters": [c]}}

    pair = run_both(tmp_path, make)
    try:
        answers = [get(r.port("in"), "/") for r in pair]
        assert answers[0] == answers[1] and answers[0][0] == 503, answers
        assert [o.pings for o in origins] == [1, 1]
        for r in pair:
            assert "cluster.silent.http2.keepalive_timeout: 1" in r.admin("/stats")[2], r.name
        for r in pair:
            # A client that answers is kept, one that does not is let go.
            with socket.create_connection(("127.0.0.1", r.port("in")), timeout=20) as s:
                s.sendall(PREFACE + frame(SETTINGS))
                file, answered = s.makefile("rb"), 0
                while head := file.read(9):
                    payload = file.read(int.from_bytes(head[:3], "big"))
                    if head[3] == PING and not head[4] and answered < 3:
                        answered += 1
                        s.sendall(frame(PING, 1, payload))
                assert answered == 3, r.name  # and then it was closed
            r.wait(lambda: "http2.keepalive_timeout: 1" in r.admin("/stats?filter=^http2")[2])
    finally:
        for r in pair:
            r.stop()


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    for name in ("own", "stranger"):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                        "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem"], check=True, capture_output=True)
    return folder


def test_routes_ask_for_certificates(tmp_path, keys):
    def routes():
        for text, asked in {"presented and validated": {"presented": True, "validated": True}, "presented": {"presented": True}, "not validated": {"validated": False}}.items():
            yield {"match": {"prefix": "/first", "tls_context": asked}, "direct_response": {"status": 200, "body": {"inline_string": text}}}
        yield {"match": {"prefix": "/none", "tls_context": {"presented": False}}, "direct_response": {"status": 200, "body": {"inline_string": "none"}}}
        yield {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "any"}}}

    def make(running):
        own = {"certificate_chain": {"filename": str(keys / "own.pem")}, "private_key": {"filename": str(keys / "own.key")}}
        tls = {"tls_certificates": [own], "validation_context": {"trusted_ca": {"filename": str(keys / "own.pem")}, "trust_chain_verification": "ACCEPT_UNTRUSTED"}}
        return {"static_resources": {"listeners": [listener(running, "plain", list(routes())), listener(running, "tls", list(routes()), tls)], "clusters": []}}

    pair = run_both(tmp_path, make)
    try:
        found = []
        for r in pair:
            answers = {}
            for who in (None, "own", "stranger"):
                context = ssl.create_default_context(cafile=keys / "own.pem")
                context.check_hostname = False
                if who:
                    context.load_cert_chain(keys / f"{who}.pem", keys / f"{who}.key")
                for path in ("/first", "/none"):
                    connection = http.client.HTTPSConnection("127.0.0.1", r.port("tls"), timeout=20, context=context)
                    connection.request("GET", path)
                    answers[who, path] = connection.getresponse().read().decode()
                    connection.close()
            for path in ("/first", "/none"):
                answers["plain", path] = get(r.port("plain"), path)[1]
            found.append(answers)
        assert found[0] == found[1]
        assert found[1]["own", "/first"] == "presented and validated" and found[1]["stranger", "/first"] == "presented" and found[1][None, "/none"] == "none"
    finally:
        for r in pair:
            r.stop()


def test_a_host_has_its_own_limit(tmp_path):
    """max_connections of per_host_thresholds: the second request waits, and goes when the first connection is free."""
    class Waiting(Origin):
        def __init__(self):
            self.connections, self.go = 0, threading.Event()
            super().__init__()

        def _serve(self, peer):
            self.connections += 1
            file = peer.makefile("rb")
            while file.readline():
                while file.readline().strip():
                    pass
                self.go.wait(20)
                peer.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

    origins = []

    def make(running):
        origins.append(Waiting())
        c = cluster("limited", origins[-1].port, circuit_breakers={"per_host_thresholds": [{"max_connections": 1}]})
        return {"static_resources": {"listeners": [listener(running, "in", [{"match": {"prefix": "/"}, "route": {"cluster": "limited"}}])], "clusters": [c]}}

    pair = run_both(tmp_path, make)
    try:
        for r, origin in zip(pair, origins):
            results = []
            asking = [threading.Thread(target=lambda: results.append(get(r.port("in"), "/")[0])) for _ in range(3)]
            for t in asking:
                t.start()
            r.wait(lambda: "cluster.limited.upstream_rq_pending_active: 2" in r.admin("/stats")[2])
            origin.go.set()
            for t in asking:
                t.join(20)
            assert results == [200, 200, 200] and origin.connections == 1, r.name
            overflow = r.admin("/stats?filter=limited.upstream_cx_overflow")[2].split(": ")[1]
            assert int(overflow) >= 1, r.name
    finally:
        for r in pair:
            r.stop()


def test_a_try_without_a_connection_is_no_request(tmp_path):
    """What is counted of requests, mirrors and TCP connections whose endpoint can't be reached, and of those that reach one."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        dead = closed.getsockname()[1]
    origin = Named("one")
    retries = {"retry_on": "connect-failure", "num_retries": 2, "retry_back_off": {"base_interval": "0.001s"}}

    def tcp(running, name, to):
        return {"name": name, "address": address(running.port(name)), "filter_chains": [{"filters": [{"name": "t", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", "stat_prefix": name, "cluster": to}}]}]}

    def make(running):
        routes = [{"match": {"prefix": "/dead"}, "route": {"cluster": "dead", "retry_policy": retries}}, {"match": {"prefix": "/two"}, "route": {"cluster": "dead2"}},
                  {"match": {"prefix": "/"}, "route": {"cluster": "alive", "request_mirror_policies": [{"cluster": "mirror"}]}}]
        return {"static_resources": {"listeners": [listener(running, "in", routes), tcp(running, "tcp", "tcp"), tcp(running, "tcp-dead", "tcp-dead")],
                                     "clusters": [cluster("dead", dead), h2_cluster("dead2", dead), cluster("alive", origin.port), cluster("mirror", dead), cluster("tcp", origin.port),
                                                  cluster("tcp-dead", dead)]}}

    pair = run_both(tmp_path, make)
    try:
        found = []
        for r in pair:
            answers = [get(r.port("in"), path)[0] for path in ("/dead", "/two", "/", "/")]
            for name in ("tcp", "tcp-dead"):
                with socket.create_connection(("127.0.0.1", r.port(name)), timeout=10) as peer:
                    if name == "tcp":
                        peer.sendall(b"GET / HTTP/1.1\r\n\r\n")
                        assert peer.recv(1000)
                    else:
                        with contextlib.suppress(ConnectionResetError):
                            assert peer.recv(1000) == b""
            wanted = ("upstream_rq_total", "upstream_rq_active", "upstream_rq_pending_total", "upstream_rq_pending_active", "upstream_rq_pending_failure_eject", "upstream_cx_connect_fail", "upstream_cx_total")
            r.wait(lambda: "cluster.mirror.upstream_cx_connect_fail: 2" in r.admin("/stats")[2] and "cluster.tcp.upstream_cx_active: 0" in r.admin("/stats")[2])
            lines = [line for line in r.admin("/stats?filter=^cluster\\.")[2].splitlines() if line.partition(": ")[0].rpartition(".")[2] in wanted]
            found.append((answers, sorted(lines)))
        assert found[0][0] == found[1][0] == [503, 503, 200, 200]
        different = [(a, b) for a, b in zip(found[0][1], found[1][1]) if a != b]
        assert not different and len(found[0][1]) == len(found[1][1]) > 35
        assert "cluster.dead.upstream_rq_total: 0" in found[1][1] and "cluster.dead.upstream_rq_pending_total: 3" in found[1][1]
    finally:
        for r in pair:
            r.stop()


def test_answers_that_the_client_takes_no_more_of_end(tmp_path):
    """An answer is complete here, and its last bytes wait for the client's HTTP/2 window: not longer than stream_idle_timeout."""
    import h2.config
    import h2.connection
    import h2.events
    import h2.settings

    class Big(Origin):
        def _serve(self, peer):
            with contextlib.suppress(OSError):
                while peer.recv(65536):
                    peer.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n" + 5000 * b"x")

    origin = Big()

    def make(running):
        routes = [{"match": {"prefix": "/route"}, "route": {"cluster": "big", "idle_timeout": "0.3s"}}, {"match": {"prefix": "/direct"}, "direct_response": {"status": 200, "body": {
            "inline_string": 4000 * "y"}}}, {"match": {"prefix": "/"}, "route": {"cluster": "big"}}]
        config = listener(running, "in", routes)
        config["filter_chains"][0]["filters"][0]["typed_config"]["stream_idle_timeout"] = "0.6s"
        return {"static_resources": {"listeners": [config], "clusters": [cluster("big", origin.port)]}}

    pair = run_both(tmp_path, make)
    try:
        found = []
        for r in pair:
            for path in ("/", "/route", "/direct"):
                session = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
                session.initiate_connection()
                session.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 1000})
                with socket.create_connection(("127.0.0.1", r.port("in")), timeout=8) as peer:
                    session.send_headers(1, [(":method", "GET"), (":scheme", "http"), (":path", path), (":authority", "a")], end_stream=True)
                    peer.sendall(session.data_to_send())
                    told, size = None, 0
                    while told is None and (data := peer.recv(65536)):
                        for event in session.receive_data(data):
                            size += len(event.data) if isinstance(event, h2.events.DataReceived) else 0
                            told = event.error_code if isinstance(event, h2.events.StreamReset) else told
                        peer.sendall(session.data_to_send())
                found.append((path, size, told))
            found.append(r.admin("/stats?filter=^http2.tx_flush_timeout$")[2])
        assert found[:4] == found[4:] and "3" in found[3], found
    finally:
        for r in pair:
            r.stop()
