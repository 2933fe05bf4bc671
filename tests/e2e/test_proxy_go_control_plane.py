"""go-control-plane as xDS server: everything comes from it, changes cost no request, and what is wrong is told back by name."""
import json
import shutil
import subprocess
import threading
import time

import pytest

from go_programs import go_program
from ports import free_port
from test_proxy_chaos import Load, Origin, Proxy, assignment, get, listener, routes, xds_cluster

WAYS = {f"{by}, {api}": (by, api) for by in ("one stream", "streams of their own") for api in ("GRPC", "DELTA_GRPC")}


class GoServer:
    """Keeps what the other side says: lists of events by kind."""

    def __init__(self, by, port=0, at=None, more=()):
        self.process = subprocess.Popen([go_program("xds"), "-listen", at or f"127.0.0.1:{port}", *(["-ads"] if by == "one stream" else []), *more],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = json.loads(self.process.stdout.readline())["port"]
        self.events = []
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.events.append(json.loads(line))

    def set(self, version, resources):
        self.process.stdin.write(json.dumps({"Node": "driven", "Version": version, "Resources": resources}) + "\n")
        self.process.stdin.flush()

    def told(self, kind):
        return [e for e in list(self.events) if kind in e]

    def acked(self, version):
        return {e["ack"].rpartition(".")[2] for e in self.told("ack") if e["version"] == version}

    def stop(self):
        self.process.kill()
        self.process.wait()


def certificate(folder, name):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", folder / "key", "-out", folder / "cert",
                    "-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True)
    return {"name": "s", "tls_certificate": {"certificate_chain": {"inline_string": (folder / "cert").read_text()},
                                             "private_key": {"inline_string": (folder / "key").read_text()}}}


class Driven:
    def __init__(self, folder, way):
        by, self.api = WAYS[way]
        self.by, self.folder = by, folder
        grpc = {"api_type": self.api, "transport_api_version": "V3", "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}]}
        source = {**({"ads": {}} if by == "one stream" else {"api_config_source": grpc}), "resource_api_version": "V3"}
        self.source = source
        self.server = GoServer(by)
        self.port, self.secure = free_port(), free_port()
        self.origins = [Origin(n) for n in "abc"]
        self.secret = certificate(folder, "first")
        self.resources = self.made()
        self.server.set("v1", self.resources)
        self.proxy = Proxy(folder, {"node": {"id": "driven", "cluster": "test"}, "static_resources": {"clusters": [xds_cluster(self.server.port)]},
                                    "dynamic_resources": {**({"ads_config": grpc} if by == "one stream" else {}), "cds_config": source, "lds_config": source}})

    def made(self, route="1", origins="ab", timeout="5s", stat_prefix="in"):
        tls = {"name": "envoy.transport_sockets.tls", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": {"tls_certificate_sds_secret_configs": [{"name": "s", "sds_config": self.source}]}}}
        plain = listener(self.port, {"rds": {"route_config_name": "r", "config_source": self.source}}, {"stat_prefix": stat_prefix})
        secure = listener(self.secure, {"rds": {"route_config_name": "r", "config_source": self.source}})
        secure["name"] = "secure"
        secure["filter_chains"][0]["transport_socket"] = tls
        return {"cds": [{"name": "c", "type": "EDS", "connect_timeout": timeout, "eds_cluster_config": {"eds_config": self.source},
                         "circuit_breakers": {"thresholds": [{"max_retries": 1000}]}}],
                "eds": [assignment("c", *[o.port for o in self.origins if o.name in origins])], "lds": [plain, secure],
                "rds": [routes("r", action={"retry_policy": {"retry_on": "connect-failure,refused-stream,reset"}}, headers=[("x-version", route)])], "sds": [self.secret]}

    def change(self, version, **more):
        self.resources = self.made(**more)
        self.server.set(version, self.resources)

    def version(self):
        try:
            return get(self.port, "/")[2].get("x-version")
        except OSError:
            return None

    def subject(self):
        shown = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{self.secure}", "-servername", "localhost"], input="", capture_output=True, text=True).stdout
        return next((line for line in shown.splitlines() if line.startswith("subject=")), "")

    def stop(self):
        self.proxy.stop()
        self.server.stop()
        for o in self.origins:
            o.kill()


@pytest.fixture(params=list(WAYS))
def driven(request, tmp_path):
    go_program("xds")
    d = Driven(tmp_path, request.param)
    yield d
    d.stop()


def test_everything_comes_from_it(driven):
    driven.proxy.wait(lambda: driven.version() == "1" and "first" in driven.subject())
    driven.proxy.wait(lambda: len({e["ack"] for e in driven.server.told("ack")}) == 5)  # clusters, endpoints, listeners, routes, secrets
    assert driven.server.told("nack") == []
    opened = driven.server.told("open")
    assert len(opened) == (1 if driven.by == "one stream" else 5)
    assert all(e.get("delta", False) == (driven.api == "DELTA_GRPC") for e in opened)


def test_changes_of_each_kind_cost_no_request(driven):
    driven.proxy.wait(lambda: driven.version() == "1")
    load = Load(driven.port)
    driven.proxy.wait(lambda: load.good > 50)
    c = driven.origins[2]
    driven.change("v2", route="2")
    driven.proxy.wait(lambda: driven.version() == "2")
    driven.change("v3", route="2", origins="c")
    driven.proxy.wait(lambda: c.served > 20)
    driven.change("v4", route="2", origins="c", timeout="4s")
    driven.change("v5", route="2", origins="c", timeout="4s", stat_prefix="other")
    driven.proxy.wait(lambda: driven.proxy.stat("http.other.downstream_rq_total") > 20)
    driven.secret = certificate(driven.folder, "second")
    driven.change("v6", route="3", origins="bc", timeout="4s", stat_prefix="other")
    driven.proxy.wait(lambda: driven.version() == "3" and "second" in driven.subject())
    for n in range(100):
        driven.change(f"w{n}", route=str(n), origins=("ab", "bc", "ca")[n % 3], timeout=f"{1 + n % 5}s", stat_prefix=f"p{n % 2}")
        time.sleep(0.01)
    driven.proxy.wait(lambda: driven.version() == "99")
    load.stop()
    assert load.bad == [] and load.good > 200
    assert driven.server.told("nack") == [] and driven.server.told("error") == []


def test_what_is_wrong_is_told_by_resource_and_field(driven):
    driven.proxy.wait(lambda: driven.version() == "1")
    bad = driven.made(route="2")
    bad["rds"][0]["virtual_hosts"][0]["routes"][0]["match"] = {"safe_regex": {"regex": "("}}
    driven.server.set("bad", bad)
    driven.proxy.wait(lambda: driven.server.told("nack"))
    nack = driven.server.told("nack")[0]
    assert nack["nack"].endswith("RouteConfiguration") and "routes r: virtual_hosts[0].routes[0].match.safe_regex" in nack["message"]
    assert nack["version"] == ("v1" if driven.api == "GRPC" else "")
    assert driven.version() == "1" and driven.proxy.stat("http.rds.update_rejected") >= 1
    driven.change("v3", route="3")
    driven.proxy.wait(lambda: driven.version() == "3")


def test_it_goes_and_comes_back_with_other_content(driven):
    driven.proxy.wait(lambda: driven.version() == "1")
    load = Load(driven.port)
    port = driven.server.port
    driven.server.stop()
    connected = "control_plane.connected_state" if driven.by == "one stream" else "cluster_manager.cds.control_plane.connected_state"
    driven.proxy.wait(lambda: driven.proxy.stat(connected) == 0)
    assert driven.version() == "1"
    driven.server = GoServer(driven.by, port)
    driven.secret = certificate(driven.folder, "second")
    driven.change("v2", route="2", origins="c")
    driven.proxy.wait(lambda: driven.version() == "2" and "second" in driven.subject() and driven.origins[2].served > 20, 40)
    load.stop()
    assert load.bad == [] and driven.server.told("nack") == []
