"""Bad input of `fairlead proxy`: what can not work as a document ends with file, line, field path, remedy and exit code 1; what the
machine does not let be is one sentence, and the rest of the configuration serves."""
import contextlib
import http.client
import json
import os
import resource
import socket
import ssl
import subprocess
import time
from pathlib import Path

import pytest

from ports import free_port

FAIRLEAD = Path(os.environ.get("FAIRLEAD", Path(__file__).resolve().parents[2] / "build" / "fairlead"))
TYPE = "type.googleapis.com/envoy.extensions."
TLS = TYPE + "transport_sockets.tls.v3."


def manager(**more):
    return {"name": "hcm", "typed_config": {
        "@type": TYPE + "filters.network.http_connection_manager.v3.HttpConnectionManager", "stat_prefix": "test",
        "http_filters": [{"name": "router", "typed_config": {"@type": TYPE + "filters.http.router.v3.Router"}}],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
            {"match": {"path": "/names"}, "route": {"cluster": "names"}},
            {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "served"}}}]}]}, **more}}


def listener(name, port, tls=None, **hcm):
    chain = {"filters": [manager(**hcm)]}
    if tls:
        chain["transport_socket"] = {"name": "tls", "typed_config": {"@type": TLS + "DownstreamTlsContext", **tls}}
    return {"name": name, "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}, "filter_chains": [chain]}


def files(cert, key):
    return {"common_tls_context": {"tls_certificates": [{"certificate_chain": {"filename": str(cert)}, "private_key": {"filename": str(key)}}]}}


def cluster(name, address, port, **more):
    return {"name": name, "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [
        {"endpoint": {"address": {"socket_address": {"address": address, "port_value": port}}}}]}]}, **more}


def ask(port, path="/", tls=None):
    if tls:
        connection = http.client.HTTPSConnection("localhost", port, timeout=10, context=tls)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


class Running:
    def __init__(self, folder, bootstrap, before=None):
        self.admin = free_port()
        bootstrap.setdefault("admin", {"address": {"socket_address": {"address": "127.0.0.1", "port_value": self.admin}}})
        self.file = folder / "bootstrap.json"
        self.file.write_text(json.dumps(bootstrap, indent=1))
        self.errors = folder / "stderr"
        with open(self.errors, "wb") as err:
            self.process = subprocess.Popen([FAIRLEAD, "proxy", "-c", self.file, "--concurrency", "1"], stderr=err, preexec_fn=before)

    def log(self):
        return self.errors.read_text()

    def wait_for(self, what, seconds=10):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError):
                if what():
                    return
            time.sleep(0.02)
        raise AssertionError(self.log())

    def serves(self, port, **how):
        self.wait_for(lambda: ask(port, **how) == (200, "served"))

    def stat(self, name):
        for line in ask(self.admin, f"/stats?filter={name}")[1].splitlines():
            key, _, value = line.rpartition(": ")
            if key == name:
                return int(value)
        return None


@pytest.fixture
def run(tmp_path):
    started = []

    def start(bootstrap, **more):
        started.append(Running(tmp_path, bootstrap, **more))
        return started[-1]
    yield start
    for r in started:
        r.process.kill()
        r.process.wait()


def refused(folder, text, *flags):
    """(stderr) of a start that has to end with 1."""
    file = folder / "bad.yaml"
    file.write_text(text)
    ended = subprocess.run([FAIRLEAD, "proxy", "-c", file, *flags], capture_output=True, text=True, timeout=20)
    assert ended.returncode == 1, ended.stderr
    return ended.stderr


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    def make(name):
        folder = tmp_path_factory.mktemp(name)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", folder / "key.pem",
                        "-out", folder / "cert.pem", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
                       check=True, capture_output=True)
        return folder / "cert.pem", folder / "key.pem"
    return make


# ---------------------------------------------------------------------------------------------------------- the document

DOCUMENTS = {
    "unknown field": ("static_resources:\n  clusters:\n  - name: a\n    conect_timeout: 1s\n", "bad.yaml:4:", "static_resources.clusters[0].conect_timeout", "did you mean connect_timeout"),
    "wrong type": ("static_resources:\n  clusters:\n  - name: a\n    connect_timeout: soon\n", "bad.yaml:4:", "static_resources.clusters[0].connect_timeout", "write seconds with an s behind"),
    "not YAML": ("static_resources: [\n", "bad.yaml:", "", ""),
    "not an address": ("static_resources:\n  listeners:\n  - name: l\n    address: {socket_address: {address: example.com, port_value: 80}}\n", "bad.yaml:4:",
                       "static_resources.listeners[0].address.socket_address.address", "is not an IP address"),
    "no such secret": ("static_resources:\n  secrets:\n  - name: mine\n    tls_certificate: {}\n  clusters:\n  - name: a\n    type: STATIC\n    transport_socket:\n      name: tls\n"
                       "      typed_config:\n        \"@type\": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext\n"
                       "        common_tls_context: {tls_certificate_sds_secret_configs: [{name: mime}]}\n", "bad.yaml:12:",
                       "tls_certificate_sds_secret_configs[0].name", "did you mean mine?"),
}


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize("flags", [[], ["--mode", "validate"]], ids=["serve", "validate"])
def test_a_document_that_cannot_work(tmp_path, name, flags):
    text, *said = DOCUMENTS[name]
    error = refused(tmp_path, text, *flags)
    assert all(part in error for part in said), error


def test_a_file_that_is_not_there():
    ended = subprocess.run([FAIRLEAD, "proxy", "-c", "/no/such/file.yaml"], capture_output=True, text=True, timeout=20)
    assert ended.returncode == 1 and "/no/such/file.yaml" in ended.stderr


# ----------------------------------------------------------------------------------------------------------- the machine

def test_a_port_that_is_taken_leaves_its_listener_out(run):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port, at = free_port(), taken.getsockname()[1]
        proxy = run({"static_resources": {"listeners": [listener("busy", at), listener("free", port)]}})
        proxy.serves(port)
        lines = [line for line in proxy.log().splitlines() if "Address already in use" in line]
        assert len(lines) == 1 and f"127.0.0.1:{at}" in lines[0] and "give another port" in lines[0]
        assert "bootstrap.json:" in lines[0] and "static_resources.listeners[0]" in lines[0] and "the rest of the configuration serves" in lines[0]
        assert proxy.stat("listener_manager.listener_create_failure") == 1
        assert proxy.stat("listener_manager.total_listeners_active") == 1
        dump = json.loads(ask(proxy.admin, "/config_dump?resource=dynamic_listeners")[1])["configs"]
        assert [(d["name"], "Address already in use" in d["error_state"]["details"]) for d in dump] == [("busy", True)]


def test_when_nothing_can_serve_the_start_ends(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        error = refused(tmp_path, json.dumps({"static_resources": {"listeners": [listener("busy", taken.getsockname()[1])]}}, indent=1))
        assert "Address already in use" in error and "bad.yaml:" in error and "give another port" in error


def test_the_admin_pages_port_is_taken(run):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = free_port()
        proxy = run({"static_resources": {"listeners": [listener("l", port)]},
                     "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": taken.getsockname()[1]}}}})
        proxy.serves(port)
        assert "the admin page can't listen" in proxy.log()


@pytest.mark.parametrize("case", ["missing", "unreadable", "another's key", "no certificate"])
def test_a_certificate_that_cannot_be_used_leaves_its_listener_out(run, pair, tmp_path, case):
    cert, key = pair("good")
    said = {"missing": "No such file", "unreadable": "Is a directory", "another's key": "key", "no certificate": "ertificate"}[case]
    if case == "missing":
        bad = files(tmp_path / "none.pem", key)
    elif case == "unreadable":
        bad = files(cert, tmp_path)  # a folder; a file's permissions would not keep root out
    elif case == "another's key":
        bad = files(cert, pair("other")[1])
    else:
        (tmp_path / "text.pem").write_text("not a certificate\n")
        bad = files(tmp_path / "text.pem", key)
    port, secure, broken = free_port(), free_port(), free_port()
    bootstrap = {"static_resources": {"listeners": [listener("broken", broken, bad), listener("plain", port), listener("secure", secure, files(cert, key))]}}
    proxy = run(bootstrap)
    proxy.serves(port)
    trust = ssl.create_default_context(cafile=cert)
    proxy.serves(secure, tls=trust)
    lines = [line for line in proxy.log().splitlines() if "left out" in line]
    assert len(lines) == 1 and said in lines[0] and "static_resources.listeners[0].filter_chains[0].transport_socket" in lines[0], proxy.log()
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", broken), timeout=2)
    ended = subprocess.run([FAIRLEAD, "proxy", "-c", proxy.file, "--mode", "validate"], capture_output=True, text=True, timeout=20)
    assert ended.returncode == 1 and said in ended.stderr and "bootstrap.json:" in ended.stderr


def test_a_clusters_certificate_authority_that_is_missing_leaves_it_out(run):
    port = free_port()
    upstream = {"name": "tls", "typed_config": {"@type": TLS + "UpstreamTlsContext", "common_tls_context": {
        "validation_context": {"trusted_ca": {"filename": "/no/such/ca.pem"}}}}}
    proxy = run({"static_resources": {"listeners": [listener("l", port)], "clusters": [
        cluster("names", "127.0.0.1", 1, type="STATIC", transport_socket=upstream)]}})
    proxy.serves(port)
    assert ask(port, "/names")[0] == 503
    assert proxy.log().count("the cluster names is left out") == 1 and "/no/such/ca.pem can not be read (No such file" in proxy.log()
    dump = json.loads(ask(proxy.admin, "/config_dump?resource=dynamic_warming_clusters")[1])["configs"]
    assert "/no/such/ca.pem" in dump[0]["error_state"]["details"]


def test_a_name_that_does_not_resolve_is_said_once(run):
    port = free_port()
    proxy = run({"static_resources": {"listeners": [listener("l", port)], "clusters": [
        cluster("names", "no-such-name.invalid", 80, type="STRICT_DNS", dns_refresh_rate="0.05s", dns_failure_refresh_rate={"base_interval": "0.05s", "max_interval": "0.05s"})]}})
    proxy.wait_for(lambda: (proxy.stat("cluster.names.update_failure") or 0) >= 3)
    proxy.serves(port)
    assert ask(port, "/names")[0] == 503
    lines = [line for line in proxy.log().splitlines() if "no-such-name.invalid" in line]
    assert len(lines) == 1 and "does not resolve" in lines[0] and "/etc/resolv.conf" in lines[0], proxy.log()


def test_descriptors_that_run_out_are_said_once_and_survived(run):
    port = free_port()
    proxy = run({"static_resources": {"listeners": [listener("l", port)]}}, before=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60)))
    proxy.serves(port)
    clients = [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(80)]
    try:
        proxy.wait_for(lambda: "file descriptors are in use" in proxy.log())
        clients += [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(40)]  # each meets it anew
    finally:
        for c in clients:
            c.close()
    proxy.serves(port)
    lines = [line for line in proxy.log().splitlines() if "file descriptors" in line]
    assert len(lines) == 1 and "the limit is 60" in lines[0] and "ulimit -n" in lines[0]


# ------------------------------------------------------------------------------------------- what is taken and what is not

def test_static_secrets_stand_in_for_certificates_in_place(run, pair):
    cert, key = pair("static")
    port, mutual = free_port(), free_port()
    secrets = [{"name": "mine", "tls_certificate": {"certificate_chain": {"filename": str(cert)}, "private_key": {"inline_string": key.read_text()}}},
               {"name": "authority", "validation_context": {"trusted_ca": {"filename": str(cert)}}},
               {"name": "tickets", "session_ticket_keys": {"keys": [{"inline_string": 80 * "s"}]}}]
    mine = {"tls_certificate_sds_secret_configs": [{"name": "mine"}]}
    proxy = run({"static_resources": {"secrets": secrets, "listeners": [
        listener("secure", port, {"common_tls_context": mine, "session_ticket_keys_sds_secret_config": {"name": "tickets"}}),
        listener("mutual", mutual, {"require_client_certificate": True, "common_tls_context": {**mine, "validation_context_sds_secret_config": {"name": "authority"}}})]}})
    trust = ssl.create_default_context(cafile=cert)
    proxy.serves(port, tls=trust)
    with pytest.raises((ssl.SSLError, OSError)):
        ask(mutual, tls=trust)
    trust.load_cert_chain(cert, key)
    proxy.serves(mutual, tls=trust)
    dump = ask(proxy.admin, "/config_dump")[1]
    assert '"static_secrets"' in dump and "PRIVATE KEY" not in dump and 80 * "s" not in dump


def test_a_tracer_that_is_not_built_in_is_reported(run):
    port = free_port()
    tracer = {"name": "envoy.tracers.zipkin", "typed_config": {"@type": "type.googleapis.com/envoy.config.trace.v3.SomeTracer", "collector_cluster": "zipkin"}}
    proxy = run({"tracing": {"http": tracer}, "static_resources": {"listeners": [listener("l", port, tracing={"provider": tracer})]}})
    proxy.serves(port)
    assert proxy.stat("config.unsupported_fields") >= 2
    assert "tracing is not exported" in proxy.log()


@pytest.mark.parametrize("command", ["proxy", "up", "down", "status", "logs", "apply", "api-server"])
def test_flags_that_are_wrong(command):
    ended = subprocess.run([FAIRLEAD, command, "--no-such-flag"], capture_output=True, text=True, timeout=20)
    assert ended.returncode == 1
    assert f"fairlead {command}: " in ended.stderr and f"fairlead {command} --help" in ended.stderr
    assert subprocess.run([FAIRLEAD, command, "--help"], capture_output=True, timeout=20).returncode == 0


def test_values_of_flags_that_are_wrong():
    ended = subprocess.run([FAIRLEAD, "proxy", "--concurrency", "many"], capture_output=True, text=True, timeout=20)
    assert ended.returncode == 1 and "--concurrency" in ended.stderr and "many" in ended.stderr
    ended = subprocess.run([FAIRLEAD, "no-such-command"], capture_output=True, text=True, timeout=20)
    assert ended.returncode == 1 and "--help" in ended.stderr
