"""Bootstraps in the shapes in which people write them for Envoy: valid for both, and with the same answers.

The files of examples/ are whole bootstraps but for ports and paths ($PORT and so on). NAME.cds.yaml and NAME.lds.yaml are what
NAME.yaml reads from $FOLDER.
"""
import http.client
import http.server
import ssl
import string
import subprocess
import threading
import time
from pathlib import Path

import pytest

from parity_pair import FAIRLEAD
from ports import free_port

EXAMPLES = Path(__file__).parent / "examples"
NAMES = sorted(f.stem for f in EXAMPLES.glob("*.yaml") if "." not in f.stem)
# What is asked: (port, method, path, fields, TLS) and what comes back: status, and fields of the answer that matter.
ASKED = {
    "plain": [("PORT", "GET", "/", {}, False, 200, {"x-host": "www.example.com"})],
    "edge": [("PORT", "GET", "/a//b", {}, True, 200, {"x-path": "/a/b"}), ("PORT", "GET", "/", {"a_b": "1"}, True, 400, {}), ("PORT", "GET", "/a%2Fb", {}, True, 307, {"location": "/a/b"})],
    "tls_to_tls": [("PORT", "GET", "/", {}, True, 200, {}), ("SECOND", "GET", "/", {}, False, 200, {})],
    "by_name": [("PORT", "GET", "/", {}, True, 200, {}), ("PORT", "GET", "/", {}, False, 200, {})],
    "dynamic_files": [("PORT", "GET", "/", {}, False, 200, {})],
    "tracing": [("PORT", "GET", "/", {}, False, 200, {})],
    "tracing_zipkin": [("PORT", "GET", "/", {}, False, 200, {})],
    "localities": [("PORT", "GET", "/", {}, False, 200, {})],
    "mirrors": [("PORT", "GET", "/service/1", {}, False, 200, {}), ("PORT", "GET", "/", {"x-to": "shadow"}, False, 200, {}), ("PORT", "GET", "/", {"x-to": "none"}, False, 503, {})],
    "limited": [("PORT", "GET", "/", {}, False, 200, {}), ("PORT", "GET", "/", {}, False, 429, {"x-local-rate-limit": "true"})],
    "faults": [("PORT", "GET", "/", {}, False, 503, {})],
    "browsers": [("PORT", "GET", "/", {"accept-encoding": "gzip"}, False, 200, {"content-encoding": "gzip"}),
                 ("PORT", "OPTIONS", "/", {"origin": "http://a.example.com", "access-control-request-method": "GET"}, False, 200, {"access-control-allow-methods": "GET"})],
    "tunnel_in": [("PORT", "GET", "/", {}, False, 200, {})],
    "who_is_there": [("PORT", "GET", "/", {}, False, 200, {})],
    "redirected": [("PORT", "GET", "/", {}, False, 200, {})],
    "grpc": [("PORT", "GET", "/", {}, False, 418, {})],
}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = 50 * b"<p>hello</p>"
        self.send_response(200)
        for name, value in (("content-type", "text/html"), ("content-length", str(len(body))), ("x-host", self.headers["host"]), ("x-path", self.path)):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificate")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", folder / "key.pem", "-out", folder / "cert.pem",
                    "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def origins(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    servers = []
    for secure in (False, True):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        if secure:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        servers.append(server)
    yield [s.server_address[1] for s in servers]
    for s in servers:
        s.shutdown()
        s.server_close()


@pytest.fixture(params=["fairlead", "envoy"])
def program(request):
    if request.param == "fairlead":
        return [FAIRLEAD, "proxy"]
    return [request.getfixturevalue("envoy"), "--disable-hot-restart", "--log-level", "error"]


@pytest.fixture
def example(tmp_path, certificate, origins):
    """example(name) -> the bootstrap's path, and the ports in it."""
    def make(name):
        values = {"PORT": free_port(), "SECOND": free_port(), "ADMIN": free_port(), "ORIGIN": origins[0], "TLS_ORIGIN": origins[1],
                  "CERT": certificate / "cert.pem", "KEY": certificate / "key.pem", "FOLDER": tmp_path}
        for file in EXAMPLES.glob(f"{name}*.yaml"):
            if file.stem == name or file.stem.startswith(name + "."):
                part = file.stem.partition(".")[2] or name
                (tmp_path / f"{part}.yaml").write_text(string.Template(file.read_text()).substitute(values))
        return tmp_path / f"{name}.yaml", values

    return make


def test_every_example_is_asked_something():
    assert set(NAMES) == set(ASKED) | {"dynamic_ads"}  # that one has nobody to tell it anything here


@pytest.mark.parametrize("name", NAMES)
def test_it_is_valid(name, program, example):
    done = subprocess.run([*program, "--mode", "validate", "-c", example(name)[0]], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", sorted(ASKED))
def test_it_serves(name, program, example, certificate):
    path, ports = example(name)
    with open(path.parent / "log", "w") as log:
        process = subprocess.Popen([*program, "-c", path, "--concurrency", "1"], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 20
        while not ready(ports["ADMIN"]):
            assert process.poll() is None and time.monotonic() < deadline, (path.parent / "log").read_text()
            time.sleep(0.05)
        for port, method, target, fields, tls, status, wanted in ASKED[name]:
            got, answer = ask(ports[port], method, target, fields, certificate if tls else None)
            assert got == status, (method, target, fields)
            for field, value in wanted.items():
                assert answer.get(field, "").removeprefix("https://localhost") == value, (field, answer)
    finally:
        process.kill()
        process.wait()


def ready(port):
    try:
        return ask(port, "GET", "/ready", {}, None)[0] == 200
    except OSError:
        return False


def ask(port, method, path, fields, certificate):
    if certificate:
        context = ssl.create_default_context(cafile=str(certificate / "cert.pem"))
        connection = http.client.HTTPSConnection("localhost", port, timeout=10, context=context)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, headers={"host": "localhost", **fields})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, {k.lower(): v for k, v in answer.getheaders()}
