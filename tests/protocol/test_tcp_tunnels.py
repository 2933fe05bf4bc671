"""Bytes through CONNECT: tcp_proxy's tunneling_config towards a proxy, connect_config where the tunnel ends, and sni_cluster."""
import socket
import ssl
import threading

import pytest

from envoy_program import envoy_program
from ports import free_port
from wire import FAIRLEAD, LOG, Origin, Raw, cluster, downstream_tls, h2_cluster, listener, manager, wait_for

TCP = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
LINE = {"name": "log", "typed_config": {**LOG["typed_config"], "log_format": {"text_format_source": {
    "inline_string": "%UPSTREAM_CLUSTER% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %UPSTREAM_TRANSPORT_FAILURE_REASON%\n"}}}}
OURS = (FAIRLEAD, "proxy")


@pytest.fixture(scope="session")
def envoy():
    return (envoy_program(), "--disable-hot-restart", "--log-level", "error")


class Echo:
    """A TCP server that greets, answers in upper case, and says goodbye when its client half closes."""

    def __init__(self, greeting=b"hi "):
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.greeting = greeting
        self.ended = 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection:
            try:
                connection.sendall(self.greeting)
                while data := connection.recv(65536):
                    connection.sendall(data.upper())
                connection.sendall(b"bye")
            except OSError:
                pass
        self.ended += 1

    def close(self):
        self.listening.close()


@pytest.fixture
def echo():
    e = Echo()
    yield e
    e.close()


def tcp(**config):
    return {"name": "tcp", "typed_config": {"@type": TCP, "stat_prefix": "tcp", "access_log": [LINE], **config}}


def ending(**connect):
    """A connection manager that ends CONNECT (and POST, where `connect` says so)."""
    upgrade = [{"upgrade_type": "CONNECT", "connect_config": connect}]
    routes = [{"match": {"connect_matcher": {}}, "route": {"cluster": "end", "upgrade_configs": upgrade}},
              {"match": {"prefix": "/"}, "route": {"cluster": "end", "upgrade_configs": upgrade}}]
    return manager(routes, http2_protocol_options={"allow_connect": True}, upgrade_configs=[{"upgrade_type": "CONNECT"}])


def speak(port):
    with Raw(port) as c:
        assert c.exactly(3) == b"hi "
        assert c.send(b"hello").exactly(5) == b"HELLO"
        many = bytes(range(97, 123)) * 40000
        sender = threading.Thread(target=c.socket.sendall, args=(many,))
        sender.start()
        assert c.exactly(len(many)) == many.upper()
        sender.join()
        c.socket.shutdown(socket.SHUT_WR)
        return c.rest()


@pytest.mark.parametrize("front,back", [("ours", "ours"), ("ours", "envoy"), ("envoy", "ours")])
@pytest.mark.parametrize("hop", ["h1", "h2"])
@pytest.mark.parametrize("post", [False, True])
def test_bytes_through_two_proxies(start, echo, envoy, front, back, hop, post):
    programs = {"ours": OURS, "envoy": envoy}
    middle, port = free_port(), free_port()
    end = start.proxy([listener("l", middle, ending(allow_post=True))], [cluster("end", echo.port)], program=programs[back])
    how = {"hostname": "db.example:5432", "headers_to_add": [{"header": {"key": "x-from", "value": "%DOWNSTREAM_LOCAL_PORT%"}}]}
    if post:
        how.update(use_post=True, post_path="/tunnel")
    through = h2_cluster("through", middle) if hop == "h2" else cluster("through", middle)
    begin = start.proxy([listener("l", port, tcp(cluster="through", tunneling_config=how))], [through], program=programs[front])
    last = speak(port)
    # Envoy does not pass on that the client half closed when it tunnels by HTTP/1.1.
    if (front, back) == ("ours", "ours"):
        assert last == b"bye"
    assert wait_for(lambda: echo.ended == 1)
    assert wait_for(lambda: end.stat("cluster.end.upstream_cx_active") == 0 == begin.stat("cluster.through.upstream_rq_active"))
    assert end.stat("cluster.end.upstream_cx_total") == 1
    if back == "ours" and not post:
        assert end.stat("http.test.downstream_cx_upgrades_total") == 1
    if front == "ours":
        assert wait_for(begin.log).split()[:4] == ["through", "-", "1040005", str(1040008 + len(last))]


def test_a_proxy_that_does_not_agree(start, echo):
    """What it says is in the log; tried as often as max_connect_attempts says."""
    wall = Origin(lambda r: b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno")
    port = free_port()
    proxy = start.proxy([listener("l", port, tcp(cluster="through", max_connect_attempts=2, tunneling_config={"hostname": "db.example:5432"}))], [cluster("through", wall.port)])
    with Raw(port) as c:
        with pytest.raises((EOFError, ConnectionError)):
            c.exactly(1)
    assert wait_for(proxy.log).startswith("through UF,URX 0 0 ") and "403" in proxy.log()
    assert [r.line for r in wall.requests] == ["CONNECT db.example:5432 HTTP/1.1"] * 2
    assert wall.requests[0].get("host") == "db.example:5432"
    assert proxy.stat("cluster.through.upstream_rq_active") == 0
    wall.close()


def test_nobody_behind_the_tunnel(start):
    routes = [{"match": {"connect_matcher": {}}, "route": {"cluster": "end", "upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {}}]}}]
    port = free_port()
    start.proxy([listener("l", port, manager(routes, upgrade_configs=[{"upgrade_type": "CONNECT"}]))], [cluster("end", free_port())])
    with Raw(port) as c:
        assert c.send(b"CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\n\r\n").answer()[0] == 503


def test_the_client_goes_away(start, echo):
    port = free_port()
    proxy = start.proxy([listener("l", port, ending())], [cluster("end", echo.port)])
    with Raw(port) as c:
        c.send(b"CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\n\r\nhello")
        assert c.until(b"\r\n\r\n").startswith(b"HTTP/1.1 200")
        assert c.exactly(8) == b"hi HELLO"
    assert wait_for(lambda: echo.ended == 1 and proxy.stat("cluster.end.upstream_cx_active") == 0 == proxy.stat("http.test.downstream_rq_active"))


def test_post_is_a_request_unless_it_may_be_a_tunnel(start, origin):
    port = free_port()
    start.proxy([listener("l", port, ending())], [cluster("end", origin.port)])
    with Raw(port) as c:
        assert c.send(b"POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nab").answer()[0] == 200
    assert origin.requests[0].body == b"ab"


def test_a_backlog_holds_back_the_client(start):
    """An endpoint that does not read: what waits on the way stays bounded."""
    listening = socket.create_server(("127.0.0.1", 0))
    middle, port = free_port(), free_port()
    end = start.proxy([listener("l", middle, ending(), per_connection_buffer_limit_bytes=65536)], [cluster("end", listening.getsockname()[1], per_connection_buffer_limit_bytes=65536)])
    begin = start.proxy([listener("l", port, tcp(cluster="through", tunneling_config={"hostname": "a:1"}), per_connection_buffer_limit_bytes=65536)],
                        [h2_cluster("through", middle, per_connection_buffer_limit_bytes=65536)])
    before = end.memory(), begin.memory()
    with Raw(port) as c:
        c.socket.settimeout(2)
        sent = 0
        try:
            while sent < 200 << 20:
                sent += c.socket.send(b"x" * 65536)
        except TimeoutError:
            pass
        assert sent < 100 << 20
        assert end.memory() - before[0] < 8 << 20 and begin.memory() - before[1] < 8 << 20
        # And goes on when it reads.
        connection, _ = listening.accept()
        got = 0
        connection.settimeout(10)
        while got < sent:
            data = connection.recv(1 << 20)
            assert data
            got += len(data)
        connection.close()
    listening.close()


@pytest.mark.parametrize("program", ["ours", "envoy"])
def test_the_cluster_that_the_server_name_says(start, certificate, envoy, program):
    greetings = {name: Echo(name.encode()) for name in ("one", "two")}
    names = {name: f"outbound_.443_._.{name}.example" for name in greetings}
    port = free_port()
    filters = [{"name": "sni", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.network.sni_cluster.v3.SniCluster"}},
               tcp(cluster="otherwise")]
    begin = listener("l", port, filters[0], listener_filters=[{"name": "tls", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"}}])
    begin["filter_chains"][0]["filters"] = filters
    begin["filter_chains"][0]["transport_socket"] = downstream_tls(*certificate, alpn=())
    other = Echo(b"otherwise")
    proxy = start.proxy([begin], [cluster(names[n], e.port) for n, e in greetings.items()] + [cluster("otherwise", other.port)], program=OURS if program == "ours" else envoy)
    context = ssl._create_unverified_context()
    for server_name, said in [(names["one"], b"one"), (names["two"], b"two"), (None, b"otherwise"), ("outbound_.1_._.nobody", b"")]:
        try:
            with context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=5), server_hostname=server_name) as c:
                got = c.recv(100)
        except (ConnectionError, ssl.SSLError):
            got = b""
        assert got == said, server_name
    if program == "ours":
        assert wait_for(lambda: proxy.log().count("\n") == 4)
        assert sorted(line.split()[0] for line in proxy.log().splitlines()) == sorted([*names.values(), "otherwise", "outbound_.1_._.nobody"])
    for e in (*greetings.values(), other):
        e.close()


def test_a_connection_has_its_longest_time(start, echo):
    port = free_port()
    proxy = start.proxy([listener("l", port, tcp(cluster="end", max_downstream_connection_duration="0.3s"))], [cluster("end", echo.port)])
    with Raw(port) as c:
        assert c.exactly(3) == b"hi "
        assert c.rest() == b""
    assert wait_for(proxy.log).split()[:2] == ["end", "DT"]
    assert proxy.stat("tcp.tcp.max_downstream_connection_duration") == 1
