"""What the protocol tests share: the real proxy with a bootstrap of their own, raw sockets on both of its sides."""
import http.client
import json
import os
import socket
import subprocess
import threading
import time
from pathlib import Path

from ports import free_port

FAIRLEAD = Path(os.environ.get("FAIRLEAD", Path(__file__).resolve().parents[2] / "build" / "fairlead"))
HCM = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = {"name": "envoy.filters.http.router", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}
LOG = {"name": "log", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog", "path": "/dev/stdout",
       "log_format": {"text_format_source": {"inline_string": "%REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %PROTOCOL%\n"}}}}


def wait_for(what, seconds=10):
    """Asks until the answer is true, and returns it."""
    deadline = time.monotonic() + seconds
    while True:
        answer = what()
        if answer or time.monotonic() > deadline:
            return answer
        time.sleep(0.01)


def cluster(name, port, **more):
    address = {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}}
    return {"name": name, "type": "STATIC", "connect_timeout": "2s",
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [address]}]}, **more}


def h2_cluster(name, port, options=None, **more):
    return cluster(name, port, typed_extension_protocol_options={"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": options or {}}}}, **more)


def manager(routes=None, **hcm):
    """A connection manager; everything goes to the cluster "origin" unless routes say otherwise."""
    config = {"@type": HCM, "stat_prefix": "test", "http_filters": [ROUTER], "access_log": [LOG],
              "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes or [
                  {"match": {"prefix": "/"}, "route": {"cluster": "origin"}}]}]}}
    config.update(hcm)
    return {"name": "hcm", "typed_config": config}


def listener(name, port, hcm, tls=None, **more):
    chain = {"filters": [hcm]}
    if tls:
        chain["transport_socket"] = tls
    return {"name": name, "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}, "filter_chains": [chain], **more}


def downstream_tls(certificate, key, alpn=("h2", "http/1.1")):
    return {"name": "envoy.transport_sockets.tls", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "common_tls_context": {"alpn_protocols": list(alpn), "tls_certificates": [
            {"certificate_chain": {"filename": str(certificate)}, "private_key": {"filename": str(key)}}]}}}


class Proxy:
    """fairlead proxy (or another that takes its bootstrap) with these listeners and clusters; stopped by stop()."""

    def __init__(self, folder, listeners, clusters, arguments=(), program=(FAIRLEAD, "proxy"), **bootstrap):
        self.admin = free_port()
        config = {"static_resources": {"listeners": listeners, "clusters": clusters},
                  "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": self.admin}}}, **bootstrap}
        path = Path(folder) / f"bootstrap-{self.admin}.json"
        path.write_text(json.dumps(config))
        self.log_path = Path(folder) / f"log-{self.admin}"
        self.error_path = Path(folder) / f"stderr-{self.admin}"
        workers = () if "--concurrency" in arguments else ("--concurrency", "1")
        with open(self.log_path, "wb") as out, open(self.error_path, "wb") as err:
            self.process = subprocess.Popen([*program, "-c", path, *workers, *arguments], stdout=out, stderr=err)
        assert wait_for(self.ready) and self.alive(), self.error_path.read_text()

    def ready(self):
        if self.process.poll() is not None:
            return True
        try:
            return self.ask("/ready")[0] == 200
        except OSError:
            return False

    def ask(self, path, method="GET"):
        connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=10)
        connection.request(method, path)
        answer = connection.getresponse()
        result = answer.status, answer.read().decode()
        connection.close()
        return result

    def stat(self, name):
        for line in self.ask(f"/stats?filter={name}")[1].splitlines():
            key, _, value = line.rpartition(": ")
            if key == name:
                return int(value)
        return 0

    def log(self):
        return self.log_path.read_text()

    def memory(self):
        """Bytes that are this process's own."""
        for line in Path(f"/proc/{self.process.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Private_Dirty:"):
                return int(line.split()[1]) * 1024
        return 0

    def alive(self):
        return self.process.poll() is None

    def stop(self):
        self.process.kill()
        self.process.wait()


class Raw:
    """A client that says exactly the bytes it is told to."""

    def __init__(self, port, timeout=5, source=None):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout, source_address=source)
        self.buffer = b""

    def send(self, data):
        self.socket.sendall(data)
        return self

    def _more(self):
        data = self.socket.recv(65536)
        self.buffer += data
        return bool(data)

    def until(self, mark):
        while mark not in self.buffer:
            if not self._more():
                raise EOFError(self.buffer)
        head, self.buffer = self.buffer.split(mark, 1)
        return head + mark

    def exactly(self, count):
        while len(self.buffer) < count:
            if not self._more():
                raise EOFError(self.buffer)
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def answer(self, method="GET"):
        """One answer: status, fields (lower-case, in order), body."""
        lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")[:-2]
        status = int(lines[0].split(" ")[1])
        fields = [(name.lower(), value) for name, value in (line.split(": ", 1) if ": " in line else (line.rstrip(":"), "") for line in lines[1:])]
        known = dict(fields)
        if method == "HEAD" or status < 200 or status in (204, 304):
            return status, fields, b""
        if "content-length" in known:
            return status, fields, self.exactly(int(known["content-length"]))
        if known.get("transfer-encoding") == "chunked":
            body = b""
            while True:
                size = int(self.until(b"\r\n"), 16)
                if size == 0:
                    trailers = self.until(b"\r\n")
                    while not trailers.endswith(b"\r\n\r\n") and trailers != b"\r\n":
                        trailers += self.until(b"\r\n")
                    self.trailers = trailers
                    return status, fields, body
                body += self.exactly(size)
                self.exactly(2)
        return status, fields, self.rest()

    def rest(self):
        """Everything up to the end of the connection."""
        try:
            while self._more():
                pass
        except ConnectionResetError:
            pass
        data, self.buffer = self.buffer, b""
        return data

    def closed(self, seconds=5):
        """True when the peer closes without saying more."""
        self.socket.settimeout(seconds)
        try:
            return self.socket.recv(1) == b"" and not self.buffer
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Origin:
    """An HTTP/1.1 server that keeps every byte it was sent, request by request, as a peer with a simple parser sees them.
    `answer(request) -> bytes` makes answers; a request has .head (bytes), .body, .raw, .connection (the socket)."""

    class Request:
        def __init__(self, head, connection):
            self.head, self.connection, self.body = head, connection, b""

        @property
        def line(self):
            return self.head.split(b"\r\n")[0].decode("latin-1")

        def fields(self):
            return [(n, v) for n, _, v in (line.partition(": ") for line in self.head.decode("latin-1").split("\r\n")[1:-2])]

        def get(self, name):
            values = [v for n, v in self.fields() if n.lower() == name]
            return ",".join(values) if values else None

    def __init__(self, answer=None):
        self.answer = answer or (lambda request: b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        self.requests, self.raw, self.connections = [], b"", 0
        self.server = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.server.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        buffer = b""

        def more():
            nonlocal buffer
            data = connection.recv(65536)
            self.raw += data
            buffer += data
            return bool(data)

        def line():
            nonlocal buffer
            while b"\r\n" not in buffer:
                if not more():
                    raise EOFError
            one, buffer = buffer.split(b"\r\n", 1)
            return one

        def exactly(count):
            nonlocal buffer
            while len(buffer) < count:
                if not more():
                    raise EOFError
            data, buffer = buffer[:count], buffer[count:]
            return data

        try:
            while True:
                while b"\r\n\r\n" not in buffer:
                    if not more():
                        return
                head, buffer = buffer.split(b"\r\n\r\n", 1)
                request = Origin.Request(head + b"\r\n\r\n", connection)
                if (request.get("transfer-encoding") or "") == "chunked":
                    while (size := int(line().split(b";")[0], 16)) > 0:
                        request.body += exactly(size)
                        exactly(2)
                    request.trailers = []
                    while (trailer := line()):
                        request.trailers.append(trailer.decode("latin-1"))
                elif request.get("content-length"):
                    request.body = exactly(int(request.get("content-length")))
                self.requests.append(request)
                answer = self.answer(request)
                if answer is None:
                    return
                if answer:
                    connection.sendall(answer)
        except (OSError, EOFError, ValueError):
            pass
        finally:
            if not getattr(self, "keep", False):
                connection.close()

    def forget(self):
        self.requests, self.raw = [], b""

    def close(self):
        self.server.close()
