import subprocess

import pytest

from ports import free_port
from wire import Origin, Proxy, cluster, listener, manager


@pytest.fixture
def origin():
    o = Origin()
    yield o
    o.close()


@pytest.fixture
def start(tmp_path, origin):
    """start(hcm fields...) -> (proxy, port): one listener to `origin`. start.proxy(...) takes whole listeners and clusters."""
    running = []

    def proxy(listeners, clusters, **more):
        p = Proxy(tmp_path, listeners, clusters, **more)
        running.append(p)
        return p

    def begin(routes=None, clusters=None, listener_fields=None, bootstrap=None, **hcm):
        port = free_port()
        p = proxy([listener("l", port, manager(routes, **hcm), **(listener_fields or {}))],
                  [cluster("origin", origin.port)] + (clusters or []), **(bootstrap or {}))
        return p, port

    begin.proxy = proxy
    yield begin
    for p in running:
        p.stop()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificate")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", cert,
                    "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
                   check=True, capture_output=True)
    return cert, key
