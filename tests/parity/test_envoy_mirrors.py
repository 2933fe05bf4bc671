"""Mirrored requests: what reaches the mirror through Envoy, and through us."""
import hashlib
import http.client
import http.server
import socket
import threading
import time

from parity_istio import FAIRLEAD
from parity_pair import HCM, ROUTER, Running, address, cluster
from parity_pod import eventually
from ports import free_port

QUIET = ["--disable-hot-restart", "-l", "error"]
VOLATILE = {"x-request-id", "x-envoy-expected-rq-timeout-ms"}


class Recorder(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def everything(self):
        body = hashlib.sha256()
        if self.headers.get("transfer-encoding") == "chunked":
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body.update(self.rfile.read(size))
                self.rfile.readline()
            trailers = []
            while (line := self.rfile.readline().strip()):
                trailers.append(line.decode())
        else:
            body.update(self.rfile.read(int(self.headers.get("content-length") or 0)))
            trailers = []
        fields = sorted((k.lower(), v) for k, v in self.headers.items() if k.lower() not in VOLATILE)
        self.server.seen.append({"method": self.command, "path": self.path, "fields": fields, "body": body.hexdigest(), "trailers": trailers})
        self.send_response(self.server.status)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    do_GET = do_POST = do_PUT = do_DELETE = everything

    def log_message(self, *_):
        pass


def recorder(status=200):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
    server.seen, server.status = [], status
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def bootstrap(real, mirror, hung):
    def with_ports(running):
        def route(prefix, **more):
            return {"match": {"prefix": prefix}, "route": {"cluster": "real", **more}}
        hcm = {"@type": HCM, "stat_prefix": "in", "http_protocol_options": {"enable_trailers": True}, "http_filters": [ROUTER],
               "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
                   route("/header", request_mirror_policies=[{"cluster_header": "x-mirror"}]),
                   route("/same-host", request_mirror_policies=[{"cluster": "mirror", "disable_shadow_host_suffix_append": True}]),
                   route("/hung", request_mirror_policies=[{"cluster": "hung"}]),
                   route("/", prefix_rewrite="/re", request_mirror_policies=[{"cluster": "mirror"}])
                   | {"request_headers_to_add": [{"header": {"key": "x-added", "value": "1"}}]}]}]}}
        trailers = {"http_protocol_options": {"enable_trailers": True}}
        return {"static_resources": {
            "listeners": [{"address": address(running.port("in")), "filter_chains": [{"filters": [
                {"name": "envoy.filters.network.http_connection_manager", "typed_config": hcm}]}]}],
            "clusters": [cluster("real", real, **trailers), cluster("mirror", mirror, **trailers), cluster("hung", hung)]}}
    return with_ports


REQUESTS = [
    ("GET", "/plain?a=b", {}, None),
    ("GET", "/header", {"x-mirror": "mirror"}, None),
    ("GET", "/header", {"x-mirror": "nobody"}, None),
    ("GET", "/header", {}, None),
    ("POST", "/small", {"content-length": "5"}, [b"hello"]),
    ("POST", "/same-host", {"content-length": "5"}, [b"he", b"llo"]),
    ("PUT", "/large", {"content-length": str(5 << 20)}, [b"x" * (1 << 20)] * 5),
    ("POST", "/chunks", {"transfer-encoding": "chunked"}, [b"abc", b"d" * 70000, b"e"]),
    ("POST", "/no-body", {"content-length": "0"}, []),
    ("DELETE", "/gone", {"x-forwarded-for": "1.2.3.4", "host": "a.example:8080"}, None),
]


def send(port, method, path, headers, body):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.putrequest(method, path, skip_host="host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    chunked = "transfer-encoding" in headers
    for piece in body or ():
        connection.send(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
        if len(piece) < 100:
            time.sleep(0.01)  # as pieces of their own
    if chunked:
        connection.send(b"0\r\nx-checksum: 7\r\n\r\n")
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def counted(proxy, pattern):
    lines = (line.rpartition(": ") for line in proxy.admin(f"/stats?filter={pattern}")[2].splitlines())
    return {name: int(value) for name, _, value in lines}


def record(argv, folder):
    """What the origin and the mirror saw of each request."""
    real, mirror = recorder(), recorder(status=500)
    seen = []
    proxy = Running(argv, folder, bootstrap(real.server_address[1], mirror.server_address[1], free_port()))
    try:
        for method, path, headers, body in REQUESTS:
            assert send(proxy.port("in"), method, path, headers, body) == 200
            if not path.startswith("/header") or headers.get("x-mirror") == "mirror":
                eventually(lambda: mirror.seen)
            for what in (real.seen, mirror.seen):
                for one in what:
                    one["fields"] = [(k, v.replace(str(proxy.port("in")), "PORT")) for k, v in one["fields"]]
            seen.append((real.seen[:], mirror.seen[:]))
            real.seen.clear(), mirror.seen.clear()
        return seen, counted(proxy, "^cluster.mirror.upstream_rq_(total|500|completed)$")
    finally:
        proxy.stop()
        for server in (real, mirror):
            server.shutdown()
            server.server_close()


def test_mirrors_get_what_envoys_get(envoy, tmp_path):
    theirs, ours = record([envoy, *QUIET], tmp_path), record([FAIRLEAD, "proxy"], tmp_path)
    for request, a, b in zip(REQUESTS, theirs[0], ours[0]):
        assert b == a, request[:3]
    assert ours[1] == theirs[1]


def test_a_mirror_that_takes_nothing_does_not_decide_about_the_request(tmp_path):
    """Accepts and never reads; the request is far larger than what sockets hold."""
    real = recorder()
    hung = socket.create_server(("127.0.0.1", 0))
    proxy = Running([FAIRLEAD, "proxy"], tmp_path, bootstrap(real.server_address[1], real.server_address[1], hung.getsockname()[1]))
    try:
        piece = b"x" * (1 << 20)
        assert send(proxy.port("in"), "PUT", "/hung", {"content-length": str(64 << 20)}, [piece] * 64) == 200
        assert real.seen[0]["body"] == hashlib.sha256(piece * 64).hexdigest()
        assert counted(proxy, "cluster.hung.retry_or_shadow_abandoned") == {"cluster.hung.retry_or_shadow_abandoned": 1}
    finally:
        proxy.stop()
        real.shutdown()
        real.server_close()
        hung.close()


def test_a_mirror_that_is_not_there_changes_nothing(tmp_path):
    real = recorder()
    proxy = Running([FAIRLEAD, "proxy"], tmp_path, bootstrap(real.server_address[1], free_port(), free_port()))
    try:
        for method, path, headers, body in REQUESTS:
            assert send(proxy.port("in"), method, path, headers, body) == 200, path
        assert len(real.seen) == len(REQUESTS)
    finally:
        proxy.stop()
        real.shutdown()
        real.server_close()
