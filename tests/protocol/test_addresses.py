"""An endpoint with several addresses (RFC 8305, "happy eyeballs")."""
import contextlib
import socket
import time

import pytest

from ports import free_port
from wire import Raw, cluster, listener, manager

TCP = {"name": "tcp", "typed_config": {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", "stat_prefix": "tcp", "cluster": "origin"}}


def address(at):
    return {"address": {"socket_address": {"address": at[0], "port_value": at[1]}}}


@pytest.mark.parametrize("kind", ["http", "tcp"])
def test_the_address_that_answers_is_found_behind_others_that_do_not(start, kind):
    """The first hangs (its queue is full), six refuse, the last one answers: one head start (300 ms) is waited for, not seven."""
    with socket.create_server(("127.0.0.2", 0), backlog=0) as hangs, socket.create_server(("127.0.0.1", 0)) as server, contextlib.ExitStack() as full:
        for _ in range(3):
            s = full.enter_context(socket.socket())
            s.setblocking(False)
            s.connect_ex(hangs.getsockname())
        time.sleep(0.1)
        refusing = [("127.0.0.1", free_port()) for _ in range(6)]
        endpoint = {**address(hangs.getsockname()), "additional_addresses": [address(at) for at in [*refusing, server.getsockname()]]}
        origin = cluster("origin", 0, connect_timeout="10s")
        origin["load_assignment"]["endpoints"] = [{"lb_endpoints": [{"endpoint": endpoint}]}]
        port = free_port()
        start.proxy([listener("l", port, manager() if kind == "http" else TCP)], [origin])
        begin = time.monotonic()
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            server.settimeout(10)
            with server.accept()[0] as connection:
                assert 0.2 < time.monotonic() - begin < 1.5
                assert connection.recv(4096).startswith(b"GET /")


@pytest.mark.parametrize("kind", ["STRICT_DNS", "LOGICAL_DNS"])
def test_a_name_with_both_families_is_served_by_whichever_answers(start, origin, kind):
    """localhost is ::1 first; the origin listens on 127.0.0.1 alone."""
    port = free_port()
    to = cluster("origin", origin.port, type=kind)
    to["load_assignment"]["endpoints"][0]["lb_endpoints"][0] = {"endpoint": address(("localhost", origin.port))}
    proxy = start.proxy([listener("l", port, manager())], [to])
    for _ in range(3):
        with Raw(port) as c:
            c.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            assert c.answer()[0] == 200
    assert proxy.stat("cluster.origin.upstream_cx_connect_fail") == 0


def test_a_listener_of_several_addresses(start, origin):
    """additional_addresses: each with every worker; one that is taken refuses the listener by its field."""
    one, two, three = free_port(), free_port(), free_port()
    more = [{"address": {"socket_address": {"address": a, "port_value": p}}} for a, p in (("127.0.0.2", two), ("::1", three))]
    proxy = start.proxy([listener("l", one, manager(), additional_addresses=more)], [cluster("origin", origin.port)], arguments=("--concurrency", "2"))
    for address, port in (("127.0.0.1", one), ("127.0.0.2", two), ("::1", three)):
        for _ in range(8):
            with socket.create_connection((address, port), timeout=5) as s:
                s.sendall(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
                assert s.recv(65536).startswith(b"HTTP/1.1 200")
    assert proxy.stat(f"listener.127.0.0.1_{one}.downstream_cx_total") == 24
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", two), timeout=5)
    other = start.proxy([listener("m", free_port(), manager(), additional_addresses=more[:1]), listener("n", free_port(), manager())], [cluster("origin", origin.port)])
    assert "additional_addresses[0].address" in other.error_path.read_text() and f"127.0.0.2:{two}" in other.error_path.read_text()
