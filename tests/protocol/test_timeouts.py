"""Time-outs of the connection manager, each with its answer, its flag and its count."""
import time

import pytest

from ports import free_port
from wire import Origin, Raw, cluster, listener, manager


@pytest.fixture
def origin():
    """Answers but for /hang, which it leaves waiting, and /half."""
    def answer(request):
        if "/hang" in request.line:
            return b""
        if "/half" in request.line:
            return b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc"
        return b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    o = Origin(answer)
    yield o
    o.close()


def timed(action):
    begin = time.monotonic()
    result = action()
    return result, time.monotonic() - begin


def test_a_slow_head(start):
    proxy, port = start(request_headers_timeout="0.3s")
    with Raw(port) as c:
        c.send(b"GET / HTTP/1.1\r\n")
        for i in range(4):  # a byte now and then wins no time
            time.sleep(0.1)
            try:
                c.send(b"x")
            except OSError:
                break
        answer, seconds = timed(c.rest)
    assert answer.startswith(b"HTTP/1.1 408 ") and answer.endswith(b"request header timeout") and seconds < 1
    assert proxy.stat("http.test.downstream_rq_header_timeout") == 1


def test_a_slow_body(start):
    proxy, port = start(request_timeout="0.3s")
    with Raw(port) as c:
        c.send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc")
        status, fields, body = c.answer()
        assert (status, body, dict(fields)["connection"]) == (408, b"request timeout", "close")
    assert proxy.stat("http.test.downstream_rq_timeout") == 1


def test_a_stream_on_which_nothing_moves(start):
    proxy, port = start(stream_idle_timeout="0.3s")
    with Raw(port) as c:
        c.send(b"GET /hang HTTP/1.1\r\nhost: a\r\n\r\n")
        assert c.answer()[::2] == (504, b"stream timeout")
        c.send(b"GET /fine HTTP/1.1\r\nhost: a\r\n\r\n")  # the connection is still good
        assert c.answer()[0] == 200
        c.send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n")
        assert c.answer()[::2] == (408, b"stream timeout")
    with Raw(port) as c:
        c.send(b"GET /half HTTP/1.1\r\nhost: a\r\n\r\n")
        assert c.rest().endswith(b"abc")
    assert proxy.stat("http.test.downstream_rq_idle_timeout") == 3
    assert "/hang 504 SI stream_idle_timeout" in proxy.log() or time.sleep(0.3) or "/hang 504 SI stream_idle_timeout" in proxy.log()


def test_a_stream_that_lives_too_long(start):
    proxy, port = start(routes=[{"match": {"prefix": "/long"}, "route": {"cluster": "origin", "max_stream_duration": {"max_stream_duration": "0s"}, "timeout": "0.6s"}},
                                {"match": {"prefix": "/"}, "route": {"cluster": "origin"}}],
                        common_http_protocol_options={"max_stream_duration": "0.3s"})
    with Raw(port) as c:
        c.send(b"GET /hang HTTP/1.1\r\nhost: a\r\n\r\n")
        assert c.answer()[::2] == (504, b"downstream duration timeout")
        c.send(b"GET /long/hang HTTP/1.1\r\nhost: a\r\n\r\n")  # the route's word counts
        assert c.answer()[::2] == (504, b"upstream request timeout")
    assert proxy.stat("http.test.downstream_rq_max_duration_reached") == 1


def test_a_connection_that_lives_too_long(start):
    proxy, port = start(common_http_protocol_options={"max_connection_duration": "0.2s"})
    with Raw(port) as c:
        c.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        assert "connection" not in dict(c.answer()[1])
        time.sleep(0.3)
        c.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        assert dict(c.answer()[1])["connection"] == "close" and c.closed()
    assert proxy.stat("http.test.downstream_cx_max_duration_reached") == 1


def test_an_idle_connection(start):
    proxy, port = start(common_http_protocol_options={"idle_timeout": "0.2s"})
    with Raw(port) as c:
        c.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        assert c.answer()[0] == 200 and c.closed()
    with Raw(port) as c:
        assert c.closed()
    assert proxy.stat("http.test.downstream_cx_idle_timeout") >= 1


def test_requests_on_one_connection_are_counted(start):
    proxy, port = start(common_http_protocol_options={"max_requests_per_connection": 2})
    with Raw(port) as c:
        c.send(2 * b"GET / HTTP/1.1\r\nhost: a\r\n\r\n" + b"GET /third HTTP/1.1\r\nhost: a\r\n\r\n")
        assert "connection" not in dict(c.answer()[1])
        assert dict(c.answer()[1])["connection"] == "close" and c.rest() == b""
    assert proxy.stat("http.test.downstream_cx_max_requests_reached") == 1


def test_a_closed_connection_is_not_kept_for_a_client_that_does_not_close(start):
    proxy, port = start(delayed_close_timeout="0.3s")
    with Raw(port) as c:
        c.send(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        assert c.answer()[0] == 200
        time.sleep(0.5)
        assert proxy.stat("http.test.downstream_cx_active") == 0
