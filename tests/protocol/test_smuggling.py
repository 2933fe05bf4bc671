"""Requests that two parsers may read differently: each is refused, or reaches the origin in one form that has one reading.
The origin keeps the raw bytes it was sent, so that a second request hidden in the first would be seen."""
import pytest

from ports import free_port
from wire import Raw, h2_cluster, cluster, listener, manager

H = "host: a\r\n"


def request(fields="", line="POST / HTTP/1.1", body="", host=H):
    return (line + "\r\n" + host + fields + "\r\n" + body).encode("latin-1")


INNER = "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n"
CHUNKED = "transfer-encoding: chunked\r\n"

# What is refused: name -> (bytes, status of the answer).
REFUSED = {
    # --- Content-Length beside Transfer-Encoding, in all shapes
    "both": (request("content-length: 6\r\n" + CHUNKED, body="0\r\n\r\nG"), 400),
    "both, coding first": (request(CHUNKED + "content-length: 6\r\n", body="0\r\n\r\nG"), 400),
    "both, length 0": (request("content-length: 0\r\n" + CHUNKED, body="0\r\n\r\n"), 400),
    "both, in HTTP/1.0": (request("content-length: 6\r\n" + CHUNKED, line="POST / HTTP/1.0", body="0\r\n\r\nG"), 501),
    # --- Transfer-Encoding
    "coding twice": (request(CHUNKED + CHUNKED, body="0\r\n\r\n"), 501),
    "coding twice in one field": (request("transfer-encoding: chunked, chunked\r\n", body="0\r\n\r\n"), 501),
    "coding identity": (request("transfer-encoding: identity\r\ncontent-length: 3\r\n", body="abc"), 501),
    "coding identity, chunked": (request("transfer-encoding: identity, chunked\r\n", body="0\r\n\r\n"), 501),
    "coding chunked, identity": (request("transfer-encoding: chunked, identity\r\n", body="0\r\n\r\n"), 501),
    "coding gzip, chunked": (request("transfer-encoding: gzip, chunked\r\n", body="0\r\n\r\n"), 501),
    "coding xchunked": (request("transfer-encoding: xchunked\r\n", body="0\r\n\r\n"), 501),
    "coding quoted": (request("transfer-encoding: \"chunked\"\r\n", body="0\r\n\r\n"), 501),
    "coding empty": (request("transfer-encoding:\r\n", body="0\r\n\r\n"), 501),
    "coding with a parameter": (request("transfer-encoding: chunked;a=b\r\n", body="0\r\n\r\n"), 501),
    "coding with a vertical tab": (request("transfer-encoding: \x0bchunked\r\n", body="0\r\n\r\n"), 400),
    "coding with a form feed": (request("transfer-encoding: chunked\x0c\r\n", body="0\r\n\r\n"), 400),
    "coding with a byte over 0x7f": (request("transfer-encoding: chunked\xa0\r\n", body="0\r\n\r\n"), 501),
    "coding in HTTP/1.0": (request(CHUNKED, line="POST / HTTP/1.0", body="0\r\n\r\n"), 501),
    "coding, space before the colon": (request("transfer-encoding : chunked\r\n", body="0\r\n\r\n"), 400),
    "coding, tab before the colon": (request("transfer-encoding\t: chunked\r\n", body="0\r\n\r\n"), 400),
    "coding, NUL in the name": (request("transfer\x00-encoding: chunked\r\n", body="0\r\n\r\n"), 400),
    "coding folded": (request("transfer-encoding:\r\n chunked\r\n", body="0\r\n\r\n"), 400),
    "coding behind a line that begins with a space": (request("x: y\r\n transfer-encoding: chunked\r\n", body="0\r\n\r\n"), 400),
    "coding behind a bare LF": (request("x: y\ntransfer-encoding: chunked\r\n", body="0\r\n\r\n"), 400),
    "coding behind a bare CR": (request("x: y\rtransfer-encoding: chunked\r\n", body="0\r\n\r\n"), 400),
    # --- Content-Length
    "length twice, different": (request("content-length: 3\r\ncontent-length: 4\r\n", body="abcd"), 400),
    "length as a list": (request("content-length: 3, 3\r\n", body="abc"), 400),
    "length as a list, different": (request("content-length: 3, 4\r\n", body="abcd"), 400),
    "length with a plus": (request("content-length: +3\r\n", body="abc"), 400),
    "length negative": (request("content-length: -3\r\n", body="abc"), 400),
    "length empty": (request("content-length:\r\n", body="abc"), 400),
    "length hexadecimal": (request("content-length: 0x3\r\n", body="abc"), 400),
    "length with a fraction": (request("content-length: 3.0\r\n", body="abc"), 400),
    "length with an underscore": (request("content-length: 1_0\r\n", body="abc"), 400),
    "length with a space inside": (request("content-length: 1 0\r\n", body="abc"), 400),
    "length beyond 64 bits": (request("content-length: 18446744073709551619\r\n", body="abc"), 400),
    "length, space before the colon": (request("content-length : 3\r\n", body="abc"), 400),
    "length folded": (request("content-length:\r\n 3\r\n", body="abc"), 400),
    "length in another script's digits": (request("content-length: \xb2\r\n", body="abc"), 400),
    # --- lines
    "bare LF ends the request line": (b"GET / HTTP/1.1\nhost: a\r\n\r\n", 400),
    "bare LF ends a field": (b"GET / HTTP/1.1\r\nhost: a\nx: y\r\n\r\n", 400),
    "bare LF ends the head": (b"GET / HTTP/1.1\r\nhost: a\r\n\n", 400),
    "LFs alone": (b"GET / HTTP/1.1\nhost: a\n\n", 400),
    "bare CR in a value": (request("x: a\rb\r\n", line="GET / HTTP/1.1"), 400),
    "CR CR LF": (b"GET / HTTP/1.1\r\nhost: a\r\r\n\r\n", 400),
    "NUL in a value": (request("x: a\x00b\r\n", line="GET / HTTP/1.1"), 400),
    "NUL in the target": (request(line="GET /\x00 HTTP/1.1"), 400),
    "DEL in a value": (request("x: a\x7fb\r\n", line="GET / HTTP/1.1"), 400),
    "folded line": (request("x: a\r\n b\r\n", line="GET / HTTP/1.1"), 400),
    "folded line with a tab": (request("x: a\r\n\tb\r\n", line="GET / HTTP/1.1"), 400),
    "first field begins with a space": (request(line="GET / HTTP/1.1", host=" host: a\r\n"), 400),
    "field without a colon": (request("novalue\r\n", line="GET / HTTP/1.1"), 400),
    "field without a name": (request(": v\r\n", line="GET / HTTP/1.1"), 400),
    "space in a name": (request("a b: c\r\n", line="GET / HTTP/1.1"), 400),
    "brackets in a name": (request("a[b]: c\r\n", line="GET / HTTP/1.1"), 400),
    "byte over 0x7f in a name": (request("a\xe9: c\r\n", line="GET / HTTP/1.1"), 400),
    # --- start line
    "no version": (b"GET /\r\nhost: a\r\n\r\n", 400),
    "two spaces before the target": (request(line="GET  / HTTP/1.1"), 400),
    "two spaces before the version": (request(line="GET /  HTTP/1.1"), 400),
    "space in the target": (request(line="GET /a b HTTP/1.1"), 400),
    "tab for a space": (request(line="GET\t/ HTTP/1.1"), 400),
    "space behind the version": (request(line="GET / HTTP/1.1 "), 400),
    "space before the method": (request(line=" GET / HTTP/1.1"), 400),
    "method with a colon": (request(line="GE:T / HTTP/1.1"), 400),
    "lower-case version": (request(line="GET / http/1.1"), 400),
    "version 2.0": (request(line="GET / HTTP/2.0"), 505),
    "version 1.2": (request(line="GET / HTTP/1.2"), 505),
    "version 1.10": (request(line="GET / HTTP/1.10"), 505),
    "version 11": (request(line="GET / HTTP/11"), 505),
    "second version in the target": (request(line="GET / HTTP/1.1 HTTP/1.1"), 400),
    # --- authority
    "no Host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two Hosts": (b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400),
    "two Hosts, the same": (b"GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n", 400),
    "Host as a list": (b"GET / HTTP/1.1\r\nhost: a, b\r\n\r\n", 400),
    "Host with a path": (b"GET / HTTP/1.1\r\nhost: a/b\r\n\r\n", 400),
    "Host with user information": (b"GET / HTTP/1.1\r\nhost: u@a\r\n\r\n", 400),
    "Host with a space": (b"GET / HTTP/1.1\r\nhost: a b\r\n\r\n", 400),
    "Host, space before the colon": (b"GET / HTTP/1.1\r\nhost : a\r\n\r\n", 400),
    "absolute form with user information": (request(line="GET http://u@b/ HTTP/1.1"), 400),
    "absolute form without an authority": (request(line="GET http:///x HTTP/1.1"), 400),
    "absolute form of another scheme": (request(line="GET ftp://a/ HTTP/1.1"), 400),
    "authority form for GET": (request(line="GET a:80 HTTP/1.1"), 400),
    "relative target": (request(line="GET x HTTP/1.1"), 400),
    "asterisk for GET": (request(line="GET * HTTP/1.1"), 400),
    "backslash for the first slash": (request(line="GET \\x HTTP/1.1"), 400),
    # --- fields that a client may not take away from us
    "connection names x-forwarded-for": (request("connection: x-forwarded-for\r\n", line="GET / HTTP/1.1"), 400),
    "connection names a pseudo field": (request("connection: :path\r\n", line="GET / HTTP/1.1"), 400),
}

# Bodies in chunks that are malformed: the head may have gone on; the origin must never see the request as complete, nor another.
BAD_CHUNKS = {
    "size not hexadecimal": "g\r\nabc\r\n0\r\n\r\n",
    "size empty": "\r\nabc\r\n0\r\n\r\n",
    "size with 0x": "0x3\r\nabc\r\n0\r\n\r\n",
    "size negative": "-3\r\nabc\r\n0\r\n\r\n",
    "size with a plus": "+3\r\nabc\r\n0\r\n\r\n",
    "size overflows 32 bits to a small one, short data": "100000003\r\nabc\r\n0\r\n\r\n" + INNER,
    "size overflows 64 bits": "10000000000000003\r\nabc\r\n0\r\n\r\n",
    "size of forty zeros": 40 * "0" + "3\r\nabc\r\n0\r\n\r\n",
    "size behind a space": " 3\r\nabc\r\n0\r\n\r\n",
    "size before a space": "3 \r\nabc\r\n0\r\n\r\n",
    "size ends in LF": "3\nabc\r\n0\r\n\r\n",
    "size ends in CR alone": "3\rabc\r\n0\r\n\r\n",
    "data longer than its size": "3\r\nabcd\r\n0\r\n\r\n",
    "data ends in LF": "3\r\nabc\n0\r\n\r\n",
    "data without an end": "3\r\nabc0\r\n\r\n",
    "last chunk ends in LF": "3\r\nabc\r\n0\n\r\n",
    "end of the trailers is LF": "3\r\nabc\r\n0\r\n\n",
    "extension with a bare LF": "3;a\nb\r\nabc\r\n0\r\n\r\n",
    "extension with a bare CR": "3;a\rb\r\nabc\r\n0\r\n\r\n",
    "extension with a NUL": "3;a\x00\r\nabc\r\n0\r\n\r\n",
    "extension of 20 KiB": "3;" + 20480 * "a" + "\r\nabc\r\n0\r\n\r\n",
    "trailer folded": "0\r\nx: a\r\n b\r\n\r\n",
    "trailer with a space before the colon": "0\r\nx : a\r\n\r\n",
    "trailer with a bare LF": "0\r\nx: a\ny: b\r\n\r\n",
    "trailers of 100 KiB": "0\r\nx: " + 102400 * "a" + "\r\n\r\n",
}


@pytest.fixture(scope="module")
def proxy(tmp_path_factory):
    from wire import Origin, Proxy
    origin = Origin()
    port = free_port()
    p = Proxy(tmp_path_factory.mktemp("smuggling"), [listener("l", port, manager())], [cluster("origin", origin.port)])
    p.port, p.origin = port, origin
    yield p
    p.stop()
    origin.close()


@pytest.fixture
def origin(proxy):
    proxy.origin.forget()
    return proxy.origin


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name, proxy, origin):
    data, status = REFUSED[name]
    with Raw(proxy.port) as c:
        c.send(data + INNER.encode())
        answer = c.rest()
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer
    assert b"\r\nconnection: close\r\n" in answer
    assert answer.count(b"HTTP/1.1 ") == 1, answer  # and nothing behind it was served
    assert origin.raw == b""


@pytest.mark.parametrize("name", BAD_CHUNKS)
def test_a_malformed_chunk_ends_everything(name, proxy, origin):
    with Raw(proxy.port) as c:
        c.send(request(CHUNKED, body=BAD_CHUNKS[name] + INNER))
        if "overflows 32" in name:  # the rest is part of a body that never ends
            c.socket.settimeout(0.3)
            with pytest.raises(TimeoutError):
                c.rest()
        else:
            assert b" 200 " not in c.rest()
    assert origin.requests == []
    if "overflows 32" not in name:
        assert b"smuggled" not in origin.raw


def test_the_proxy_says_why_a_chunk_was_refused(proxy, origin):
    with Raw(proxy.port) as c:
        c.send(request(CHUNKED, body="3\r\nabc\r\nzz\r\n"))
        assert c.rest().startswith(b"HTTP/1.1 400 ")


# What has one reading, and the form in which the origin gets it.
@pytest.mark.parametrize("name,data,expected,body", [
    ("same length twice", request("content-length: 3\r\ncontent-length: 3\r\n", body="abc"), {"content-length": "3"}, b"abc"),
    ("leading zeros", request("content-length: 003\r\n", body="abc"), {}, b"abc"),
    ("coding in capitals", request("Transfer-Encoding: CHUNKED\r\n", body="3\r\nabc\r\n0\r\n\r\n"), {"transfer-encoding": "chunked"}, b"abc"),
    ("chunk sizes with zeros and capitals", request(CHUNKED, body="0000A\r\n0123456789\r\n0\r\n\r\n"), {}, b"0123456789"),
    ("chunk extensions", request(CHUNKED, body="3;a=b;c=\"d\"\r\nabc\r\n0;z\r\n\r\n"), {"transfer-encoding": "chunked"}, b"abc"),
    ("trailers of framing", request(CHUNKED, body="3\r\nabc\r\n0\r\ncontent-length: 9\r\ntransfer-encoding: x\r\nhost: b\r\n\r\n"), {"host": "a"}, b"abc"),
    ("empty lines before a request", b"\r\n\r\n" + request("content-length: 3\r\n", body="abc"), {}, b"abc"),
    ("GET with a body", request("content-length: 3\r\n", line="GET / HTTP/1.1", body="abc"), {"content-length": "3"}, b"abc"),
    ("absolute form against Host", request("content-length: 0\r\n", line="GET http://b:80/x HTTP/1.1"), {"host": "b:80"}, b""),
    ("connection names a field", request("connection: x-secret, close\r\nx-secret: 1\r\ncontent-length: 3\r\n", body="abc"), {"x-secret": None, "connection": None}, b"abc"),
    ("connection names Host", request("connection: host, content-length\r\ncontent-length: 3\r\n", body="abc"), {"host": "a", "content-length": "3"}, b"abc"),
    ("proxy-connection and keep-alive", request("proxy-connection: keep-alive\r\nkeep-alive: timeout=9\r\ncontent-length: 0\r\n"), {"proxy-connection": None, "keep-alive": None}, b""),
    ("TE", request("te: gzip, trailers\r\nconnection: te\r\ncontent-length: 0\r\n"), {"te": "trailers"}, b""),
    ("upgrade nobody allowed", request("connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\ncontent-length: 3\r\n", body="abc"),
     {"upgrade": None, "connection": None, "http2-settings": None}, b"abc"),
    ("tabs around a value", request("x:\t a b \t\r\ncontent-length: 0\r\n"), {"x": "a b"}, b""),
])
def test_normalised(name, data, expected, body, proxy, origin):
    with Raw(proxy.port) as c:
        c.send(data)
        assert c.answer()[0] == 200
    assert len(origin.requests) == 1
    seen = origin.requests[0]
    assert seen.body == body
    assert [v for n, v in seen.fields() if n == "host"] == [seen.get("host")]
    assert (seen.get("content-length") is None) != (seen.get("transfer-encoding") is None) or not body
    for field, value in expected.items():
        assert seen.get(field) == value, seen.head
    assert origin.raw.count(b" HTTP/1.1\r\n") == 1


def test_what_follows_a_body_is_the_next_request_and_nothing_else(proxy, origin):
    with Raw(proxy.port) as c:
        c.send(request("content-length: 3\r\n", body="abc") + request(CHUNKED, body="1\r\nx\r\n0\r\n\r\n") + INNER.encode())
        assert [c.answer()[0] for _ in range(3)] == [200, 200, 200]
    assert [(r.line, r.body) for r in origin.requests] == [("POST / HTTP/1.1", b"abc"), ("POST / HTTP/1.1", b"x"), ("GET /smuggled HTTP/1.1", b"")]


def test_nothing_is_served_behind_a_request_that_closes(proxy, origin):
    with Raw(proxy.port) as c:
        c.send(b"GET /last HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n" + INNER.encode())
        assert c.rest().count(b"HTTP/1.1 ") == 1
    assert [r.line for r in origin.requests] == ["GET /last HTTP/1.1"]


def test_an_answer_before_the_body_ends_closes_the_connection(proxy, origin):
    """Otherwise the rest of the body would be read as a request."""
    origin.answer = lambda r: b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    with Raw(proxy.port) as c:
        c.send(request("content-length: 100000\r\nexpect: nothing\r\n", line="POST /x HTTP/1.1") + INNER.encode())
        c.socket.shutdown(1)
        c.rest()
    assert all("smuggled" not in r.line for r in origin.requests)


# ---- answers: an origin is no more trusted than a client
@pytest.mark.parametrize("answer", [
    b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nx: a\r\n folded\r\ncontent-length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nx : a\r\ncontent-length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nx: a\x00b\r\ncontent-length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\ncontent-length: 2\n\nok",
    b"HTTP/1.1 20 OK\r\ncontent-length: 2\r\n\r\nok",
    b"HTTP/2.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
    b"\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
    b"SSH-2.0-OpenSSH\r\n\r\n",
], ids=lambda a: repr(a[:48]))
def test_a_malformed_answer_is_a_502_and_its_connection_is_not_used_again(answer, start, tmp_path):
    from wire import Origin
    o = Origin(lambda r: answer if r.line.startswith("GET /bad") else b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
    port = free_port()
    start.proxy([listener("l", port, manager())], [cluster("origin", o.port)])
    with Raw(port) as c:
        c.send(b"GET /bad HTTP/1.1\r\nhost: a\r\n\r\n")
        assert c.answer()[0] == 502
        c.send(b"GET /good HTTP/1.1\r\nhost: a\r\n\r\n")
        assert c.answer()[2] == b"ok"
    assert o.connections == 2
    o.close()


def test_bytes_behind_an_answer_are_never_the_next_ones_answer(start):
    from wire import Origin
    o = Origin(lambda r: b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison")
    port = free_port()
    start.proxy([listener("l", port, manager())], [cluster("origin", o.port)])
    with Raw(port) as c:
        for _ in range(3):
            c.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            assert c.answer()[2] == b"ok"
    assert o.connections == 3
    o.close()
