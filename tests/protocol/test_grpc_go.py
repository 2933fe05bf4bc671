"""gRPC's Go library, as client and as origin: every kind of call through the proxy, in plain text and over TLS on either side."""
import json
import signal
import subprocess

import pytest

from go_programs import go_program
from ports import free_port
from wire import downstream_tls, h2_cluster, listener, manager, wait_for

UPSTREAM_TLS = {"name": "envoy.transport_sockets.tls", "typed_config": {
    "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", "common_tls_context": {"alpn_protocols": ["h2"]}}}
# Streams and deadlines are the caller's business.
ROUTES = [{"match": {"prefix": "/"}, "route": {"cluster": "origin", "timeout": "0s", "max_stream_duration": {"grpc_timeout_header_max": "0s"},
                                               "retry_policy": {"retry_on": "reset-before-request,refused-stream,connect-failure,unavailable", "num_retries": 3, "host_selection_retry_max_attempts": "5",
                                                                "retry_host_predicate": [{"name": "previous", "typed_config": {
                                                                    "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"}}]}}}]


class GoOrigin:
    def __init__(self, program, certificate=None, port=0):
        tls = ["-cert", certificate[0], "-key", certificate[1]] if certificate else []
        self.process = subprocess.Popen([program, "serve", "-listen", f"127.0.0.1:{port}", *tls], stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def stop(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="session")
def program():
    return go_program("grpc")


@pytest.fixture
def go_origin(program):
    made = []

    def make(**more):
        made.append(GoOrigin(program, **more))
        return made[-1]

    yield make
    for o in made:
        o.stop()


@pytest.mark.parametrize("before", ["h2c", "tls"])
@pytest.mark.parametrize("behind", ["h2c", "tls"])
def test_every_kind_of_call(program, go_origin, start, certificate, before, behind):
    origin = go_origin(certificate=certificate if behind == "tls" else None)
    port = free_port()
    proxy = start.proxy([listener("l", port, manager(ROUTES), tls=downstream_tls(*certificate) if before == "tls" else None)],
                        [h2_cluster("origin", origin.port, **({"transport_socket": UPSTREAM_TLS} if behind == "tls" else {}))])
    trust = ["-ca", certificate[0]] if before == "tls" else []
    done = subprocess.run([program, "call", "-to", f"127.0.0.1:{port}", *trust], capture_output=True, text=True, timeout=200)
    results = json.loads(done.stdout)
    assert len(results) > 15 and {name: wrong for name, wrong in results.items() if wrong} == {}, proxy.error_path.read_text()
    assert wait_for(lambda: proxy.stat("http.test.downstream_rq_active") == 0), "what was cancelled is gone on our side too"


def test_origins_that_drain_lose_no_call(program, go_origin, start):
    """Each in its turn says GOAWAY, finishes what it has, and comes back."""
    origins = [go_origin(), go_origin()]
    port = free_port()
    both = h2_cluster("origin", origins[0].port, circuit_breakers={"thresholds": [{"max_retries": 1000}]})
    endpoints = both["load_assignment"]["endpoints"][0]["lb_endpoints"]
    endpoints.append(json.loads(json.dumps(endpoints[0]).replace(f": {origins[0].port}", f": {origins[1].port}")))
    proxy = start.proxy([listener("l", port, manager(ROUTES))], [both])
    load = subprocess.Popen([program, "load", "-to", f"127.0.0.1:{port}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    for turn in range(4):
        before = proxy.stat("cluster.origin.upstream_rq_completed")
        assert wait_for(lambda: proxy.stat("cluster.origin.upstream_rq_completed") > before + 200)
        assert origins[turn % 2].end() == 0
        origins[turn % 2] = go_origin(port=origins[turn % 2].port)
    results = json.loads(load.communicate(timeout=60)[0])
    assert results["bad"] == [] and results["good"] > 800


def test_a_connection_that_is_told_to_go_loses_no_call(program, go_origin, start):
    """max_connection_duration ends the client's connections again and again, by GOAWAY."""
    origin, port = go_origin(), free_port()
    proxy = start.proxy([listener("l", port, manager(ROUTES, common_http_protocol_options={"max_connection_duration": "0.2s"}, drain_timeout="0.1s"))],
                        [h2_cluster("origin", origin.port)])
    load = subprocess.Popen([program, "load", "-to", f"127.0.0.1:{port}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert wait_for(lambda: proxy.stat("http.test.downstream_cx_max_duration_reached") >= 5)
    results = json.loads(load.communicate(timeout=60)[0])
    assert results["bad"] == [] and results["good"] > 100
