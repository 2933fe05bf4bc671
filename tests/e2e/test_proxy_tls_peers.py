"""`fairlead proxy` and TLS: openssl as its client, health checks, secrets that come late, rotation under load, draining."""
import http.client
import os
import socket
import ssl
import subprocess
import threading
import time

from ports import free_port
from test_proxy import get, origin  # noqa: F401  (origin is a fixture)
from test_proxy_tls import cluster, http_filters, listener, pki, pytestmark, server_socket, start, stat, wait_for  # noqa: F401

REQUEST = b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"


def s_client(port, *args, send=REQUEST):
    run = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "a.test", *(["-ign_eof"] if send else []), *map(str, args)],
                         input=send, capture_output=True, timeout=15)
    return run.stdout.decode(errors="replace") + run.stderr.decode(errors="replace")


def one_listener(start, pki, more="", params="", answer="ok"):
    crt, key = pki.issue("front", "DNS:a.test")
    port, admin = free_port(), free_port()
    text = server_socket(crt, key, params + more)
    start(f"static_resources:\n  listeners:{listener(port, f'{chr(10)}    - name: one' + text + http_filters(answer))}\n", admin)
    return port, admin


def test_openssl_agrees_on_versions_and_protocols(pki, start):
    port, _ = one_listener(start, pki)
    assert "TLSv1.3" in s_client(port) and "\r\n\r\nok" in s_client(port)
    assert "TLSv1.2" in s_client(port, "-tls1_2")
    assert "\r\n\r\nok" not in s_client(port, "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0")
    assert "ALPN protocol: h2" in s_client(port, "-alpn", "h2,http/1.1", send=b"")
    assert "ALPN protocol: http/1.1" in s_client(port, "-alpn", "http/1.1")
    assert "No ALPN negotiated" in s_client(port, "-alpn", "spdy/1"), "no protocol in common is no reason to refuse"


def test_a_listener_may_ask_for_newer_or_older_versions(pki, start):
    port, _ = one_listener(start, pki, params="            tls_params: {tls_minimum_protocol_version: TLSv1_3}\n")
    assert "TLSv1.3" in s_client(port) and "\r\n\r\nok" not in s_client(port, "-tls1_2")
    port, _ = one_listener(start, pki, params="            tls_params: {tls_maximum_protocol_version: TLSv1_2, cipher_suites: [ECDHE-ECDSA-AES256-GCM-SHA384]}\n")
    assert "ECDHE-ECDSA-AES256-GCM-SHA384" in s_client(port)
    assert "\r\n\r\nok" not in s_client(port, "-tls1_3")
    assert "\r\n\r\nok" not in s_client(port, "-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256")


def test_sessions_are_resumed_on_whichever_worker_they_come_back_to(pki, start, tmp_path):
    port, admin = one_listener(start, pki)
    for version in ("-tls1_3", "-tls1_2"):
        saved = tmp_path / f"session{version}"
        assert "New, TLSv1" in s_client(port, version, "-sess_out", saved)
        for _ in range(6):
            assert "Reused, TLSv1" in s_client(port, version, "-sess_in", saved)
    assert stat(admin, "listener.front.ssl.session_reused") == 12


def test_openssl_shows_a_certificate_when_asked(pki, start):
    good, key = pki.issue("client", "URI:spiffe://test/client")
    required = f"""            validation_context: {{trusted_ca: {{filename: {pki.folder / "ca.crt"}}}}}
          require_client_certificate: true
"""
    port, admin = one_listener(start, pki, required)
    text = s_client(port, "-cert", good, "-key", key)
    assert "\r\n\r\nok" in text and "Acceptable client certificate CA names" in text
    assert "certificate required" in s_client(port)
    assert "handshake failure" in s_client(port, "-tls1_2")
    assert stat(admin, "listener.front.ssl.fail_verify_no_cert") == 2


CHECKED = """    health_checks: [{timeout: 1s, interval: 0.2s, no_traffic_interval: 0.2s, unhealthy_threshold: 1, healthy_threshold: 1, %s}]
    transport_socket:
      name: envoy.transport_sockets.tls
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        common_tls_context:
          alpn_protocols: [%s]
          validation_context:
            trusted_ca: {filename: %s}
            match_typed_subject_alt_names: [{san_type: DNS, matcher: {exact: %s}}]
"""


def test_health_checks_believe_whom_requests_believe(pki, start):
    # The certificate is for a name, and the checks go to an address: what counts are the cluster's own rules.
    back, back_admin, admin = (free_port() for _ in range(3))
    crt, key = pki.issue("back", "DNS:back.test")
    start(f"static_resources:\n  listeners:{listener(back, f'{chr(10)}    - name: one{server_socket(crt, key)}' + http_filters('ok'), 'back')}\n", back_admin)
    kinds = {"http": ("http_health_check: {path: /}", "http/1.1"), "h2": ("http_health_check: {path: /, codec_client_type: HTTP2}", "h2"),
             "tcp": ("tcp_health_check: {}", "http/1.1"), "grpc": ("grpc_health_check: {}", "h2")}
    text = "static_resources:\n  clusters:"
    for kind, (check, alpn) in kinds.items():
        for name, san in (("right", "back.test"), ("wrong", "elsewhere.test")):
            text += cluster(f"{kind}-{name}", back, CHECKED % (check, alpn, pki.folder / "ca.crt", san))
    start(text, admin)

    def healthy():
        lines = get(admin, "/clusters")[1].decode().splitlines()
        return {line.split("::")[0] for line in lines if line.endswith("::health_flags::healthy")}

    wait_for(lambda: healthy() == {"http-right", "h2-right", "tcp-right"})
    assert stat(admin, "cluster.grpc-right.health_check.network_failure") == 0, "it was reached, and is no gRPC server"
    for kind in kinds:
        assert stat(admin, f"cluster.{kind}-wrong.health_check.network_failure") > 0


MOVING = """resources:
- "@type": type.googleapis.com/envoy.config.cluster.v3.Cluster
  name: moving
  type: STATIC
  load_assignment: {cluster_name: moving, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: %d}}}}]}]}
%s"""
WAITING = """  transport_socket:
    name: envoy.transport_sockets.tls
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
      common_tls_context:
        combined_validation_context:
          default_validation_context: {}
          validation_context_sds_secret_config: {name: %s, sds_config: {path_config_source: {path: %s}, initial_fetch_timeout: %s}}
"""


def moved(path, text):
    new = path.with_name("new-" + path.name)
    new.write_text(text)
    os.rename(new, path)


def test_a_cluster_serves_until_the_secret_of_the_one_that_replaces_it_is_there(pki, start, tmp_path):
    old, back, back_admin, port, admin = (free_port() for _ in range(5))
    crt, key = pki.issue("back", "DNS:back.test")
    start(f"static_resources:\n  listeners:{listener(back, f'{chr(10)}    - name: one{server_socket(crt, key)}' + http_filters('new'), 'back')}"
          f"{listener(old, chr(10) + '    - name: one' + http_filters('old'), 'old').replace('name: front', 'name: old')}\n", back_admin)
    cds, secret = tmp_path / "cds.yaml", tmp_path / "secret.yaml"
    cds.write_text(MOVING % (old, ""))
    start(f"""node: {{id: test, cluster: test}}
dynamic_resources: {{cds_config: {{path_config_source: {{path: {cds}}}, resource_api_version: V3}}}}
static_resources:
  listeners:{listener(port, chr(10) + '    - name: one' + http_filters(cluster='moving'))}
""", admin)
    wait_for(lambda: get(port, "/")[1] == b"old")
    moved(cds, MOVING % (back, WAITING % ("ca", secret, "0s")))
    end = time.monotonic() + 1
    while time.monotonic() < end:
        assert get(port, "/")[1] == b"old"
        time.sleep(0.02)
    moved(secret, f"""resources:
- "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret
  name: ca
  validation_context: {{trusted_ca: {{filename: {pki.folder / "ca.crt"}}}}}
""")
    wait_for(lambda: get(port, "/")[1] == b"new")
    # Waited for only as long as it says: then the new one takes over, and says what it lacks.
    moved(cds, MOVING % (back, WAITING % ("other", secret, "0.5s")))
    wait_for(lambda: get(port, "/")[0] == 503)
    assert b"Secret is not supplied by SDS" in get(port, "/")[1]


def test_a_directory_of_certificates_rotates_under_load(pki, start, tmp_path):
    # As Kubernetes mounts Secrets: a link to a folder is replaced, and all files change at once.
    live = tmp_path / "live"
    live.mkdir()

    def put(n):
        crt, key = pki.issue(f"cert{n}", "DNS:a.test")
        folder = live / f"..{n}"
        folder.mkdir()
        os.rename(crt, folder / "tls.crt")
        os.rename(key, folder / "tls.key")
        os.symlink(folder.name, live / "..tmp")
        os.rename(live / "..tmp", live / "..data")

    put(0)
    for name in ("tls.crt", "tls.key"):
        os.symlink(f"..data/{name}", live / name)
    port, admin = free_port(), free_port()
    server = server_socket(live / "tls.crt", live / "tls.key").replace("private_key:", f"watched_directory: {{path: {live}}}, private_key:")
    start(f"static_resources:\n  listeners:{listener(port, f'{chr(10)}    - name: one' + server + http_filters('ok'))}\n", admin)
    context = ssl.create_default_context(cafile=pki.folder / "ca.crt")
    stop, problems, subjects, counts = threading.Event(), [], set(), []

    def client(requests):
        try:
            while not stop.is_set():
                connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=10)
                raw = socket.create_connection(("127.0.0.1", port), 10)
                connection.sock = context.wrap_socket(raw, server_hostname="a.test")
                subjects.add(connection.sock.getpeercert()["serialNumber"])
                for _ in range(requests):
                    connection.request("GET", "/", headers={"host": "a.test"})
                    response = connection.getresponse()
                    assert (response.status, response.read()) == (200, b"ok")
                    counts.append(1)
                    if stop.is_set():
                        break
                connection.close()
        except (OSError, AssertionError, http.client.HTTPException) as error:
            problems.append(repr(error))

    threads = [threading.Thread(target=client, args=(n,)) for n in (1, 1, 5, 1 << 30)]
    for t in threads:
        t.start()
    try:
        for n in range(1, 9):
            put(n)
            time.sleep(0.2)
    finally:
        stop.set()
        for t in threads:
            t.join()
    assert not problems, problems
    assert len(subjects) >= 7, "the certificates came into use"
    assert len(counts) > 100


def test_a_listener_that_goes_does_not_wait_for_half_a_handshake(pki, start, tmp_path):
    crt, key = pki.issue("front", "DNS:a.test")
    port, admin = free_port(), free_port()
    lds = tmp_path / "lds.yaml"
    body = listener(port, f"{chr(10)}    - name: one{server_socket(crt, key)}{http_filters('ok')}")
    lines = body.strip("\n").splitlines()
    lines[0] = lines[0].replace("- name", '- "@type": type.googleapis.com/envoy.config.listener.v3.Listener\n    name')
    lds.write_text("resources:\n" + "\n".join(lines) + "\n")
    start(f"node: {{id: test, cluster: test}}\ndynamic_resources: {{lds_config: {{path_config_source: {{path: {lds}}}, resource_api_version: V3}}}}\n", admin)
    context = ssl.create_default_context(cafile=pki.folder / "ca.crt")
    wait_for(lambda: context.wrap_socket(socket.create_connection(("127.0.0.1", port), 5), server_hostname="a.test"))
    # The first has its chain and stops there; the second goes on after the listener has gone.
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    half = context.wrap_bio(incoming, outgoing, server_hostname="a.test")
    stuck = socket.create_connection(("127.0.0.1", port), 10)
    slow = socket.create_connection(("127.0.0.1", port), 10)
    try:
        half.do_handshake()
    except ssl.SSLWantReadError:
        pass
    hello = outgoing.read()
    stuck.sendall(hello)
    slow.sendall(hello)
    incoming.write(slow.recv(65536))
    moved(lds, "resources: []\n")
    wait_for(lambda: socket.socket().connect_ex(("127.0.0.1", port)) != 0)
    while True:
        try:
            half.do_handshake()
            break
        except ssl.SSLWantReadError:
            slow.sendall(outgoing.read())
            incoming.write(slow.recv(65536))
    half.write(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
    slow.sendall(outgoing.read())
    answer = b""
    while b"ok" not in answer:
        data = slow.recv(65536)
        assert data, answer
        incoming.write(data)
        try:
            answer += half.read()
        except ssl.SSLWantReadError:
            pass
    assert b"200" in answer and b"connection: close" in answer.lower()
    began = time.monotonic()
    while stuck.recv(65536):
        pass
    assert time.monotonic() - began < 6
