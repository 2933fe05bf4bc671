"""`fairlead proxy`: the real binary between a real client and a real origin."""
import http.client
import http.server
import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from ports import free_port, own_address

FAIRLEAD = Path(os.environ.get("FAIRLEAD", Path(__file__).resolve().parents[2] / "build" / "fairlead"))


class Origin(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = f"{self.path} {self.headers.get('x-forwarded-for')}".encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def origin():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()


@pytest.fixture
def proxy(origin):
    port, admin = free_port(), free_port()
    process = subprocess.Popen([FAIRLEAD, "proxy", "--listen", f"127.0.0.1:{port}", "--to", f"127.0.0.1:{origin}",
                                "--admin", f"127.0.0.1:{admin}", "--concurrency", "2"], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if get(admin, "/ready")[0] == 200:
                break
        except OSError:
            time.sleep(0.02)
    yield port, admin, process
    process.kill()
    process.wait()


def get(port, path, method="GET", body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, body)
    answer = connection.getresponse()
    result = answer.status, answer.read(), dict(answer.getheaders())
    connection.close()
    return result


def test_requests_reach_the_origin_with_the_clients_address(proxy):
    status, body, headers = get(proxy[0], "/a?b=c")
    assert (status, body) == (200, f"/a?b=c {own_address()}".encode())
    assert headers["server"] and "x-envoy-upstream-service-time" in headers


def test_a_large_body_goes_up_and_comes_back(proxy):
    body = os.urandom(4 << 20)
    status, back, _ = get(proxy[0], "/", "POST", body)
    assert status == 200 and back == body


def test_statistics_count_what_passed(proxy):
    for _ in range(3):
        get(proxy[0], "/")
    _, text, _ = get(proxy[1], "/stats?filter=cluster.upstream.upstream_rq_2xx")
    assert text == b"cluster.upstream.upstream_rq_2xx: 3\n"


def test_a_terminated_proxy_answers_what_it_has_begun_and_exits(proxy):
    port, _, process = proxy
    get(port, "/")
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 0


def test_a_bootstrap_that_cannot_work_is_refused_with_the_field(tmp_path):
    bad = tmp_path / "bad.yaml"
    bad.write_text("static_resources:\n  clusters:\n  - {name: a, type: STATIC, lb_policy: LOAD_BALANCING_POLICY_CONFIG}\n")
    run = subprocess.run([FAIRLEAD, "proxy", "-c", bad, "--mode", "validate"], capture_output=True, text=True, timeout=20)
    assert run.returncode == 1
    assert "static_resources.clusters[0].load_balancing_policy.policies: none is known" in run.stderr


def test_a_tcp_connection_that_nobody_takes_is_logged_as_envoy_does(tmp_path):
    port, closed = free_port(), free_port()
    config, log = tmp_path / "tcp.yaml", tmp_path / "access.log"
    config.write_text(f"""
static_resources:
  listeners:
  - name: tcp
    address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.tcp_proxy
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: tcp
          cluster: gone
          access_log:
          - name: envoy.access_loggers.file
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
              path: {log}
              log_format: {{text_format_source: {{inline_string: "%RESPONSE_FLAGS%\\n"}}}}
  clusters:
  - name: gone
    type: STATIC
    load_assignment:
      cluster_name: gone
      endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {closed}}}}}}}}}]}}]
""")
    process = subprocess.Popen([FAIRLEAD, "proxy", "-c", config], stderr=subprocess.DEVNULL)
    try:
        deadline, text = time.monotonic() + 10, ""
        while not text and time.monotonic() < deadline:
            try:
                with socket.create_connection(("127.0.0.1", port), 5) as s:
                    s.recv(1)
            except OSError:
                pass
            time.sleep(0.05)
            text = log.read_text() if log.exists() else ""
        assert text.splitlines()[0] == "UF,URX"
    finally:
        process.kill()
        process.wait()
