"""`fairlead proxy` with TLS on both sides: the real binary between curl and openssl, certificates made by openssl."""
import os
import shutil
import signal
import subprocess
import time

import pytest

from files import whole_lines
from ports import free_port
from test_proxy import FAIRLEAD, get, origin  # noqa: F401  (origin is a fixture)

pytestmark = pytest.mark.skipif(not (shutil.which("openssl") and shutil.which("curl")), reason="openssl and curl are needed")


def openssl(*args, **kwargs):
    subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True, **kwargs)


class Pki:
    """A CA and what it signs, in a folder."""

    def __init__(self, folder):
        self.folder = folder
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 2, "-subj", "/O=test/CN=ca",
                "-keyout", folder / "ca.key", "-out", folder / "ca.crt")

    def issue(self, name, san, signer=None):
        f = self.folder
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/O=test/CN={name}",
                "-keyout", f / f"{name}.key", "-out", f / f"{name}.csr")
        (f / f"{name}.ext").write_text(f"subjectAltName={san}\n")
        openssl("x509", "-req", "-in", f / f"{name}.csr", "-CA", f / "ca.crt", "-CAkey", f / "ca.key", "-CAcreateserial", "-days", 2,
                "-extfile", f / f"{name}.ext", "-out", f / f"{name}.crt")
        return f / f"{name}.crt", f / f"{name}.key"


@pytest.fixture
def pki(tmp_path):
    folder = tmp_path / "pki"
    folder.mkdir()
    return Pki(folder)


@pytest.fixture
def start(tmp_path):
    processes = []

    def run(text, admin):
        path = tmp_path / f"bootstrap{len(processes)}.yaml"
        path.write_text(text)
        log = open(tmp_path / f"log{len(processes)}", "wb")
        processes.append(subprocess.Popen([FAIRLEAD, "proxy", "-c", path, "--concurrency", "2", "--admin", f"127.0.0.1:{admin}"],
                                          stdout=log, stderr=log))
        wait_for(lambda: get(admin, "/ready")[0] == 200)
        return processes[-1], tmp_path / f"log{len(processes) - 1}"

    yield run
    for p in processes:
        p.kill()
        p.wait()


def wait_for(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except OSError:
            pass
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


def curl(port, host, pki, *args):
    run = subprocess.run(["curl", "-sS", "--max-time", "10", "--cacert", pki.folder / "ca.crt", "--resolve", f"{host}:{port}:127.0.0.1",
                          *map(str, args), f"https://{host}:{port}/x"], capture_output=True, text=True)
    return run.returncode, run.stdout, run.stderr


def stat(admin, name):
    for line in get(admin, f"/stats?filter={name}")[1].decode().splitlines():
        if line.startswith(name + ":"):
            return int(line.split(": ")[1])
    return 0


def listener(port, chains, stat_prefix="front"):
    return f"""
  - name: front
    stat_prefix: {stat_prefix}
    address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    listener_filters:
    - name: envoy.filters.listener.tls_inspector
      typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector}}
    filter_chains:{chains}"""


def http_filters(answer=None, cluster="origin", extra=""):
    action = f'direct_response: {{status: 200, body: {{inline_string: "{answer}"}}}}' if answer else f"route: {{cluster: {cluster}}}"
    return f"""
      filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: front
          {extra}
          route_config: {{virtual_hosts: [{{name: all, domains: ["*"], routes: [{{match: {{prefix: /}}, {action}}}]}}]}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}"""


def server_socket(crt, key, more="", alpn="h2,http/1.1"):
    return f"""
      transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          common_tls_context:
            alpn_protocols: [{alpn}]
            tls_certificates: [{{certificate_chain: {{filename: {crt}}}, private_key: {{filename: {key}}}}}]
{more}"""


def cluster(name, port, socket=""):
    return f"""
  - name: {name}
    type: STATIC
    load_assignment: {{cluster_name: {name}, endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}}}}}]}}]}}
{socket}"""


def test_chains_are_chosen_by_server_name_and_h2_by_alpn(pki, start):
    a, b = pki.issue("a", "DNS:a.test"), pki.issue("b", "DNS:*.b.test")
    port, admin = free_port(), free_port()
    chains = ""
    for names, pair, answer in (("[a.test]", a, "this is a"), ('["*.b.test"]', b, "this is b")):
        chains += f"\n    - filter_chain_match: {{server_names: {names}}}{server_socket(*pair)}{http_filters(answer)}"
    start(f"static_resources:\n  listeners:{listener(port, chains)}\n", admin)
    assert curl(port, "a.test", pki, "--http1.1")[1] == "this is a"
    code, out, err = curl(port, "x.b.test", pki, "--http2", "-w", " %{http_version}")
    assert (code, out) == (0, "this is b 2"), err
    assert curl(port, "other.test", pki)[0] != 0  # no chain takes it
    assert stat(admin, "listener.front.ssl.handshake") == 2


def test_clients_certificates_are_required_verified_and_told_on(pki, start, origin, tmp_path):  # noqa: F811
    crt, key = pki.issue("front", "DNS:front.test,URI:spiffe://test/front")
    good, bad = pki.issue("good", "URI:spiffe://test/ns/good"), pki.issue("bad", "URI:spiffe://other/ns/bad")
    port, admin = free_port(), free_port()
    more = f"""            validation_context:
              trusted_ca: {{filename: {pki.folder / "ca.crt"}}}
              match_typed_subject_alt_names: [{{san_type: URI, matcher: {{prefix: "spiffe://test/"}}}}]
          require_client_certificate: true
"""
    extra = """forward_client_cert_details: SANITIZE_SET
          set_current_client_cert_details: {subject: true, uri: true}
          access_log:
          - name: envoy.access_loggers.file
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
              path: LOG
              log_format: {text_format_source: {inline_string: "%DOWNSTREAM_PEER_URI_SAN% %DOWNSTREAM_PEER_SUBJECT% %DOWNSTREAM_TLS_VERSION%\\n"}}"""
    extra = extra.replace("LOG", str(tmp_path / "access.log"))
    text = f"static_resources:\n  clusters:{cluster('origin', origin)}\n  listeners:"
    text += listener(port, f"\n    - name: one{server_socket(crt, key, more)}{http_filters(extra=extra)}") + "\n"
    start(text, admin)
    code, out, err = curl(port, "front.test", pki, "--cert", good[0], "--key", good[1])
    assert code == 0 and out.startswith("/x"), err
    assert curl(port, "front.test", pki)[0] != 0
    assert curl(port, "front.test", pki, "--cert", bad[0], "--key", bad[1])[0] != 0
    wait_for(lambda: any("spiffe" in line for line in whole_lines(tmp_path / "access.log")))
    assert whole_lines(tmp_path / "access.log")[0] == "spiffe://test/ns/good CN=good,O=test TLSv1.3"
    assert stat(admin, "listener.front.ssl.fail_verify_no_cert") == 1
    assert stat(admin, "listener.front.ssl.fail_verify_san") == 1


def test_upstream_tls_verifies_reuses_sessions_and_says_why_not(pki, start):
    crt, key = pki.issue("back", "DNS:back.test")
    back, back_admin, port, admin = (free_port() for _ in range(4))
    start(f"static_resources:\n  listeners:{listener(back, f'{chr(10)}    - name: one{server_socket(crt, key)}' + http_filters('from the back'), 'back')}\n", back_admin)

    def socket(name, san):
        return cluster(name, back, f"""    max_requests_per_connection: 1
    transport_socket:
      name: envoy.transport_sockets.tls
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        sni: back.test
        common_tls_context:
          validation_context:
            trusted_ca: {{filename: {pki.folder / "ca.crt"}}}
            match_typed_subject_alt_names: [{{san_type: DNS, matcher: {{exact: {san}}}}}]
""")
    wrong = free_port()
    text = f"static_resources:\n  clusters:{socket('right', 'back.test')}{socket('wrong', 'elsewhere.test')}\n  listeners:"
    text += listener(port, "\n    - name: one" + http_filters(cluster="right"))
    text += listener(wrong, "\n    - name: one" + http_filters(cluster="wrong"), "wrong").replace("name: front", "name: wrong") + "\n"
    start(text, admin)
    for _ in range(6):
        assert get(port, "/")[1] == b"from the back"
    assert stat(admin, "cluster.right.ssl.handshake") == 6
    assert stat(admin, "cluster.right.ssl.session_reused") >= 2  # each of two workers begins with none
    status, body, _ = get(wrong, "/")
    assert status == 503 and b"TLS_error" in body and b"verify SAN list" in body, body
    assert stat(admin, "cluster.wrong.ssl.fail_verify_san") >= 1


def test_files_moved_into_place_are_taken_without_dropping_a_connection(pki, start, tmp_path):
    crt, key = pki.issue("first", "DNS:a.test")
    live = tmp_path / "live"
    live.mkdir()
    shutil.copy(crt, live / "tls.crt")
    shutil.copy(key, live / "tls.key")
    port, admin = free_port(), free_port()
    start(f"static_resources:\n  listeners:{listener(port, f'{chr(10)}    - name: one' + server_socket(live / 'tls.crt', live / 'tls.key') + http_filters('ok'))}\n", admin)

    def subject():
        run = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "a.test"], input=b"", capture_output=True)
        return next(line for line in run.stdout.decode().splitlines() if line.startswith("subject="))

    assert "first" in subject()
    kept = subprocess.Popen(["openssl", "s_client", "-quiet", "-connect", f"127.0.0.1:{port}", "-servername", "a.test"], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    request = b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n"
    kept.stdin.write(request)
    kept.stdin.flush()
    assert b"200" in kept.stdout.readline()
    # A key that does not fit: the old pair stays.
    second_crt, second_key = pki.issue("second", "DNS:a.test")
    shutil.copy(second_crt, live / "new.crt")
    os.rename(live / "new.crt", live / "tls.crt")
    time.sleep(0.3)
    assert "first" in subject()
    shutil.copy(second_key, live / "new.key")
    os.rename(live / "new.key", live / "tls.key")
    wait_for(lambda: "second" in subject())
    kept.stdin.write(request)
    kept.stdin.flush()
    answer = b""
    while b"\r\n\r\nok" not in answer:
        answer += os.read(kept.stdout.fileno(), 4096)
    kept.kill()
    kept.wait()


def test_secrets_in_a_file_are_read_watched_and_wait_for(pki, start, tmp_path):
    crt, key = pki.issue("sds", "DNS:a.test")
    port, admin = free_port(), free_port()
    sds = tmp_path / "sds"
    sds.mkdir()
    secret = sds / "secret.yaml"
    socket = f"""
      transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          common_tls_context:
            tls_certificate_sds_secret_configs: [{{name: server, sds_config: {{path_config_source: {{path: {secret}}}, initial_fetch_timeout: 0s}}}}]"""
    text = f"static_resources:\n  listeners:{listener(port, f'{chr(10)}    - name: one' + socket + http_filters('ok'))}\n"
    process, _ = start_without_waiting(start, text, admin, tmp_path)
    try:
        wait_for(lambda: get(admin, "/server_info")[0] == 200)
        assert curl(port, "a.test", pki)[0] != 0  # warming: nobody is served yet
        new = sds / "new.yaml"
        new.write_text(f"""resources:
- "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret
  name: server
  tls_certificate: {{certificate_chain: {{filename: {crt}}}, private_key: {{filename: {key}}}}}
""")
        os.rename(new, secret)
        wait_for(lambda: curl(port, "a.test", pki)[1] == "ok")
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def start_without_waiting(_, text, admin, tmp_path):
    path = tmp_path / "late.yaml"
    path.write_text(text)
    log = open(tmp_path / "late.log", "wb")
    return subprocess.Popen([FAIRLEAD, "proxy", "-c", path, "--admin", f"127.0.0.1:{admin}", "--concurrency", "2"], stdout=log, stderr=log), None
