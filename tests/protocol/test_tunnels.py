"""Upgrades, WebSocket and CONNECT: what decides that a tunnel begins, and that bytes pass both ways."""
import asyncio
import socket
import threading
import time

import pytest

from ports import free_port
from wire import Origin, Raw, cluster, h2_cluster, listener, manager

WEBSOCKET = {"upgrade_configs": [{"upgrade_type": "websocket"}]}
ASK = b"GET /%s HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"


@pytest.fixture
def origin():
    """Agrees to upgrades under /yes and echoes what comes; refuses the others."""
    def answer(request):
        if request.get("upgrade") and "/yes" in request.line or request.line.startswith("CONNECT"):
            connection = request.connection
            connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
                               if request.get("upgrade") else b"HTTP/1.1 200 OK\r\n\r\n")
            while data := connection.recv(65536):
                connection.sendall(data.upper())
            return None
        if request.get("upgrade"):
            return b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno"
        return b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    o = Origin(answer)
    yield o
    o.close()


def test_an_upgrade_is_a_tunnel(start, origin):
    proxy, port = start(**WEBSOCKET)
    with Raw(port) as c:
        c.send(ASK % b"yes" + b"early")  # what is sent before the answer waits for it
        head = c.until(b"\r\n\r\n").lower()
        assert head.startswith(b"http/1.1 101") and b"\r\nupgrade: websocket\r\n" in head and b"\r\nconnection: upgrade\r\n" in head
        assert c.exactly(5) == b"EARLY"
        c.send(100000 * b"x")
        assert c.exactly(100000) == 100000 * b"X"
        c.socket.shutdown(socket.SHUT_WR)
        assert c.rest() == b""
    assert proxy.stat("http.test.downstream_cx_upgrades_total") == 1


def test_an_upgrade_that_the_origin_declines_is_an_answer_and_the_end(start, origin):
    _, port = start(**WEBSOCKET)
    with Raw(port) as c:
        c.send(ASK % b"no" + b"GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n")
        status, fields, body = c.answer()
        assert (status, body, dict(fields)["connection"]) == (200, b"no", "close") and c.rest() == b""
    assert [r.line for r in origin.requests] == ["GET /no HTTP/1.1"]


@pytest.mark.parametrize("hcm,route,status", [({}, {}, 403), (WEBSOCKET, {"upgrade_configs": [{"upgrade_type": "websocket", "enabled": False}]}, 403),
                                             ({}, {"upgrade_configs": [{"upgrade_type": "WebSocket"}]}, 101),
                                             ({"upgrade_configs": [{"upgrade_type": "websocket", "enabled": False}]}, {}, 403)])
def test_who_allows_an_upgrade(start, origin, hcm, route, status):
    _, port = start(routes=[{"match": {"prefix": "/"}, "route": {"cluster": "origin", **route}}], **hcm)
    with Raw(port) as c:
        c.send(ASK % b"yes")
        assert c.until(b"\r\n\r\n").startswith(b"HTTP/1.1 %d" % status)


def test_connect(start, origin):
    routes = [{"match": {"connect_matcher": {}}, "route": {"cluster": "origin"}}]
    _, port = start(routes=routes, upgrade_configs=[{"upgrade_type": "CONNECT"}])
    with Raw(port) as c:
        c.send(b"CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\n\r\nhello")
        assert c.until(b"\r\n\r\n").startswith(b"HTTP/1.1 200")
        assert c.exactly(5) == b"HELLO"
    assert origin.requests[0].line == "CONNECT a:80 HTTP/1.1"


def test_a_switch_nobody_asked_for(start):
    o = Origin(lambda r: b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nHTTP/1.1 200 OK\r\n\r\n")
    port = free_port()
    start.proxy([listener("l", port, manager(**WEBSOCKET))], [cluster("origin", o.port)])
    with Raw(port) as c:
        c.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        assert c.answer()[0] == 502
    o.close()


@pytest.fixture
def echo_server():
    """A real WebSocket server."""
    websockets = pytest.importorskip("websockets", reason="python3-websockets is not installed")
    ready, port, loop = threading.Event(), [], asyncio.new_event_loop()

    async def echo(connection, *_):
        async for message in connection:
            await connection.send(message)

    async def serve():
        server = await websockets.serve(echo, "127.0.0.1", 0, max_size=1 << 22)
        port.append(server.sockets[0].getsockname()[1])
        ready.set()
        await asyncio.Future()

    def run():
        try:
            loop.run_until_complete(serve())
        except RuntimeError:
            pass

    threading.Thread(target=run, daemon=True).start()
    assert ready.wait(10)
    yield port[0]
    loop.call_soon_threadsafe(loop.stop)


def chat(port):
    import websockets

    async def talk():
        async with websockets.connect(f"ws://127.0.0.1:{port}/", max_size=1 << 22) as ws:
            for message in ("hello", b"\0\1\2", "x" * 300000):
                await ws.send(message)
                assert await ws.recv() == message
    asyncio.run(asyncio.wait_for(talk(), 20))


def test_a_websocket_client_and_server(start, echo_server):
    port = free_port()
    start.proxy([listener("l", port, manager(**WEBSOCKET))], [cluster("origin", echo_server)])
    chat(port)


def test_websocket_through_two_proxies_over_http2(start, echo_server):
    """HTTP/1.1 in, extended CONNECT (RFC 8441) between the two, HTTP/1.1 out."""
    front, back = free_port(), free_port()
    start.proxy([listener("back", back, manager(http2_protocol_options={"allow_connect": True}, **WEBSOCKET))], [cluster("origin", echo_server)])
    start.proxy([listener("front", front, manager(**WEBSOCKET))], [h2_cluster("origin", back, {"allow_connect": True})])
    chat(front)
