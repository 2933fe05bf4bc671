"""The PROXY header that a cluster's connections begin with: by us as by Envoy, read by an origin of ours, nginx and HAProxy."""
import json
import socket
import struct
import subprocess
import threading

import pytest

from envoy_program import envoy_program
from ports import free_port
from test_counterparts import listening, need
from wire import FAIRLEAD, Raw, cluster, listener, manager, wait_for

EXTENSION = "type.googleapis.com/envoy.extensions."
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
RAW = {"name": "raw", "typed_config": {"@type": EXTENSION + "transport_sockets.raw_buffer.v3.RawBuffer"}}
TLS = {"name": "tls", "typed_config": {"@type": EXTENSION + "transport_sockets.tls.v3.UpstreamTlsContext"}}
TCP = {"name": "tcp", "typed_config": {"@type": EXTENSION + "filters.network.tcp_proxy.v3.TcpProxy", "stat_prefix": "tcp", "cluster": "o"}}
GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"


def header_of(read):
    """What the header says: ["V1", source, destination], ["V2", source, destination, TLVs], or [version, "LOCAL"]."""
    start = read(6)
    if start == b"PROXY ":
        line = b""
        while not line.endswith(b"\r\n"):
            line += read(1)
        words = line.decode().split()
        return ["V1", f"{words[1]}:{words[3]}", f"{words[2]}:{words[4]}"] if words[0] == "TCP4" else ["V1", "LOCAL"]
    assert start + read(6) == SIGNATURE
    command, family, length = struct.unpack(">BBH", read(4))
    rest = read(length) if length else b""
    if command == 0x20:
        return ["V2", "LOCAL"]
    assert (command, family) == (0x21, 0x11)
    a, b, c, d = rest[:4], rest[4:8], *struct.unpack(">HH", rest[8:12])
    return ["V2", f"{socket.inet_ntoa(a)}:{c}", f"{socket.inet_ntoa(b)}:{d}", rest[12:].hex()]


class Heard:
    """Answers each request with the header of its connection and the connection's number; in silence, with the header alone."""

    def __init__(self):
        self.server = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.server.getsockname()[1]
        self.headers, self.peers = [], []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, peer = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection, peer), daemon=True).start()

    def serve(self, connection, peer):
        def read(count):
            out = b""
            while len(out) < count:
                more = connection.recv(count - len(out))
                if not more:
                    raise OSError
                out += more
            return out

        try:
            header = header_of(read)
            self.headers.append(header)
            self.peers.append(f"127.0.0.1:{peer[1]}")
            text = json.dumps([len(self.headers), header]).encode()
            if self.speaks_first:
                return connection.sendall(text), connection.close()
            pending = b""
            while True:
                while b"\r\n\r\n" not in pending:
                    pending += read(1)
                pending = b""
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(text) + text)
        except OSError:
            connection.close()

    speaks_first = False

    def close(self):
        self.server.close()


@pytest.fixture
def heard():
    h = Heard()
    yield h
    h.close()


@pytest.fixture(params=["ours", "envoy"])
def program(request):
    return (FAIRLEAD, "proxy") if request.param == "ours" else (envoy_program(), "--disable-hot-restart", "--log-level", "error")


def sends(version, inner=RAW, **config):
    return {"transport_socket": {"name": "pp", "typed_config": {"@type": EXTENSION + "transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport",
                                                                "config": {"version": version, **config}, "transport_socket": inner}}}


def ask(c):
    c.send(GET)
    status, _, body = c.answer()
    assert status == 200
    return json.loads(body)


def name(c):
    address = c.socket.getsockname()
    return f"{address[0]}:{address[1]}"


@pytest.mark.parametrize("version", ["V1", "V2"])
def test_each_client_has_connections_of_its_own(start, heard, program, version):
    port = free_port()
    start.proxy([listener("l", port, manager([{"match": {"prefix": "/"}, "route": {"cluster": "o"}}]))], [cluster("o", heard.port, **sends(version))], program=program)
    tail = [""] if version == "V2" else []
    with Raw(port, source=("127.0.0.9", 0)) as a, Raw(port, source=("127.0.0.8", 0)) as b:
        assert ask(a) == [1, [version, name(a), f"127.0.0.1:{port}", *tail]]
        assert ask(b) == [2, [version, name(b), f"127.0.0.1:{port}", *tail]]
        assert ask(a)[0] == 1 and ask(b)[0] == 2 and ask(a)[0] == 1


@pytest.mark.parametrize("version", ["V1", "V2"])
def test_a_server_that_speaks_first_hears_it_at_once(start, heard, program, version):
    port, heard.speaks_first = free_port(), True
    start.proxy([listener("l", port, TCP)], [cluster("o", heard.port, **sends(version))], program=program)
    with Raw(port, source=("127.0.0.9", 0)) as c:
        assert json.loads(c.rest())[1][:3] == [version, name(c), f"127.0.0.1:{port}"]


@pytest.mark.parametrize("version", ["V1", "V2"])
@pytest.mark.parametrize("kind", ["http", "tcp", "tcp, its own header"])
def test_health_checks_are_the_proxys_own(start, heard, program, version, kind):
    check = {"timeout": "1s", "interval": "1s", "no_traffic_interval": "1s", "unhealthy_threshold": 1, "healthy_threshold": 1}
    # Envoy sends nothing at all, and no header, where it has nothing to send of its own.
    tcp = {"send": {"text": GET.hex()}, "receive": [{"text": b"HTTP".hex()}], **({"proxy_protocol_config": {"version": version}} if "own" in kind else {})}
    check |= {"http_health_check": {"path": "/"}} if kind == "http" else {"tcp_health_check": tcp}
    more = {} if "own" in kind else sends(version)
    start.proxy([listener("l", free_port(), manager())], [cluster("o", heard.port, health_checks=[check], **more), cluster("origin", 1)], program=program)
    assert wait_for(lambda: heard.headers)
    assert heard.headers[0] == (["V2", "LOCAL"] if version == "V2" else ["V1", heard.peers[0], f"127.0.0.1:{heard.port}"])


@pytest.mark.parametrize("listens,sent,seen", [
    (None, {"match_type": "INCLUDE_ALL"}, ""),
    ({"match_type": "INCLUDE_ALL"}, {"match_type": "INCLUDE_ALL"}, "0100026832e1000178e2000179"),
    ({"match_type": "INCLUDE_ALL"}, {"match_type": "INCLUDE", "tlv_type": [0xe1]}, "e1000178"),
    ({"match_type": "INCLUDE", "tlv_type": [0xe2]}, {"match_type": "INCLUDE_ALL"}, "e2000179"),
    ({"match_type": "INCLUDE_ALL"}, None, ""),
])
def test_what_the_client_said_of_itself_is_passed_on(start, heard, program, listens, sent, seen):
    port = free_port()
    filters = [{"name": "pp", "typed_config": {"@type": EXTENSION + "filters.listener.proxy_protocol.v3.ProxyProtocol", **({"pass_through_tlvs": listens} if listens else {})}}]
    start.proxy([listener("l", port, manager([{"match": {"prefix": "/"}, "route": {"cluster": "o"}}]), listener_filters=filters)],
                [cluster("o", heard.port, **sends("V2", **({"pass_through_tlvs": sent} if sent else {})))], program=program)
    tlvs = bytes.fromhex("0100026832e1000178e2000179")
    with Raw(port) as c:
        c.send(SIGNATURE + b"\x21\x11" + struct.pack(">H", 12 + len(tlvs)) + bytes([9, 8, 7, 6, 5, 4, 3, 2, 4, 0x57, 0, 0x50]) + tlvs)
        assert ask(c)[1] == ["V2", "9.8.7.6:1111", "5.4.3.2:80", seen]


@pytest.mark.parametrize("version", ["V1", "V2"])
def test_a_tunnel_that_ends_here_may_begin_with_one(start, heard, program, version):
    port = free_port()
    route = {"match": {"connect_matcher": {}}, "route": {"cluster": "o", "upgrade_configs": [
        {"upgrade_type": "CONNECT", "connect_config": {"proxy_protocol_config": {"version": version}}}]}}
    start.proxy([listener("l", port, manager([route], upgrade_configs=[{"upgrade_type": "CONNECT"}]))], [cluster("o", heard.port)], program=program)
    with Raw(port, source=("127.0.0.9", 0)) as c:
        c.send(b"CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n")
        assert b" 200 " in c.until(b"\r\n\r\n")
        assert ask(c)[1][:3] == [version, name(c), f"127.0.0.1:{port}"]


@pytest.mark.parametrize("version", ["V1", "V2"])
@pytest.mark.parametrize("inner", [RAW, TLS], ids=["plain", "TLS"])
def test_nginx_reads_it(start, tmp_path, certificate, version, inner):
    program, port, front = need("nginx"), free_port(), free_port()
    (tmp_path / "n").mkdir()
    tls = f"ssl_certificate {certificate[0]}; ssl_certificate_key {certificate[1]};" if inner is TLS else ""
    (tmp_path / "nginx.conf").write_text(f"""
daemon off; pid {tmp_path}/n/pid; error_log {tmp_path}/n/error.log;
events {{ worker_connections 64; }}
http {{ access_log off; client_body_temp_path {tmp_path}/n/b; proxy_temp_path {tmp_path}/n/p; fastcgi_temp_path {tmp_path}/n/f; uwsgi_temp_path {tmp_path}/n/u; scgi_temp_path {tmp_path}/n/s;
  server {{ listen 127.0.0.1:{port} {"ssl" if tls else ""} proxy_protocol; {tls}
    location / {{ return 200 "$proxy_protocol_addr:$proxy_protocol_port $proxy_protocol_server_addr:$proxy_protocol_server_port"; }} }} }}""")
    process = subprocess.Popen([program, "-c", tmp_path / "nginx.conf", "-p", tmp_path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert wait_for(lambda: listening(port))
        start.proxy([listener("l", front, manager([{"match": {"prefix": "/"}, "route": {"cluster": "o"}}]))], [cluster("o", port, **sends(version, inner))])
        for source in ("127.0.0.9", "127.0.0.8"):
            with Raw(front, source=(source, 0)) as c:
                for _ in range(2):
                    c.send(GET)
                    assert c.answer()[::2] == (200, f"{name(c)} 127.0.0.1:{front}".encode())
    finally:
        process.terminate()
        process.wait()


@pytest.mark.parametrize("version", ["V1", "V2"])
def test_haproxy_accepts_it(start, tmp_path, version):
    program, port, front = need("haproxy"), free_port(), free_port()
    (tmp_path / "h.cfg").write_text("defaults\n  mode http\n  timeout connect 2s\n  timeout client 5s\n  timeout server 5s\n"
                                    f"frontend a\n  bind 127.0.0.1:{port} accept-proxy\n"
                                    '  http-request return status 200 content-type text/plain lf-string "%[src]:%[src_port] %[dst]:%[dst_port]"\n')
    process = subprocess.Popen([program, "-f", tmp_path / "h.cfg"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert wait_for(lambda: listening(port))
        start.proxy([listener("l", front, TCP)], [cluster("o", port, **sends(version))])
        with Raw(front, source=("127.0.0.9", 0)) as c:
            c.send(GET)
            assert c.answer()[::2] == (200, f"{name(c)} 127.0.0.1:{front}".encode())
    finally:
        process.terminate()
        process.wait()
