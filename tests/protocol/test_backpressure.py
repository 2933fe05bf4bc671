"""A peer that does not read stops the other side at the configured limit (per_connection_buffer_limit_bytes), whatever is
spoken on either side: what the proxy has taken and not handed on is what its statistics say it read less what it wrote."""
import socket
import threading
import time

import pytest

pytest.importorskip("hpack", reason="python3-h2 is not installed")
from h2raw import DATA, END_HEADERS, END_STREAM, HEADERS, SETTINGS, WINDOW, H2, frame, get, literal, settings
from ports import free_port
from wire import Origin, Raw, cluster, h2_cluster, listener, manager

KIB, MIB = 1 << 10, 1 << 20
BODY = 48 * MIB          # far more than the kernel's buffers hold on both ways
LIMIT = 32 * KIB
WINDOW_BYTES = 64 * KIB  # what a paused HTTP/2 stream may still send
SLACK = 96 * KIB         # one read, a frame or two, a head
BOUND = LIMIT + SLACK    # far below the 256 KiB where nothing is configured
SMALL = {"per_connection_buffer_limit_bytes": LIMIT}
WINDOWS = {"initial_stream_window_size": 65536, "initial_connection_window_size": 65536}


def settled(measure):
    """What is measured, once it stands still."""
    last = None
    for _ in range(100):
        now = measure()
        if now == last and now[0] > 0:
            return now
        last = now
        time.sleep(0.2)
    raise AssertionError(f"never stood still: {now}")


def held(proxy, came, went):
    came, went = settled(lambda: (proxy.stat(came), proxy.stat(went)))
    assert came < BODY  # the other side was stopped
    return came - went


class Sink:
    """A server that says nothing, and reads when it is told to."""

    def __init__(self, hello=b""):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.read, self.hello, self.total = threading.Event(), hello, 0
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        connection, _ = self.server.accept()
        connection.sendall(self.hello)
        self.read.wait(60)
        while self.total < BODY and (data := connection.recv(1 << 20)):
            self.total += len(data)

    def rest(self):
        self.read.set()
        self.thread.join(30)
        self.server.close()
        return self.total


def length_of_the_rest(c):
    """Of the body, up to its end."""
    head = c.until(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    total = len(c.buffer)
    while total < BODY and (data := c.socket.recv(MIB)):
        total += len(data)
    return total


def send_until_stuck(c, data):
    c.socket.settimeout(1)
    sent = 0
    try:
        while sent < len(data):
            sent += c.socket.send(data[sent:sent + MIB])
    except TimeoutError:
        pass
    c.socket.settimeout(30)
    return sent


@pytest.fixture
def big():
    body = BODY * b"x"
    origin = Origin(lambda r: b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % BODY + body)
    yield origin
    origin.close()


def tcp(port):
    return {"name": "l", "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}, "filter_chains": [{"filters": [
        {"name": "envoy.filters.network.tcp_proxy", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", "stat_prefix": "test", "cluster": "origin"}}]}]}


# ---- the listener's limit: a client that does not read a big answer

def test_a_client_of_http1(start, big):
    port = free_port()
    proxy = start.proxy([listener("l", port, manager(), **SMALL)], [cluster("origin", big.port)])
    with Raw(port, timeout=30) as c:
        c.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        assert held(proxy, "cluster.origin.upstream_cx_rx_bytes_total", "http.test.downstream_cx_tx_bytes_total") < BOUND
        assert length_of_the_rest(c) == BODY


def test_a_client_of_http2(start, big):
    port = free_port()
    proxy = start.proxy([listener("l", port, manager(), **SMALL)], [cluster("origin", big.port)])
    with H2(port, timeout=30, hello=settings(window=0x7FFFFFFF) + frame(WINDOW, 0, 0, b"\x7f\xfe\xff\xff")) as c:
        c.request(1)
        # Twice: what waits for the socket, and what waits with its stream.
        assert held(proxy, "cluster.origin.upstream_cx_rx_bytes_total", "http.test.downstream_cx_tx_bytes_total") < LIMIT + BOUND
        total = 0
        while True:
            kind, flags, _, payload = c.frame()
            total += len(payload) if kind == DATA else 0
            if kind in (DATA, HEADERS) and flags & END_STREAM:
                break
        assert total == BODY


def test_a_client_of_http1_with_an_origin_of_http2(start, big):
    """What the origin's window lets through may come once it is paused; a second proxy is the origin."""
    between, port = free_port(), free_port()
    start.proxy([listener("l", between, manager())], [cluster("origin", big.port)])
    proxy = start.proxy([listener("l", port, manager(), **SMALL)], [h2_cluster("origin", between, WINDOWS)])
    with Raw(port, timeout=30) as c:
        c.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        assert held(proxy, "cluster.origin.upstream_cx_rx_bytes_total", "http.test.downstream_cx_tx_bytes_total") < BOUND + WINDOW_BYTES
        assert length_of_the_rest(c) == BODY


def test_a_client_of_tcp(start, big):
    port = free_port()
    proxy = start.proxy([{**tcp(port), **SMALL}], [cluster("origin", big.port)])
    with Raw(port, timeout=30) as c:
        c.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        assert held(proxy, "cluster.origin.upstream_cx_rx_bytes_total", "tcp.test.downstream_cx_tx_bytes_total") < BOUND
        assert length_of_the_rest(c) == BODY


# ---- the cluster's limit: an origin that does not read a big request

HEAD = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % BODY


def check_upload(proxy, server, client, data, prefix, bound):
    """The origin does not read: no more than `bound` waits in the proxy. Then it does, and all of it comes."""
    sent = send_until_stuck(client, data)
    assert held(proxy, f"{prefix}.downstream_cx_rx_bytes_total", "cluster.origin.upstream_cx_tx_bytes_total") < bound
    server.read.set()
    client.send(data[sent:])
    assert server.rest() >= BODY


def test_an_origin_of_http1(start):
    server, port = Sink(), free_port()
    proxy = start.proxy([listener("l", port, manager())], [cluster("origin", server.port, **SMALL)])
    with Raw(port) as c:
        check_upload(proxy, server, c, HEAD + BODY * b"x", "http.test", BOUND)


def test_an_origin_of_http2(start):
    server, port = Sink(settings(window=0x7FFFFFFF) + frame(WINDOW, 0, 0, b"\x7f\xfe\xff\xff")), free_port()
    proxy = start.proxy([listener("l", port, manager())], [h2_cluster("origin", server.port, **SMALL)])
    with Raw(port) as c:
        check_upload(proxy, server, c, HEAD + BODY * b"x", "http.test", LIMIT + BOUND)


def test_an_origin_of_tcp(start):
    server, port = Sink(), free_port()
    proxy = start.proxy([tcp(port)], [cluster("origin", server.port, **SMALL)])
    with Raw(port) as c:
        check_upload(proxy, server, c, BODY * b"x", "tcp.test", BOUND)


def test_requests_over_http2_to_an_origin_that_does_not_read(start):
    """The stream's window shuts: no more than it and the limit waits here."""
    server, port = Sink(), free_port()
    proxy = start.proxy([listener("l", port, manager(http2_protocol_options=WINDOWS))], [cluster("origin", server.port, **SMALL)])
    with H2(port) as c:
        c.request(1, get(method="POST"), end=False)
        # As a peer that keeps to the window: a frame goes when it fits.
        c.socket.settimeout(1)
        room, whole, sent = 65535, 65535, 0
        try:
            while sent < BODY:
                while min(room, whole) >= 16384:
                    c.send(frame(DATA, 0, 1, 16384 * b"x"))
                    room, whole, sent = room - 16384, whole - 16384, sent + 16384
                kind, flags, stream, payload = c.frame()
                if kind == WINDOW and stream == 1:
                    room += int.from_bytes(payload, "big")
                elif kind == WINDOW:
                    whole += int.from_bytes(payload, "big")
                elif kind == SETTINGS and not flags:
                    room += 1
        except TimeoutError:
            pass
        assert held(proxy, "http.test.downstream_cx_rx_bytes_total", "cluster.origin.upstream_cx_tx_bytes_total") < BOUND + WINDOW_BYTES
    server.rest()
