"""Envoy and the proxy in one chain, either in front: what a client gets and what the origin sees are as with two Envoys.

Every case goes through client -> front -> back -> origin, by HTTP/1.1, HTTP/2 and TLS with ALPN before the front, and the same
between front and back.
"""
import hashlib
import json
import re
import subprocess

import pytest

from envoy_program import envoy_program
from go_programs import go_program
from ports import free_port
from wire import FAIRLEAD, Origin, Raw, cluster, downstream_tls, h2_cluster, listener, manager, wait_for

OURS = (FAIRLEAD, "proxy")
EXTENSION = "type.googleapis.com/envoy.extensions."
HOPS = ["h1", "h2c", "tls", "tls, auto"]
ID = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")
CLIENTS = {"h1": ["--http1.1"], "h2c": ["--http2-prior-knowledge"], "tls, h2": ["--http2"], "tls, h1": ["--http1.1"]}
# A connection that is refused at once, as on the loopback, is told without a reason by Envoy, and with one by us.
REASON = re.compile(r", transport failure reason: delayed connect error: Connection refused$")


@pytest.fixture(scope="session")
def envoy():
    return (envoy_program(), "--disable-hot-restart", "--log-level", "error")


def sum_of(body):
    return f"{len(body)} {hashlib.sha256(body).hexdigest()[:16]}"


def reflect(request):
    """What the origin saw is its answer."""
    line = request.line
    if line.startswith("CONNECT") or request.get("upgrade"):
        agreed = b"200 OK\r\n" if line.startswith("CONNECT") else b"101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
        request.connection.sendall(b"HTTP/1.1 " + agreed + b"x-seen: " + json.dumps([line, sorted(request.fields())]).encode() + b"\r\n\r\n")
        while (data := request.connection.recv(65536)) and not data.endswith(b"bye"):
            request.connection.sendall(data.upper())
        return None
    seen = json.dumps({"line": line, "fields": sorted(request.fields()), "body": sum_of(request.body), "trailers": getattr(request, "trailers", None)}).encode()
    path = line.split(" ")[1]
    if path.startswith("/status/"):
        status = path.split("/")[2]
        if status in ("204", "304"):
            return f"HTTP/1.1 {status} Whatever\r\netag: \"x\"\r\n\r\n".encode()
        return f"HTTP/1.1 {status} Whatever\r\ncontent-length: {len(seen)}\r\n\r\n".encode() + seen
    if path == "/large":
        return b"HTTP/1.1 200 OK\r\ncontent-length: 3000000\r\n\r\n" + 300000 * b"0123456789"
    if path == "/trailers":
        return (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n%x\r\n" % len(seen)) + seen + b"\r\n0\r\nx-sum: 1\r\nx-more: a, b\r\n\r\n"
    if path == "/early":
        return b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    if path == "/fields":
        return (b"HTTP/1.1 200 OK\r\nconnection: x-hop\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\nX-Upper: Case\r\nset-cookie: a=1\r\nset-cookie: b=2\r\nserver: origin\r\n"
                b"via: 1.1 behind\r\nx-envoy-upstream-service-time: 987654321\r\nx-request-id: from-origin\r\ncontent-length: %d\r\n\r\n") % len(seen) + seen
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(seen)
    return head if line.startswith("HEAD") else head + seen


def hcm(name, routes, **more):
    config = {"via": name, "use_remote_address": True, "stat_prefix": "test", "http_protocol_options": {"enable_trailers": True},
              "http2_protocol_options": {"allow_connect": True}, "upgrade_configs": [{"upgrade_type": "websocket"}, {"upgrade_type": "CONNECT"}],
              "route_config": {"name": "r", "virtual_hosts": [{"name": "all", "domains": ["*"], "include_request_attempt_count": True, "routes": routes}]}}
    return manager(**{**config, **more})


def mutual_tls(certificate):
    cert, key = certificate
    tls = downstream_tls(cert, key)
    tls["typed_config"]["require_client_certificate"] = True
    tls["typed_config"]["common_tls_context"]["validation_context"] = {"trusted_ca": {"filename": str(cert)}}
    return tls


def next_cluster(hop, port, certificate, **more):
    if hop == "h1":
        options = {"explicit_http_config": {"http_protocol_options": {"enable_trailers": True}}}
    else:
        options = {"explicit_http_config": {"http2_protocol_options": {"allow_connect": True}}}
    if hop == "tls, auto":
        options = {"auto_config": {"http_protocol_options": {"enable_trailers": True}, "http2_protocol_options": {"allow_connect": True}}}
    if hop.startswith("tls"):
        cert, key = certificate
        more["transport_socket"] = {"name": "envoy.transport_sockets.tls", "typed_config": {
            "@type": EXTENSION + "transport_sockets.tls.v3.UpstreamTlsContext", "sni": "localhost", "common_tls_context": {
                "tls_certificates": [{"certificate_chain": {"filename": str(cert)}, "private_key": {"filename": str(key)}}],
                "validation_context": {"trusted_ca": {"filename": str(cert)}}}}}
    return cluster("next", port, typed_extension_protocol_options={"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": EXTENSION + "upstreams.http.v3.HttpProtocolOptions", **options}}, **more)


class Chain:
    def __init__(self, start, front, back, hop, certificate, origin):
        self.origin, self.port, self.secure, inner = origin, free_port(), free_port(), free_port()
        self.back = start.proxy([listener("in", inner, hcm("inner", [
            {"match": {"connect_matcher": {}}, "route": {"cluster": "origin"}},
            {"match": {"path": "/gone"}, "route": {"cluster": "gone"}},
            {"match": {"prefix": "/rewrite/"}, "route": {"cluster": "origin", "prefix_rewrite": "/", "host_rewrite_literal": "rewritten"}},
            {"match": {"path": "/redirect"}, "redirect": {"https_redirect": True, "path_redirect": "/there"}},
            {"match": {"path": "/nowhere"}, "direct_response": {"status": 418, "body": {"inline_string": "teapot"}}},
            {"match": {"prefix": "/"}, "route": {"cluster": "origin"}}],
            forward_client_cert_details="APPEND_FORWARD", set_current_client_cert_details={"subject": True, "dns": True}),
            tls=mutual_tls(certificate) if hop.startswith("tls") else None)],
            [cluster("origin", origin.port, typed_extension_protocol_options={"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": EXTENSION + "upstreams.http.v3.HttpProtocolOptions", "explicit_http_config": {"http_protocol_options": {"enable_trailers": True}}}}),
             cluster("gone", free_port())], program=back)
        routes = [{"match": {"connect_matcher": {}}, "route": {"cluster": "next"}},
                  {"match": {"path": "/front"}, "direct_response": {"status": 200, "body": {"inline_string": "front"}}},
                  {"match": {"prefix": "/"}, "route": {"cluster": "next", "timeout": "10s"},
                   "request_headers_to_add": [{"header": {"key": "x-front", "value": "%PROTOCOL% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"}}]}]
        self.front = start.proxy([listener("plain", self.port, hcm("edge", routes)), listener("secure", self.secure, hcm("edge", routes), tls=downstream_tls(*certificate))],
                                 [next_cluster(hop, inner, certificate)], program=front)

    def curl(self, client, path, *arguments):
        self.origin.forget()  # it keeps what it was sent
        secure = client.startswith("tls")
        port = self.secure if secure else self.port
        done = subprocess.run(["curl", "-sS", "-k", "-D", "/dev/stderr", "-m", "15", *CLIENTS[client], "-H", "user-agent: test", "-H", "accept:", "-H", "host: shop.example",
                               *arguments, f"{'https' if secure else 'http'}://127.0.0.1:{port}{path}"], capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
        heads = [h for h in done.stderr.decode().split("\r\n\r\n") if h.strip()]
        lines = heads[-1].split("\r\n")
        fields = sorted(line.split(": ", 1) if ": " in line else [line.rstrip(":"), ""] for line in lines[1:])
        return [" ".join(lines[0].split(" ")[:2]), len(heads), [[n.lower(), v] for n, v in fields], done.stdout]


def plain(value):
    """What is different with each request, in words that are the same."""
    if isinstance(value, bytes):
        try:
            return plain(json.loads(value))
        except ValueError:
            return REASON.sub("", value.decode()) if len(value) < 500 else sum_of(value)
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        if len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], str):
            name, text = value
            if name == "x-request-id" and ID.match(text):
                return [name, "an id"]
            if name == "date":
                return [name, "a date"]
            if name == "x-envoy-upstream-service-time" and text.isdigit() and text != "987654321":
                return [name, "a time"]
            if name == "x-forwarded-for":  # of a client on the loopback Envoy gives its own machine's address
                return [name, re.sub(r"\b(?!1\.2\.3\.4\b)\d+\.\d+\.\d+\.\d+", "an address", text)]
            if name == "connection":
                return [name, text.lower()]
            if name == "x-seen":
                return [name, plain(json.loads(text))]
            return [name, text]
        return [plain(v) for v in value]
    return value


def differences(envoys, us, at=""):
    if isinstance(envoys, dict) and isinstance(us, dict):
        return [d for k in envoys.keys() | us.keys() for d in differences(envoys.get(k), us.get(k), f"{at}.{k}")]
    if isinstance(envoys, list) and isinstance(us, list):
        if all(isinstance(v, list) and len(v) == 2 for v in envoys + us):  # fields
            missing, more = [v for v in envoys if v not in us], [v for v in us if v not in envoys]
            if len(missing) == len(more) == 1 and missing[0][0] == more[0][0]:
                return differences(missing[0][1], more[0][1], f"{at}.{missing[0][0]}")
            return [f"{at}: with two Envoys {missing}, with us {more}"] if missing or more else []
        if len(envoys) == len(us):
            return [d for i, (a, b) in enumerate(zip(envoys, us)) for d in differences(a, b, f"{at}[{i}]")]
    return [] if envoys == us else [f"{at}: with two Envoys {envoys!r}, with us {us!r}"]


def observe(chain):
    """Every case -> what came of it."""
    out = {}
    for client in CLIENTS:
        def case(name, path, *arguments):
            out[f"{client}: {name}"] = plain(chain.curl(client, path, *arguments))
        case("GET", "/a?b=c%20d")
        case("fields of the client", "/a", "-H", "x-forwarded-for: 1.2.3.4", "-H", "x-forwarded-proto: gopher", "-H", "x-envoy-internal: true", "-H", "via: 1.0 outer",
             "-H", "x-request-id: mine", "-H", "x-envoy-upstream-rq-timeout-ms: 5000", "-H", "te: trailers", "-H", "X-Upper: Case", "-H", "x-two: 1", "-H", "x-two: 2",
             "-H", "x-envoy-original-path: /x", "-H", "x-forwarded-client-cert: Hash=beef", "-H", "cookie: a=1; b=2")
        case("fields of the origin", "/fields")
        case("POST", "/post", "-d", "hello")
        case("an empty POST", "/post", "-X", "POST")
        case("a large POST", "/post", "-H", "content-type: text/plain", "--data-binary", "@" + str(chain.large))
        case("a large POST in chunks", "/post", "-H", "content-type: text/plain", "-H", "transfer-encoding: chunked", "-T", str(chain.large), "-X", "POST")
        case("a large answer", "/large")
        case("HEAD", "/a", "-I", "-o", "/dev/null")
        for status in (204, 304, 404, 500, 503):
            case(f"an answer with {status}", f"/status/{status}")
        case("an answer with hints before it", "/early")
        case("an answer with trailers", "/trailers")
        for method in ("OPTIONS", "PUT", "DELETE", "TRACE", "PATCH"):
            case(f"{method} without a body", "/a", "-X", method)
        case("nobody behind the back", "/gone")
        out[f"{client}: nobody behind the back"][2] = [f for f in out[f"{client}: nobody behind the back"][2] if f[0] != "content-length"]
        case("a rewrite", "/rewrite/x?y")
        case("a redirect", "/redirect")
        case("an answer of the back", "/nowhere")
        case("an answer of the front", "/front")
        case("DELETE with a body", "/a", "-X", "DELETE", "-d", "x")
    with Raw(chain.port) as c:
        c.send(b"POST /trailers HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntrailer: x-t\r\n\r\n3\r\nabc\r\n0\r\nx-t: 1\r\nx-u: 2\r\n\r\n")
        answer = c.answer()
        out["trailers both ways"] = plain([*answer, sorted(c.trailers.split(b"\r\n"))])
    with Raw(chain.port) as c:
        c.send(b"POST /a HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n")
        first = c.answer()
        c.send(b"abc")
        out["100-continue"] = plain([first, c.answer()])
    with Raw(chain.port) as c:
        c.send(b"GET /a HTTP/1.0\r\n\r\n")
        status, fields, body = c.answer()
        out["HTTP/1.0"] = plain([status, sorted(fields), body])
    with Raw(chain.port) as c:
        c.send(b"GET /a HTTP/1.1\r\nhost: a\r\n\r\nGET /b HTTP/1.1\r\nhost: b\r\nconnection: close\r\n\r\n")
        out["pipelined"] = plain([c.answer(), c.answer(), c.rest()])
    with Raw(chain.port) as c:
        c.send(b"GET /ws HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        status, fields, _ = c.answer()
        c.send(b"hello" + 100000 * b"x")
        echoed = c.exactly(100005)
        c.send(b"bye")  # the origin closes; when the client does, Envoy cuts the tunnel, and we pass on what still comes
        out["WebSocket"] = plain([status, sorted(fields), sum_of(echoed), c.rest()])
    with Raw(chain.port) as c:
        c.send(b"CONNECT shop.example:443 HTTP/1.1\r\nhost: shop.example:443\r\n\r\n")
        head = sorted(line.split(": ", 1) for line in c.until(b"\r\n\r\n").decode().split("\r\n")[:-2])
        c.send(b"hello" + 100000 * b"x")
        echoed = c.exactly(100005)
        c.send(b"bye")
        out["CONNECT"] = plain([head, sum_of(echoed), c.rest()])
    return out


@pytest.fixture
def origin():
    o = Origin(reflect)
    yield o
    o.close()


@pytest.fixture(scope="session")
def large(tmp_path_factory):
    path = tmp_path_factory.mktemp("large") / "body"
    path.write_bytes(200000 * b"fairlead lines up\n")
    return path


@pytest.fixture
def build(start, origin, certificate, large):
    def make(front, back, hop):
        chain = Chain(start, front, back, hop, certificate, origin)
        chain.large = large
        return chain
    return make


REFERENCE = {}


@pytest.mark.parametrize("hop", HOPS)
@pytest.mark.parametrize("order", ["Envoy before us", "Envoy behind us"])
def test_as_with_two_envoys(build, envoy, hop, order):
    if hop not in REFERENCE:
        REFERENCE[hop] = observe(build(envoy, envoy, hop))
    wanted = REFERENCE[hop]
    got = observe(build(*((envoy, OURS) if order == "Envoy before us" else (OURS, envoy)), hop))
    assert got.keys() == wanted.keys()
    wrong = [d for name in sorted(wanted) for d in differences(wanted[name], got[name], name)]
    if wrong:
        pytest.fail("\n".join(wrong))


@pytest.mark.parametrize("hop", HOPS)
@pytest.mark.parametrize("order", ["Envoy before us", "Envoy behind us"])
def test_load_loses_nothing(build, envoy, hop, order):
    chain = build(*((envoy, OURS) if order == "Envoy before us" else (OURS, envoy)), hop)
    for arguments in (["--h1", f"http://127.0.0.1:{chain.port}/a"], [f"http://127.0.0.1:{chain.port}/a"], [f"https://127.0.0.1:{chain.secure}/a"]):
        done = subprocess.run(["h2load", "-n", "2000", "-c", "8", "-m", "8", *arguments], capture_output=True, text=True, timeout=60)
        assert "2000 succeeded, 0 failed" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("order", ["Envoy before us", "Envoy behind us"])
def test_every_kind_of_grpc_call(start, envoy, certificate, order):
    program = go_program("grpc")
    front, back = (envoy, OURS) if order == "Envoy before us" else (OURS, envoy)
    process = subprocess.Popen([program, "serve"], stdout=subprocess.PIPE, text=True)
    try:
        inner, port = free_port(), free_port()
        route = [{"match": {"prefix": "/"}, "route": {"cluster": "origin", "timeout": "0s", "max_stream_duration": {"grpc_timeout_header_max": "0s"}}}]
        start.proxy([listener("in", inner, manager(route), tls=mutual_tls(certificate))], [h2_cluster("origin", int(process.stdout.readline()))], program=back)
        route = json.loads(json.dumps(route).replace('"origin"', '"next"'))
        start.proxy([listener("l", port, manager(route))], [next_cluster("tls", inner, certificate)], program=front)
        done = subprocess.run([program, "call", "-to", f"127.0.0.1:{port}"], capture_output=True, text=True, timeout=100)
        assert {name: wrong for name, wrong in json.loads(done.stdout).items() if wrong} == {}
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("version", ["V1", "V2"])
def test_envoy_tells_us_who_the_client_is_by_proxy_protocol(start, envoy, origin, version):
    inner, port = free_port(), free_port()
    filters = [{"name": "pp", "typed_config": {"@type": EXTENSION + "filters.listener.proxy_protocol.v3.ProxyProtocol"}}]
    start.proxy([listener("in", inner, manager(use_remote_address=True), listener_filters=filters)], [cluster("origin", origin.port)])
    upstream = {"name": "pp", "typed_config": {"@type": EXTENSION + "transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport",
                                               "config": {"version": version}, "transport_socket": {"name": "raw", "typed_config": {
                                                   "@type": EXTENSION + "transport_sockets.raw_buffer.v3.RawBuffer"}}}}
    tcp = {"name": "tcp", "typed_config": {"@type": EXTENSION + "filters.network.tcp_proxy.v3.TcpProxy", "stat_prefix": "tcp", "cluster": "next"}}
    start.proxy([listener("l", port, tcp)], [cluster("next", inner, transport_socket=upstream)], program=envoy)
    with Raw(port, source=("127.0.0.9", 0)) as c:
        c.send(b"GET /a HTTP/1.1\r\nhost: a\r\n\r\n")
        seen = json.loads(c.answer()[2])
    assert ["x-forwarded-for", "127.0.0.9"] in seen["fields"]
