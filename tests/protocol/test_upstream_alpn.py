"""What is spoken to an origin over TLS: what it chose by ALPN (auto_config), and what is offered where the configuration names nothing."""
import json
import subprocess

import pytest

from ports import free_port
from wire import FAIRLEAD, Raw, cluster, downstream_tls, listener, manager, wait_for

TLS = {"name": "envoy.transport_sockets.tls", "typed_config": {
    "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", "common_tls_context": {}}}


def speaking(port, **options):
    return cluster("next", port, transport_socket=TLS, typed_extension_protocol_options={"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions", **options}})


@pytest.mark.parametrize("origin_speaks,spoken", [(("h2", "http/1.1"), "HTTP/2"), (("http/1.1",), "HTTP/1.1"), ((), "HTTP/1.1")])
def test_the_origin_chooses(start, origin, certificate, origin_speaks, spoken):
    behind, port = free_port(), free_port()
    back = start.proxy([listener("l", behind, manager(), tls=downstream_tls(*certificate, alpn=origin_speaks))], [cluster("origin", origin.port)])
    front = start.proxy([listener("l", port, manager([{"match": {"prefix": "/"}, "route": {"cluster": "next"}}]))], [speaking(behind, auto_config={})])
    # Many at once on a pool that knows nothing yet, then one more.
    done = subprocess.run(["h2load", "--h1", "-n", "200", "-c", "20", f"http://127.0.0.1:{port}/"], capture_output=True, text=True, timeout=60)
    assert "200 succeeded, 0 failed" in done.stdout, done.stdout
    with Raw(port) as c:
        assert c.send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc").answer()[0] == 200
    assert origin.requests[-1].body == b"abc"
    assert wait_for(lambda: len(back.log().splitlines()) == 201)
    assert {line.split()[-1] for line in back.log().splitlines()} == {spoken}
    number = {"HTTP/2": "http2", "HTTP/1.1": "http1"}[spoken]
    assert front.stat(f"cluster.next.upstream_cx_{number}_total") == front.stat("cluster.next.upstream_cx_total") > 0
    assert front.stat("cluster.next.upstream_rq_active") == 0


@pytest.mark.parametrize("options,offered", [({"explicit_http_config": {"http2_protocol_options": {}}}, "h2"), ({"explicit_http_config": {"http_protocol_options": {}}}, "http/1.1")])
def test_what_will_be_spoken_is_offered(start, certificate, options, offered, tmp_path):
    """To a server that takes nothing else."""
    behind, port = free_port(), free_port()
    start.proxy([listener("l", port, manager([{"match": {"prefix": "/"}, "route": {"cluster": "next"}}]))], [speaking(behind, **options)])
    with open(tmp_path / "shown", "w") as shown:
        server = subprocess.Popen(["openssl", "s_server", "-accept", f"127.0.0.1:{behind}", "-cert", certificate[0], "-key", certificate[1], "-alpn", offered, "-naccept", "1"],
                                  stdin=subprocess.PIPE, stdout=shown, stderr=subprocess.STDOUT)
    try:
        with Raw(port) as c:
            assert wait_for(lambda: "ACCEPT" in (tmp_path / "shown").read_text(errors="replace"))
            c.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            assert wait_for(lambda: "ALPN protocols" in (tmp_path / "shown").read_text(errors="replace") or "No ALPN" in (tmp_path / "shown").read_text(errors="replace"))
    finally:
        server.kill()
        server.wait()
    assert f"ALPN protocols selected: {offered}" in (tmp_path / "shown").read_text(errors="replace")


def test_alpn_needs_tls(tmp_path):
    bootstrap = tmp_path / "b.json"
    plain = speaking(1, auto_config={})
    del plain["transport_socket"]
    bootstrap.write_text(json.dumps({"static_resources": {"clusters": [plain]}}))
    ran = subprocess.run([FAIRLEAD, "proxy", "-c", bootstrap, "--mode", "validate"], capture_output=True, text=True)
    assert ran.returncode == 1 and "auto_config" in ran.stderr and "TLS transport_socket is required" in ran.stderr
