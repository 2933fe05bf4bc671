"""Peers that want to exhaust us: memory stays within a stated bound and others are still served. Each flood ends by itself:
a number of bytes, or when the proxy closes."""
import contextlib
import os
import resource
import socket
import time

import pytest

pytest.importorskip("hpack", reason="python3-h2 is not installed")
from h2raw import ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, H2, HEADERS, PING, PREFACE, PRIORITY, RST, SETTINGS, WINDOW, frame, get, literal, settings
from ports import free_port
from wire import Origin, Proxy, Raw, cluster, listener, manager, wait_for

MIB = 1 << 20
FLOOD_SECONDS = max(2, float(os.environ.get("SOAK_SECONDS", 0)) / 10)
BOUND = 24 * MIB   # what one flood from one connection, or a few, may cost on top

ROUTES = [{"match": {"path": "/direct"}, "direct_response": {"status": 200, "body": {"inline_string": "hi"}}},
          {"match": {"prefix": "/"}, "route": {"cluster": "origin"}}]


@pytest.fixture(scope="module")
def proxy(tmp_path_factory):
    big = b"HTTP/1.1 200 OK\r\ncontent-length: 33554432\r\n\r\n" + 33554432 * b"x"
    origin = Origin(lambda r: big if "/big" in r.line else b"" if "/hang" in r.line else b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
    port = free_port()
    p = Proxy(tmp_path_factory.mktemp("floods"), [listener("l", port, manager(ROUTES, request_headers_timeout="1s"))], [cluster("origin", origin.port)])
    p.port, p.origin = port, origin
    yield p
    p.stop()
    origin.close()


@pytest.fixture
def bounded(proxy):
    """Around a flood: before, during (call it) and after, the proxy lives, serves, and holds no more than the bound."""
    before, most = proxy.memory(), BOUND

    def check(bound=BOUND):
        nonlocal most
        most = max(most, bound)
        assert proxy.alive()
        begin = time.monotonic()
        with Raw(proxy.port) as c:
            c.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            assert c.answer()[0] == 200
        assert time.monotonic() - begin < 2
        grown = proxy.memory() - before
        assert grown < bound, f"{grown / MIB:.1f} MiB more"
    yield check
    check(most)


def pour(client, pieces, seconds=FLOOD_SECONDS):
    """Sends until the peer closes or the time is up; True when it closed."""
    client.socket.settimeout(0.2)
    deadline = time.monotonic() + seconds
    for piece in pieces:
        if time.monotonic() > deadline:
            return False
        try:
            client.socket.sendall(piece)
        except TimeoutError:
            return False
        except OSError:
            return True
    try:
        while time.monotonic() < deadline:
            if not client.socket.recv(65536):
                return True
    except TimeoutError:
        return False
    except OSError:
        return True
    return False


def heads(first=1, count=20000, end=True, path="/"):
    for i in range(count):
        yield frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), first + 2 * i, literal(get(path)))


H2_FLOODS = {
    "rapid reset": lambda: (h + frame(RST, 0, 1 + 2 * i, b"\0\0\0\x08") for i, h in enumerate(heads(path="/hang"))),
    "pings": lambda: (100 * frame(PING, 0, 0, b"12345678") for _ in range(3000)),
    "settings": lambda: (100 * frame(SETTINGS, 0, 0) for _ in range(3000)),
    "empty data": lambda: [frame(HEADERS, END_HEADERS, 1, literal(get(method="POST")))] + 3000 * [100 * frame(DATA, 0, 1)],
    "empty continuations": lambda: [frame(HEADERS, 0, 1, literal(get()))] + 3000 * [100 * frame(CONTINUATION, 0, 1)],
    "continuations": lambda: [frame(HEADERS, 0, 1, literal(get()))] + 3000 * [frame(CONTINUATION, 0, 1, literal([("x", 8000 * "a")]))],
    "window updates of nothing sent": lambda: (100 * frame(WINDOW, 0, 0, b"\0\0\0\1") for _ in range(3000)),
    "priorities": lambda: (100 * frame(PRIORITY, 0, 1, b"\0\0\0\0\x10") for _ in range(3000)),
    "unknown frames": lambda: (100 * frame(0x42, 0, 0, b"") for _ in range(3000)),
    "frames for streams that are closed": lambda: [frame(HEADERS, END_HEADERS | END_STREAM, 1, literal(get()))] + 3000 * [100 * frame(WINDOW, 0, 1, b"\0\0\0\1")],
}


@pytest.mark.parametrize("name", H2_FLOODS)
def test_http2(name, proxy, bounded):
    with H2(proxy.port) as c:
        pour(c, H2_FLOODS[name]())
        bounded()


@pytest.mark.parametrize("name, statistic", [
    ("rapid reset", "http.test.downstream_rq_too_many_premature_resets"), ("pings", "http2.outbound_control_flood"), ("settings", "http2.outbound_control_flood"),
    ("empty data", "http2.inbound_empty_frames_flood"), ("continuations", "http.test.downstream_cx_protocol_error"),
    ("empty continuations", "http2.inbound_empty_frames_flood")])
def test_a_flood_without_reading_answers_ends_the_connection(name, statistic, proxy, bounded):
    before = proxy.stat(statistic)
    with H2(proxy.port) as c:
        assert pour(c, H2_FLOODS[name](), seconds=5)
    wait_for(lambda: proxy.stat(statistic) == before + 1)


def test_more_streams_than_allowed_are_refused(start, origin):
    origin.answer = lambda r: b"" if "/hang" in r.line else b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    proxy, port = start(http2_protocol_options={"max_concurrent_streams": 10})
    with H2(port) as c:
        while c.frame()[0] != SETTINGS:
            pass
        for h in heads(count=10, path="/hang"):
            c.send(h)
        assert c.request(21).answer(21)[:2] == ("reset", 7)
        assert proxy.stat("http.test.downstream_rq_active") == 10


def test_windows_that_stay_shut(proxy, bounded):
    """Fifty streams ask for 32 MiB each and take nothing: what was read ahead of them is bounded."""
    with H2(proxy.port, hello=settings(window=0)) as c:
        for h in heads(count=50, path="/big"):
            c.send(h)
        time.sleep(1)
        bounded(50 * MIB)


def test_a_client_that_does_not_read(proxy, bounded):
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            c = stack.enter_context(Raw(proxy.port))
            c.send(b"GET /big HTTP/1.1\r\nhost: a\r\n\r\n")
        time.sleep(1)
        bounded(20 * MIB)


def test_an_origin_that_does_not_read(start, bounded):
    """A body of 64 MiB for an origin that stops reading stays with the client."""
    server = socket.create_server(("127.0.0.1", 0))
    port = free_port()
    proxy = start.proxy([listener("l", port, manager())], [cluster("origin", server.getsockname()[1])])
    before = proxy.memory()
    with Raw(port) as c:
        c.send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 67108864\r\n\r\n")
        c.socket.settimeout(0.5)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 67108864:
                sent += c.socket.send(MIB * b"x")
        assert sent < 40 * MIB and proxy.memory() - before < 8 * MIB
    server.close()


def test_header_bombs(proxy, bounded):
    with Raw(proxy.port) as c:
        pour(c, [b"GET / HTTP/1.1\r\nhost: a\r\n"] + 100000 * [b"x-%d: a\r\n" % 1])
    with Raw(proxy.port) as c:
        pour(c, [b"GET / HTTP/1.1\r\nx: "] + 1000 * [65536 * b"a"])
    with Raw(proxy.port) as c:
        pour(c, 1000 * [65536 * b"A"])


def test_hpack_bombs(proxy, bounded):
    """A field of 4 KiB in the dynamic table, named thousands of times in a section of a few KiB."""
    entry = b"\x40" + b"\x01x" + b"\x7f\x80\x1e" + 3967 * b"a"
    with H2(proxy.port) as c:
        c.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, literal(get()) + entry))
        first = c.answer(1)[0]
        assert first in (200, "reset", "goaway")
        c.send(frame(HEADERS, END_HEADERS | END_STREAM, 3, literal(get()) + 16000 * b"\xbe"))
        assert c.answer(3)[0] in (431, "reset", "goaway", "closed")


def test_slow_heads_and_bodies(proxy, bounded):
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Raw(proxy.port)) for _ in range(300)]
        for i, c in enumerate(clients):
            c.send(b"GET / HTTP/1.1\r\nx" if i % 2 else b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n1")
        bounded()
        time.sleep(1.3)
        assert sum(c.rest().startswith(b"HTTP/1.1 408") for c in clients[1::2]) == 150  # slow heads are over


def test_chunks_of_one_byte(proxy, bounded):
    with Raw(proxy.port) as c:
        c.send(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
        pour(c, 400 * [1000 * b"1\r\nx\r\n"])


def test_the_limit_of_connections(start, origin):
    monitor = {"name": "envoy.resource_monitors.global_downstream_max_connections", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
        "max_active_downstream_connections": 5}}
    proxy, port = start(bootstrap={"overload_manager": {"resource_monitors": [monitor]}})
    with contextlib.ExitStack() as stack:
        kept = []
        for _ in range(5):
            c = stack.enter_context(Raw(port))
            c.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            assert c.answer()[0] == 200
            kept.append(c)
        with contextlib.suppress(ConnectionResetError):  # the reset may be faster than connect()
            with Raw(port) as c:
                assert c.closed()
        kept[0].close()
        assert wait_for(lambda: proxy.stat("http.test.downstream_cx_active") == 4)
        with Raw(port) as c:
            c.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            assert c.answer()[0] == 200


def test_memory_near_its_limit(start, origin):
    heap = {"name": "heap", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig",
                                             "max_heap_size_bytes": 1}}
    action = {"name": "envoy.overload_actions.stop_accepting_requests", "triggers": [{"name": "heap", "threshold": {"value": 0.95}}]}
    proxy, port = start(bootstrap={"overload_manager": {"refresh_interval": "0.05s", "resource_monitors": [heap], "actions": [action]}})

    def refused():
        with Raw(port) as c:
            c.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            return c.answer()[::2] == (503, b"envoy overloaded")
    assert wait_for(refused, 3)


def test_twenty_thousand_connections(proxy, bounded):
    """Idle after a request each, or as many as descriptors allow (ulimit -Hn); 4 KiB each is the bound."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(20000, hard - 3000)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    clients = []
    try:
        for i in range(count):
            s = socket.socket()
            s.bind((f"127.0.0.{2 + i // 10000}", 0))
            s.settimeout(5)
            s.connect(("127.0.0.1", proxy.port))
            s.sendall(b"GET /direct HTTP/1.1\r\nhost: a\r\n\r\n")
            clients.append(s)
        for s in clients:
            assert s.recv(4096).startswith(b"HTTP/1.1 200")
        bounded(count * 4096 + BOUND)
    finally:
        for s in clients:
            s.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
