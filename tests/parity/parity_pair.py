"""One bootstrap through both proxies, Envoy and ours, each with its own ports and log, and origins that both talk to."""
import http.client
import json
import pathlib
import socket
import subprocess
import threading
import time

import h2.config
import h2.connection
import h2.events

from files import whole_lines
from parity_istio import FAIRLEAD
from files import whole_lines
from ports import free_port

HCM = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = {"name": "envoy.filters.http.router", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}


def address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def cluster(name, *ports, **more):
    return {"name": name, "type": "STATIC", "connect_timeout": "2s", "load_assignment": {"cluster_name": name, "endpoints": [
        {"lb_endpoints": [{"endpoint": {"address": address(p)}} for p in ports]}]}, **more}


def h2_cluster(name, *ports, **more):
    return cluster(name, *ports, typed_extension_protocol_options={"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}}}}, **more)


class Running:
    """A proxy with what `bootstrap(running)` says; it takes ports by name from .port()."""

    def __init__(self, argv, folder, bootstrap):
        self.name = pathlib.Path(argv[0]).name
        self.folder = pathlib.Path(folder, self.name)
        self.folder.mkdir()
        self.ports = {}
        self.lines = self.folder / "lines"
        config = bootstrap(self)
        config["admin"] = {"address": address(self.port("admin"))}
        path = self.folder / "bootstrap.json"
        path.write_text(json.dumps(config))
        with open(self.folder / "log", "w") as log:
            self.process = subprocess.Popen([*argv, "-c", path, "--concurrency", "1"], stdout=log, stderr=subprocess.STDOUT)
        self.wait(lambda: self.admin("/ready")[0] == 200, 20)

    def port(self, name):
        if name not in self.ports:
            self.ports[name] = free_port()
        return self.ports[name]

    def wait(self, what, seconds=10):
        deadline = time.monotonic() + seconds
        while True:
            try:
                if answer := what():
                    return answer
            except OSError:
                pass
            assert self.process.poll() is None and time.monotonic() < deadline, (self.folder / "log").read_text()[-4000:]
            time.sleep(0.02)

    def admin(self, path, method="GET"):
        """Status, fields and body of an admin page."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port("admin"), timeout=10)
        connection.request(method, path)
        answer = connection.getresponse()
        result = answer.status, dict(answer.getheaders()), answer.read().decode()
        connection.close()
        return result

    def logged(self, count):
        """`count` lines of the access log, or as many as have come when no more come."""
        deadline = time.monotonic() + 12
        while True:
            found = [json.loads(line) for line in whole_lines(self.lines)]
            if len(found) >= count or time.monotonic() > deadline:
                return found
            time.sleep(0.05)

    def stop(self):
        self.process.kill()
        self.process.wait()


def both(envoy, folder, bootstrap):
    """Envoy and ours, started."""
    running = []
    try:
        for argv in ([envoy, "--disable-hot-restart", "-l", "error", "--file-flush-interval-msec", "50"], [FAIRLEAD, "proxy"]):
            running.append(Running(argv, folder, bootstrap))
    except BaseException:
        for r in running:
            r.stop()
        raise
    return running


class Origin:
    """A server of its own port; _serve() has a thread for each connection."""

    def __init__(self):
        self.server = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                peer, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()


def read_request(file):
    """Method, path, fields (as sent, names in lower case) and body of the next request; None when there is none."""
    line = file.readline()
    if not line:
        return None
    method, path, _ = line.decode().split(" ")
    fields = []
    while line := file.readline().rstrip(b"\r\n"):
        name, _, value = line.decode().partition(":")
        fields.append([name.lower(), value.strip()])
    known, body = dict(fields), b""
    if known.get("transfer-encoding") != "chunked":
        return method, path, fields, file.read(int(known.get("content-length", 0)))
    while size := int(file.readline(), 16):
        body += file.read(size)
        file.readline()
    while file.readline().strip():
        pass
    return method, path, fields, body


class H1Origin(Origin):
    """Answers HTTP/1.1 by path: /status/N, /trailers, /chunked, /close, /slow, /reset; else 200 with a body of two bytes."""

    def __init__(self, tls=None):
        self.tls = tls
        super().__init__()

    def _serve(self, peer):
        try:
            if self.tls:
                peer = self.tls.wrap_socket(peer, server_side=True)
            file = peer.makefile("rb")
            while request := read_request(file):
                method, path, fields, _ = request
                fields = dict(fields)
                if path.startswith("/reset"):
                    peer.close()
                    return
                if path.startswith("/slow"):
                    time.sleep(1)
                peer.sendall(self._answer(method, path))
        except OSError:
            pass
        finally:
            peer.close()

    @staticmethod
    def _answer(method, path):
        status = path.split("/")[2].split("?")[0] if path.startswith("/status/") else "200"
        if status in ("204", "304"):
            return f"HTTP/1.1 {status} X\r\nx-origin: one\r\n\r\n".encode()
        if path.startswith("/chunked"):
            return b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
        head = f"HTTP/1.1 {status} OK\r\nserver: origin\r\nx-origin: one\r\ncontent-length: 2\r\n\r\n"
        return (head + ("" if method == "HEAD" else "ok")).encode()


class H2Origin(Origin):
    """Answers HTTP/2: 200 with a body of two bytes, and trailers where the path asks for them."""

    def _serve(self, peer):
        session = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        session.initiate_connection()
        paths = {}
        try:
            peer.sendall(session.data_to_send())
            while data := peer.recv(65536):
                for event in session.receive_data(data):
                    if isinstance(event, h2.events.RequestReceived):
                        paths[event.stream_id] = dict(event.headers)[":path"]
                    elif isinstance(event, h2.events.DataReceived):
                        session.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    elif isinstance(event, h2.events.StreamEnded):
                        self._answer(session, event.stream_id, paths.pop(event.stream_id))
                peer.sendall(session.data_to_send())
        except OSError:
            pass
        finally:
            peer.close()

    @staticmethod
    def _answer(session, stream, path):
        if path.startswith("/grpc/"):
            code = path.split("/")[2]
            if "only" in path:  # a head that is its own end
                session.send_headers(stream, [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", code)], end_stream=True)
                return
            session.send_headers(stream, [(":status", "200"), ("content-type", "application/grpc")])
            session.send_data(stream, b"\0\0\0\0\0")
            session.send_headers(stream, [("grpc-status", code), ("grpc-message", "said")], end_stream=True)
            return
        session.send_headers(stream, [(":status", "200"), ("x-origin", "two")])
        session.send_data(stream, b"ok", end_stream=True)
