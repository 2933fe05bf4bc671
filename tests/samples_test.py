"""The sample programs over real sockets."""
import contextlib
import http.client
import http.server
import json
import os
import pathlib
import signal
import socket
import subprocess
import threading
import time

import pytest

from ports import free_port

ROOT = pathlib.Path(__file__).resolve().parent.parent
FAIRLEAD = os.environ.get("FAIRLEAD", str(ROOT / "build" / "fairlead"))


@contextlib.contextmanager
def program(*arguments, port, **environment):
    process = subprocess.Popen([FAIRLEAD, *arguments], env={**os.environ, **environment}, stdout=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 20
        while True:
            assert process.poll() is None, f"{arguments} ended with {process.returncode}"
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert time.monotonic() < end, f"{arguments} does not listen"
                time.sleep(0.02)
        yield process
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def fake(status, body=b"{}"):
    """A service that always answers so; yields its port and the requests it saw."""
    seen = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append((self.path, dict((k.lower(), v) for k, v in self.headers.items())))
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port, seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def get(port, path, method="GET", headers=None, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        response = connection.getresponse()
        return response.status, dict((k.lower(), v) for k, v in response.getheaders()), response.read().decode()
    finally:
        connection.close()


def bookinfo_ports(details=1, reviews=1, ratings=1):
    out = {}
    for name, port in (("DETAILS", details), ("REVIEWS", reviews), ("RATINGS", ratings)):
        out |= {f"{name}_HOSTNAME": "127.0.0.1", f"{name}_SERVICE_PORT": str(port)}
    return out


def test_the_page_asks_twice_for_reviews_and_once_for_details():
    with fake(503) as (details, asked_details), fake(503) as (reviews, asked_reviews):
        port = free_port()
        with program("sample", "productpage", str(port), port=port, **bookinfo_ports(details, reviews)):
            status, _, page = get(port, "/productpage")
            assert status == 200
            assert "Error fetching product reviews!" in page and "Error fetching product details!" in page
            assert (len(asked_details), len(asked_reviews)) == (1, 2)
            assert get(port, "/api/v1/products/0/reviews")[0] == 503


def test_a_user_who_logged_in_is_named_to_the_services():
    with fake(200) as (details, _), fake(200, b'{"reviews": []}') as (reviews, asked):
        port = free_port()
        with program("sample", "productpage", str(port), port=port, **bookinfo_ports(details, reviews)):
            status, headers, _ = get(port, "/login", "POST", {"content-type": "application/x-www-form-urlencoded"}, "username=jason&passwd=x")
            assert status == 302 and headers["location"] == "/productpage"
            cookie = headers["set-cookie"].split(";")[0]
            get(port, "/productpage", headers={"cookie": cookie, "x-request-id": "abc", "x-b3-traceid": "1", "end-user": "forged"})
            path, fields = asked[-1]
            assert path == "/reviews/0"
            assert (fields["end-user"], fields["x-request-id"], fields["x-b3-traceid"]) == ("jason", "abc", "1")
            get(port, "/productpage", headers={"end-user": "forged"})
            assert "end-user" not in asked[-1][1]


@pytest.mark.parametrize("version,color", [("v1", None), ("v2", "black"), ("v3", "red")])
def test_reviews_differ_by_version(version, color):
    with fake(200, b'{"id":0,"ratings":{"Reviewer1":5,"Reviewer2":4}}') as (ratings, asked):
        port = free_port()
        with program("sample", f"reviews-{version}", str(port), port=port, **bookinfo_ports(ratings=ratings)):
            reviews = json.loads(get(port, "/reviews/0")[2])["reviews"]
            assert [review.get("rating", {}).get("color") for review in reviews] == [color, color]
            assert len(asked) == (0 if color is None else 1)


def test_ratings_can_be_posted():
    port = free_port()
    with program("sample", "ratings", str(port), port=port):
        assert json.loads(get(port, "/ratings/0")[2]) == {"id": 0, "ratings": {"Reviewer1": 5, "Reviewer2": 4}}
        assert get(port, "/ratings/7", "POST", body='{"Reviewer1":1}')[0] == 200
        assert json.loads(get(port, "/ratings/7")[2])["ratings"] == {"Reviewer1": 1}
        assert get(port, "/ratings/x")[0] == 400 and get(port, "/ratings/7", "POST", body="{")[0] == 400


def test_gunicorns_command_line_starts_httpbin(tmp_path):
    (tmp_path / "gunicorn").symlink_to(FAIRLEAD)
    port = free_port()
    process = subprocess.Popen([tmp_path / "gunicorn", "--access-logfile", "-", "-b", f"127.0.0.1:{port}", "httpbin:app", "-k", "gevent"],
                               stdout=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 20
        while True:
            try:
                assert get(port, "/status/418")[0] == 418
                break
            except OSError:
                assert time.monotonic() < end
                time.sleep(0.02)
    finally:
        process.kill()
        process.wait()


def test_a_request_in_flight_outlives_sigterm():
    port = free_port()
    with program("sample", "httpbin", "-b", f"127.0.0.1:{port}", port=port) as process:
        answers = []
        thread = threading.Thread(target=lambda: answers.append(get(port, "/delay/2")[0]))
        thread.start()
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        thread.join()
        assert answers == [200]
        assert process.wait(20) == 0


def test_fortio_counts_what_it_got():
    with fake(200) as (good, _), fake(503) as (bad, _):
        done = subprocess.run([FAIRLEAD, "fortio", "load", "-c", "2", "-qps", "0", "-n", "9", "-loglevel", "Warning", f"http://127.0.0.1:{good}/"],
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 and "Code 200 : 9 (100.0 %)" in done.stderr and "All done 9 calls (plus 0 warmup)" in done.stderr
        done = subprocess.run([FAIRLEAD, "fortio", "load", "-c", "3", "-qps", "0", "-n", "30", "-quiet", "-json", "-", f"http://127.0.0.1:{bad}/"],
                              capture_output=True, text=True, timeout=60)
        assert json.loads(done.stdout)["RetCodes"] == {"503": 30}
