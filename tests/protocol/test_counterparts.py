"""Programs that people use, on both sides of the proxy: curl, nghttp, h2load, gRPC, nginx, HAProxy."""
import re
import shutil
import socket
import subprocess
import threading
import time

import pytest

from ports import free_port, own_address
from wire import Origin, Raw, cluster, downstream_tls, h2_cluster, listener, manager, wait_for

SBIN = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"


def need(program):
    return shutil.which(program, path=SBIN) or pytest.skip(f"{program} is not installed")


def listening(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def ports(start, origin, certificate):
    """One proxy: a plain listener and one with TLS."""
    origin.answer = lambda r: b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(r.body or b"hello") + (b"" if r.line.startswith("HEAD") else r.body or b"hello")
    plain, tls = free_port(), free_port()
    start.proxy([listener("plain", plain, manager()), listener("tls", tls, manager(), tls=downstream_tls(*certificate))], [cluster("origin", origin.port)])
    return plain, tls


@pytest.mark.parametrize("tls,flags,version", [(False, ["--http1.1"], "1.1"), (False, ["--http2-prior-knowledge"], "2"), (True, ["--http1.1"], "1.1"),
                                              (True, ["--http2"], "2"), (False, ["--http2"], "1.1")])
def test_curl(ports, tls, flags, version, tmp_path):
    body = tmp_path / "body"
    body.write_bytes(300000 * b"0123456789")
    for extra in ([], ["--data-binary", f"@{body}"], ["-T", str(body)], ["-I"], ["-H", "Transfer-Encoding: chunked", "--data-binary", f"@{body}"]):
        if version == "2" and "Transfer-Encoding: chunked" in extra:
            continue
        done = subprocess.run(["curl", "-skS", "--max-time", "20", *flags, *extra, "-o", tmp_path / "out", "-w", "%{http_code} %{http_version}",
                               f"http{'s' if tls else ''}://127.0.0.1:{ports[tls]}/"], capture_output=True, text=True)
        assert (done.stdout, done.stderr) == (f"200 {version}", ""), extra
        if len(extra) and extra[0] != "-I":
            assert (tmp_path / "out").read_bytes() == body.read_bytes()


def test_nghttp(ports):
    done = subprocess.run([need("nghttp"), "-nv", "-m", "20", "--trailer=x-t: 1", f"https://127.0.0.1:{ports[1]}/"], capture_output=True, text=True, timeout=20)
    assert done.stdout.count(":status: 200") == 20, done.stdout[-2000:]


@pytest.mark.parametrize("tls,flags", [(False, ["-c", "4", "-m", "16"]), (True, ["-c", "4", "-m", "16"]), (False, ["--h1", "-c", "8", "-m", "1"])])
def test_h2load(ports, tls, flags):
    done = subprocess.run([need("h2load"), "-n", "2000", *flags, f"http{'s' if tls else ''}://127.0.0.1:{ports[tls]}/"], capture_output=True, text=True, timeout=60)
    assert "2000 succeeded, 0 failed, 0 errored" in done.stdout, done.stdout


# ---- origins
@pytest.fixture
def nginx(tmp_path):
    program, port = need("nginx"), free_port()
    (tmp_path / "file").write_bytes(500000 * b"ab")
    config = tmp_path / "nginx.conf"
    temporary = "".join(f"{n}_temp_path {tmp_path}/{n};" for n in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    config.write_text(f"daemon off; user root; pid {tmp_path}/pid; error_log {tmp_path}/error; worker_processes 1; events {{}}\n"
                      f"http {{ access_log off; {temporary} keepalive_requests 10; server {{ listen 127.0.0.1:{port}; root {tmp_path}; gzip on; gzip_types *;\n"
                      "location /host { return 200 \"$host $http_x_forwarded_proto\"; } location /gone { return 204; } location /moved { return 302 /x; } } }\n")
    process = subprocess.Popen([program, "-c", config], stderr=subprocess.DEVNULL)
    assert wait_for(lambda: listening(port))
    yield port
    process.terminate()
    process.wait()


@pytest.fixture
def haproxy(tmp_path, origin):
    """In front of `origin`: an HTTP/1.1 port, a cleartext HTTP/2 port."""
    program, h1, h2 = need("haproxy"), free_port(), free_port()
    config = tmp_path / "haproxy.cfg"
    config.write_text("global\n  maxconn 200\ndefaults\n  mode http\n  timeout connect 2s\n  timeout client 5s\n  timeout server 5s\n"
                      f"frontend a\n  bind 127.0.0.1:{h1}\n  default_backend o\nfrontend b\n  bind 127.0.0.1:{h2} proto h2\n  default_backend o\n"
                      f"backend o\n  server s 127.0.0.1:{origin.port}\n")
    process = subprocess.Popen([program, "-f", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert wait_for(lambda: listening(h1))
    yield h1, h2
    process.kill()
    process.wait()


def test_nginx_as_origin(start, nginx):
    port = free_port()
    start.proxy([listener("l", port, manager())], [cluster("origin", nginx)])
    with Raw(port) as c:
        for _ in range(25):  # its connections end after ten requests each; nobody hears of it
            c.send(b"GET /host HTTP/1.1\r\nhost: some.host\r\n\r\n")
            assert c.answer()[::2] == (200, b"some.host http")
        c.send(b"GET /file HTTP/1.1\r\nhost: a\r\n\r\n")
        assert c.answer()[2] == 500000 * b"ab"
        c.send(b"GET /file HTTP/1.1\r\nhost: a\r\naccept-encoding: gzip\r\n\r\n")
        status, fields, body = c.answer()
        assert dict(fields)["content-encoding"] == "gzip" and len(body) < 100000
        c.send(b"GET /file HTTP/1.1\r\nhost: a\r\nrange: bytes=0-9\r\n\r\n")
        assert c.answer()[::2] == (206, 5 * b"ab")
        for path, status in ((b"/gone", 204), (b"/moved", 302), (b"/nothing", 404)):
            c.send(b"GET %s HTTP/1.1\r\nhost: a\r\n\r\n" % path)
            assert c.answer()[0] == status
        c.send(b"HEAD /file HTTP/1.1\r\nhost: a\r\n\r\n")
        assert dict(c.answer("HEAD")[1])["content-length"] == "1000000"


@pytest.mark.parametrize("h2", [False, True])
def test_haproxy_as_origin(start, haproxy, origin, h2):
    origin.answer = lambda r: b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(r.body) + r.body
    port = free_port()
    start.proxy([listener("l", port, manager())], [(h2_cluster if h2 else cluster)("origin", haproxy[h2])])
    with Raw(port) as c:
        for size in (0, 1, 1000, 3000000):
            c.send(b"POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % size)
            threading.Thread(target=c.send, args=(size * b"z",)).start()
            status, _, body = c.answer()
            assert (status, len(body)) == (200, size)


# ---- the PROXY protocol
PROXY_FILTER = {"name": "envoy.filters.listener.proxy_protocol", "typed_config": {
    "@type": "type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol"}}
INSPECTORS = [{"name": "envoy.filters.listener.tls_inspector", "typed_config": {
    "@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"}}]
GET = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
V1 = b"PROXY TCP4 9.8.7.6 5.4.3.2 1111 80\r\n"
V2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x09\x08\x07\x06\x05\x04\x03\x02\x04\x57\0\x50"


@pytest.mark.parametrize("header,client", [(V1, "9.8.7.6"), (V2, "9.8.7.6"), (b"PROXY UNKNOWN\r\n", own_address()),
                                          (b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", own_address()), (GET, None), (b"PROXY TCP4 x\r\n", None)])
@pytest.mark.parametrize("filters", [[], INSPECTORS], ids=["alone", "before an inspector"])
def test_the_address_that_a_balancer_tells(start, origin, header, client, filters):
    _, port = start(use_remote_address=True, listener_fields={"listener_filters": [PROXY_FILTER] + filters})
    with Raw(port) as c:
        for byte in header:  # however it is split
            try:
                c.send(bytes([byte]))
            except OSError:
                break
        if client is None:
            assert c.rest() == b"" and origin.requests == []
            return
        c.send(GET)
        assert c.answer()[0] == 200
    assert origin.requests[0].get("x-forwarded-for") == client


def test_connections_without_the_header_where_they_may(start, origin):
    optional = {**PROXY_FILTER, "typed_config": {**PROXY_FILTER["typed_config"], "allow_requests_without_proxy_protocol": True, "disallowed_versions": ["V1"]}}
    _, port = start(use_remote_address=True, listener_fields={"listener_filters": [optional]})
    for header, client in ((b"", own_address()), (V2, "9.8.7.6"), (V1, None)):
        origin.forget()
        with Raw(port) as c:
            c.send(header + GET)
            assert (c.answer()[0] if client else c.rest()) == (200 if client else b"")
        assert not client or origin.requests[0].get("x-forwarded-for") == client


def test_haproxy_in_front_tells_the_address(start, origin, tmp_path):
    program, front = need("haproxy"), free_port()
    _, port = start(use_remote_address=True, listener_fields={"listener_filters": [PROXY_FILTER]})
    config = tmp_path / "front.cfg"
    config.write_text("global\n  maxconn 50\ndefaults\n  mode tcp\n  timeout connect 2s\n  timeout client 5s\n  timeout server 5s\n"
                      f"frontend a\n  bind 127.0.0.1:{front}\n  default_backend o\nbackend o\n  server s 127.0.0.1:{port} send-proxy-v2\n")
    process = subprocess.Popen([program, "-f", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert wait_for(lambda: listening(front))
        with Raw(front, source=("127.0.0.9", 0)) as c:
            c.send(GET)
            assert c.answer()[0] == 200
        assert origin.requests[-1].get("x-forwarded-for") == "127.0.0.9"
    finally:
        process.kill()
        process.wait()


# ---- gRPC
@pytest.fixture
def grpc_port(start):
    grpc = pytest.importorskip("grpc", reason="python3-grpcio is not installed")
    from concurrent import futures

    cancelled = threading.Event()

    def unary(request, context):
        if request == b"fail":
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "told to")
        if request == b"slow":
            while context.is_active():
                time.sleep(0.01)
            cancelled.set()
        context.set_trailing_metadata((("x-trailer", "t"),))
        return request.upper()

    def many(request, context):
        for i in range(int(request)):
            yield b"%d" % i

    def gather(requests, context):
        return b",".join(requests)

    def echo(requests, context):
        for r in requests:
            yield r.upper()

    class Handler(grpc.GenericRpcHandler):
        def service(self, details):
            return {"/t.S/unary": grpc.unary_unary_rpc_method_handler(unary), "/t.S/many": grpc.unary_stream_rpc_method_handler(many),
                    "/t.S/gather": grpc.stream_unary_rpc_method_handler(gather), "/t.S/echo": grpc.stream_stream_rpc_method_handler(echo)}.get(details.method)

    server = grpc.server(futures.ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((Handler(),))
    origin = server.add_insecure_port("127.0.0.1:0")
    server.start()
    port = free_port()
    routes = [{"match": {"prefix": "/t.S/nowhere"}, "route": {"cluster": "nobody"}},
              {"match": {"prefix": "/t.S/late"}, "route": {"cluster": "origin", "timeout": "0.2s", "prefix_rewrite": "/t.S/unary"}},
              {"match": {"prefix": "/t.S"}, "route": {"cluster": "origin", "timeout": "0s"}}]
    start.proxy([listener("l", port, manager(routes))], [h2_cluster("origin", origin), cluster("nobody", free_port())])
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        channel.cancelled = cancelled
        yield channel
    server.stop(None)


def test_grpc_of_all_kinds(grpc_port):
    channel = grpc_port
    answer, call = channel.unary_unary("/t.S/unary").with_call(b"hello", timeout=10)
    assert answer == b"HELLO" and ("x-trailer", "t") in [tuple(m) for m in call.trailing_metadata()]
    assert list(channel.unary_stream("/t.S/many")(b"500", timeout=10)) == [b"%d" % i for i in range(500)]
    assert channel.stream_unary("/t.S/gather")(iter([b"a", b"b", b"c"]), timeout=10) == b"a,b,c"
    assert list(channel.stream_stream("/t.S/echo")(iter([b"a", 500000 * b"b"]), timeout=10)) == [b"A", 500000 * b"B"]


def test_grpc_failures(grpc_port):
    import grpc
    channel = grpc_port

    def code(method, request=b"x", timeout=10):
        with pytest.raises(grpc.RpcError) as failed:
            channel.unary_unary(method)(request, timeout=timeout)
        return failed.value.code(), failed.value.details()

    assert code("/t.S/unary", b"fail") == (grpc.StatusCode.FAILED_PRECONDITION, "told to")
    assert code("/t.S/missing")[0] == grpc.StatusCode.UNIMPLEMENTED
    assert code("/other/x") == (grpc.StatusCode.UNIMPLEMENTED, "") or code("/other/x")[0] == grpc.StatusCode.UNIMPLEMENTED  # no route
    assert code("/t.S/nowhere")[0] == grpc.StatusCode.UNAVAILABLE
    status, details = code("/t.S/late", b"slow")
    assert status == grpc.StatusCode.UNAVAILABLE and details == "upstream request timeout"  # 504 is UNAVAILABLE to gRPC


def test_grpc_deadlines_and_cancelling(grpc_port):
    import grpc
    channel = grpc_port
    with pytest.raises(grpc.RpcError) as failed:
        channel.unary_unary("/t.S/unary")(b"slow", timeout=0.3)
    assert failed.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert channel.cancelled.wait(5)
    channel.cancelled.clear()
    call = channel.unary_unary("/t.S/unary").future(b"slow", timeout=20)
    time.sleep(0.2)
    call.cancel()
    assert channel.cancelled.wait(5)  # the server hears of it
